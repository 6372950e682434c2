"""The averages of a model's weights that its optimizer keeps: which slots tell them, and how."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from wtool.checkpoint.model import Checkpoint, Tensor
from wtool.dtypes import Array, dtype_of, round_into
from wtool.errors import Refused, a_few
from wtool.schema.optimizer_settings import Settings, innermost_settings, parts_settings
from wtool.schema.optimizers import MOVING_AVERAGE, SEQUENCE, TABLE
from wtool.values import dataclass

OTHERWISE = "`wtool average` averages checkpoints, and `wtool ema --sigma-rel` snapshots of the callback PowerEMA"

SMALLEST_BETA = 1e-3
"""Below this number, the rounding errors of the weights would be most of what follows for their averages."""


@dataclass(frozen=True, slots=True)
class WeightAverage:
    """The average of one weight, as its optimizer tells it.

    Attributes:
        slot: the moving average itself; of a schedule-free optimizer the sequence z, to which gradients are applied.
        beta: None for a moving average; of a schedule-free optimizer its setting (`OptimizerClass.mixing`) with which
            the average x follows from the weight y that is trained: y = (1 - beta) z + beta x.
    """

    slot: Tensor
    beta: float | None = None

    def values(self, weight: Array, slot: Array) -> Array:
        """Returns the average of a block of the weight, in the weight's dtype.

        Args:
            weight: values of the weight, shape (n,).
            slot: values of the slot at the same positions, shape (n,).

        Returns:
            array of shape (n,): (y - (1 - beta) z) / beta in float64, rounded once, or the slot's values.
        """
        if self.beta is None and slot.dtype == weight.dtype:
            return slot
        found = slot.astype(np.float64)
        if self.beta is not None:
            with np.errstate(all="ignore"):  # NaN and infinities are the caller's to judge
                found *= self.beta - 1.0
                found += weight
                found /= self.beta
        new = np.empty(weight.shape, weight.dtype)
        round_into(new, found)
        return new


def averages_of(checkpoint: Checkpoint) -> dict[str, WeightAverage]:
    """Returns path of each weight that has an average -> its average, in the order of the file.

    Where an optimizer around another one stores the slots a second time, those of the inner optimizer count: Keras
    loads them last. A moving average counts more than the sequence of a schedule-free optimizer that has both.

    Raises:
        Refused: the optimizer keeps no averages, or the file does not tell whose they are; with what can be done.
    """
    slots = {tensor.path: tensor for tensor in checkpoint.slots}
    named = [tensor for tensor in slots.values() if tensor.slot and tensor.slot.name == MOVING_AVERAGE.name]
    sequences = [tensor for tensor in slots.values() if tensor.slot and tensor.slot.name == SEQUENCE.name]
    homeless = [each.path for each in (*sequences, *named) if each.slot and each.slot.weight is None]
    if homeless:
        raise Refused(f"the file does not tell of which weights {a_few(homeless)} are averages")
    if not named and not sequences:
        raise Refused(_why_none(checkpoint))
    beta = _beta(checkpoint) if sequences else 1.0
    found = {str(each.slot.weight): WeightAverage(each, _rounded(beta, each)) for each in sequences if each.slot}
    return found | {str(each.slot.weight): WeightAverage(each) for each in named if each.slot}


def _why_none(checkpoint: Checkpoint) -> str:
    optimizer = checkpoint.contents.optimizer
    if not checkpoint.slots:
        return f"the file has no state of an optimizer, and so none of its moving averages; {OTHERWISE}"
    unclear = [each.path for each in checkpoint.slots if each.slot and each.slot.name.startswith(("slot", "unknown"))]
    if unclear:
        told = f"the file does not tell what {a_few(unclear)} are to the optimizer"
        return f"{told}; a .keras or .h5 file of the model, with its training configuration, does"
    name = (optimizer.class_name if optimizer else None) or "the optimizer"
    return f"{name} keeps no moving averages of the weights: it was made without use_ema=True; {OTHERWISE}"


def _beta(checkpoint: Checkpoint) -> float:
    """Returns beta of the schedule-free optimizer of a file; see `WeightAverage`.

    Raises:
        Refused: the file does not tell, or the average cannot be worked out with this number.
    """
    told = {each for each in _mixing(checkpoint) if isinstance(each, int | float) and not isinstance(each, bool)}
    if len(told) != 1:
        found = "several numbers" if told else "no number"
        raise Refused(f"averages of a schedule-free optimizer follow from its beta_1, for which the file has {found}")
    (beta,) = told
    if not SMALLEST_BETA <= beta <= 1:
        raise Refused(
            f"averages of a schedule-free optimizer follow from a beta_1 between {SMALLEST_BETA} and 1, and its is not"
        )
    return float(beta)


def _mixing(checkpoint: Checkpoint) -> Iterator[Any]:
    """Yields the setting of each schedule-free optimizer of a file that ties its averages to the weights."""
    optimizer = checkpoint.contents.optimizer
    if optimizer is None:
        return
    inner = innermost_settings(Settings(optimizer.class_name, optimizer.config))
    for settings in (inner, *parts_settings(inner)):
        entry = TABLE.get(settings.class_name or "")
        if entry is not None and entry.mixing:
            yield settings.config.get(entry.mixing)


def _rounded(beta: float, slot: Tensor) -> float:
    """Returns beta as Keras calculates with it: rounded to the dtype of the weight."""
    return float(np.asarray(beta).astype(dtype_of(slot.dtype)))
