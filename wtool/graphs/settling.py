"""Shapes that a configuration notes of its tensors, written anew where they have changed."""

from __future__ import annotations

from collections.abc import Sequence

from wtool.schema.graph import Layer, Model
from wtool.schema.inbound_nodes import Key, Ref
from wtool.schema.layers import PartialShape


def tell_shape(ref: Ref, shape: PartialShape) -> None:
    """Write the shape of a tensor where a call takes the tensor; Keras 2 notes none there."""
    if ref.told is not None:
        ref.told["shape"] = list(shape)


def tell_input(model: Model, key: Key, axis: int, size: int) -> None:
    """Write the size of an axis of what goes into a model inside the model."""
    first = [layer for layer in model.layers if layer.name == key[0]] or model.layers[:1]
    places = [(layer.config, name) for layer in first for name in ("batch_shape", "batch_input_shape")]
    for config, name in [*places, (model.config, "build_input_shape")]:
        if isinstance(config.get(name), list):
            config[name][axis] = size


def tell_build(layer: Layer, shapes: Sequence[PartialShape | None]) -> None:
    """Write the shapes of its inputs with which a layer is built; what is not a plain list of shapes goes."""
    if "build_config" not in layer.entry:
        return
    build = layer.entry.pop("build_config")
    was = build.get("input_shape") if isinstance(build, dict) else None
    if None not in shapes and shapes and isinstance(was, list):
        told = [list(shape or ()) for shape in shapes]  # a mask that the layer takes as well is behind the others
        several = bool(was) and isinstance(was[0], list)
        layer.entry["build_config"] = {"input_shape": told[: len(was)] if several else told[0]}


def forget_builds_inside(layer: Layer) -> None:
    """Take out the shapes with which the layers inside a wrapper are built: Keras finds them out by itself."""
    for name in ("layer", "backward_layer", "cell"):
        if isinstance(layer.config.get(name), dict):
            layer.config[name].pop("build_config", None)
