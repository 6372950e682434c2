"""Dtype policies in the configuration of a model, edited as data: the number type in which layers compute and store.

What Keras makes of a policy: `InputLayer` knows none (`keras.Input` ignores the global policy as well), since layers
cast what they take. Variables have the policy's variable dtype, but for those of batch normalisation in Keras 2, which
stay float32 where the policy is a half type.

Source: `_dtype_policy` of keras/src/layers/layer.py and `BatchNormalizationBase._param_dtype` of
tf_keras/src/layers/normalization/batch_normalization.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from wtool.schema.config import Node, is_keras2, read_architecture
from wtool.schema.inbound_nodes import calls_of, layer_name, refs_of
from wtool.schema.layers import class_of
from wtool.values import dataclass

FLOATS = ("float16", "bfloat16", "float32", "float64")
_HALVES = ("float16", "bfloat16")
_WHOLE = {"float16": 2048, "bfloat16": 256}
"""The numbers up to which a half type has all whole ones."""

_POLICIES = ("DTypePolicy", "FloatDTypePolicy", "Policy")
_IN_GRAPHS = ("TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer")


@dataclass(frozen=True, slots=True)
class Policies:
    """What became of the policies of a model.

    Attributes:
        layers: paths of the layers that compute in the new type.
        wide: paths of those among them whose variables stay float32.
        refused: the layers that cannot, each with the reason, one line each.
    """

    layers: frozenset[str]
    wide: frozenset[str]
    refused: tuple[str, ...]


def set_policies(config: dict[str, Any], dtype: str, version: str | None) -> Policies:
    """Give all layers of a model that compute in floating numbers another dtype policy, in place.

    Args:
        config: the model's entry in a configuration.
        dtype: number type of the new policy, in which layers compute and have their variables.
        version: of the Keras that wrote the configuration.

    Raises:
        Refused: the configuration is not one that Keras writes.
    """
    root, _ = read_architecture(config, version)
    nodes = list(root.paths())
    layers, refused = set[str](), list(_unknown_layers(config, {id(node.config) for _, node in nodes}))
    for path, node in nodes:
        if node.kind == "InputLayer" or not isinstance(node.config, dict):
            continue
        try:
            if _give(node, dtype):
                layers.add(path)
        except _Kept as reason:
            refused.append(f"{path or 'the model'} ({node.class_name}): {reason}")
    refused += _without_orthogonal(nodes, dtype)
    if is_keras2(version or "1"):
        refused += [*_operations(config), *_ids_of_words(root, dtype)]
    is_half_of_old = is_keras2(version or "1") and dtype in _HALVES
    normalising = {path for path, node in nodes if is_half_of_old and _is_batch_normalisation(node)}
    return Policies(frozenset(layers), frozenset(normalising & layers), tuple(dict.fromkeys(refused)))


class _Kept(Exception):
    """The reason why a layer cannot have another policy."""


def _give(node: Node, dtype: str) -> bool:
    """Gives a layer another policy. Returns whether the layer computes in the new type."""
    settings: Any = node.config
    if "dtype" not in settings:
        if node.kind is None:
            raise _Kept("a class of its author's own whose settings have no dtype")
        if node.is_model or "layers" in settings:
            return False
    policy = settings.get("dtype")
    new = dtype if policy is None else _changed(policy, dtype)
    settings["dtype"] = new
    return _is_floating(new)


def _changed(policy: Any, dtype: str) -> Any:
    """Returns a policy of the same form for another number type; types that are not floating stay."""
    if isinstance(policy, str):
        if "_from_" in policy:
            raise _Kept("its kernels are quantised")
        return dtype if _is_floating(policy) else policy
    settings = policy.get("config") if isinstance(policy, Mapping) else None
    if not isinstance(policy, Mapping) or not isinstance(settings, Mapping):
        raise _Kept(f"its dtype is {policy!r:.60}, which is no policy of Keras")
    kind = policy.get("class_name")
    if kind == "DTypePolicyMap":
        return {**policy, "config": {**settings, **_changed_map(settings, dtype)}}
    if kind not in _POLICIES:
        raise _Kept("its kernels are quantised" if "mode" in settings else f"its policy is a {kind!r:.60}")
    return {**policy, "config": {**settings, "name": _changed(settings.get("name"), dtype)}}


def _changed_map(settings: Mapping[str, Any], dtype: str) -> dict[str, Any]:
    """Returns the policies in a map by the paths of the layers inside a layer, and the default, changed."""
    own, default = settings.get("policy_map"), settings.get("default_policy")
    if not isinstance(own, Mapping):
        raise _Kept("its map of policies is none")
    if any(isinstance(each, Mapping) and "policy_map" in each.get("config", ()) for each in (default, *own.values())):
        raise _Kept("its map of policies holds another map")
    new = {name: _changed(each, dtype) for name, each in own.items()}
    return {"default_policy": dtype if default is None else _changed(default, dtype), "policy_map": new}


def _is_floating(policy: Any) -> bool:
    if isinstance(policy, Mapping):
        settings = policy["config"]
        return _is_floating(settings.get("default_policy", settings.get("name")))
    return isinstance(policy, str) and policy.removeprefix("mixed_") in FLOATS


def _is_batch_normalisation(node: Node) -> bool:
    return node.kind in ("BatchNormalization", "SyncBatchNormalization")


def _unknown_layers(config: Any, known: set[int]) -> Iterator[str]:
    """Yields layers in settings that nobody but their author reads, whose policies could not be changed with others."""
    waiting = [config]
    while waiting:
        each = waiting.pop()
        if isinstance(each, list):
            waiting += each
            continue
        if not isinstance(each, Mapping):
            continue
        waiting += each.values()
        settings, class_name = each.get("config"), each.get("class_name")
        if not isinstance(settings, Mapping) or not isinstance(class_name, str) or id(settings) in known:
            continue
        if "trainable" in settings and class_of(each) != "InputLayer":
            named = f"{settings.get('name', 'a layer')!s:.80} ({class_name:.80})"
            yield f"{named}: the layer that holds it is unknown, or no output depends on it"


def _without_orthogonal(nodes: list[tuple[str, Node]], dtype: str) -> Iterator[str]:
    """Yields layers that Keras cannot make in bfloat16, for which there is no orthogonal initial value."""
    told = {
        id(node.config): (path, node) for path, node in reversed(nodes)
    }  # a cell may have the settings of its layer
    for path, node in reversed(told.values()) if dtype == "bfloat16" else ():
        for name, value in node.config.items():
            class_name = value.get("class_name") if isinstance(value, Mapping) else value
            if name.endswith("_initializer") and class_name in ("Orthogonal", "OrthogonalInitializer", "orthogonal"):
                yield f"{path} ({node.class_name}): Keras makes no orthogonal initial values in bfloat16"
                break


def _operations(config: Any) -> Iterator[str]:
    """Yields operations in graphs of Keras 2 that may get numbers of two types: TensorFlow refuses those."""
    way_out = "`wtool convert` makes a model of Keras 3 of it first"
    waiting = [config]
    while waiting:
        model = waiting.pop()
        settings = model.get("config") if isinstance(model, Mapping) else None
        entries = settings.get("layers") if isinstance(settings, Mapping) else None
        if not isinstance(entries, list) or not isinstance(settings, Mapping):
            continue
        waiting += entries
        named = {layer_name(each): each for each in entries}
        calls = calls_of(named, list(refs_of(settings.get("output_layers")))) if "input_layers" in settings else {}
        for (name, _), (_, refs) in calls.items():
            kind = named[name].get("class_name")
            if kind == "TensorFlowOpLayer":
                yield f"{name} ({kind}): its number type is part of a node of TensorFlow; {way_out}"
            elif kind in _IN_GRAPHS and len(refs) > 1:
                yield f"{name} ({kind}): takes several tensors, which may be of two number types; {way_out}"


def _ids_of_words(root: Node, dtype: str) -> Iterator[str]:
    """Yields an Embedding that is the input of an old model: its numbers of words would be of the new type as well."""
    first = next((child for child in root.children if child.attribute == "layers"), None)
    if root.kind != "Sequential" or first is None or first.kind != "Embedding":
        return
    words = first.config.get("input_dim")
    is_input = "batch_input_shape" in first.config
    if is_input and (not isinstance(words, int) or words > _WHOLE.get(dtype, words)):
        yield f"{first.name} (Embedding): {dtype} does not have all of the numbers of its {words!r:.40} words"
