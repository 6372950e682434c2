"""Weights in another number type: which, and what is lost."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import NamedTuple

import numpy as np

from wtool.checkpoint.casting import BLOCK, Cast, Casts, rounded
from wtool.checkpoint.model import Checkpoint, Tensor
from wtool.errors import Refused, a_few, counted
from wtool.schema.policies import FLOATS as _DTYPES
from wtool.schema.policies import Policies

_SCALE = "_scale"
"""How the roles of scales of quantised kernels end: they are part of the codes, and stay."""

_LORA = "lora_kernel"
"""How the roles of the factors that LoRA learns begin: Keras has them in float32 under any policy."""


def refuse_dtype(base: Checkpoint, dtype: str) -> None:
    """Refuse a number type that Keras does not read from files of the base's format.

    Raises:
        Refused: Keras would take the arrays for bytes, or nothing would tell the type of the optimizer's state.
    """
    is_old = base.format in ("h5", "h5-weights") or (base.keras_version or "3").startswith("2")
    if dtype == "bfloat16" and is_old:
        raise Refused("only the .keras and .weights.h5 files of Keras 3 tell that an array is bfloat16; choose float16")
    if base.format == "h5" and any(each.dtype == "bfloat16" for each in base.slots):
        raise Refused("only weights of bfloat16 tell that the optimizer's state is bfloat16: add --drop-optimizer")


def in_storage(base: Checkpoint, dtype: str) -> dict[str, str]:
    """Returns path -> number type of the weights that get another one where the model computes in its own."""
    return {each.path: dtype for each in base.weights if each.dtype in _DTYPES and not each.role.endswith(_SCALE)}


def under_policies(base: Checkpoint, dtype: str, policies: Policies) -> dict[str, str]:
    """Returns path -> number type of the tensors whose type Keras changes under new policies, slots among them.

    Args:
        base: the model, with the new policies.
        dtype: number type of the policies.
        policies: which layers have them.
    """
    wanted = {
        each.path: "float32" if owner in policies.wide or each.role.startswith(_LORA) else dtype
        for each in base.weights
        if each.dtype in _DTYPES and (owner := _owner(each.layer, policies.layers)) is not None
    }
    slots = {
        each.path: wanted[each.slot.weight]
        for each in base.slots
        if each.slot is not None and each.dtype in _DTYPES and each.slot.weight in wanted
    }
    return wanted | slots


def _owner(layer: str, known: frozenset[str]) -> str | None:
    """Returns the nearest layer with a new policy that a layer is or is inside of; the model itself is the last."""
    while layer and layer not in known:
        layer = layer.rpartition("/")[0]
    return layer if layer in known else None


def casts_of(base: Checkpoint, dtype: str, wanted: Mapping[str, str]) -> tuple[Casts, tuple[str, ...]]:
    """Returns what becomes of the tensors of a checkpoint, and notes of what is lost.

    Args:
        base: the checkpoint.
        dtype: the number type that the user asks for.
        wanted: path of each tensor that is to be cast -> its number type.

    Raises:
        Refused: finite values would become infinite, or the file became shorter since it was opened.
    """
    casts, infinite, lost, error, largest, relative = {}, [], 0, 0.0, "", 0.0
    for tensor in base.tensors:
        new = wanted.get(tensor.path, tensor.dtype)
        if new == tensor.dtype:
            continue
        casts[tensor.shard, tensor.stored] = Cast(tensor.dtype, new)
        found = _loss(base, tensor, new)
        if found.infinite:
            infinite.append(f"{tensor.path} ({counted(found.infinite, 'value')}, up to {found.largest:.3g})")
            continue
        lost += found.zeros
        if tensor.role == "moving_variance":
            relative = max(relative, found.relative)
        if found.error > error:
            error, largest = found.error, tensor.path
    if infinite:
        is_slot = any(told.startswith("optimizer/") for told in infinite)
        way_out = ", or --drop-optimizer" if is_slot else ""
        raise Refused(f"{dtype} cannot hold values of {a_few(infinite)}; choose another --dtype{way_out}")
    notes = [
        *([f"{dtype} moves values by up to {error:.3g} ({largest})"] if error else []),
        *([f"moving variances change by up to {relative:.2%} of their value"] if relative else []),
        *([f"{counted(lost, 'value becomes', 'values become')} zero in {dtype}"] if lost else []),
    ]
    return casts, tuple(notes)


class _Loss(NamedTuple):
    """What a tensor loses in another number type.

    Attributes:
        infinite: how many values become infinite.
        zeros: how many values become zero.
        error: the largest error of a value that stays finite.
        relative: the largest error relative to the value.
        largest: the largest magnitude of a value.
    """

    infinite: int
    zeros: int
    error: float
    relative: float
    largest: float


def _loss(base: Checkpoint, tensor: Tensor, dtype: str) -> _Loss:
    infinite = zeros = 0
    error = relative = largest = 0.0
    count = prod(tensor.shape)
    for start in range(0, count, BLOCK):
        old = base.read_range(tensor, start, min(start + BLOCK, count)).astype(np.float64)
        new = rounded(old, dtype).astype(np.float64)
        finite = np.isfinite(old)
        infinite += int((finite & ~np.isfinite(new)).sum())
        zeros += int(((old != 0) & (new == 0)).sum())
        size, moved = np.abs(old[finite]), np.abs(new[finite] - old[finite])
        error = max(error, float(moved.max(initial=0)))
        relative = max(relative, float((moved[size > 0] / size[size > 0]).max(initial=0)))
        largest = max(largest, float(size.max(initial=0)))
    return _Loss(infinite, zeros, error, relative, largest)
