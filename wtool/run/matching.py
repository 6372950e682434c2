"""Which tensor of one checkpoint is which of another, and what is different where none is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from wtool.checkpoint.model import Checkpoint, Tensor
from wtool.errors import Refused
from wtool.run.pairing import paired_paths
from wtool.schema.differences import Unlike, differences
from wtool.values import dataclass

SHOWN = 8  # differences in a message; more say nothing new

IGNORED = frozenset(
    {"name", "trainable", "dtype", "seed", "shared_object_id", "build_config", "compile_config", "build_input_shape"}
)
"""What may differ in the configurations of one architecture: names, and what matters only for building and training."""

TRAINING_ONLY = ("_initializer", "_regularizer", "_constraint")


@dataclass(frozen=True, slots=True)
class Match:
    """The tensors of another checkpoint that stand for `base`'s weights, in their order; and what is worth telling."""

    tensors: tuple[Tensor, ...]
    note: str = ""


def match(base: Checkpoint, other: Checkpoint) -> Match:
    """Find `base`'s weights in `other`: by path, or by position where separate runs gave other automatic names.

    Raises:
        Refused: tensors missing, of another shape or dtype, or another architecture; with the list of differences.
    """
    if base.contents is other.contents:
        return Match(other.weights)
    here, there = ({tensor.path: tensor for tensor in each.weights} for each in (base, other))
    paired = paired_paths(*({path: _kind(each) for path, each in tensors.items()} for tensors in (here, there)))
    found = {one: two for one, two in paired.pairs if one == two or _kind(here[one]) == _kind(there[two])}
    architecture = list(architecture_differences(base, other))
    is_in_order = list(found.values()) == list(there)
    if here.keys() != there.keys() and is_in_order and len(found) == len(here) and not architecture:
        left, right = next((here[one], there[two]) for one, two in found.items() if one != two)
        note = f"layer names differ ({right.layer} against {left.layer}): matched by position"
        return Match(other.weights, note)
    differences = [*_tensor_differences(here, there, found), *architecture]
    if here.keys() != there.keys() and not differences:
        differences.append("the same layers stand in another order, under other names")
    if differences:
        more = f"; and {len(differences) - SHOWN} more" if len(differences) > SHOWN else ""
        raise Refused(f"does not match {base.name}: {'; '.join(differences[:SHOWN])}{more}", other.name)
    return Match(tuple(there[path] for path in here))


def _kind(tensor: Tensor) -> tuple[object, ...]:
    return tensor.role, tensor.layer_class, tensor.shape, tensor.dtype


def _tensor_differences(
    here: Mapping[str, Tensor], there: Mapping[str, Tensor], found: Mapping[str, str]
) -> Iterator[str]:
    """Yields where tensors differ; `found` has the path of a counterpart for each path that has one."""
    used = set(found.values())
    yield from (f"{path} is missing" for path in here if path not in found)
    yield from (f"{path} is too many" for path in there if path not in used)
    for path, partner in found.items():
        tensor, other = here[path], there[partner]
        if other.shape != tensor.shape:
            yield f"{path} has shape {other.shape} instead of {tensor.shape}"
        if other.dtype != tensor.dtype:
            yield f"{path} is {other.dtype} instead of {tensor.dtype}"


def architecture_differences(base: Checkpoint, other: Checkpoint) -> Iterator[str]:
    """Yields where the configurations of two checkpoints mean different computations, in words.

    Those of different formats, or of different versions of Keras, are not compared.
    """
    comparable = (base.format, base.keras_version) == (other.format, other.keras_version)
    if base.config is None or other.config is None or not comparable or base.config == other.config:
        return
    yield from map(_told, differences(_canonical(base.config), _canonical(other.config)))


def _canonical(value: Any, names: Mapping[str, str] | None = None) -> Any:
    """The configuration without what may differ, and with layers called by their position."""
    names = names or {}
    if isinstance(value, list):
        return [_canonical(item, names) for item in value]
    if isinstance(value, str):
        return names.get(value, value)
    if not isinstance(value, dict):
        return value
    layers = value.get("layers")
    if isinstance(layers, list):
        names = {**names, **{_name(layer): f"#{position}" for position, layer in enumerate(layers) if _name(layer)}}
    return {
        key: _canonical(item, names)
        for key, item in value.items()
        if key not in IGNORED and not key.endswith(TRAINING_ONLY)
    }


def _name(layer: Any) -> str:
    config = layer.get("config") if isinstance(layer, dict) else None
    name = config.get("name") if isinstance(config, dict) else None
    return name if isinstance(name, str) else ""


def _told(unlike: Unlike) -> str:
    left, right = unlike.left, unlike.right
    if isinstance(left, list) and isinstance(right, list):
        return f"{unlike.where} has {len(right)} entries instead of {len(left)}"
    return f"{unlike.where} is {_short(right)} instead of {_short(left)}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
