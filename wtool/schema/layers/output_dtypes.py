"""The dtype of what a layer gives, from its settings and the dtypes of its inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wtool.schema.layers.entry import Settings

_KEEPING = frozenset(("Flatten", "Reshape", "Permute", "Identity"))
"""Layers that give whole numbers as they get them."""

_COUNTING = frozenset(("IntegerLookup", "StringLookup", "TextVectorization"))
"""Layers that give indices as int64, and what they make of indices as float32."""


def compute_dtype(policy: Any) -> str | None:
    """The dtype in which a layer computes under a dtype policy: `float16` under `mixed_float16`; None if not known."""
    if isinstance(policy, Mapping):
        config = policy.get("config")
        policy = config.get("name") if isinstance(config, Mapping) else None
    return policy.removeprefix("mixed_") if isinstance(policy, str) else None


def output_dtype(class_name: str | None, config: Settings, inputs: Sequence[str | None]) -> str | None:
    """The dtype of a layer's outputs; None where the settings do not tell.

    Args:
        class_name: as `class_of` tells.
        config: settings of the layer.
        inputs: dtypes of all inputs.
    """
    if class_name in _COUNTING:
        return "int64" if config.get("output_mode", "int") == "int" else "float32"
    if class_name == "Discretization":
        return "int32" if config.get("output_mode", "int") == "int" else compute_dtype(config.get("dtype"))
    from wtool.dtypes import is_floating  # late: `wtool swap --help` reads the names of layers, without NumPy

    if class_name in _KEEPING and inputs and inputs[0] is not None and not is_floating(inputs[0]):
        return inputs[0]
    return compute_dtype(config.get("dtype"))
