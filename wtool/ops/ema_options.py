"""Options of `wtool.ema`. This module imports no NumPy, so that `--help` is instant."""

from __future__ import annotations

from wtool.errors import Usage
from wtool.option import Checked, option
from wtool.values import dataclass


@dataclass(frozen=True, kw_only=True)
class Ema(Checked):
    """Give models moving averages of their weights: those that the optimizer keeps, or any length out of snapshots.

    Without --sigma-rel, each model's weights become the averages that its optimizer keeps (`use_ema`, or a
    schedule-free optimizer). All other variables stay.

    With --sigma-rel S, the models are snapshots of one training by the callback `PowerEMA`. One model is made of them:
    the power-function average of the weights at step T whose weighting of the steps has the standard deviation S*T.
    The coefficients of the snapshots are those with which their own weightings come nearest to it.

    Examples:
        wtool ema trained.keras -o averaged.keras
        wtool ema zoo/ -o averaged/ -j 2
        wtool ema --sigma-rel .12 snapshots/ -o ema.keras
        >>> wtool.ema("trained.keras", output="averaged.keras")  # doctest: +SKIP

    Source: Karras et al., Analyzing and Improving the Training Dynamics of Diffusion Models, arXiv:2312.02696.
    """

    sigma_rel: float | None = option(
        None,
        "Make one average of this relative width out of snapshots; 0.05 to 0.2 are usual.",
        metavar="S",
        above=0,
        below=0.3003,
        wrong="a relative width of {} is not between 0 and 0.3003, the widest that a power function has",
    )
    step: int | None = option(
        None,
        "With --sigma-rel: the training step at which the average ends; that of the newest snapshot by default.",
        metavar="T",
        low=1,
        wrong="a training step is a whole number from 1 up, and not {}",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.step is not None and self.sigma_rel is None:
            raise Usage("--step is the end of an average out of snapshots, which --sigma-rel asks for")
