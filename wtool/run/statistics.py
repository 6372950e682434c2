"""What becomes of statistics that training follows without gradients, where models are merged.

They are no learned weights: a method that trims or elects signs may make a negative variance of them. So they are
averaged, whatever the method, or pooled: the statistics of all the models' examples together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from wtool.checkpoint.model import Tensor
from wtool.errors import Usage
from wtool.run.action import Kind
from wtool.schema.layers import STATISTICS
from wtool.transforms.change import Blocks, Site
from wtool.transforms.merging.average import combining
from wtool.transforms.merging.method import Combine

if TYPE_CHECKING:
    from numpy.typing import NDArray

MEAN, VARIANCE = STATISTICS
NORMALISING = (MEAN, VARIANCE, "moving_stddev", "renorm_mean", "renorm_stddev")
"""Roles of the statistics of batch normalisation; those behind the second are of Keras 2."""

OTHERS = {"Normalization": ("mean", "variance"), "SpectralNormalization": ("vector_u",)}
"""Class of a layer -> roles of its other statistics."""

Decided = tuple["Combine | None", Kind]
"""What makes the values of a tensor (None where one checkpoint's are kept), and the kind of what becomes of it."""


def is_normalising(tensor: Tensor) -> bool:
    """Returns whether a tensor is a statistic of batch normalisation."""
    return tensor.role in NORMALISING


def is_followed(tensor: Tensor) -> bool:
    """Returns whether training follows a tensor without gradients."""
    return is_normalising(tensor) or tensor.role in OTHERS.get(tensor.layer_class or "", ())


def decided(
    mode: str,
    tensors: Sequence[Tensor],
    sites: Mapping[str, Site],
    shares: Callable[[Site], NDArray[np.float64]],
    read: Callable[[Site, int, int], Blocks],
) -> dict[str, Decided]:
    """What becomes of statistics.

    Args:
        mode: of batch normalisation: `average`, `pool`, or another word for keeping what one checkpoint has.
        tensors: the statistics.
        sites: path -> tensor.
        shares: from a tensor to the coefficient of each operand, shape (operands,).
        read: from a tensor and a range to its values in each operand.

    Raises:
        Usage: what is pooled lacks its mean or its variance, or has a negative coefficient.
    """
    found: dict[str, Decided] = {}
    pairs = _pairs(tensors) if mode == "pool" else {}
    for tensor in tensors:
        site = sites[tensor.path]
        coefficients = shares(site)
        if is_normalising(tensor) and mode not in ("average", "pool"):
            found[tensor.path] = None, "kept"
        elif tensor.path in pairs:
            if (coefficients < 0).any():
                raise Usage(f"statistics are pooled with coefficients from 0 up, not {coefficients.min():g}; see --bn")
            means = partial(read, sites[pairs[tensor.path]])
            found[tensor.path] = partial(_pooled, coefficients, means), "pooled"
        else:
            found[tensor.path] = combining(site, coefficients), "averaged"
    return found


def _pairs(tensors: Sequence[Tensor]) -> dict[str, str]:
    """Path of each moving variance -> path of the moving mean of its layer."""
    named = {(tensor.layer, tensor.role): tensor.path for tensor in tensors}
    pairs = {}
    for layer, role in named:
        other = {MEAN: VARIANCE, VARIANCE: MEAN}.get(role)
        if other is not None and (layer, other) not in named:
            raise Usage(f"{named[layer, role]} is pooled together with the layer's {other}, which is not selected")
        if role == VARIANCE:
            pairs[named[layer, VARIANCE]] = named[layer, MEAN]
    return pairs


def _pooled(
    coefficients: NDArray[np.float64], means: Callable[[int, int], Blocks], blocks: Blocks, start: int
) -> NDArray[np.float64]:
    """The variance of all examples together: the mean of the variances plus the variance of the means."""
    shares = coefficients / coefficients.sum()
    centres = np.stack([block.astype(np.float64) for block in means(start, start + len(blocks[0]))])
    apart = centres - shares @ centres
    return np.asarray(shares @ (np.stack([block.astype(np.float64) for block in blocks]) + apart * apart))


def notes(mode: str, chosen: Sequence[Tensor], keeper: str) -> list[str]:
    """What is worth knowing of the statistics of batch normalisation among the tensors that are merged."""
    if not any(tensor.role in (MEAN, VARIANCE) for tensor in chosen):
        return []
    done = {"average": "averaged too", "pool": "pooled"}.get(mode, f"those of {keeper}")
    return [
        f"the moving statistics of batch normalisation are {done}, but are not those of the new weights: "
        "`wtool recalibrate` makes them those of training data, before the model predicts"
    ]
