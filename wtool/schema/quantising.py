"""What `model.quantize("int8")` of Keras 3 makes of a layer: which matrices become codes, and what the settings tell.

A matrix becomes int8 codes, and its groups of values get a scale each: 127 / (largest magnitude + 1e-7), by which the
values are multiplied. Keras quantises Dense, EinsumDense (also inside attention), Embedding and ReversibleEmbedding,
and none of their subclasses.

Source: `quantize`, `_int8_build` and `_analyze_quantization_info` in keras/src/layers/core/ (the same from Keras 3.4 to
3.15).
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator, Mapping, Sequence
from math import prod
from typing import Any

from wtool.schema.config import Node
from wtool.schema.layers import Shape, quantisation
from wtool.values import dataclass

ATTENTION = ("MultiHeadAttention", "GroupQueryAttention")
"""Layers that are made of EinsumDense layers, whose settings the configuration does not tell."""

QUANTISABLE = ("Dense", "EinsumDense", "Embedding", "ReversibleEmbedding")

EPSILON, LARGEST_CODE = 1e-7, 127
"""What Keras adds to magnitudes, so that it never divides by zero; and the code of the largest one."""


@dataclass(frozen=True, slots=True)
class Grouping:
    """How the values of a matrix share scales.

    Attributes:
        axes: along which all values share one scale.
        order: the axes of the matrix in the order in which its scales have them.
        shape: of the scales in the file.
    """

    axes: tuple[int, ...]
    order: tuple[int, ...]
    shape: Shape


@dataclass(frozen=True, slots=True)
class Target:
    """A layer that is quantised, or stays as it is.

    Attributes:
        path: of the layer.
        node: the layer.
        owner: the layer in whose settings the quantisation is told: the layer itself, or the attention around it.
        reason: why the layer cannot be quantised; None where it can.
    """

    path: str
    node: Node
    owner: Node
    reason: str | None


def targets(root: Node) -> Iterator[Target]:
    """Yields the layers of a model whose classes Keras quantises."""
    stack = [("", root, root)]
    while stack:
        path, node, above = stack.pop()
        if node.kind in QUANTISABLE:
            owner = above if above.kind in ATTENTION else node
            yield Target(path, node, owner, _reason(owner, above))
        stack += [(f"{path}/{each.name}" if path else each.name, each, node) for each in reversed(node.children)]


def _reason(owner: Node, above: Node) -> str | None:
    """Returns why a layer cannot be quantised, as far as the settings of its owner tell; None where it can."""
    if above.kind == "SpectralNormalization":
        return "Keras does not load a quantised layer inside SpectralNormalization"
    policy = owner.config.get("dtype")
    if isinstance(policy, Mapping) and policy.get("class_name") == "DTypePolicyMap":
        return "its dtype policy is a map of several policies"
    if owner.quantised:
        return f"it is quantised already ({quantisation(owner.config)[0]})"
    name = policy_name(policy)
    if name in ("float16", "mixed_float16"):
        return f"Keras quantises no layer that computes in float16 (its dtype policy is {name})"
    if policy is not None and name not in _POLICIES:
        return f"its dtype policy is {policy if name is None else name!r:.80}"
    return None


_POLICIES = ("float32", "float64", "bfloat16", "mixed_bfloat16")
"""Dtype policies under which Keras quantises layers."""


def policy_name(policy: Any) -> str | None:
    """Returns the name of a dtype policy; None for the one that is set where the model is loaded, and for odd ones."""
    if isinstance(policy, Mapping):
        inner = policy.get("config")
        is_plain = policy.get("class_name") in ("DTypePolicy", "FloatDTypePolicy")
        policy = inner.get("name") if is_plain and isinstance(inner, Mapping) else None
    return policy if isinstance(policy, str) else None


def groupings(target: Target, shapes: Mapping[str, Shape]) -> dict[str, Grouping] | str:
    """Returns the name of each matrix of a layer -> how its values share scales; or why Keras cannot quantise it.

    Args:
        target: the layer.
        shapes: of the stored variables of the layer, by name.
    """
    node = target.node
    wanted = ["kernel" if node.kind in ("Dense", "EinsumDense") else "embeddings"]
    if node.kind == "ReversibleEmbedding" and not node.config.get("tie_weights", True):
        wanted.append("reverse_embeddings")
    if missing := [name for name in wanted if name not in shapes]:
        return f"the file has no {missing[0]} for it"
    if empty := [name for name in wanted if prod(shapes[name]) == 0]:
        return f"its {empty[0]} is empty"
    if node.kind == "EinsumDense":
        return _of_einsum(target, shapes["kernel"])
    if odd := [name for name in wanted if len(shapes[name]) != 2]:
        return f"its {odd[0]} is no matrix"
    axes = {"kernel": 0, "embeddings": 1, "reverse_embeddings": 0}
    return {name: Grouping((axes[name],), (0, 1), (shapes[name][1 - axes[name]],)) for name in wanted}


def _of_einsum(target: Target, kernel: Shape) -> dict[str, Grouping] | str:
    is_own = target.owner is target.node
    equation = target.node.config.get("equation") if is_own else attention_equation(target.owner, target.node, kernel)
    if not isinstance(equation, str):
        return "the configuration does not tell the rank of its input"
    found = einsum_grouping(equation, kernel)
    return f"Keras does not quantise the equation {equation!r:.60}" if found is None else {"kernel": found}


_PLAIN = re.compile(r"([a-zA-Z]+),([a-zA-Z]+)->([a-zA-Z]+)$")


def einsum_grouping(equation: str, kernel: Shape) -> Grouping | None:
    """Returns how the values of an EinsumDense kernel share scales; None where Keras fails.

    Values along the axes of the kernel that the output does not have share one scale. The scales have their axes where
    the output has them, and 1 for the other axes of the output, so that they fit to it.

    Args:
        equation: of the layer, `abc,cd->abd`. Keras fails on those with an ellipsis.
        kernel: the shape of the kernel.
    """
    match = _PLAIN.match(equation)
    if match is None:
        return None
    inputs, own, outputs = match.groups()
    if len(own) != len(kernel) or max(len(inputs), len(outputs)) > len(string.ascii_letters):
        return None
    reduced = [axis for axis, label in enumerate(own) if label not in outputs]
    order = [own.index(label) for label in outputs if label in own]
    if sorted([*order, *reduced]) != list(range(len(kernel))):
        return None
    new_for_inputs = [axis for axis, label in enumerate(outputs) if label not in inputs]
    new = [axis for axis, label in enumerate(outputs) if label not in own]
    gone: list[int] = []
    # Keras puts a reduced axis where the output has a free one, and where none is free at the place that one variable
    # happens to hold: the last one for the inputs, before them the place of the kernel's last axis, or -1.
    place = outputs.find(own[-1])
    for _ in (label for label in inputs if label not in outputs):
        place = new_for_inputs.pop(0) if new_for_inputs else place
    for axis in reduced:
        if new:
            place = new.pop(0)
        else:
            gone.append(axis)
        order.insert(place, axis)
    shape = _arranged([1 if axis in reduced else kernel[axis] for axis in order], new, gone)
    return None if shape is None else Grouping(tuple(reduced), tuple(order), shape)


def _arranged(shape: list[int], new: Sequence[int], gone: Sequence[int]) -> Shape | None:
    """Returns a shape with new axes of length 1, and without others; None where one of these is longer."""
    for axis in new:
        shape.insert(axis, 1)
    if any(axis >= len(shape) or shape[axis] != 1 for axis in gone):
        return None
    return tuple(size for axis, size in enumerate(shape) if axis not in gone)


def attention_equation(attention: Node, part: Node, kernel: Shape) -> str | None:
    """Returns the equation by which an attention layer projects; None where its input's rank is not known.

    Args:
        attention: a MultiHeadAttention or GroupQueryAttention layer.
        part: the projection.
        kernel: the shape of its kernel.

    Source: `_build_proj_equation` in keras/src/layers/attention/multi_head_attention.py, and the equations in
    grouped_query_attention.py.
    """
    rank: int | None = 3
    if attention.kind == "MultiHeadAttention":
        name = {"key": "key", "value": "value"}.get(part.name, "query")
        shape = attention.input_shapes.get(f"{name}_shape") or attention.input_shapes.get("value_shape")
        rank = None if shape is None else len(shape)
    if rank is None or rank < 2 or len(kernel) < 2:
        return None
    inner = 2 if part.name == "attention_output" else 1  # axes that the kernel takes away: heads and their values
    letters = string.ascii_letters
    if rank + len(kernel) > len(letters):
        return None
    free, taken = letters[: rank - 1], letters[rank - 1 : rank - 1 + inner]
    given = letters[rank - 1 + inner : rank - 1 + len(kernel)]
    return f"{free}{taken},{taken}{given}->{free}{given}"


def quantised_policy(policy: Any) -> dict[str, Any]:
    """Returns the dtype policy of an int8 layer that had the given policy."""
    return {
        "module": "keras.dtype_policies",
        "class_name": "QuantizedDTypePolicy",
        "config": {"mode": "int8", "source_name": policy_name(policy)},
        "registered_name": None,
    }


def mapped_policy(attention: Node, parts: Sequence[str]) -> dict[str, Any]:
    """Returns the dtype policy of an attention layer some of whose projections are quantised.

    Keras's own files keep the policy of the whole layer, and Keras does not load these files. A map of policies tells
    which of the layers inside are quantised, by patterns of their paths, whatever the model around is called.
    """
    policy = attention.config.get("dtype")
    pattern = rf"^(.+/)?{re.escape(attention.name)}/({'|'.join(map(re.escape, parts))})$"
    return {
        "module": "keras.dtype_policies",
        "class_name": "DTypePolicyMap",
        "config": {"default_policy": policy, "policy_map": {pattern: quantised_policy(policy)}},
        "registered_name": None,
    }


def quantisation_config() -> dict[str, Any]:
    """Returns the setting `quantization_config` of an int8 layer, which layers have from Keras 3.13 on."""
    activations = {
        "module": "keras.quantizers",
        "class_name": "AbsMaxQuantizer",
        "config": {"value_range": [-LARGEST_CODE, LARGEST_CODE], "epsilon": EPSILON, "output_dtype": "int8"},
        "registered_name": None,
    }
    return {
        "module": "keras.quantizers",
        "class_name": "Int8QuantizationConfig",
        "config": {"weight_quantizer": None, "activation_quantizer": activations},
        "registered_name": None,
    }


def with_quantised(owner: Node, parts: Sequence[str]) -> dict[str, Any]:
    """Returns the settings of a layer once it is quantised, or once some of the layers inside are.

    Args:
        owner: the layer.
        parts: names of the projections that are quantised, of an attention layer.
    """
    if owner.kind in ATTENTION:
        return {**owner.config, "dtype": mapped_policy(owner, parts)}
    settings = {**owner.config, "dtype": quantised_policy(owner.config.get("dtype"))}
    if "quantization_config" in settings:
        settings["quantization_config"] = quantisation_config()
    return settings
