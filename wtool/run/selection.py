"""Which tensors an operation may touch."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from wtool.checkpoint.model import Tensor
from wtool.dtypes import is_floating
from wtool.errors import Refused, Usage
from wtool.schema.layers import CODES
from wtool.suggestions import meant_paths

COMPANIONS = ("_scale", "_zero", "g_idx", "awq_scales")
MASKS = re.compile(r"(mask|threshold)(_\d+)?")
"""What tfmot's wrapper keeps of the weights that it prunes: a mean of two masks is none."""


def arithmetic(weights: Sequence[Tensor]) -> list[Tensor]:
    """The weights whose values are numbers to calculate with: floating, no mask, and no scale of quantised codes."""
    coded = {tensor.layer for tensor in weights if tensor.role in CODES and not is_floating(tensor.dtype)}
    return [
        tensor
        for tensor in weights
        if is_floating(tensor.dtype)
        and not MASKS.fullmatch(tensor.role)
        and not (tensor.layer in coded and tensor.role.endswith(COMPANIONS))
    ]


def by_role(
    weights: Sequence[Tensor], include: Sequence[str], exclude: Sequence[str], kernels: bool, biases: bool
) -> list[Tensor]:
    """The weights that an operation on single models is about.

    Kernels of every kind and biases, each if wanted and if their paths match any of `include` (all, if there is none)
    and none of `exclude`. Any other variable only where a pattern of `include` names it: with its last part, and not by
    `*` alone, so that `conv*` or `bn/*` do not reach gammas and moving statistics, and `bn/gamma` and `*gamma` do. A
    pattern without slash that begins with letters means layers.

    Raises:
        Usage: a pattern matches nothing.
        Refused: what is chosen is not floating, so that there is nothing to calculate with.
    """
    originals = [tensor for tensor in weights if tensor.copy_of is None]
    wanted = {"kernel": kernels, "bias": biases}
    chosen = [
        tensor
        for tensor in selected(originals, include, exclude)
        if wanted.get(kind_of(tensor.role), is_named(tensor, include))
    ]
    numbers = {tensor.path for tensor in arithmetic(weights)}
    for tensor in chosen:
        if tensor.path not in numbers:
            what = f"{tensor.dtype} values"
            if is_floating(tensor.dtype):
                what = "a mask" if MASKS.fullmatch(tensor.role) else "scales of quantised values"
            raise Refused(f"{tensor.path} holds {what}, which cannot be changed; leave it out with --exclude")
    return chosen


def kind_of(role: str) -> str:
    """Returns `kernel` or `bias` for every role that an operation on kernels or biases is about; else the role."""
    if role in ("real_kernel", "imag_kernel"):  # of a Fourier transform, not learned
        return role
    return "kernel" if role.endswith("kernel") else "bias" if role.endswith("bias") else role


def is_named(tensor: Tensor, include: Sequence[str]) -> bool:
    """Returns whether a pattern names a variable itself: with its last part, and not by `*` alone."""
    return any(_names(pattern, tensor) for pattern in include)


def _names(pattern: str, tensor: Tensor) -> bool:
    layer, _, own = pattern.rpartition("/")
    plain = re.sub(r"\[[^]]*\]|[*?]", "", own)  # what is left without wildcards
    is_of_variables = bool(layer) or own.startswith("*") or plain == own
    name = tensor.path.rpartition("/")[2]
    return bool(plain) and is_of_variables and fnmatchcase(tensor.path, pattern) and fnmatchcase(name, own)


def selected(tensors: Iterable[Tensor], include: Sequence[str], exclude: Sequence[str]) -> list[Tensor]:
    """The tensors whose paths match any of `include` (all, if there is none) and none of `exclude`.

    Patterns are the shell's (`*` also matches `/`).

    Raises:
        Usage: a pattern matches no tensor, which is mostly a slip.
    """
    tensors = list(tensors)
    for pattern in (*include, *exclude):
        if not any(fnmatchcase(tensor.path, pattern) for tensor in tensors):
            told = meant_paths(pattern, [tensor.path for tensor in tensors], "wtool inspect --tensors")
            raise Usage(f"no tensor that could change has a path like {pattern!r}{told}")
    return [
        tensor
        for tensor in tensors
        if (not include or any(fnmatchcase(tensor.path, pattern) for pattern in include))
        and not any(fnmatchcase(tensor.path, pattern) for pattern in exclude)
    ]
