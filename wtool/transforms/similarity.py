"""Inner products of two tensors of one shape, in pieces of float64: of the whole tensors, or channel by channel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod

import numpy as np

from wtool.dtypes import Array

PIECE = 1 << 22
"""Values of a piece of a tensor in float64, 32 MiB."""


def square(values: Array) -> float:
    """Returns the sum of the squares of a tensor's values."""
    flat = values.reshape(-1)
    parts = (flat[at : at + PIECE].astype(np.float64) for at in range(0, len(flat), PIECE))
    return float(sum(part @ part for part in parts))


def product(reference: Array, model: Array, sources: Mapping[int, Array]) -> float:
    """Returns the inner product of two tensors.

    Args:
        reference, model: of one shape.
        sources: for an axis the position in `model` that each position of `reference` meets; axes that are not there
            stay as they are.
    """
    sums = (left.reshape(-1) @ right.reshape(-1) for left, right in _pieces(reference, model, sources, None))
    return float(sum(sums))


def add_similarities(
    total: Array, reference: Array, model: Array, sources: Mapping[int, Array], axis: int, positions: Array
) -> None:
    """Add to `total` the inner product of each channel of one tensor with each channel of the other one.

    Args:
        total: shape (m, m): channels of the reference in the rows, channels of the model in the columns.
        reference, model: of one shape.
        sources: see `product`; of other axes than `axis`.
        axis: along which the channels stand.
        positions: of each channel along the axis, shape (m, positions of each).
    """
    rest = prod(reference.shape) // max(1, reference.shape[axis])
    step = max(1, PIECE // max(1, len(positions) * rest))
    for start in range(0, positions.shape[1], step):
        for left, right in _pieces(reference, model, sources, (axis, positions[:, start : start + step])):
            total += left @ right.T


def _pieces(
    reference: Array, model: Array, sources: Mapping[int, Array], chosen: tuple[int, Array] | None
) -> Iterator[tuple[Array, Array]]:
    """Both tensors in pieces, cut along the longest axis without channels, with the model's values in their new order.

    Args:
        reference, model, sources: see `product`.
        chosen: an axis, and the positions along it that each of m channels has, shape (m, k); None for whole tensors.

    Yields:
        two matrices of shape (m, values of a channel in the piece); of whole tensors, m is 1.
    """
    axis, positions = chosen or (None, np.zeros((1, 1), np.intp))
    others = [each for each in range(reference.ndim) if each != axis]
    if not others:
        yield _matrix(reference, chosen), _matrix(model, chosen)
        return
    along = max(others, key=lambda each: reference.shape[each])
    length = reference.shape[along]
    step = max(1, length * PIECE // max(1, prod(reference.shape[each] for each in others) * positions.size))
    before = (slice(None),) * along
    for start in range(0, length, step):
        part = (*before, slice(start, start + step))
        left, right = reference[part], model[part]
        if along in sources:
            right = model.take(sources[along][start : start + step], along)
        for each in others:
            if each != along and each in sources:
                right = right.take(sources[each], each)
        yield _matrix(left, chosen), _matrix(right, chosen)


def _matrix(values: Array, chosen: tuple[int, Array] | None) -> Array:
    """The values of each channel in a row, as float64."""
    if chosen is None:
        return values.reshape(1, -1).astype(np.float64)
    axis, positions = chosen
    own = values.take(positions.reshape(-1), axis)
    return np.moveaxis(own, axis, 0).reshape(len(positions), -1).astype(np.float64)
