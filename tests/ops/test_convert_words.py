"""Words of a conversion: replacements of layers, names, shapes and sizes, and what is no such word."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from wtool.errors import Usage, WtoolError
from wtool.ops.convert_options import Convert
from wtool.ops.convert_words import bytes_of, entry_in, shape_of, wishes_of


@pytest.mark.parametrize(
    ("words", "entry"),
    [
        ("Rescaling:scale=2,offset=1", {"class_name": "Rescaling", "config": {"scale": 2, "offset": 1}}),
        ("keras.layers.ReLU", {"class_name": "ReLU", "config": {}}),
        ("Softmax:axis=[1, 2]", {"class_name": "Softmax", "config": {"axis": [1, 2]}}),
        ("Reshape:target_shape=(4,-1)", {"class_name": "Reshape", "config": {"target_shape": [4, -1]}}),
        ("Dense:use_bias=False", {"class_name": "Dense", "config": {"use_bias": False}}),
        ('X:a="b,c",d=null', {"class_name": "X", "config": {"a": '"b', "d": None}}),
    ],
)
def test_replacements(words: str, entry: dict[str, Any]) -> None:
    if '"' in words:
        with pytest.raises(Usage, match="key=value after CLASS"):
            wishes_of(Convert(replace=[f"block/lam={words}"]))
        return
    assert wishes_of(Convert(replace=[f"block/lam={words}"])).replacements == {"block/lam": entry}


def test_a_replacement_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "relu.json"
    file.write_text(json.dumps({"class_name": "ReLU", "config": {"max_value": 6}}))
    assert wishes_of(Convert(replace=[f"lam={file}"])).replacements["lam"]["config"] == {"max_value": 6}
    file.write_text(json.dumps({"layers": []}))
    with pytest.raises(Usage, match="has a class_name and a config"):
        wishes_of(Convert(replace=[f"lam={file}"]))
    file.write_text("[1, 2")
    with pytest.raises(WtoolError, match="is not readable JSON") as raised:
        entry_in(file)
    assert raised.value.file == str(file)
    with pytest.raises(WtoolError, match="No such file"):
        entry_in(tmp_path / "none.json")


def test_names() -> None:
    found = wishes_of(Convert(rename=["Old>A=New>A"], attribute=["block=dense, norm"]))
    assert found.renamed == {"Old>A": "New>A"}
    assert found.attributes == {"block": ("dense", "norm")}


@pytest.mark.parametrize(
    ("words", "shape"),
    [("28,28,1", (28, 28, 1)), ("(none, 3)", (None, 3)), ("7", (7,)), ("7,", (7,)), ("None", (None,)), ("()", ())],
)
def test_shapes(words: str, shape: tuple[int | None, ...]) -> None:
    assert shape_of(words) == shape


@pytest.mark.parametrize("words", ["0,3", "-1", "a", "3x3", "1.5"])
def test_what_is_no_shape(words: str) -> None:
    with pytest.raises(Usage, match="is no size"):
        shape_of(words)


@pytest.mark.parametrize(
    ("words", "size"),
    [("500MB", 500 * 10**6), ("2 GB", 2 * 10**9), ("1.5GiB", 3 * 2**29), ("4096", 4096), ("1k", 1000), ("7B", 7)],
)
def test_sizes(words: str, size: int) -> None:
    assert bytes_of(words) == size


@pytest.mark.parametrize("words", ["", "0", "0.1", "2 XB", "-3GB", "GB", "1e9"])
def test_what_is_no_size(words: str) -> None:
    with pytest.raises(Usage, match="is no size such as"):
        bytes_of(words)


@pytest.mark.parametrize(
    "options", [{"replace": ["lam"]}, {"replace": ["=X"]}, {"rename": ["A"]}, {"attribute": ["block="]}]
)
def test_what_has_no_two_sides(options: dict[str, Any]) -> None:
    with pytest.raises(Usage, match="is not --"):
        wishes_of(Convert(**options))


@pytest.mark.parametrize(
    "options",
    [{"replace": ["a=ReLU", "a=Softmax"]}, {"rename": ["A=B", "A=C"]}, {"attribute": ["a=b", "a=c"]}],
)
def test_two_things_about_one_name(options: dict[str, Any]) -> None:
    with pytest.raises(Usage, match=f"two --{next(iter(options))} say different things of [aA]"):
        wishes_of(Convert(**options))
    ((option, (first, _)),) = options.items()
    assert wishes_of(Convert(**{option: [first, first]})) == wishes_of(Convert(**{option: [first]}))
