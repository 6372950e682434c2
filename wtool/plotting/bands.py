"""Curves with their spread over trials, as matplotlib draws them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from wtool.training.lottery.curves import Band

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_band(axes: Axes, band: Band, bars: bool = False, **style: Any) -> Any:
    """Draw a curve, with one standard deviation on both sides where there are several trials.

    Args:
        axes: to draw in.
        band: the curve.
        bars: whether the deviations are bars and no band. Those of a single point always are: its band has no width.
        style: of the line, as matplotlib names it.

    Returns:
        the line.
    """
    if len(band.x) == 1:
        style = {"marker": "o", "markersize": 4, **style}
    if band.trials > 1 and (bars or len(band.x) == 1):
        axes.errorbar(band.x, band.mean, band.std, ecolor=style["color"], elinewidth=1.2, fmt="none")
    elif band.trials > 1:
        axes.fill_between(band.x, band.mean - band.std, band.mean + band.std, color=style["color"], alpha=0.2, lw=0)
    return axes.plot(band.x, band.mean, **style)[0]


def share_limits(some: Sequence[Axes], way: str) -> None:
    """Give axes the same scale along "x" or "y", wherever they are."""
    limits = [getattr(axes, f"get_{way}lim")() for axes in some]
    for axes in some:
        getattr(axes, f"set_{way}lim")(min(low for low, _ in limits), max(high for _, high in limits))
