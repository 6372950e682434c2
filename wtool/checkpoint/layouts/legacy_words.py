"""What an `.h5` of Keras 3 says of a composed model besides its weights, and how Keras can read its values.

Source: `compile_args_from_training_config` of keras/src/legacy/saving/saving_utils.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from wtool.checkpoint.composition import Composition
from wtool.checkpoint.model import Checkpoint, Slot, Tensor
from wtool.checkpoint.structure import Fresh, structure_text
from wtool.dtypes import Array
from wtool.schema.losses import with_long_names
from wtool.schema.optimizer_settings import WRAPPING, Settings, inner_settings, scales_loss, settings_of

Source = Tensor | Fresh


def model_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the entry of a model as an `.h5` has it, from that in `config.json`."""
    name = config.get("class_name") if config.get("module") else config.get("registered_name")
    rest = {key: value for key, value in config.items() if key == "build_config"}
    return {"class_name": name or config.get("class_name"), "config": config.get("config"), **rest}


def training_config(composition: Composition) -> dict[str, Any] | None:
    """Returns how a model was compiled, in the words that the loader of `.h5` files knows; None where it was not."""
    training = composition.training
    if not training or "optimizer_config" not in training:
        return None
    named = {name: with_long_names(training.get(name)) for name in ("loss", "metrics", "weighted_metrics")}
    return {"loss_weights": None, **training, **named}


def configurations(composition: Composition) -> dict[str, str]:
    """Returns the attributes of the file that tell the architecture, and how the model was compiled."""
    assert composition.config is not None
    found = {"model_config": structure_text(model_config(composition.config)).decode()}
    training = training_config(composition)
    return found if training is None else {**found, "training_config": json.dumps(training)}


def optimizer_names(composition: Composition, slots: Sequence[tuple[Slot, Source]]) -> tuple[str, str]:
    """Returns the name of the optimizer, and that of the one inside where it scales the loss for another one.

    For mixed_float16, Keras wraps optimizers unasked. Then the variables of both are listed, and names occur twice.
    """
    told = settings_of((composition.training or {}).get("optimizer_config"))
    inside = inner_settings(told) if scales_loss(told) else told
    scalars = [slot.name for slot, _ in slots if slot.weight is None]
    wraps = scales_loss(told) or len(set(scalars)) < len(scalars)
    outer = _name(told) if scales_loss(told) or not wraps else WRAPPING
    return outer, _name(inside)


def _name(settings: Settings) -> str:
    name = settings.config.get("name")
    return name if isinstance(name, str) and name else (settings.class_name or "optimizer").lower()


def readable(base: Checkpoint, source: Source) -> Source:
    """Returns what fills an array so that Keras can read the array: bfloat16 becomes float32, which has all its values.

    The loader takes arrays of bfloat16 for bytes, but casts others to the dtype of the variable.
    """
    if source.dtype != "bfloat16":
        return source
    if isinstance(source, Tensor):
        return Fresh(source.shape, "float32", partial(_widened, base, source), partial(_widened_block, base, source))
    return Fresh(source.shape, "float32", partial(_widened, base, source))


def _widened(base: Checkpoint, source: Source) -> Array:
    values: Array = base.read(source) if isinstance(source, Tensor) else source.make()
    return values.astype(np.float32)


def _widened_block(base: Checkpoint, source: Tensor, start: int, stop: int) -> Array:
    return base.read_range(source, start, stop).astype(np.float32)
