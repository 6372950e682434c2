"""Learning curves from logs, by the numbers that matplotlib was given."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wtool
from wtool.ops import training_logs
from wtool.plotting import logs, style

matplotlib = pytest.importorskip("matplotlib")

ROWS = [{"loss": 1 / n, "accuracy": 1 - 1 / n, "val_loss": 1.5 / n, "val_accuracy": 1 - 1.5 / n} for n in (2, 3, 4, 5)]


def csv_log(path: Path, rows: list[dict[str, Any]], first: int = 0, end: str = "\r\n") -> Path:
    """What Keras's CSVLogger writes: columns in the order of their names, epochs from 0, ends of lines of DOS."""
    names = sorted(rows[0])
    lines = [",".join(["epoch", *names])]
    lines += [",".join([str(first + at), *(str(row[name]) for name in names)]) for at, row in enumerate(rows)]
    path.write_bytes("".join(line + end for line in lines).encode())
    return path


def json_log(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps({"epoch": at, **row}) + "\n" for at, row in enumerate(rows, 1)))
    return path


def drawn(*paths: Path, words: tuple[str, ...] = ()) -> Any:
    with style.styled():
        figure = logs.draw([training_logs.read(str(path)) for path in paths], words)
        figure.canvas.draw()
    return figure


def test_training_beside_validation(tmp_path: Path) -> None:
    """Of CSVLogger and of `wtool resume --log`; epochs are counted from 1, whatever the log does."""
    csv = csv_log(tmp_path / "log.csv", ROWS)
    jsonl = json_log(tmp_path / "log.jsonl", [{**row, "loss": row["loss"] + 1} for row in ROWS])
    figure = drawn(csv, jsonl)
    assert [axes.get_ylabel() for axes in figure.axes] == ["accuracy", "loss"]
    names = {text.get_text() for text in figure.legends[0].texts}
    assert names == {"log.csv", "log.jsonl", "validation", "training"}
    for axes, name in zip(figure.axes, ("accuracy", "loss"), strict=True):
        expected = [(name, 0, "--"), (f"val_{name}", 0, "-"), (name, name == "loss", "--"), (f"val_{name}", 0, "-")]
        for line, (metric, add, dash) in zip(axes.lines, expected, strict=True):
            assert list(line.get_xdata()) == [1, 2, 3, 4]
            assert line.get_ydata() == pytest.approx(np.array([row[metric] for row in ROWS]) + add)
            assert line.get_linestyle() == dash
        assert axes.lines[0].get_color() == axes.lines[1].get_color() != axes.lines[2].get_color()


def test_chosen_metrics(tmp_path: Path) -> None:
    rows = [{**row, "learning_rate": 0.1} for row in ROWS]
    figure = drawn(csv_log(tmp_path / "log.csv", rows), words=("learning_rate", "val_loss"))
    assert [axes.get_ylabel() for axes in figure.axes] == ["learning rate", "loss"]
    assert [len(axes.lines) for axes in figure.axes] == [1, 1]
    assert [text.get_text() for text in figure.legends[0].texts] == ["log.csv"]
    only = drawn(csv_log(tmp_path / "mae.csv", [{"mae": 3}]))
    assert [axes.get_ylabel() for axes in only.axes] == ["mae"]
    assert only.axes[0].lines[0].get_marker() == "o"


def test_a_log_that_begins_again_has_a_gap(tmp_path: Path) -> None:
    """As CSVLogger with `append=True` writes at a second `fit`; what is no number has no point, and NaN none either."""
    path = csv_log(tmp_path / "log.csv", [{"loss": 3.0}, {"loss": "NA"}, {"loss": "nan"}, {"loss": 2.0}])
    with path.open("a") as file:
        file.write("0,1.0\r\n1,0.5\r\n")
    x, y = training_logs.curve(training_logs.read(str(path)).log, "loss")
    nan = np.nan
    assert x == pytest.approx([1, 3, 4, nan, 1, 2], nan_ok=True)
    assert y == pytest.approx([3, nan, 2, nan, 1, 0.5], nan_ok=True)


def test_the_command_draws_logs(tmp_path: Path) -> None:
    done = wtool.plot(csv_log(tmp_path / "log.csv", ROWS), output=tmp_path / "a.svg", metric="loss")
    assert done.drawn == (str(tmp_path / "log.csv"),)
    assert (tmp_path / "a.svg").read_bytes().startswith(b"<?xml")


@pytest.mark.parametrize("values", [(1e308, -1e308), ("inf", 1), ("nan", "nan"), (1e-320, 5e-324), (-0.0, 0)])
def test_extreme_values_are_drawn(tmp_path: Path, values: tuple[Any, Any]) -> None:
    drawn(csv_log(tmp_path / "log.csv", [{"loss": value} for value in values]))


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "is no log of training"),
        ("a,b\n1,2\n", "is no log of training"),
        ("epoch,loss\nx,2\n", "is no log of training"),
        (f"epoch,loss\n{10**30},2\n", "is no log of training"),
        ("epoch,loss\n", "has no epoch with a metric yet"),
        ("epoch,loss\n1,low\n", "has no epoch with a metric yet"),
        ('{"epoch": 1, "loss": ' + "9" * 400 + "}\n", "is no log of training"),
        ('{"epoch": 1, "loss": [1]}\n', "has no epoch with a metric yet"),
        ('{"epoch": 1, "arm": "dense", "metrics": {"loss": 1}}\n', "plot the folder that the file is in"),
    ],
)
def test_files_that_are_no_logs(tmp_path: Path, text: str, what: str) -> None:
    (tmp_path / "log.csv").write_text(text)
    with pytest.raises(wtool.WtoolError, match=rf"log\.csv: .*{what}") as caught:
        wtool.plot(tmp_path / "log.csv", output=tmp_path / "a.png")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "a.png").exists()


def test_words_that_do_not_go_together(tmp_path: Path) -> None:
    log, output = csv_log(tmp_path / "log.csv", ROWS), tmp_path / "a.png"
    with pytest.raises(wtool.Usage, match=r"log\.csv: has no metric 'f1', but accuracy, loss, val_acc"):
        wtool.plot(log, output=output, metric=["f1"])
    with pytest.raises(wtool.Usage, match=r"log\.csv: a log has no tensors to choose"):
        wtool.plot(log, output=output, include=["*"])
    with pytest.raises(wtool.Usage, match=r"log\.csv: a log and a model do not go into one plot"):
        wtool.plot([log, "model.keras"], output=output)
    with pytest.raises(wtool.Usage, match="9 logs in one plot cannot be told apart; take at most 8"):
        wtool.plot([log] * 9, output=output)
