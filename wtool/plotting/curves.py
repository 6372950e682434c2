"""Learning curves of a lottery experiment, and the scores of its tickets against remaining weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from wtool.plotting.runs import Band, Run, final_curve, learning_curve, score_of, validated
from wtool.plotting.style import COLOURS, DASHES, GREY, LIGHTEST, label
from wtool.training.lottery.plan import DENSE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ACROSS = 5  # arms in a row
MOST_BANDS = 3  # of arms on top of each other: more are mud
MOST_NAMED = 12  # rounds in the legend
PANEL, ROW, TOP = 3.3, 2.4, 3.4  # inches
MARKERS = "osD^vP*X"


def draw(run: Run) -> Figure:
    """Draw the score against remaining weights for all arms, and below, for each arm, score and loss of its rounds."""
    from matplotlib.figure import Figure

    arms = run.arms or [DENSE]
    across = math.ceil(len(arms) / math.ceil(len(arms) / ACROSS))
    metrics = list(dict.fromkeys([score_of(run.metrics), validated("loss", run.metrics)]))
    down = math.ceil(len(arms) / across) * len(metrics)
    figure = Figure((max(2, across) * PANEL + 1, TOP + ROW * down), layout="constrained")
    upper, lower = figure.add_gridspec(2, 1, height_ratios=[TOP, ROW * down])
    _scores(figure.add_subplot(upper), run, metrics[0])
    grid = lower.subgridspec(down, across).subplots(squeeze=False, sharex=True, sharey="row")
    shades = _shades(run)
    for number, arm in enumerate(arms):
        for row, metric in enumerate(metrics):
            axes = grid[number // across * len(metrics) + row, number % across]
            _learning(axes, run, arm, metric, shades)
            axes.set_title(label(arm, 40) if row == 0 else "")
    for axes in grid.flat:
        axes.set_visible(bool(axes.lines))
    for number, metric in enumerate(metrics):
        _share_heights([axes for row in grid[number :: len(metrics)] for axes in row if axes.get_visible()])
        for axes in grid[number :: len(metrics), 0]:
            axes.set_ylabel(_words(metric))
    for axes in grid[len(metrics) - 1 :: len(metrics)].flat:
        axes.tick_params(labelbottom=True)
        axes.set_xlabel("epoch")
    _name_shades(grid[0, -1], shades)
    return figure


def _share_heights(some: Sequence[Axes]) -> None:
    """Give all axes of one metric the same scale, in whatever row they are."""
    limits = [axes.get_ylim() for axes in some]
    for axes in some:
        axes.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))


def _words(metric: str) -> str:
    own = metric.removeprefix("val_")
    return label(f"{own.replace('_', ' ')}, {'validation' if own != metric else 'training'}", 40)


def _draw(axes: Axes, band: Band, bars: bool = False, **style: Any) -> Any:
    """Draw a curve, with one standard deviation on both sides as a band or as bars where there are several trials."""
    if band.trials > 1 and (bars or len(band.x) == 1):  # a band around a single point has no width
        axes.errorbar(band.x, band.mean, band.std, ecolor=style["color"], elinewidth=1.2, fmt="none")
    elif band.trials > 1:
        axes.fill_between(band.x, band.mean - band.std, band.mean + band.std, color=style["color"], alpha=0.2, lw=0)
    if len(band.x) == 1:
        style = {"marker": "o", "markersize": 4, **style}
    return axes.plot(band.x, band.mean, **style)[0]


def _scores(axes: Axes, run: Run, metric: str) -> None:
    from matplotlib.ticker import FuncFormatter, NullLocator

    several = f"; mean and standard deviation of {run.trials} trials" if run.trials > 1 else ""
    axes.set_title(f"{label(run.name)}{several}")
    dense = final_curve(run, DENSE, metric)
    handles, names = [], []
    if dense.trials:
        low, high = dense.mean[0] - dense.std[0], dense.mean[0] + dense.std[0]
        axes.axhspan(low, high, color=GREY, alpha=0.15, lw=0)
        handles.append(axes.axhline(dense.mean[0], color=GREY, linestyle="--"))
        names.append(DENSE)
    ticks = {100.0}
    for number, arm in enumerate(run.arms):
        band = final_curve(run, arm, metric)
        colour, dash = COLOURS[number % len(COLOURS)], DASHES[number // len(COLOURS) % len(DASHES)]
        marker = MARKERS[number % len(MARKERS)]
        style = {"color": colour, "linestyle": dash, "marker": marker, "markersize": 5}
        handles.append(_draw(axes, band, bars=len(run.arms) > MOST_BANDS, **style))
        names.append(label(arm, 40))
        ticks |= set(band.x[band.x > 0])
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(_apart(sorted(ticks)))
    axes.set_xlim(1.05 * max(ticks), min(ticks) / 1.05)
    axes.set_xlabel("remaining weights, %")
    axes.set_ylabel(_words(metric))
    axes.legend(handles, names, loc="upper left", bbox_to_anchor=(1.01, 1))


def _apart(ticks: list[float]) -> list[float]:
    """Returns the values that are far enough from each other to be read as labels, from the largest down."""
    kept: list[float] = []
    for tick in reversed(ticks):
        if not kept or math.log(kept[-1] / tick) > math.log(ticks[-1] / ticks[0]) / 16:
            kept.append(tick)
    return kept


def _learning(axes: Axes, run: Run, arm: str, metric: str, shades: dict[float, Any]) -> None:
    from matplotlib.ticker import MaxNLocator

    for each in (DENSE, arm) if arm != DENSE else (DENSE,):
        for number in run.rounds(each):
            band = learning_curve(run, each, number, metric)
            if band.trials:
                shade = GREY if each == DENSE else shades[run.remaining(each, number)]
                _draw(axes, band, color=shade, linestyle="--" if each == DENSE else "-", linewidth=1.3)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))


def _shades(run: Run) -> dict[float, Any]:
    """Returns remaining weights in percent, from the most to the least -> colour; the sparser, the darker."""
    from matplotlib import colormaps

    each = sorted({run.remaining(arm, number) for arm in run.arms for number in run.rounds(arm)}, reverse=True)
    steps = max(1, len(each) - 1)
    return {remaining: colormaps["plasma"](LIGHTEST * (1 - at / steps)) for at, remaining in enumerate(each)}


def _name_shades(axes: Axes, shades: dict[float, Any]) -> None:
    from matplotlib.lines import Line2D

    named = min(MOST_NAMED, len(shades))
    some = [list(shades)[round(at * (len(shades) - 1) / max(1, named - 1))] for at in range(named)]
    handles = [Line2D([], [], color=shades[each]) for each in some]
    handles.insert(0, Line2D([], [], color=GREY, linestyle="--"))
    names = [DENSE, *(f"{each:.3g} %" for each in some)]
    axes.legend(handles, names, loc="upper left", bbox_to_anchor=(1.01, 1), title="remaining")
