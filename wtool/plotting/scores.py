"""Scores of the arms of lottery experiments: against remaining weights, or side by side where arms have one round."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from wtool.ops.metric_names import EARLY_STOP, base_of
from wtool.plotting.arms import Arm, named_arms
from wtool.plotting.bands import draw_band, share_limits
from wtool.plotting.metrics import told
from wtool.plotting.style import COLOURS, DASHES, GREY, by_rows, columns_of, label
from wtool.training.lottery.curves import Run, final_curve, trial_values
from wtool.training.lottery.plan import DENSE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.gridspec import SubplotSpec

PANEL, LINE, EACH_ARM, AROUND = 2.4, 0.25, 0.24, 0.8  # inches
LEAST = 1e-9  # percent of the weights: fewer are none, and have no place on a logarithmic scale
LONGEST = 40  # letters of a name
ACROSS = 2  # panels in a row
MOST_BANDS = 3  # of arms on top of each other: more are mud
MOST_TICKS = 16  # labels along the remaining weights, in a panel over the whole width
MARKERS = "osD^vP*X"


def is_one_shot(runs: Sequence[Run]) -> bool:
    """Returns whether no arm has more than one round, so that there is no curve to draw."""
    return all(len(run.rounds(arm)) <= 1 for run in runs for arm in run.arms)


def height(runs: Sequence[Run], metrics: Sequence[str]) -> float:
    """Returns the inches that the panels take, with their legend."""
    arms = _dense_and_others(runs)
    down = math.ceil(len(metrics) / ACROSS)
    if is_one_shot(runs):
        return down * (AROUND + EACH_ARM * len(arms))
    return down * PANEL + LINE * math.ceil(len(arms) / columns_of([label(arm.name, LONGEST) for arm in arms]))


def draw(figure: Figure, place: SubplotSpec, runs: Sequence[Run], metrics: Sequence[str]) -> None:
    """Draw a panel for each metric."""
    across = min(ACROSS, len(metrics))
    grid = place.subgridspec(math.ceil(len(metrics) / across), across).subplots(squeeze=False)
    for axes in grid.flat[len(metrics) :]:
        axes.set_visible(False)
    panels = dict(zip(metrics, grid.flat, strict=False))
    one_shot = is_one_shot(runs)
    for metric, axes in panels.items():
        if one_shot:
            _side_by_side(axes, runs, metric, named=axes in grid[:, 0])
        else:
            _against_remaining(axes, runs, metric, MOST_TICKS // across)
    for base in {base_of(metric) for metric in metrics}:
        share_limits([axes for metric, axes in panels.items() if base_of(metric) == base], "x" if one_shot else "y")
    if one_shot:
        shares = _shares(_dense_and_others(runs))
        remaining = f"; {next(iter(shares)):.3g} % of the weights remain" if len(shares) == 1 else ""
        figure.suptitle(f"{_title(runs)}{remaining}", x=0.01, ha="left", fontsize=9)
    else:
        _name_lines(figure, runs)


def _dense_and_others(runs: Sequence[Run]) -> list[Arm]:
    return [*named_arms(runs, dense=True), *(arm for arm in named_arms(runs, dense=False) if arm.arm != DENSE)]


def _title(runs: Sequence[Run]) -> str:
    trials = [run.trials for run in runs]
    name = label(runs[0].name) if len(runs) == 1 else f"{len(runs)} experiments"
    several = "-".join(map(str, sorted({min(trials), max(trials)})))
    return f"{name}; mean and standard deviation of {several} trials" if max(trials) > 1 else name


def _side_by_side(axes: Axes, runs: Sequence[Run], metric: str, named: bool) -> None:
    """Draw a line for each arm: the values of the trials, their mean and one standard deviation on both sides."""
    from matplotlib.ticker import MaxNLocator

    rows = _dense_and_others(runs)
    shares = _shares(rows)
    names = [_name_with_share(arm, shares) for arm in rows]
    for row, arm in enumerate(rows):
        band = final_curve(arm.run, arm.arm, metric)
        colour = GREY if arm.arm == DENSE else COLOURS[0]
        values = trial_values(arm.run, arm.arm, metric)
        if len(values) > 1:
            axes.scatter(values, [row] * len(values), s=14, color=colour, alpha=0.4, linewidths=0)
        if len(values) > 1 and len(band.mean):
            axes.errorbar(band.mean, [row], xerr=band.std, ecolor=colour, elinewidth=1.2, fmt="none")
        mark = {"marker": "|", "markersize": 9, "markeredgewidth": 2.2}  # narrow: values near the mean are seen
        axes.plot(band.mean, [row] * len(band.mean), color=colour, linestyle="none", **mark)
        if arm.arm == DENSE and len(band.mean):
            axes.axvline(band.mean[0], color=GREY, linestyle="--", linewidth=0.8)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_yticks(range(len(rows)), names if named else [""] * len(rows))
    axes.set_xlabel(told(metric))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=metric == EARLY_STOP, min_n_ticks=1))


def _rounds(arm: Arm) -> list[int]:
    return arm.run.rounds(arm.arm)


def _shares(arms: Sequence[Arm]) -> set[float]:
    """Returns the remaining weights of all arms, in percent."""
    return {arm.run.remaining(arm.arm, number) for arm in arms if arm.arm != DENSE for number in _rounds(arm)}


def _name_with_share(arm: Arm, shares: set[float]) -> str:
    """Returns an arm's name, and the weights that remain where they are not the same in all arms."""
    name = label(arm.name, LONGEST)
    has_share = arm.arm != DENSE and len(shares) > 1
    return f"{name}, {arm.run.remaining(arm.arm, _rounds(arm)[0]):.3g} %" if has_share else name


def _line_of(number: int) -> dict[str, Any]:
    return {
        "color": COLOURS[number % len(COLOURS)],
        "linestyle": DASHES[number // len(COLOURS) % len(DASHES)],
        "marker": MARKERS[number % len(MARKERS)],
        "markersize": 4.5,
    }


def _line_of_dense(number: int) -> dict[str, Any]:
    return {"color": GREY, "linestyle": DASHES[(number + 1) % len(DASHES)]}


def _against_remaining(axes: Axes, runs: Sequence[Run], metric: str, most_ticks: int) -> None:
    """Draw a curve for each arm: its score by the weights that remain, on a logarithmic scale."""
    from matplotlib.ticker import FuncFormatter, NullLocator

    for number, run in enumerate(runs):
        dense = final_curve(run, DENSE, metric)
        if dense.trials:
            low, high = dense.mean[0] - dense.std[0], dense.mean[0] + dense.std[0]
            axes.axhspan(low, high, color=GREY, alpha=0.15, lw=0)
            axes.axhline(dense.mean[0], **_line_of_dense(number))
    ticks = {100.0}
    arms = [arm for arm in named_arms(runs, dense=False) if arm.arm != DENSE]
    for number, arm in enumerate(arms):
        band = final_curve(arm.run, arm.arm, metric)
        draw_band(axes, band, bars=len(arms) > MOST_BANDS, **_line_of(number))
        ticks |= set(band.x[band.x > LEAST])
    axes.set_xlim(1.05 * max(ticks), min(ticks) / 1.05)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(_apart(sorted(ticks), most_ticks))
    axes.set_xlabel("remaining weights, %")
    axes.set_ylabel(told(metric))


def _name_lines(figure: Figure, runs: Sequence[Run]) -> None:
    from matplotlib.lines import Line2D

    dense, all_arms = named_arms(runs, dense=True), _dense_and_others(runs)
    styles = [_line_of_dense(number) for number in range(len(dense))]
    styles += [_line_of(number) for number in range(len(all_arms) - len(dense))]
    names = [label(arm.name, LONGEST) for arm in all_arms]
    handles = [Line2D([], [], **style) for style in styles]
    columns = columns_of(names)
    figure.legend(
        by_rows(handles, columns),
        by_rows(names, columns),
        loc="outside upper left",
        ncols=columns,
        title=_title(runs),
        alignment="left",
    )


def _apart(ticks: list[float], most: int) -> list[float]:
    """Returns the values that are far enough from each other to be read as labels, from the largest down."""
    kept: list[float] = []
    for tick in reversed(ticks):
        if not kept or math.log(kept[-1] / tick) > math.log(ticks[-1] / ticks[0]) / most:
            kept.append(tick)
    return kept
