"""Weight histograms and masks of models, a row for each kernel, on as many pages as the rows need."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from wtool.errors import Usage
from wtool.plotting.kernels import Kernel, ModelKernels
from wtool.plotting.style import COLOURS, DASHES, GREY, by_rows, label, short_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_ROWS = 100  # of kernels on a page: more make an image that few programs open
HISTOGRAM, BARS, MASK, ROW = 3.0, 1.2, 1.5, 1.35  # inches: of two models, they fill the width of a paper's page
HEAD = 0.7
TALL, WIDEST = 20, 30  # rows before a second block of them is begun, and inches of all blocks


def draw(models: Sequence[ModelKernels]) -> list[Figure]:
    """Draw for each kernel its histogram and share of zeros, of all models together, and its mask in each model.

    Returns:
        the pages, with nearly the same number of kernels on each.

    Raises:
        Usage: there are more models than can be told apart.
    """
    if len(models) > len(COLOURS):
        raise Usage(f"{len(models)} models in one plot cannot be told apart; take at most {len(COLOURS)}")
    paths = list(dict.fromkeys(path for model in models for path in model.kernels))
    rows = math.ceil(len(paths) / math.ceil(len(paths) / MOST_ROWS))
    return [_page(models, paths[at : at + rows]) for at in range(0, len(paths), rows)]


def _page(models: Sequence[ModelKernels], paths: Sequence[str]) -> Figure:
    from matplotlib.figure import Figure

    widths = [HISTOGRAM, BARS, *[MASK] * len(models)]
    blocks = max(1, min(math.ceil(len(paths) / TALL), int(WIDEST / sum(widths))))
    down = math.ceil(len(paths) / blocks)
    figure = Figure((blocks * sum(widths), HEAD + ROW * down), layout="constrained")
    grid = figure.subplots(down, blocks * len(widths), squeeze=False, width_ratios=widths * blocks)
    rows = [row for block in np.split(grid, blocks, axis=1) for row in block]
    for axes in (axes for row in rows[len(paths) :] for axes in row):
        axes.set_visible(False)
    names = short_names([model.name for model in models])
    for at, path in enumerate(paths):
        _row(rows[at], path, [model.kernels.get(path) for model in models])
        if len(models) > 1:
            for axes, name, colour in zip(rows[at][2:], names, COLOURS, strict=False):
                axes.set_title(label(name, 22), loc="center", fontsize=8, color=colour)
        if at + 1 in (len(paths), *range(0, len(paths), down)):
            _name_axes(rows[at])
    handles = [_line(number) for number in range(len(models))]
    told = [label(name, 28) for name in names]
    columns = min(len(models), max(1, int(sum(widths) * blocks / 2.6)))
    figure.legend(by_rows(handles, columns), by_rows(told, columns), loc="outside upper left", ncols=columns)
    return figure


def _row(row: Sequence[Any], path: str, kernels: Sequence[Kernel | None]) -> None:
    histogram, bars, *masks = row
    _histogram(histogram, path, kernels)
    _bars(bars, kernels)
    for axes, kernel, colour in zip(masks, kernels, COLOURS, strict=False):
        _mask(axes, kernel, colour)


def _name_axes(row: Sequence[Any]) -> None:
    words = "weights other than zero", "zeros, %", *["kept; across: last axis"] * (len(row) - 2)
    for axes, text in zip(row, words, strict=True):
        axes.set_xlabel(text)


def _line(number: int) -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], color=COLOURS[number], linestyle=DASHES[number % len(DASHES)], linewidth=2)


def _histogram(axes: Axes, path: str, kernels: Sequence[Kernel | None]) -> None:
    shapes = dict.fromkeys("x".join(map(str, kernel.shape)) or "scalar" for kernel in kernels if kernel is not None)
    axes.set_title(f"{label(path, 44)}  {' / '.join(shapes)}")
    for number, kernel in enumerate(kernels):
        if kernel is not None:
            style = {"color": COLOURS[number], "linestyle": DASHES[number % len(DASHES)], "linewidth": 1.4}
            axes.stairs(kernel.counts, kernel.edges, fill=len(kernels) == 1, **style)
    bad = sum(kernel.statistics.nonfinite for kernel in kernels if kernel is not None)
    if bad:
        axes.text(1, 1, f"{bad:,} NaN or infinite", transform=axes.transAxes, ha="right", va="top", color=COLOURS[1])
    axes.set_ylim(bottom=0)
    axes.set_ylabel("count")
    axes.locator_params(nbins=5, axis="x")
    axes.locator_params(nbins=4, axis="y")


def _bars(axes: Axes, kernels: Sequence[Kernel | None]) -> None:
    for number, kernel in enumerate(kernels):
        if kernel is not None:
            share = 100 * kernel.statistics.zeros / kernel.statistics.count
            axes.barh(number, share, color=COLOURS[number], height=0.7)
            axes.text(share + 2, number, f"{share:.1f}", va="center", fontsize=8)
    axes.set_xlim(0, 125)
    axes.set_xticks([0, 50, 100])
    spare = max(0, 3 - len(kernels)) / 2
    axes.set_ylim(len(kernels) - 0.4 + spare, -0.6 - spare)
    axes.set_yticks([])


def _mask(axes: Axes, kernel: Kernel | None, colour: str) -> None:
    """Draw an image of a mask: coloured where no value is pruned, white where all are."""
    from matplotlib.colors import LinearSegmentedColormap

    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set(visible=kernel is not None, color=GREY)
    if kernel is None:
        return
    shades = LinearSegmentedColormap.from_list("kept", ["white", colour])
    axes.imshow(1 - kernel.pruned, cmap=shades, vmin=0, vmax=1, aspect="auto", interpolation="none")
