"""Models as they are packed where their layers change: without wrappers of training, or with another dtype policy."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from math import prod
from typing import Any, TypeVar

from wtool.checkpoint.casting import BLOCK
from wtool.checkpoint.edited import with_layers_moved, with_settings
from wtool.checkpoint.layouts.hdf5_file import training_config
from wtool.checkpoint.model import Checkpoint, Tensor
from wtool.checkpoint.weight_order import owner_of
from wtool.errors import Refused, a_few, in_short
from wtool.graphs.unwrapping import unwrapped, wrappers_in
from wtool.schema.policies import Policies, set_policies

_Made = TypeVar("_Made")


def stripped(base: Checkpoint) -> tuple[Checkpoint, tuple[str, ...]]:
    """Returns a model with the layers inside tfmot's pruning wrappers in their place, and notes.

    Masks, thresholds and step counts are gone; the weights and what the optimizer keeps for them stay as they are.

    Raises:
        Refused: there is no architecture, or a wrapper cannot be taken away.
    """
    config = _architecture(base, "--strip")
    if not wrappers_in(config, base.keras_version):
        return base, ("no layer is wrapped for pruning",)
    told = training_config(base)
    found = _sound(lambda: unwrapped(config, told, base.keras_version))
    made = with_layers_moved(base, found.config, found.moved, found.wrappers, found.training)
    return made, (f"{len(found.wrappers):,} wrappers of pruning are left out, with their masks",)


def unmasked(wrapped: Checkpoint) -> tuple[str, ...]:
    """Returns a note on weights that are not zero where their masks are: tfmot applies masks before its next step.

    Args:
        wrapped: the model with its wrappers.
    """
    masks: dict[str, list[Tensor]] = {}
    for each in wrapped.weights:
        if each.layer_class == "PruneLowMagnitude" and each.role.startswith("mask"):
            masks.setdefault(each.layer, []).append(each)
    counts = {}
    for each in wrapped.weights:
        waiting = masks.get(owner_of(each.layer.rpartition("/")[0], masks) or "", [])
        mask = next((mask for mask in waiting if mask.shape == each.shape), None)
        if mask is not None:
            waiting.remove(mask)
            counts[each.path] = _not_held(wrapped, each, mask)
    left = {path: count for path, count in counts.items() if count}
    if not left:
        return ()
    return (f"{sum(left.values()):,} weights are not zero where their masks are, and stay so: {a_few([*left])}",)


def _not_held(base: Checkpoint, kernel: Tensor, mask: Tensor) -> int:
    """Returns how many values of a kernel are not zero where the mask is."""
    found, count = 0, prod(mask.shape)
    for start in range(0, count, BLOCK):
        stop = min(start + BLOCK, count)
        found += int(((base.read_range(kernel, start, stop) != 0) & (base.read_range(mask, start, stop) == 0)).sum())
    return found


def under_policy(base: Checkpoint, dtype: str) -> tuple[Checkpoint, Policies]:
    """Returns a model all of whose layers have another dtype policy, with its arrays as they were, and what changed.

    Raises:
        Refused: there is no architecture, or some layers cannot; all of them are told.
    """
    config: dict[str, Any] = deepcopy(_architecture(base, "--policy"))
    found = _sound(lambda: set_policies(config, dtype, base.keras_version))
    if found.refused:
        raise Refused(f"cannot compute in {dtype}: {a_few(found.refused)}")
    return with_settings(base, config), found


def _architecture(base: Checkpoint, word: str) -> dict[str, Any]:
    if base.config is None:
        raise Refused(f"weights alone, without an architecture that {word} could change; it needs a whole model")
    return base.config


def _sound(edit: Callable[[], _Made]) -> _Made:
    """Returns the result of an edit of a configuration that may hold anything.

    Raises:
        Refused: the configuration is not one that Keras writes.
    """
    try:
        return edit()
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        told = in_short(error)
        raise Refused(f"its configuration has something where Keras has something else ({told:.120})") from None
