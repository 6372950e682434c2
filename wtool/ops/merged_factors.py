"""LoRA factors as parts of their kernels, for comparisons: whole models in `.h5` keep the factors, archives do not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wtool.checkpoint.layouts.keras3_lora import with_merged_factors
from wtool.checkpoint.model import Checkpoint
from wtool.errors import a_few
from wtool.run.comparing import Source
from wtool.schema.layer_settings import layer_settings_of

KEEPING = ("h5", "h5-weights", "saved-model", "tf-checkpoint")
"""Formats that hold the factors beside the kernels."""

FACTORS = ("lora_kernel_a", "lora_embeddings_a")
"""The first of the two factors, by whose presence layers with factors are known."""


def merged_factors(
    model: Checkpoint, config: Mapping[str, Any] | None, weights: Mapping[str, Source]
) -> tuple[Mapping[str, Source], str]:
    """Returns the weights of a model with LoRA factors in their kernels, and a note; both unchanged where none are.

    Args:
        model: from which kernels and factors are read.
        config: the architecture, which tells how the factors are scaled.
        weights: path of each weight -> where its values come from.
    """
    with_factors = [layer for layer, _, name in map(_parts, weights) if name in FACTORS]
    if not with_factors or config is None:
        return weights, ""
    by_layer: dict[str, dict[str, Source]] = {layer: {} for layer in with_factors}
    for layer, _, name in map(_parts, weights):
        if layer in by_layer:
            by_layer[layer][name] = weights[f"{layer}/{name}"]
    alphas = {each.path: each.settings.get("lora_alpha") for each in layer_settings_of(config)}
    faults, made = [], dict(weights)
    for layer, own in by_layer.items():
        merged = with_merged_factors(model, f"layer {layer}", alphas.get(layer), own)
        if isinstance(merged, str):
            faults.append(layer)
            continue
        for name in own:
            path = f"{layer}/{name}"
            if name in merged:
                made[path] = merged[name]
            else:
                del made[path]
    if faults:
        return made, f"{model.name} holds LoRA factors of quantised kernels, which other formats merge: {a_few(faults)}"
    return made, f"{model.name} holds LoRA factors, which are compared as parts of their kernels: {a_few(with_factors)}"


def _parts(path: str) -> tuple[str, str, str]:
    return path.rpartition("/")
