"""Which weights of a kernel are not zero, and sums over a kernel, with little memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

import numpy as np

from wtool.checkpoint.model import Checkpoint, Tensor
from wtool.dtypes import Array

PIECE = 1 << 22
"""Values of a kernel that are looked at together."""


def _pieces(base: Checkpoint, tensor: Tensor, axis: int, outs: Sequence[int]) -> Iterator[tuple[slice, Array]]:
    """The values of a kernel: positions along an axis, and the values there, shape (positions, others, outputs)."""
    shape = tensor.shape
    others = [each for each in range(len(shape)) if each != axis and each not in outs]
    order = [axis, *others, *outs]
    rows = max(1, PIECE * shape[axis] // max(1, prod(shape))) if axis == 0 else shape[axis]
    length = prod(shape[1:])
    for start in range(0, shape[axis], rows):
        stop = min(start + rows, shape[axis])
        if axis == 0:
            values = base.read_range(tensor, start * length, stop * length).reshape(stop - start, *shape[1:])
        else:
            values = base.read(tensor)
        yield slice(start, stop), values.transpose(order).reshape(stop - start, -1, prod(shape[o] for o in outs))


def touched(base: Checkpoint, tensor: Tensor, axis: int, outs: Sequence[int], needed: Array) -> Array:
    """Returns whether each output of a kernel depends on an input that is needed, shape (outputs,).

    Args:
        base: has the kernel.
        tensor: the kernel.
        axis: of the inputs.
        outs: axes of the outputs, which are flattened.
        needed: for each position along the axis whether it counts, shape (inputs,).
    """
    found = np.zeros(prod(tensor.shape[out] for out in outs), bool)
    for at, values in _pieces(base, tensor, axis, outs):
        found |= (values[needed[at]] != 0).any(axis=(0, 1))
    return found


def readers(base: Checkpoint, tensor: Tensor, axis: int, outs: Sequence[int], channels: Array) -> Array:
    """Returns which outputs of a kernel read which channels, shape (number of channels, outputs).

    Args:
        channels: for each position along the axis the number of the channel; -1 for positions that do not count.
    """
    found = np.zeros((int(channels.max(initial=-1)) + 1, prod(tensor.shape[out] for out in outs)), bool)
    for at, values in _pieces(base, tensor, axis, outs):
        own = channels[at]
        order = np.argsort(own, kind="stable")
        order = order[own[order] >= 0]
        if not len(order):
            continue
        read = (values != 0).any(axis=1)[order]
        numbers, starts = np.unique(own[order], return_index=True)
        found[numbers] |= np.logical_or.reduceat(read, starts, axis=0)
    return found


def weighted(base: Checkpoint, tensor: Tensor, axis: int, outs: Sequence[int], values: Array) -> Array:
    """Returns what constant inputs add to each output: the sum of values times weights, shape (outputs,), float64.

    Args:
        values: of the input at each position along the axis.
    """
    total = np.zeros(prod(tensor.shape[out] for out in outs))
    if not values.any():
        return total
    for at, weights in _pieces(base, tensor, axis, outs):
        some = np.flatnonzero(values[at])
        total += np.einsum("p,pwo->o", values[at][some], weights[some].astype(np.float64))
    return total
