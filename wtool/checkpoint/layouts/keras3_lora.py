"""LoRA factors in composed models: files of the Keras-3 layout hold the sum of a kernel and its factors' product.

Whole-model `.h5` files hold the kernel and both factors.

Source: `save_own_variables` of keras/src/layers/core/dense.py, and the property `kernel` there.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from wtool.checkpoint.model import Checkpoint, Tensor
from wtool.checkpoint.structure import Fresh
from wtool.dtypes import Array, dtype_of

Sources = Mapping[str, Tensor | Fresh]


def with_merged_factors(base: Checkpoint, who: str, alpha: Any, own: Sources) -> Sources | str:
    """Returns the variables of a layer with its LoRA factors in its kernel, or why the factors cannot be there.

    The new kernel is kernel + alpha / rank * a b, for factors a (..., rank) and b (rank, outputs).

    Args:
        base: the checkpoint from which kernel and factors are read.
        who: names the layer in messages.
        alpha: the setting `lora_alpha` of the layer; None stands for the rank.
        own: name of a variable -> what fills the variable.
    """
    target = next((name for name in ("kernel", "embeddings") if f"lora_{name}_a" in own), "")
    if not target or target not in own or f"lora_{target}_b" not in own:
        return own
    names = [target, f"lora_{target}_a", f"lora_{target}_b"]
    sources = [own[name] for name in names]
    rank = sources[1].shape[-1:]
    if any("int" in source.dtype for source in sources):
        return (
            f"{who} has LoRA factors and a quantised {target}, which Keras merges in its own files; save it with Keras"
        )
    if rank in ((), (0,)) or not (alpha is None or type(alpha) in (int, float)):
        return f"{who} has LoRA factors of rank {rank} and lora_alpha = {alpha!r:.60}, which Keras does not write"
    scale = 1.0 if alpha is None else alpha / rank[0]
    kernel = sources[0]
    merged = Fresh(kernel.shape, kernel.dtype, partial(_merged, base, sources, scale))
    return {name: merged if name == target else source for name, source in own.items() if name not in names[1:]}


def _merged(base: Checkpoint, sources: list[Tensor | Fresh], scale: float) -> Array:
    kernel, left, right = (base.read(each) if isinstance(each, Tensor) else each.make() for each in sources)
    wide = np.float64 if kernel.dtype == np.float64 else np.float32
    product = left.astype(wide) @ right.astype(wide)
    total: Array = kernel.astype(wide) + wide(scale) * product
    return total.astype(dtype_of(sources[0].dtype))
