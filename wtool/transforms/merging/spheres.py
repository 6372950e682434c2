"""Spherical means: merges that keep to the arc between the models' directions, instead of the chord below it.

Every tensor is one vector, or with `rows` each of its output units. Lengths are |v_i|, directions v_i / |v_i|. A vector
of a single value has no direction but a sign, so that its plain mean is taken. (mergekit's `multislerp` and `karcher`
give it the sign of the most.)

Sources: Shoemake, "Animating rotation with quaternion curves" (1985); Karcher, "Riemannian center of mass" (1977); the
thresholds are those of mergekit 0.1.5.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from wtool.errors import Refused
from wtool.transforms.change import Data, Site
from wtool.transforms.merging.linear import weight_sum
from wtool.transforms.merging.method import Prepared
from wtool.transforms.merging.settings import Settings
from wtool.transforms.merging.spans import spanned

if TYPE_CHECKING:
    from numpy.typing import NDArray

ALIKE = 0.9995
"""Vectors whose cosine has a larger magnitude are interpolated along the straight line by `slerp`."""

COLLAPSED = 1e-3
"""A mean whose length is a smaller share of the models' mean length is that of opposite directions."""


def slerp(data: Data, settings: Settings) -> Prepared:
    """sin((1-t)a)/sin(a) b + sin(t a)/sin(a) m, where a is the angle between the base b and the model m.

    Where |cos(a)| > .9995, it is (1-t) b + t m. A vector of a length up to 1e-8 has no
    direction: the angle to it counts as a right one.

    Raises:
        Refused: the vectors point in opposite directions, and their mean vanishes.
    """
    return spanned(data, partial(_slerp, settings), of_deltas=False)


def _slerp(settings: Settings, site: Site, dots: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths = _lengths(dots)
    cosine = dots[0, 1] / np.prod(np.where(lengths <= 1e-8, 1, lengths), axis=0)
    t = settings.number("t", site)
    return _between(site, dots, t, cosine, np.abs(cosine) > ALIKE, "another --t")


def nuslerp(data: Data, settings: Settings) -> Prepared:
    """The same between two models, or between their differences from the base, with t = w_2 / (w_1 + w_2).

    Where 1 - cos(a)^2 <= 1e-16, it is (1-t) v_1 + t v_2. With `rows`, each output unit is a vector of its own, as
    are the rows of PyTorch's kernels. (mergekit takes 1/2 for t where |w_1 + w_2| < 1e-6.)

    Raises:
        Usage: the weights of a tensor add up to zero.
        Refused: two vectors point in opposite directions, and their mean vanishes.
    """
    rule = partial(_nuslerp, settings)
    return spanned(data, rule, settings.has_base, settings.flag("rows"))


def _nuslerp(settings: Settings, site: Site, dots: NDArray[np.float64]) -> NDArray[np.float64]:
    weights = settings.of_models("weight", site)
    t = float(weights[1]) / weight_sum(weights, site.path, "take others")
    cosine = dots[0, 1] / np.prod(np.maximum(_lengths(dots), 1e-7), axis=0)
    return _between(site, dots, t, cosine, 1 - np.square(cosine) <= 1e-16, "other weights")


def _between(
    site: Site,
    dots: NDArray[np.float64],
    t: float,
    cosine: NDArray[np.float64],
    straight: NDArray[np.bool_],
    other: str,
) -> NDArray[np.float64]:
    """Coefficients of two vectors, shape (2, units), on the arc between them, or on the line where it is `straight`."""
    ends = np.array([[1 - t], [t]])
    angle = np.arccos(np.clip(cosine, -1, 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = np.where(straight, ends, np.sin(ends * angle) / np.sin(angle))
    wanted = (np.abs(shares) * _lengths(dots)).sum(axis=0)
    is_opposite = (cosine < -ALIKE) & (_length(shares, dots) < COLLAPSED * wanted)
    if site.size > dots.shape[2] and np.any(is_opposite):  # a single value has no direction but its sign
        raise _opposite(site, f"{other} or --exclude")
    return shares


def _opposite(site: Site, what: str) -> Refused:
    return Refused(f"{site.path}: the models point in opposite directions, so that their mean vanishes; {what}")


def _lengths(dots: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lengths of the vectors, shape (k, units)."""
    return np.asarray(np.sqrt(np.einsum("iiu->iu", dots)))


def _length(shares: NDArray[np.float64], dots: NDArray[np.float64]) -> NDArray[np.float64]:
    """The length of a weighted sum of the vectors, shape (units,), by rounding errors of the square never negative."""
    return np.asarray(np.sqrt(np.maximum(np.einsum("iu,iju,ju->u", shares, dots, shares), 0)))


def multislerp(data: Data, settings: Settings) -> Prepared:
    """The direction of sum_i(w_i u_i), with the length sum_i(w_i |v_i|), where u_i = v_i / (|v_i| + 1e-8).

    With `normalize` the weights are divided by their sum. With a base, the v_i are differences from it. mergekit goes a
    step from the mean direction along the mean of the tangents; that step is zero for the weights that made the mean.

    Raises:
        Refused: the directions cancel out.
    """
    return spanned(data, partial(_multislerp, settings), settings.has_base)


def _multislerp(settings: Settings, site: Site, dots: NDArray[np.float64]) -> NDArray[np.float64]:
    weights = settings.of_models("weight", site)
    if settings.flag("normalize"):
        weights = weights / weight_sum(weights, site.path)
    lengths = _lengths(dots)[:, 0]
    if site.size == 1:
        return weights[:, None]
    if not (weights * lengths).any():
        return np.zeros((len(lengths), 1))
    shares = weights / (lengths + 1e-8)
    mean = float(_length(shares[:, None], dots)[0])
    if mean <= COLLAPSED * float(np.abs(shares * lengths).sum()):
        raise _opposite(site, "other weights or --exclude")
    return (shares / mean * float((weights * lengths).sum()))[:, None]


def karcher(data: Data, settings: Settings) -> Prepared:
    """The point of the sphere whose squared angles to all directions have the least sum, with the models' mean length.

    From the normalised mean of the directions, up to `max_iterations` steps along the mean of the tangents; it is done
    when the step is shorter than `tolerance`. Vectors that are not longer than `tolerance` have no direction, but count
    in the mean length. Where no vector is longer, the result is their mean.

    Raises:
        Refused: the directions cancel out, or one is opposite to the mean.
    """
    return spanned(data, partial(_karcher, settings), of_deltas=False)


def _karcher(settings: Settings, site: Site, dots: NDArray[np.float64]) -> NDArray[np.float64]:
    tolerance = settings.number("tolerance", site)
    lengths = _lengths(dots)[:, 0]
    chosen = np.flatnonzero(lengths > tolerance)
    models = len(lengths)
    if site.size == 1 or len(chosen) == 0:
        return np.full((models, 1), 1 / models)
    cosines = dots[np.ix_(chosen, chosen)][:, :, 0] / np.outer(lengths[chosen], lengths[chosen])
    point = np.full(len(chosen), 1 / len(chosen))
    size = math.sqrt(max(0.0, float(point @ cosines @ point)))
    if size < COLLAPSED:
        raise _opposite(site, "--exclude, or another method")
    point /= size
    for _ in range(int(settings.number("max_iterations", site))):
        step = _tangent(site, cosines, point, tolerance)
        size = math.sqrt(max(0.0, float(step @ cosines @ step)))
        if size < tolerance:
            break
        point = math.cos(size) * point + math.sin(size) / size * step
    result = np.zeros((models, 1))
    result[chosen, 0] = point / lengths[chosen] * float(lengths.mean())
    return result


def _tangent(
    site: Site, cosines: NDArray[np.float64], point: NDArray[np.float64], tolerance: float
) -> NDArray[np.float64]:
    """The mean of the tangents from a point to all directions, as coefficients of the directions."""
    to_point = np.clip(cosines @ point, -1, 1)
    angles = np.arccos(to_point)
    if np.any(angles > math.pi - 1e-3):
        raise _opposite(site, "--exclude, or another method")
    far = angles >= tolerance
    pulls = np.where(far, angles / np.where(far, np.sin(angles), 1), 0) / len(angles)
    return np.asarray(pulls - float((pulls * to_point).sum()) * point)
