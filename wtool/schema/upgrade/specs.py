"""The tensors of a graph in Keras 3: shapes and dtypes, and how a configuration notes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any

from wtool.schema.config import inside
from wtool.schema.inbound_nodes import Key, layer_name, layer_settings
from wtool.schema.layers import (
    PartialShape,
    as_shape,
    class_and_settings,
    class_of,
    compute_dtype,
    output_dtype,
    output_shapes,
)
from wtool.values import dataclass

Entry = Mapping[str, Any]


BATCH = "batch"
"""Stands for the number of examples among sizes."""


@dataclass(frozen=True, slots=True)
class Spec:
    """What is known of a tensor.

    Attributes:
        shape: with the batch; None if nobody knows.
        dtype: name; None if nobody knows.
        batch: whether the first axis is that of the model's examples, as far as is known.
        value: of a tensor that is worked out from shapes: a number, BATCH, None for a size that nobody knows, or tuples
            of these.
    """

    shape: PartialShape | None = None
    dtype: str | None = None
    batch: bool = False
    value: Any = None

    def refined(self, other: Spec) -> Spec:
        """Returns what this and another say together of one tensor; this one is believed where they differ."""
        mine, its = self.shape, other.shape
        if mine is None or its is None or len(mine) != len(its):
            shape = its if mine is None else mine
        else:
            shape = tuple(b if a is None else a for a, b in zip(mine, its, strict=True))
        return Spec(shape, self.dtype or other.dtype, other.batch)


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor of the new graph.

    Attributes:
        key: where the tensor comes from; None where its value is known, and nothing in the new graph makes it.
        spec: what is known of the tensor.
    """

    key: Key | None
    spec: Spec = field(default_factory=Spec)

    @property
    def entry(self) -> dict[str, Any]:
        """The tensor as Keras 3 notes it in an argument; `[null]` is a shape that nobody knows."""
        shape = [None] if self.spec.shape is None else list(self.spec.shape)
        config = {"shape": shape, "dtype": self.spec.dtype or "float32", "keras_history": list(self.key or ())}
        return {"class_name": "__keras_tensor__", "config": config}


Behind = Callable[[Sequence[Spec]], list[Spec]]
"""What is known of a model's outputs where its inputs are given."""

Known = Mapping[str, Behind]
"""Path of a functional model in the old model -> what is known of its outputs."""


def spec_of_input(entry: Entry) -> Spec:
    """Returns what an InputLayer says of its output."""
    config = layer_settings(entry)
    shape = as_shape(config.get("batch_shape"))
    dtype = compute_dtype(config.get("dtype"))
    return Spec(as_shape(config.get("batch_input_shape")) if shape is None else shape, dtype or "float32", True)


def specs_behind(
    entry: Entry, path: str, inputs: Sequence[Spec], arguments: Mapping[Any, Any], known: Known
) -> list[Spec]:
    """Returns what is known of the outputs of one call of a layer.

    Args:
        entry: of the layer, of any version of Keras.
        path: of the layer in the old model.
        inputs: the tensors that the call takes.
        arguments: of the call, besides the first one.
        known: what is known of the functional models that may be inside.
    """
    if path in known:
        return known[path](inputs)
    kind, config = class_of(entry), class_and_settings(entry, path)[1]
    if kind == "Sequential":
        return _through(config, path, inputs, known)
    if kind == "TimeDistributed":
        return _each_step(config, path, inputs, known)
    shapes = output_shapes(kind, config, [spec.shape for spec in inputs])
    if arguments.get("return_attention_scores"):
        shapes = [*shapes[:1], _scores(kind, config, [spec.shape for spec in inputs])]
    dtype = output_dtype(kind, config, [spec.dtype for spec in inputs])
    batch = any(spec.batch for spec in inputs)
    return [Spec(shape, dtype, batch) for shape in shapes]


def _through(config: Entry, path: str, inputs: Sequence[Spec], known: Known) -> list[Spec]:
    """What comes out of a Sequential model."""
    specs = list(inputs)
    for entry in _layers(config):
        if class_of(entry) == "InputLayer":
            declared = spec_of_input(entry)
            specs = [declared if declared.shape is not None else specs[0]] if specs else [declared]
        else:
            specs = specs_behind(entry, inside(path, layer_name(entry)), specs, {}, known)
    return specs


def _layers(config: Entry) -> Iterator[Entry]:
    layers = config.get("layers")
    yield from (entry for entry in layers if isinstance(entry, Mapping)) if isinstance(layers, list) else ()


def _each_step(config: Entry, path: str, inputs: Sequence[Spec], known: Known) -> list[Spec]:
    """What TimeDistributed gives: the layer inside at every step."""
    inner, shape = config.get("layer"), inputs[0].shape if inputs else None
    if not isinstance(inner, Mapping) or shape is None or len(shape) < 3:
        return [Spec(None, output_dtype("TimeDistributed", config, [spec.dtype for spec in inputs]))]
    step = Spec((shape[0], *shape[2:]), inputs[0].dtype)
    found = specs_behind(inner, inside(path, layer_name(inner)), [step], {}, known)
    return [Spec(None if spec.shape is None else (shape[0], shape[1], *spec.shape[1:]), spec.dtype) for spec in found]


def _scores(kind: str | None, config: Entry, inputs: Sequence[PartialShape | None]) -> PartialShape | None:
    """The shape of the scores that attention gives behind its output: of the query's steps and the key's."""
    if len(inputs) < 2 or None in inputs[:2] or kind not in ("Attention", "AdditiveAttention", "MultiHeadAttention"):
        return None
    query, key = inputs[0] or (), inputs[1] or ()
    if len(query) != 3 or len(key) != 3:
        return None
    heads = (config.get("num_heads"),) if kind == "MultiHeadAttention" else ()
    return (query[0], *heads, query[1], key[1])
