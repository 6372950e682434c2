"""Power-function averages over the time of a training: coefficients of checkpoints, and how wide an average is.

The average at time T has the profile p(t) = (g+1)/T * (t/T)^g on [0, T], where g is the exponent. Its relative width is
sigma_rel, the standard deviation of the profile divided by T: sqrt((g+1) / ((g+2)^2 (g+3))).

Source: Karras et al., Analyzing and Improving the Training Dynamics of Diffusion Models, arXiv:2312.02696, section 3.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from wtool.errors import Usage

if TYPE_CHECKING:
    from numpy.typing import NDArray

_OF_WIDEST = (math.sqrt(5) - 1) / 2  # g + 1, where the derivative of sigma_rel is zero

WIDEST = math.sqrt(_OF_WIDEST) / (_OF_WIDEST + 2)
"""The largest relative width that a profile has, 0.3003, at the exponent -0.382."""

NARROWEST = 1e-6
"""The smallest relative width that is asked for: the exponent of a smaller one would be above a million."""


def sigma_rel_of(exponent: float) -> float:
    """Returns the relative width of the profile with an exponent.

    Raises:
        Usage: the exponent is not above -1, or is no finite number.
    """
    _check_exponent(exponent)
    return math.sqrt((exponent + 1) / (exponent + 3)) / (exponent + 2)


def exponent_of(sigma_rel: float) -> float:
    """Returns the exponent of the profile with a relative width; of two with the same width, the larger.

    With s = sigma_rel^-2 the exponent is the largest root of g^3 + 7g^2 + (16-s)g + (12-s), which has three real ones.

    Raises:
        Usage: no profile is as wide, or the width is not above `NARROWEST`.
    """
    if not NARROWEST <= sigma_rel <= WIDEST:
        raise Usage(f"a relative width of {sigma_rel} is not between {NARROWEST} and {WIDEST:.4f}")
    square = sigma_rel**-2
    # Of g = v - 7/3, v^3 - 3av + 2b, and so v = 2 sqrt(a) cos(angle / 3) with cos(angle) = -b / a^1.5.
    a = square / 3 + 1 / 9
    b = 1 / 27 + square * 2 / 3
    angle = math.acos(max(-1.0, min(1.0, -b / a**1.5)))
    return 2 * math.sqrt(a) * math.cos(angle / 3) - 7 / 3


def power_coefficients(times: Sequence[float], exponent: float) -> NDArray[np.float64]:
    """Returns the coefficient of each checkpoint in a power-function average: t_i^(g+1) - t_(i-1)^(g+1), with t_0 = 0.

    A checkpoint stands for the time since the one before it, and the oldest for all the time before. The coefficients
    are divided by T^(g+1), where T is the newest time, so they add up to 1.

    Args:
        times: of the checkpoints, oldest first: steps, epochs or positions, above 0.
        exponent: g, above -1; 0 gives an average in which each step counts the same.

    Raises:
        Usage: times do not grow, or are not above 0; or the exponent is not above -1.
    """
    _check_exponent(exponent)
    later = np.asarray(times, np.float64)
    earlier = np.concatenate([[0.0], later[:-1]])
    if not (np.isfinite(later).all() and (later > earlier).all()):
        raise Usage(
            f"the times of the checkpoints do not grow from above 0: {', '.join(f'{each:g}' for each in times)}"
        )
    power = exponent + 1
    with np.errstate(divide="ignore"):  # the logarithm of 0: the oldest checkpoint has no time before it
        lost = np.expm1(power * np.log1p((earlier - later) / later))  # no difference of two powers, which would cancel
    return np.asarray(-lost * (later / later[-1]) ** power, np.float64)


def _check_exponent(exponent: float) -> None:
    if not -1 < exponent < math.inf:
        raise Usage(f"an exponent of {exponent} is not above -1")
