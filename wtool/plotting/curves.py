"""Plots of lottery experiments: scores of all arms above, and below the learning curves of each arm."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from wtool.errors import Usage
from wtool.ops.metric_names import EARLY_STOP, asked_for, base_of, score_of, validated
from wtool.plotting import scores
from wtool.plotting.arms import Arm, named_arms
from wtool.plotting.bands import draw_band, share_limits
from wtool.plotting.metrics import told
from wtool.plotting.style import GREY, LIGHTEST, WIDTH, by_rows, label
from wtool.training.lottery.curves import Run, learning_curve
from wtool.training.lottery.plan import DENSE
from wtool.values import dataclass

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.gridspec import SubplotSpec

ACROSS = 3  # arms in a row
ROW, AROUND = 1.5, 0.8  # inches
MOST_ON_A_PAGE = 12  # arms with learning curves
MOST_ARMS = 200
MOST_NAMED = 12  # rounds in the legend
NAMED_ACROSS = 7  # rounds in a line of it


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of a page: its height in inches, and what draws it into its place."""

    height: float
    draw: Callable[[Figure, SubplotSpec], None]


def draw(runs: Sequence[Run], words: Sequence[str] = ()) -> list[Figure]:
    """Draw the scores of all arms, and below, for each arm, the learning curves of its rounds.

    Args:
        runs: experiments, all in one figure.
        words: names of metrics; of each, the values in training and on validation data stand beside each other.
            Without any, the score, the loss and the early-stop epoch are drawn, on validation data if there are some.

    Returns:
        the pages: one, unless the learning curves of all arms are too many for it.

    Raises:
        Usage: a metric does not exist, or there are more arms than anybody looks through.
    """
    arms = named_arms(runs, dense=False)
    if len(arms) > MOST_ARMS:
        raise Usage(f"{len(arms)} arms are too many for one plot; there may be {MOST_ARMS}", runs[0].name)
    upper, lower = _metrics(runs, words)
    parts = [_Part(scores.height(runs, upper), partial(scores.draw, runs=runs, metrics=upper))]
    shades = _shades(runs)
    on_a_page = math.ceil(len(arms) / math.ceil(len(arms) / MOST_ON_A_PAGE))
    for at in range(0, len(arms) if lower else 0, on_a_page):
        some = arms[at : at + on_a_page]
        height = AROUND + ROW * math.ceil(len(some) / ACROSS) * len(lower)
        parts.append(_Part(height, partial(_learning_curves, arms=some, metrics=lower, shades=shades)))
    return [_page(parts)] if len(parts) <= 2 else [_page([part]) for part in parts]


def _page(parts: Sequence[_Part]) -> Figure:
    from matplotlib.figure import Figure

    heights = [part.height for part in parts]
    figure = Figure((WIDTH, sum(heights)), layout="constrained")
    grid = figure.add_gridspec(len(parts), 1, height_ratios=heights)
    for number, part in enumerate(parts):
        part.draw(figure, grid[number])
    return figure


def _metrics(runs: Sequence[Run], words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Returns the metrics of the panels above, and those of the learning curves below."""
    if words:
        asked = [asked_for(words, run.metrics, run.name) for run in runs]
        upper = list(dict.fromkeys(name for names in asked for name in names))
        return upper, [name for name in upper if name != EARLY_STOP]
    known = list(dict.fromkeys(name for run in runs for name in run.metrics))
    logged = [name for name in known if name != EARLY_STOP]
    score = validated(score_of(logged), logged)
    upper = [score, *([EARLY_STOP] if EARLY_STOP in known else [])]
    return upper, list(dict.fromkeys([score, validated("loss", logged)]))


def _learning_curves(
    figure: Figure, place: SubplotSpec, arms: Sequence[Arm], metrics: Sequence[str], shades: dict[float, Any]
) -> None:
    """Draw a column of panels for each arm, in as many rows of columns as they need."""
    across = math.ceil(len(arms) / math.ceil(len(arms) / ACROSS))
    down = math.ceil(len(arms) / across)
    grid = place.subgridspec(down * len(metrics), across).subplots(squeeze=False, sharex=True)
    for number, arm in enumerate(arms):
        for row, metric in enumerate(metrics):
            axes = grid[number // across * len(metrics) + row, number % across]
            _learning(axes, arm, metric, shades)
            axes.set_title(label(arm.name, 102 // across) if row == 0 else "", fontsize=8)
    for axes in grid.flat:
        axes.set_visible(bool(axes.lines))
    for base in {base_of(metric) for metric in metrics}:
        rows = [row for number, row in enumerate(grid) if base_of(metrics[number % len(metrics)]) == base]
        share_limits([axes for row in rows for axes in row if axes.get_visible()], "y")
    for number, row in enumerate(grid):
        row[0].set_ylabel(told(metrics[number % len(metrics)]).replace(", ", ",\n"))
        for axes in row[1:]:
            axes.tick_params(labelleft=False)
    for axes in grid[len(metrics) - 1 :: len(metrics)].flat:
        axes.tick_params(labelbottom=True)
        axes.set_xlabel("epoch")
    _name_shades(figure, shades)


def _learning(axes: Axes, arm: Arm, metric: str, shades: dict[float, Any]) -> None:
    from matplotlib.ticker import MaxNLocator

    for each in (DENSE, arm.arm) if arm.arm != DENSE else (DENSE,):
        for number in arm.run.rounds(each):
            band = learning_curve(arm.run, each, number, metric)
            if band.trials:
                shade = GREY if each == DENSE else shades[arm.run.remaining(each, number)]
                draw_band(axes, band, color=shade, linestyle="--" if each == DENSE else "-", linewidth=1.2)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True, min_n_ticks=1))


def _shades(runs: Sequence[Run]) -> dict[float, Any]:
    """Returns remaining weights in percent, from the most to the least -> colour; the sparser, the darker."""
    from matplotlib import colormaps

    each = sorted(
        {run.remaining(arm, number) for run in runs for arm in run.arms for number in run.rounds(arm)}, reverse=True
    )
    steps = max(1, len(each) - 1)
    return {remaining: colormaps["plasma"](LIGHTEST * (1 - at / steps)) for at, remaining in enumerate(each)}


def _name_shades(figure: Figure, shades: dict[float, Any]) -> None:
    from matplotlib.lines import Line2D

    named = min(MOST_NAMED, len(shades))
    some = [list(shades)[round(at * (len(shades) - 1) / max(1, named - 1))] for at in range(named)]
    handles = [Line2D([], [], color=GREY, linestyle="--"), *(Line2D([], [], color=shades[each]) for each in some)]
    names = [DENSE, *(f"{each:.3g} %" for each in some)]
    columns = min(NAMED_ACROSS, len(names))
    figure.legend(
        by_rows(handles, columns),
        by_rows(names, columns),
        loc="outside lower left",
        ncols=columns,
        title="remaining weights",
        alignment="left",
        fontsize=8,
        title_fontsize=8,
    )
