"""What all experiments share: arguments, tables, means with errors, and parts of the digits."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from tests.experiments.scripts import FOLDER, SCRIPTS


@dataclass(frozen=True)
class Settings:
    seeds: int = 5
    rates: tuple[float, ...] = (0.1, 0.01)


QUICK = Settings(seeds=1)


@pytest.fixture
def experiment(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FOLDER))
    import experiment

    return experiment


def test_settings_are_options(experiment: ModuleType) -> None:
    def arguments(*words: str) -> tuple[Path, Settings, bool]:
        return experiment.arguments(["there", *words], Settings(), QUICK)

    assert arguments() == (Path("there"), Settings(), False)
    assert arguments("--quick", "--latex") == (Path("there"), QUICK, True)
    assert arguments("--seeds", "7", "--rates", "1", ".5")[1] == Settings(seeds=7, rates=(1.0, 0.5))
    assert arguments("--quick", "--rates", "2")[1] == Settings(seeds=1, rates=(2.0,))


def test_markdown(experiment: ModuleType) -> None:
    table = experiment.Table(("name", "a", "b"), [("`x_1`", "1", "2"), ("y", "3", "")], title="Both")
    assert list(experiment.in_markdown(table)) == [
        "**Both**",
        "",
        "| name | a | b |",
        "| --- | ---: | ---: |",
        "| `x_1` | 1 | 2 |",
        "| y | 3 |  |",
    ]


def test_rows_are_printed_as_they_come(experiment: ModuleType) -> None:
    made = []

    def rows() -> Iterator[tuple[str]]:
        for name in "ab":
            made.append(name)
            yield (name,)

    lines = experiment.in_markdown(experiment.Table(("name",), rows()))
    assert [next(lines) for _ in range(3)][2] == "| a |"
    assert made == ["a"]


def test_latex(experiment: ModuleType) -> None:
    table = experiment.Table(("layer", "accuracy"), [("`p_relu`", "97.4% ± 0.2%"), (r"a\b & c^2", "-")])
    assert "\n".join(experiment.in_latex(table)).splitlines() == [
        r"\begin{tabular}{lr}",
        r"\toprule",
        r"layer & accuracy \\",
        r"\midrule",
        r"\texttt{p\_relu} & 97.4\% $\pm$ 0.2\% \\",
        r"a\textbackslash{}b \& c\textasciicircum{}2 & - \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


def test_mean_and_standard_error(experiment: ModuleType) -> None:
    values = np.random.default_rng(0).uniform(0.5, 0.9, 7)
    found = re.fullmatch(r"(\S+)% ± (\S+)%", experiment.with_error(values, 4))
    assert found is not None
    expected = (100 * values.mean(), 100 * np.sqrt(values.var(ddof=1) / 7))
    np.testing.assert_allclose([float(each) for each in found.groups()], expected, atol=5e-5)
    assert experiment.with_error([0.974]) == "97.4%"
    assert experiment.with_error([1.0, 2.0], 2, percent=False) == "1.50 ± 0.50"


def test_a_run_says_what_it_was_made_with(
    experiment: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("sklearn")
    pytest.importorskip("tensorflow")
    monkeypatch.setattr("sys.argv", ["name.py", str(tmp_path / "new"), "--latex"])
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "1")
    experiment.run(lambda folder, settings: [experiment.Table(("seeds",), [(str(settings.seeds),)])], Settings(), QUICK)
    *table, last = capsys.readouterr().out.splitlines()
    assert table[0] == r"\begin{tabular}{l}"
    assert re.fullmatch(r"% Measured with Python 3\S+, Keras 3\..*\. seeds: 5; rates: 0\.1, 0\.01\. \d+ s of .*", last)
    assert (tmp_path / "new").is_dir()


def test_files_are_made_once(experiment: ModuleType, tmp_path: Path) -> None:
    for text in ("first", "second"):
        experiment.once(tmp_path / "file", lambda path, text=text: path.write_text(text))
    assert (tmp_path / "file").read_text() == "first"


def test_results_are_kept(experiment: ModuleType, tmp_path: Path) -> None:
    found = [experiment.kept(tmp_path / "a.json", lambda value=value: {"step": value}) for value in (1.5, 2.5)]
    assert found == [{"step": 1.5}] * 2
    with pytest.raises(ZeroDivisionError):
        experiment.kept(tmp_path / "b.json", lambda: 1 / 0)
    assert not (tmp_path / "b.json").exists()


def test_parts_of_the_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    monkeypatch.syspath_prepend(str(FOLDER))
    import digits

    x, y = datasets.load_digits(return_X_y=True)
    found = digits.parts(0.2, 0.3, images=True, seed=3)
    assert [len(each.y) for each in found] == [897, 360, 540]
    joined = np.concatenate([each.x for each in found]).reshape(-1, 64)
    assert found[0].x.shape[1:] == (8, 8, 1)
    assert joined.dtype == np.float32
    classes = np.concatenate([each.y for each in found])
    order, expected = np.lexsort(joined.T), np.lexsort((x / 16).astype(np.float32).T)
    np.testing.assert_array_equal(joined[order], (x / 16).astype(np.float32)[expected])
    np.testing.assert_array_equal(classes[order], y[expected])
    for each in found:
        np.testing.assert_allclose(np.bincount(each.y) / len(each.y), np.bincount(y) / len(y), atol=0.005)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_each_tells_how_it_is_run(script: Path) -> None:
    assert f"\n    python docs/experiments/{script.name} FOLDER [--quick] [--latex]\n" in script.read_text("utf-8")
