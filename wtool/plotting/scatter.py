"""Trained weights against initial ones, a panel for each kernel of each model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from wtool.dtypes import Array
from wtool.errors import Usage
from wtool.plotting.movement import ModelMovements, Movement
from wtool.plotting.style import GREY, WIDTH, label, short_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ACROSS = 3  # panels in a row
ROW, HEAD = 2.2, 0.45  # inches
MOST_PANELS = 30  # on a page
KEPT, PRUNED = ("#3A93CC", "#0A3A66"), ("#D55E00", "#5A2000")
"""Colours of a cell with one weight, and of the cell with the most: both stand out from white."""

DARKEST = 100  # weights in a cell, at least: so that of few weights, all have the lighter colour


def draw(models: Sequence[ModelMovements]) -> list[Figure]:
    """Draw for each kernel of each model where its weights are by where they were; what is pruned has its own colour.

    Returns:
        the pages.

    Raises:
        Usage: there are more models than fit side by side.
    """
    if len(models) > ACROSS:
        raise Usage(f"{len(models)} models do not fit beside each other; take at most {ACROSS} with --against")
    names = short_names([model.name for model in models]) if len(models) > 1 else [""]
    paths = list(dict.fromkeys(path for model in models for path in model.kernels))
    panels = [
        (path, name, model.kernels.get(path)) for path in paths for model, name in zip(models, names, strict=True)
    ]
    across = min(len(panels), ACROSS - ACROSS % len(models))
    most = MOST_PANELS - MOST_PANELS % across
    on_a_page = across * math.ceil(math.ceil(len(panels) / math.ceil(len(panels) / most)) / across)
    return [_page(panels[at : at + on_a_page], across) for at in range(0, len(panels), on_a_page)]


def _page(panels: Sequence[tuple[str, str, Movement | None]], across: int) -> Figure:
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    down = math.ceil(len(panels) / across)
    figure = Figure((WIDTH / ACROSS * max(2, across), HEAD + ROW * down), layout="constrained")
    grid = figure.subplots(down, across, squeeze=False)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    for (path, name, movement), axes in zip(panels, grid.flat, strict=False):
        title = label(path, 34)
        axes.set_title(f"{title}\n{label(name, 34)}" if name else title, fontsize=8)
        if movement is None:
            axes.set_axis_off()
        else:
            _panel(axes, movement)
    handles = [Patch(color=KEPT[0]), Patch(color=PRUNED[0]), Line2D([], [], color=GREY, linestyle="--", linewidth=0.8)]
    figure.legend(handles, ["kept", "pruned", "as before"], loc="outside upper left", ncols=3)
    return figure


def _panel(axes: Axes, movement: Movement) -> None:
    from matplotlib.colors import LinearSegmentedColormap, LogNorm

    x, y = movement.initial, movement.trained
    for counts, colours in ((movement.kept, KEPT), (movement.pruned, PRUNED)):
        axes.imshow(
            np.ma.masked_equal(counts.T, 0),
            cmap=LinearSegmentedColormap.from_list("count", colours),
            norm=LogNorm(1, max(DARKEST, int(counts.max()))),
            extent=(x[0], x[-1], y[0], y[-1]),
            origin="lower",
            aspect="auto",
            interpolation="none",
        )
    ends = [max(x[0], y[0]), min(x[-1], y[-1])]
    if ends[0] < ends[1]:
        axes.plot(ends, ends, color=GREY, linestyle="--", linewidth=0.8)
    axes.set_xlim(*_around(x))
    axes.set_ylim(*_around(y))
    axes.set_xlabel("initial")
    axes.set_ylabel("trained")
    axes.locator_params(nbins=4)
    _tell(axes, movement)


def _around(edges: Array) -> tuple[float, float]:
    """Returns limits a little outside of the edges, since the lines of the axes would hide the outermost cells."""
    margin = edges[-1] / len(edges) - edges[0] / len(edges)
    return float(edges[0] - margin), float(edges[-1] + margin)


def _tell(axes: Axes, movement: Movement) -> None:
    """Write the share of pruned weights into a corner, and the number of values that are in no cell."""
    count = int(movement.kept.sum() + movement.pruned.sum())
    told = [f"{100 * movement.pruned.sum() / count:.1f} % pruned"] if movement.pruned.any() else []
    told += [f"{movement.nonfinite:,} NaN or infinite"] if movement.nonfinite else []
    style: dict[str, Any] = {"ha": "left", "va": "top", "fontsize": 7, "color": PRUNED[0]}
    if told:
        axes.text(0.02, 0.99, "\n".join(told), transform=axes.transAxes, **style)
