"""Learning curves from the logs of trainings: those of Keras's CSVLogger, and of `wtool resume --log`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from wtool.errors import Usage
from wtool.ops.metric_names import VALIDATION, asked_for, base_of, both_of, score_of
from wtool.ops.training_logs import Training, curve
from wtool.plotting.style import COLOURS, DASHES, GREY, WIDTH, by_rows, columns_of, label, short_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANEL, LINE = 2.4, 0.25  # inches
ACROSS = 2  # panels in a row; a single one is as wide as a column of a paper
LONGEST = 60  # letters of a name
MOST_LOGS = len(COLOURS)
MOST_METRICS = 40


def draw(trainings: Sequence[Training], words: Sequence[str] = ()) -> Figure:
    """Draw a panel for each metric, with a line for each log: whole on validation data, dashed in training.

    Args:
        trainings: the logs.
        words: names of metrics; without any, the score and the loss are drawn.

    Raises:
        Usage: a metric does not exist, or there are more logs or metrics than can be told apart.
    """
    from matplotlib.figure import Figure

    if len(trainings) > MOST_LOGS:
        raise Usage(f"{len(trainings)} logs in one plot cannot be told apart; take at most {MOST_LOGS}")
    metrics = _metrics(trainings, words)
    panels = list(dict.fromkeys(base_of(metric) for metric in metrics))
    if len(panels) > MOST_METRICS:
        raise Usage(f"{len(panels)} metrics are too many for one plot; there may be {MOST_METRICS}", trainings[0].name)
    across = min(ACROSS, len(panels))
    down = math.ceil(len(panels) / across)
    figure = Figure((WIDTH / ACROSS * across, down * PANEL + LINE * (2 + len(trainings))), layout="constrained")
    grid = figure.subplots(down, across, squeeze=False)
    for panel, axes in zip(panels, grid.flat, strict=False):
        for number, training in enumerate(trainings):
            _lines(axes, training, [each for each in metrics if base_of(each) == panel], COLOURS[number])
        axes.set_ylabel(label(panel.replace("_", " "), 40))
        axes.set_xlabel("epoch")
        _count_epochs(axes)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    _name_lines(figure, trainings, metrics, across)
    return figure


def _metrics(trainings: Sequence[Training], words: Sequence[str]) -> list[str]:
    known = list(dict.fromkeys(name for training in trainings for name in training.metrics))
    if words:
        asked = [asked_for(words, training.metrics, training.name) for training in trainings]
        return list(dict.fromkeys(name for names in asked for name in names))
    chosen = [*both_of(score_of(known), known), *both_of("loss", known)]
    return list(dict.fromkeys(chosen)) or known


def _lines(axes: Axes, training: Training, metrics: Sequence[str], colour: str) -> None:
    for metric in metrics:
        if metric not in training.metrics:
            continue
        x, y = curve(training.log, metric)
        marker = {"marker": "o", "markersize": 4} if len(x) == 1 else {}
        axes.plot(x, y, color=colour, **_line_of(metric, metrics), **marker)


def _line_of(metric: str, metrics: Sequence[str]) -> dict[str, Any]:
    """Returns the style of a line: dashed in training, where there is validation beside it."""
    is_dashed = not metric.startswith(VALIDATION) and f"{VALIDATION}{metric}" in metrics
    return {"linestyle": DASHES[1] if is_dashed else DASHES[0], "linewidth": 1.2 if is_dashed else 1.6}


def _count_epochs(axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))


def _name_lines(figure: Figure, trainings: Sequence[Training], metrics: Sequence[str], across: int) -> None:
    from matplotlib.lines import Line2D

    names = [label(name, LONGEST // (3 - across)) for name in short_names([each.name for each in trainings])]
    handles = [Line2D([], [], color=colour) for colour in COLOURS[: len(names)]]
    if any(f"{VALIDATION}{metric}" in metrics for metric in metrics):
        names += ["validation", "training"]
        handles += [Line2D([], [], color=GREY), Line2D([], [], color=GREY, linestyle=DASHES[1], linewidth=1.2)]
    columns = columns_of(names, WIDTH / ACROSS * across)
    figure.legend(by_rows(handles, columns), by_rows(names, columns), loc="outside upper left", ncols=columns)
