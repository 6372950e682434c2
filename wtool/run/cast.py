"""Weights in another number type: which, and what is lost."""

from __future__ import annotations

from math import prod

import numpy as np

from wtool.checkpoint.casting import BLOCK, Cast, Casts, rounded
from wtool.checkpoint.model import Checkpoint, Tensor
from wtool.errors import Refused, a_few

_DTYPES = ("float16", "bfloat16", "float32", "float64")
_SCALE = "_scale"
"""How the roles of scales of quantised kernels end: they are part of the codes, and stay."""


def refuse_dtype(base: Checkpoint, dtype: str) -> None:
    """Refuse a number type that Keras does not read from files of the base's format.

    Raises:
        Refused: Keras would take the arrays for bytes.
    """
    is_old = base.format in ("h5", "h5-weights") or (base.keras_version or "3").startswith("2")
    if dtype == "bfloat16" and is_old:
        raise Refused("only the .keras and .weights.h5 files of Keras 3 tell that an array is bfloat16; choose float16")


def casts_of(base: Checkpoint, dtype: str) -> tuple[Casts, tuple[str, ...]]:
    """Returns what becomes of the weights of a checkpoint, and notes of what is lost.

    Raises:
        Refused: finite values would become infinite, or the file became shorter since it was opened.
    """
    casts, infinite, lost, error, largest = {}, [], 0, 0.0, ""
    for tensor in base.weights:
        if tensor.dtype not in _DTYPES or tensor.dtype == dtype or tensor.role.endswith(_SCALE):
            continue
        casts[tensor.shard, tensor.stored] = Cast(tensor.dtype, dtype)
        overflow, zeros, worst = _loss(base, tensor, dtype)
        if overflow:
            infinite.append(f"{tensor.path} ({overflow:,} values, up to {worst:.3g})")
            continue
        lost += zeros
        if worst > error:
            error, largest = worst, tensor.path
    if infinite:
        raise Refused(f"{dtype} cannot hold values of {a_few(infinite)}; choose another --dtype")
    notes = [f"{dtype} moves values by up to {error:.3g} ({largest})"] if error else []
    return casts, (*notes, *([f"{lost:,} values become zero in {dtype}"] if lost else []))


def _loss(base: Checkpoint, tensor: Tensor, dtype: str) -> tuple[int, int, float]:
    """Returns how many values become infinite, how many become zero, and the largest error.

    In place of the error it is the largest magnitude where values become infinite.
    """
    overflow = zeros = 0
    worst = most = 0.0
    count = prod(tensor.shape)
    for start in range(0, count, BLOCK):
        old = base.read_range(tensor, start, min(start + BLOCK, count)).astype(np.float64)
        new = rounded(old, dtype).astype(np.float64)
        finite = np.isfinite(old)
        overflow += int((finite & ~np.isfinite(new)).sum())
        zeros += int(((old != 0) & (new == 0)).sum())
        worst = max(worst, float(np.abs(new[finite] - old[finite]).max(initial=0)))
        most = max(most, float(np.abs(old[finite]).max(initial=0)))
    return overflow, zeros, most if overflow else worst
