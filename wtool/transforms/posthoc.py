"""Moving averages of any length, after a training: the coefficients of snapshots of tracked averages.

An average tracked to step t with exponent g weights the steps by the profile p(u) = (g+1)/t * (u/t)^g on [0, t]. A sum
of such averages has the sum of their profiles. The coefficients x are those for which the sum is nearest, in least
squares, to the profile that is wanted: A x = b, where A has the inner products of the profiles of the snapshots, and b
those of each with the wanted one.

Source: Karras et al., Analyzing and Improving the Training Dynamics of Diffusion Models, arXiv:2312.02696, section 3.2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from wtool.errors import Usage
from wtool.values import dataclass

if TYPE_CHECKING:
    from numpy.typing import NDArray

SAME = 1e-9
"""Relative difference of exponents that are one: they come from widths, and widths from texts."""


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """The sum of profiles that is nearest to a profile.

    Attributes:
        coefficients: of the snapshots, shape (snapshots,); they add up to 1.
        error: norm of the difference of the profiles, relative to the norm of the wanted one. Zero is exact; values
            below about 1e-8 cannot be told from zero.
    """

    coefficients: NDArray[np.float64]
    error: float

    @property
    def magnification(self) -> float:
        """How much larger the rounding errors of the snapshots may become: the sum of the coefficients' sizes."""
        return float(np.abs(self.coefficients).sum())


def inner_product(first: tuple[Any, Any], second: tuple[Any, Any]) -> NDArray[np.float64]:
    """Returns the inner products of profiles: the integral of p_a p_b over all steps, elementwise.

    It is (g_a+1)(g_b+1) (t_min/t_max)^g / ((g_a+g_b+1) t_max), where g is the exponent of the profile that ends later.

    Args:
        first: ends t_a and exponents g_a, numbers or arrays.
        second: ends t_b and exponents g_b, which broadcast against those.
    """
    (end, exponent), (other_end, other_exponent) = first, second
    later = np.where(np.greater(end, other_end), exponent, other_exponent)
    least, most = np.minimum(end, other_end), np.maximum(end, other_end)
    product = (exponent + 1.0) * (other_exponent + 1.0) * (least / most) ** later
    return np.asarray(product / ((exponent + other_exponent + 1.0) * most), np.float64)


def fitted(steps: Sequence[float], exponents: Sequence[float], step: float, exponent: float) -> Fit:
    """Returns the coefficients with which snapshots come nearest to an average.

    A snapshot of the wanted average itself has the coefficient 1, and all others 0.

    Args:
        steps: the step at which each snapshot was taken, above 0.
        exponents: the exponent of each snapshot, above -1/2, so that its profile has a norm.
        step: the step at which the wanted average ends.
        exponent: its exponent, above -1/2.

    Raises:
        Usage: no profile of a snapshot overlaps the wanted one.
    """
    ends, powers = np.asarray(steps, np.float64), np.asarray(exponents, np.float64)
    same = (ends == step) & np.isclose(powers, exponent, rtol=SAME, atol=SAME)
    if same.any():
        only = np.zeros(len(ends))
        only[int(np.argmax(same))] = 1.0
        return Fit(only, 0.0)
    products = inner_product((ends[:, None], powers[:, None]), (ends, powers))
    wanted = inner_product((ends, powers), (step, exponent))
    norms = np.sqrt(np.diag(products))  # scaled by these, profiles of short and of long times count the same
    scaled = products / np.outer(norms, norms)
    found = np.linalg.lstsq(scaled, wanted / norms, rcond=None)[0] / norms
    total = found.sum()
    if not abs(total) > len(ends) * np.finfo(np.float64).eps * np.abs(found).sum():
        raise Usage(f"no snapshot is of steps that count in the average up to step {step:g}")
    found /= total
    whole = float(inner_product((step, exponent), (step, exponent)))
    rest = whole - 2 * found @ wanted + found @ products @ found
    return Fit(found, math.sqrt(max(0.0, float(rest)) / whole))
