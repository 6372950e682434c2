"""Which tensors an operation may touch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from wtool.dtypes import is_floating
from wtool.errors import Usage
from wtool.files.checkpoint import Tensor

QUANTISED = ("kernel", "quantized_kernel", "embeddings", "reverse_embeddings")
COMPANIONS = ("_scale", "_zero", "g_idx", "awq_scales")


def arithmetic(weights: Sequence[Tensor]) -> list[Tensor]:
    """The weights whose values are numbers to calculate with: floating, and not the scale of quantised codes."""
    coded = {tensor.layer for tensor in weights if tensor.role in QUANTISED and not is_floating(tensor.dtype)}
    return [
        tensor
        for tensor in weights
        if is_floating(tensor.dtype) and not (tensor.layer in coded and tensor.role.endswith(COMPANIONS))
    ]


def selected(tensors: Iterable[Tensor], include: Sequence[str], exclude: Sequence[str]) -> list[Tensor]:
    """The tensors whose paths match any of `include` (all, if there is none) and none of `exclude`.

    Patterns are the shell's (`*` also matches `/`).

    Raises:
        Usage: a pattern matches no tensor, which is mostly a slip.
    """
    tensors = list(tensors)
    for pattern in (*include, *exclude):
        if not any(fnmatchcase(tensor.path, pattern) for tensor in tensors):
            raise Usage(f"no tensor that could change has a path like {pattern!r}; see `wtool inspect --tensors`")
    return [
        tensor
        for tensor in tensors
        if (not include or any(fnmatchcase(tensor.path, pattern) for pattern in include))
        and not any(fnmatchcase(tensor.path, pattern) for pattern in exclude)
    ]
