"""Plots of lottery experiments by the numbers that matplotlib was given, against NumPy's."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wtool
from tests.plotting.experiments import lines, value, written
from wtool.ops.metric_names import score_of
from wtool.plotting import curves, style
from wtool.training.lottery import summaries
from wtool.training.lottery.curves import run_of

pytestmark = pytest.mark.slow  # a few seconds together: left out of the quick part

matplotlib = pytest.importorskip("matplotlib")


def drawn_run(*folders: Path, words: tuple[str, ...] = ()) -> Any:
    with style.styled():
        (figure,) = curves.draw([run_of(str(folder)) for folder in folders], words)
        figure.canvas.draw()
    return figure


def band_of(collection: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x, lower and upper edge of a filled band."""
    corners = collection.get_paths()[0].vertices
    x = np.unique(corners[:, 0])
    each = [corners[corners[:, 0] == at, 1] for at in x]
    return x, np.array([y.min() for y in each]), np.array([y.max() for y in each])


def test_accuracy_against_remaining_weights(tmp_path: Path) -> None:
    figure = drawn_run(written(tmp_path / "RUN", lines()))
    axes = figure.axes[0]
    dense, *arms = axes.lines
    expected = np.mean([value(trial, "dense", 0, 4) for trial in (1, 2, 3)])
    assert dense.get_ydata() == pytest.approx([expected] * 2)
    assert [text.get_text() for text in figure.legends[0].texts] == ["dense", "rewind", "randomize"]
    for arm, line, band in zip(("rewind", "randomize"), arms, axes.collections, strict=True):
        found = np.array([[value(trial, arm, number, 4) for number in (3, 2, 1)] for trial in (1, 2, 3)])
        remaining = [100 * 0.8**number for number in (3, 2, 1)]
        assert line.get_xdata() == pytest.approx(remaining)
        assert line.get_ydata() == pytest.approx(found.mean(axis=0))
        x, low, high = band_of(band)
        assert x == pytest.approx(remaining)
        assert low == pytest.approx(found.mean(axis=0) - found.std(axis=0, ddof=1))
        assert high == pytest.approx(found.mean(axis=0) + found.std(axis=0, ddof=1))
    assert axes.get_xlim()[0] > 100 > axes.get_xlim()[1]  # from many weights to few
    assert len({line.get_color() for line in axes.lines}) == 3
    assert axes.get_ylabel() == "accuracy, validation"
    assert axes.get_xlabel() == "remaining weights, %"


def test_learning_curves(tmp_path: Path) -> None:
    """A column for each arm: accuracy above, loss below; the dense network first in each panel."""
    panels = drawn_run(written(tmp_path / "RUN", lines())).axes[2:]
    assert [axes.get_title(loc="left") for axes in panels] == ["rewind", "randomize", "", ""]
    assert [axes.get_ylabel() for axes in panels] == ["accuracy,\nvalidation", "", "loss,\nvalidation", ""]
    for axes, arm, is_loss in zip(panels, ("rewind", "randomize") * 2, (0, 0, 1, 1), strict=True):
        rounds = [("dense", 0), (arm, 1), (arm, 2), (arm, 3)]
        for (name, number), line, band in zip(rounds, axes.lines, axes.collections, strict=True):
            scores = [[value(trial, name, number, epoch) for epoch in (1, 2, 3, 4)] for trial in (1, 2, 3)]
            found = 3 - np.array(scores) if is_loss else np.array(scores)
            assert line.get_xdata() == pytest.approx([1, 2, 3, 4])
            assert line.get_ydata() == pytest.approx(found.mean(axis=0))
            _, low, high = band_of(band)
            assert low == pytest.approx(found.mean(axis=0) - found.std(axis=0, ddof=1))
            assert high == pytest.approx(found.mean(axis=0) + found.std(axis=0, ddof=1))


def test_many_arms_have_bars_and_rows_of_one_scale(tmp_path: Path) -> None:
    """Six of them stand in two rows of three, and their deviations can be told apart."""
    names = ["rewind", "jitter", "randomize", "reshuffle", "constant", "none"]
    top, _, *panels = drawn_run(written(tmp_path / "RUN", lines(arms=names))).axes
    for arm, bars in zip(names, top.collections, strict=True):
        found = np.array([[value(trial, arm, number, 4) for number in (3, 2, 1)] for trial in (1, 2, 3)])
        ends = np.array([segment[:, 1] for segment in bars.get_segments()])
        mean, deviation = found.mean(axis=0), found.std(axis=0, ddof=1)
        assert ends == pytest.approx(np.column_stack([mean - deviation, mean + deviation]))
    assert [axes.get_title(loc="left") for axes in panels] == [*names[:3], "", "", "", *names[3:], "", "", ""]
    assert [axes.get_xlabel() for axes in panels] == 2 * (["", "", ""] + ["epoch"] * 3)
    for metric in (0, 1):
        rows = [panels[at] for row in (metric, metric + 2) for at in range(3 * row, 3 * row + 3)]
        assert len({axes.get_ylim() for axes in rows}) == 1
        assert len({axes.get_ylabel() for axes in rows[::3]}) == 1


def test_one_trial_has_no_bands_and_a_beginning_no_arms(tmp_path: Path) -> None:
    figure = drawn_run(written(tmp_path / "one", lines(trials=1)))
    assert not any(axes.collections for axes in figure.axes)
    begun = drawn_run(written(tmp_path / "begun", lines(trials=1)[:2]))
    assert [text.get_text() for text in begun.axes[0].get_yticklabels()] == ["dense"]
    assert [list(axes.lines[0].get_xdata()) for axes in begun.axes[2:]] == [[1, 2]] * 2


def test_without_validation_and_accuracy_the_loss_is_drawn(tmp_path: Path) -> None:
    records = [each | {"metrics": {"loss": each["metrics"]["loss"]}} for each in lines()]
    top, *panels = drawn_run(written(tmp_path / "RUN", records)).axes
    assert top.get_ylabel() == "loss, training"
    assert len(panels) == 2
    assert score_of(["loss", "f1", "val_loss", "val_f1"]) == "f1"
    assert score_of(["loss", "f1", "sparse_categorical_accuracy"]) == "sparse_categorical_accuracy"


def test_a_single_point_has_its_deviation(tmp_path: Path) -> None:
    """Of an experiment of one round and one epoch, every panel shows the spread over the trials."""
    records = [each for each in lines(epochs=1) if each["round"] < 2]
    _, *panels = drawn_run(written(tmp_path / "RUN", records)).axes
    assert len(panels) == 4
    for axes in panels:
        assert len(axes.collections) == 2
        for line, bars in zip(axes.lines, axes.collections, strict=True):
            (segment,) = bars.get_segments()
            assert segment[0, 1] < line.get_ydata()[0] < segment[1, 1]
            assert line.get_marker() == "o"


def test_arms_of_one_round_stand_side_by_side(tmp_path: Path) -> None:
    """For each arm the values of the trials, their mean and one deviation, and the mean of the dense networks."""
    records = [each for each in lines() if each["round"] < 2]
    axes = drawn_run(written(tmp_path / "RUN", records)).axes[0]
    assert axes.get_xlabel() == "accuracy, validation"
    assert [text.get_text() for text in axes.get_yticklabels()] == ["dense", "rewind", "randomize"]
    points, bars = axes.collections[::2], axes.collections[1::2]
    means = [line for line in axes.lines if line.get_marker() == "|"]
    (dense,) = [line for line in axes.lines if line.get_linestyle() == "--"]
    assert axes.get_ylim()[0] > 2
    assert axes.get_ylim()[1] < 0
    for row, (arm, number) in enumerate([("dense", 0), ("rewind", 1), ("randomize", 1)]):
        found = np.array([value(trial, arm, number, 4) for trial in (1, 2, 3)])
        assert np.asarray(points[row].get_offsets()) == pytest.approx(np.column_stack([found, [row] * 3]))
        (segment,) = bars[row].get_segments()
        mean, deviation = found.mean(), found.std(ddof=1)
        assert segment == pytest.approx(np.array([[mean - deviation, row], [mean + deviation, row]]))
        assert list(means[row].get_xdata()) == pytest.approx([mean])
        if not row:
            assert dense.get_xdata() == pytest.approx([mean] * 2)


def test_different_shares_are_in_the_names_of_arms(tmp_path: Path) -> None:
    records = [each for each in lines() if each["round"] < 2]
    for each in records:
        if each["arm"] == "randomize":
            each["remaining"] = 0.25
    axes = drawn_run(written(tmp_path / "RUN", records)).axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["dense", "rewind, 80 %", "randomize, 25 %"]


def test_training_stands_beside_validation(tmp_path: Path) -> None:
    folder = written(tmp_path / "RUN", lines())
    upper, lower = np.split(np.array(drawn_run(folder, words=("loss", "accuracy")).axes), [4])
    told = ["loss, training", "loss, validation", "accuracy, training", "accuracy, validation"]
    assert [axes.get_ylabel() for axes in upper] == told
    assert upper[0].get_ylim() == upper[1].get_ylim() != upper[2].get_ylim() == upper[3].get_ylim()
    for axes, add in ((upper[0], 2), (upper[1], 3)):
        found = np.array([[value(trial, "rewind", number, 4) for number in (3, 2, 1)] for trial in (1, 2, 3)])
        assert axes.lines[1].get_ydata() == pytest.approx(add - found.mean(axis=0))
    rows = lower.reshape(4, 2)
    assert [axes.get_ylabel().replace("\n", " ") for axes in rows[:, 0]] == told
    assert len({axes.get_ylim() for axes in rows[:2].flat}) == 1
    only = drawn_run(folder, words=("val_loss",)).axes
    assert [axes.get_ylabel() for axes in only] == ["loss, validation", "loss,\nvalidation", ""]


def test_several_experiments_in_one_figure(tmp_path: Path) -> None:
    """Arms have the names of their folders, and each experiment its dense network."""
    one, two = written(tmp_path / "one", lines()), written(tmp_path / "two", lines(trials=2, arms=("jitter",)))
    figure = drawn_run(one, two)
    names = ["one: dense", "two: dense", "one: rewind", "one: randomize", "two: jitter"]
    assert sorted(text.get_text() for text in figure.legends[0].texts) == sorted(names)
    assert figure.legends[0].get_title().get_text() == "2 experiments; mean and standard deviation of 2-3 trials"
    axes = figure.axes[0]
    for line, trials in zip(axes.lines[:2], (3, 2), strict=True):
        mean = np.mean([value(trial, "dense", 0, 4) for trial in range(1, trials + 1)])
        assert line.get_ydata() == pytest.approx([mean] * 2)
    assert len({(line.get_color(), line.get_linestyle()) for line in axes.lines}) == 5
    jitter = np.array([[value(trial, "jitter", number, 4) for number in (3, 2, 1)] for trial in (1, 2)])
    assert axes.lines[4].get_ydata() == pytest.approx(jitter.mean(axis=0))
    panels = [each for each in figure.axes[2:] if each.get_title(loc="left")]
    assert [each.get_title(loc="left") for each in panels] == names[2:]
    mean = np.mean([value(trial, "dense", 0, 1) for trial in (1, 2)])
    assert panels[2].lines[0].get_ydata()[0] == pytest.approx(mean)  # of its own experiment


def test_the_early_stop_epoch(tmp_path: Path) -> None:
    """Each trial's own, of the lowest validation loss; NaN is not low; trials may end after different epochs."""
    records = lines(epochs=5)
    losses = {1: [3, 1, 2, 1, 4], 2: [float("nan"), 5, 4, 3, 2], 3: [1, 2, 3, 4, 5]}
    for each in records:
        each["metrics"]["val_loss"] = losses[each["trial"]][each["epoch"] - 1]
    records = [each for each in records if each["trial"] != 3 or each["epoch"] < 3]  # patience
    axes = drawn_run(written(tmp_path / "RUN", records)).axes[1]
    assert axes.get_ylabel() == "epoch of lowest validation loss"
    assert axes.lines[1].get_ydata() == pytest.approx([np.mean([2, 5, 1])] * 3)
    _, low, high = band_of(axes.collections[0])
    assert high - low == pytest.approx([2 * np.std([2, 5, 1], ddof=1)] * 3)
    top = drawn_run(tmp_path / "RUN").axes[0]
    ends = [value(1, "rewind", 3, 5), value(2, "rewind", 3, 5), value(3, "rewind", 3, 2)]
    assert top.lines[1].get_ydata()[0] == pytest.approx(np.mean(ends))


def test_a_diverged_trial_makes_no_mean() -> None:
    spread = summaries._spread([1.0, float("nan")])
    assert np.isnan([spread.mean, spread.std]).all()


def test_many_arms_have_pages(tmp_path: Path) -> None:
    """First the scores of all arms, then learning curves of at most twelve arms on a page."""
    arms = [f"randomize,sd={number}" for number in range(13)]
    records = [each for each in lines(trials=1, epochs=1, arms=arms) if each["round"] < 2]
    with style.styled():
        pages = curves.draw([run_of(str(written(tmp_path / "RUN", records)))])
    names = [text.get_text() for text in pages[0].axes[0].get_yticklabels()]
    assert names == ["dense", *arms]
    titles = [[title for axes in page.axes if (title := axes.get_title(loc="left"))] for page in pages[1:]]
    assert [*titles[0], *titles[1]] == arms
    assert len(titles[0]) == 7


def test_more_arms_than_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curves, "MOST_ARMS", 1)
    with pytest.raises(wtool.Usage, match="RUN: 2 arms are too many for one plot; there may be 1"):
        wtool.plot(written(tmp_path / "RUN", lines()), output=tmp_path / "a.png")


@pytest.mark.parametrize("rounds", [1, 3])
@pytest.mark.parametrize("values", [(np.nan,) * 3, (np.inf, 1, np.nan), (1e308, -1e308, 1e308), (5e-324, 0, -0.0)])
def test_extreme_values_are_drawn_without_a_warning(tmp_path: Path, values: tuple[float, ...], rounds: int) -> None:
    records = [each for each in lines(epochs=2) if each["round"] <= rounds]
    for each in records:
        each["metrics"] = dict.fromkeys(each["metrics"], values[each["trial"] - 1])
        each["remaining"] = 0 if each["arm"] == "rewind" else each["remaining"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn_run(written(tmp_path / "RUN", records))
