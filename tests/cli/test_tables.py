"""Tables: whole in a pipe, and as wide as a terminal, with no number split and no name mistaken for another."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cli.terminals import on_a_terminal, plain
from tests.models import BLOBS, FIXTURES, Array, arrays, changed
from wtool.cli import tables
from wtool.cli.tables import lined_up, shortened, wrapped

NUMBER = re.compile(r"-?[\d,]+(\.\d+)?(e[-+]\d+)?%?")
BN = FIXTURES / "bn" / "ckpt-9.keras"


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def drawn(monkeypatch: pytest.MonkeyPatch, columns: int | None, *arguments: object, **more: object) -> list[str]:
    """Returns the lines of a table on a terminal, or with None in a pipe."""
    stream = io.StringIO() if columns is None else Terminal()
    monkeypatch.setattr("sys.stdout", stream)
    monkeypatch.setenv("NO_COLOR", "1")
    if columns is not None:
        monkeypatch.setenv("COLUMNS", str(columns))
    tables.print_table(*arguments, **more)  # type: ignore[arg-type]
    return stream.getvalue().splitlines()


def test_numbers_stand_below_each_other_with_their_zeros() -> None:
    """As many digits in each, and the decimal points in one place: blanks stand in for what has none."""
    shown = [text.rjust(10) for text in lined_up([0.79597, 0.823678, 12.5, None, 100.0, float("nan")], 6)]
    assert shown == ["  0.795970", "  0.823678", " 12.5000  ", " " * 10, "100.000   ", "nan       "]
    assert lined_up([], 3) == []
    assert lined_up([None], 3) == [""]


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=6), st.integers(2, 6))
def test_decimal_points_are_in_one_column(values: list[float], digits: int) -> None:
    texts = [text.rjust(40) for text in lined_up(values, digits)]
    length = max(map(len, texts))
    points = {text.rjust(length).index(".") for text in texts if "." in text}
    assert len(points) <= 1
    for value, text in zip(values, texts, strict=True):
        assert float(text) == float(f"{value:.{digits}g}")


def test_a_pipe_gets_everything_and_no_blanks_at_the_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [["a" * 300, "1", "the first"], ["b", "1,000", "x " * 100 + "y"], ["c", "", ""]]
    lines = drawn(monkeypatch, None, ["name", "count", "what"], rows, right=[1], least=["count"])
    assert lines == [line.rstrip() for line in lines]
    assert lines[1] == f"{'a' * 300}      1  the first"
    assert lines[2].endswith("x y")
    assert lines[3] == "c"


@pytest.mark.parametrize("columns", [30, 40, 60, 80, 120])
def test_a_terminal_gets_lines_that_fit(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "so it is " * 8
    rows = [[f"encoder/layer_{number}/attention/kernel", "1,234,567", "0.12345", text] for number in range(9)]
    header, least = ["tensor", "count", "mean", "what"], ["mean", "count"]
    lines = drawn(monkeypatch, columns, header, rows, right=[1, 2], least=least)
    assert max(map(len, lines)) <= columns
    assert all(text in "\n".join(lines) for text in ("tensor", "what"))
    left_out = " ".join(lines).partition("no room for ")[2]
    for name, number in (("count", "1,234,567"), ("mean", "0.12345")):
        assert sum(number in line for line in lines) == (0 if name in left_out else 9)


def test_columns_without_a_text_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    assert drawn(monkeypatch, 80, ["a", "b", "c"], [["x", "", "1"], ["y", "", ""]], right=[2]) == ["a  c", "x  1", "y"]
    assert drawn(monkeypatch, 80, ["a", "b"], []) == []


def test_names_that_differ_in_one_place_stay_different() -> None:
    for names in (
        [f"block_{number}/{'x' * 60}/kernel" for number in range(20)],
        [f"{'x' * 60}/kernel_{number}" for number in range(20)],
        [f"{'x' * 20}/{number}/{'x' * 60}" for number in range(10)],
    ):
        found = shortened(names, 24)
        assert len(set(found)) == len(names)
        assert max(map(len, found)) <= 24
        assert all("..." in each for each in found)
    assert shortened(["gamma 12, beta 12, moving_mean 12"], 25) == ["gamma 12, beta 12, ..."]


@given(st.lists(st.text(max_size=40), max_size=8), st.integers(8, 30))
def test_a_shortened_name_fits_and_the_others_are_whole(names: list[str], width: int) -> None:
    for name, found in zip(names, shortened(names, width), strict=True):
        assert tables._width(found) <= width
        assert found == name or tables._width(name) > width


def test_characters_of_two_columns_and_of_none() -> None:
    assert [tables._width(text) for text in ("abc", "层", "é", "e\u0301")] == [3, 2, 1, 1]
    assert shortened(["层" * 20], 11) == ["层层...层层"]


@given(st.text(st.sampled_from("ab "), max_size=80), st.integers(5, 30))
def test_wrapped_lines_have_all_words(text: str, width: int) -> None:
    lines = wrapped(text, width)
    assert " ".join(lines).split() == text.split()
    assert all(len(line) <= width or " " not in line for line in lines)


def test_twenty_thousand_rows_are_drawn_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [[f"layer_{number}/kernel", str(number), "kept"] for number in range(20_000)]
    assert len(drawn(monkeypatch, 20, ["tensor", "number", "what"], rows, right=[1])) >= 20_001


@pytest.mark.parametrize("columns", [40, 80, 120])
@pytest.mark.parametrize("option", [[], ["--tensors"], ["--cost"]])
def test_inspect_splits_no_number_and_no_name(option: list[str], columns: int) -> None:
    """Whatever stands in a table of a terminal stands in that of a pipe, too, or is a shortened name."""
    model = BN
    status, shown = on_a_terminal("inspect", *option, model, columns=columns)
    _, wide = on_a_terminal("inspect", *option, model, columns=1000)
    assert status == 0
    lines = plain(shown)
    if columns >= 80:
        assert max(map(len, lines)) <= columns
    words = {word for line in plain(wide) for word in line.split()}
    table = "\n".join(lines).partition("no room for")[0]
    assert [word for word in table.split() if word not in words and "..." not in word] == []


def test_colour_is_not_for_everybody() -> None:
    assert "\x1b[1m" in on_a_terminal("inspect", BLOBS[0])[1]
    assert "\x1b" not in on_a_terminal("inspect", BLOBS[0], NO_COLOR="1")[1]
    assert "\x1b" not in on_a_terminal("inspect", BLOBS[0], TERM="dumb")[1]


def test_kernels_and_biases_are_told_apart(tmp_path: Path) -> None:
    """Zeros of a kernel are its layer's sparsity; a fresh normalisation has none."""

    def change(name: str, values: Array) -> Array:
        array = values.copy()
        if array.ndim >= 2 and "optimizer" not in name:
            array.flat[: array.size * 4 // 5] = 0
        return array

    path = changed(BN, tmp_path / "pruned.keras", change)
    rows = {line.split()[0]: line.split() for line in plain(on_a_terminal("inspect", path)[1]) if line}
    header = rows["layer"]
    assert header == ["layer", "class", "parameters", "bytes", "sparsity", "mean", "std"]
    weights = {name: values for name, values in arrays(path).items() if name.startswith("layers/")}
    kernels = [values for values in weights.values() if values.ndim >= 2]
    dense = [row for row in rows.values() if row[1:2] == ["Dense"]]
    assert len(dense) == len(kernels)
    for row, values in zip(dense, kernels, strict=True):
        assert row[header.index("sparsity")] == f"{100 * (values == 0).mean():.1f}%"
    (norm,) = (row for row in rows.values() if row[1:2] == ["BatchNormalization"])
    assert len(norm) == 4
    sizes = [sum(values.size for values in weights.values()), sum(values.nbytes for values in weights.values())]
    assert rows["total"][1:3] == [f"{size:,}" for size in sizes]
    assert (
        rows["total"][3]
        == f"{100 * sum((each == 0).sum() for each in kernels) / sum(each.size for each in kernels):.1f}%"
    )


def test_the_sparsity_of_biases_is_shown_where_they_have_zeros(tmp_path: Path) -> None:
    path = changed(BLOBS[0], tmp_path / "x.keras", lambda name, values: values * (values.ndim != 1))
    from wtool.ops.inspect import by_layer, inspect

    found = {layer["name"]: layer for layer in by_layer(inspect(path))}
    assert (found["hidden"]["biases"]["zeros"], found["hidden"]["biases"]["parameters"]) == (25, 25)
    assert found["hidden"]["kernels"]["zeros"] == 0
    rows = {line.split()[0]: line for line in plain(on_a_terminal("inspect", path, columns=100)[1]) if line}
    assert "zero biases" in rows["layer"]
    assert re.search(r"0\.0% +100\.0%", rows["hidden"])
    assert json.dumps(found)
