"""Weights alone, read along an architecture that another file tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from wtool.checkpoint.layouts import keras3, legacy, safetensors, shards, tensorflow
from wtool.checkpoint.layouts.signs import SAFETENSORS
from wtool.checkpoint.layouts.tensorflow_layers import CHECKPOINT
from wtool.checkpoint.model import Checkpoint
from wtool.checkpoint.seal import MANIFEST
from wtool.errors import Usage

KERAS_3 = "3"
"""The version of an architecture that tells none, as `to_json` of Keras 3 leaves it out."""


def with_architecture(base: Checkpoint, architecture: Mapping[str, Any]) -> Checkpoint:
    """Returns a checkpoint of weights alone as a whole model.

    Args:
        base: the weights, open.
        architecture: parsed JSON, as `model.to_json()` writes it.

    Raises:
        Usage: the checkpoint has an architecture of its own.
        Refused: weights and architecture contradict each other.
    """
    if base.config is not None:
        raise Usage("this is a whole model already; another architecture is for weights alone")
    told = architecture.get("keras_version")
    version = told if isinstance(told, str) else base.keras_version or KERAS_3
    config = {name: value for name, value in architecture.items() if name not in ("keras_version", "backend")}
    if base.format == "h5-weights":
        contents = legacy.contents(base.indexes[0], config, None, base.keras_version or version)
    elif base.format == CHECKPOINT:
        contents = tensorflow.completed_contents(base, config, version)
    elif base.format == "weights.json":
        groups, _ = shards.shard_map(base.texts[MANIFEST])
        contents = shards.contents_of(groups, shards.shard_names(groups), base.indexes, config, version)
    elif base.format == SAFETENSORS:
        contents = safetensors.completed_contents(base, config, version)
    else:
        contents = keras3.contents(base.indexes[0], config, version)
    notes = (*base.notes, *contents.notes)
    return replace(base, config=config, keras_version=version, contents=contents, notes=tuple(dict.fromkeys(notes)))
