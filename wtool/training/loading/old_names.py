"""Names of losses, metrics and layers in older files, which Keras 3 does not find by itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
from keras.src.legacy.saving import saving_utils

import wtool.layers
from wtool.checkpoint.model import Checkpoint
from wtool.schema.layers import ORIGINALS
from wtool.schema.losses import SHORT


class _Wrapped(keras.metrics.MeanMetricWrapper):
    """Makes metrics from configurations of Keras 2, which name functions; Keras 3 would call the name itself."""

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """Returns a metric of Keras's own class."""
        function = config.get("fn")
        if not isinstance(function, str):
            return keras.metrics.MeanMetricWrapper.from_config(config)
        found = getattr(keras.metrics, function, None) or keras.metrics.get(function)
        return keras.metrics.MeanMetricWrapper(**{**config, "fn": found})


@contextmanager
def older_objects(checkpoint: Checkpoint) -> Iterator[dict[str, Any]]:
    """Let Keras load an older file; gives the `custom_objects` for `load_model`, which tell what names in it mean.

    Keras 3 cannot take two things that Keras 2 wrote of Sequential models: a mere list of layers (before 2.2.3), and
    the shape of the input in the first layer, to which Keras 3 adds a second batch dimension.
    """
    plain = saving_utils.model_from_config

    def from_config(config: Any, *arguments: Any, **options: Any) -> Any:
        return plain(_with_input_layer(config), *arguments, **options)

    saving_utils.model_from_config = from_config
    try:
        yield _names(checkpoint)
    finally:
        saving_utils.model_from_config = plain


def _with_input_layer(config: Any) -> Any:
    """Returns a Sequential model's configuration of Keras 2 as later versions write it, and any other unchanged."""
    if not isinstance(config, dict) or config.get("class_name") != "Sequential":
        return config
    inner: Any = config.get("config")
    settings: dict[str, Any] = {"name": "sequential", "layers": inner} if isinstance(inner, list) else inner
    layers: list[Any] = settings["layers"]
    first = layers[0] if layers else {}
    own = first.get("config", {})
    if first.get("class_name") == "InputLayer" or "batch_input_shape" not in own:
        return {**config, "config": settings}
    shape = {"batch_shape": own["batch_input_shape"], "dtype": own.get("dtype") or "float32", "name": "input"}
    rest = {name: value for name, value in own.items() if name != "batch_input_shape"}
    begun = [{"class_name": "InputLayer", "config": shape}, {**first, "config": rest}, *layers[1:]]
    return {**config, "config": {**settings, "layers": begun}}


def _names(checkpoint: Checkpoint) -> dict[str, Any]:
    found = _original_layers(checkpoint)
    if checkpoint.format == "h5":
        short = {name: getattr(keras.losses, function) for name, function in SHORT.items()}
        found |= short | {name.upper(): function for name, function in short.items()}
        found["MeanMetricWrapper"] = _Wrapped
    return found


def _original_layers(checkpoint: Checkpoint) -> dict[str, Any]:
    """Returns wtool's layers by the bare names that files of arpkeras and linked_neurons have for them.

    Slopes of LKPReLU that are not in the file were not tracked: they stayed at zero, with which it is LKReLU.
    """
    found = {name: getattr(wtool.layers, name) for names in ORIGINALS.values() for name in names}
    if not any(tensor.layer_class == "LKPReLU" for tensor in checkpoint.weights):
        found["LKPReLU"] = wtool.layers.LKReLU
    return found
