"""Which weights of another model stand for those of a model that may have other layers around them.

Weights have their paths for names. The numbers of automatic names (`dense_3`) count what was made before in a program,
and say nothing about a model: layers that are called alike but for such numbers are matched in their order, where both
models have as many of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import field

from wtool.checkpoint.model import Checkpoint, Tensor
from wtool.errors import Refused, a_few
from wtool.ops.compared import along, as_stored
from wtool.run.pairing import unnumbered
from wtool.schema.layers import class_of_group, snake_case
from wtool.values import dataclass

Named = Mapping[str, Tensor]
"""Path -> tensor, in the order of a model."""


@dataclass(frozen=True, slots=True)
class Counterparts:
    """The weights of another model.

    Attributes:
        pairs: path of a weight of the model -> the weight of the other model that stands for it.
        added: path of each other weight of the other model -> the weight.
        unclear: path of a weight of either model -> why nobody can tell what stands for it.
        notes: what was matched otherwise than by paths, one line each.
    """

    pairs: Named
    added: Named
    unclear: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()


def counterparts(own: Named, theirs: Named, name: str) -> Counterparts:
    """Returns the weights of another model that stand for those of a model.

    Args:
        own: the weights of the model.
        theirs: the weights of the other model.
        name: what messages call the other model.
    """
    if own.keys() != theirs.keys() and list(map(_plain, own)) == list(map(_plain, theirs)):
        moved, unclear = dict(zip(theirs, own, strict=True)), dict[str, str]()
    else:
        moved, unclear = _by_order(own, theirs, name)
    right = {moved.get(path, path): tensor for path, tensor in theirs.items() if path not in unclear}
    names = {path: path for path in own if path in right and path not in unclear}
    names |= _by_position(own, right, names)
    taken = set(names.values())
    added = {path: tensor for path, tensor in right.items() if path not in taken}
    other = {a: b for b, a in moved.items() if a != b and a in names}
    notes = []
    if other:
        here, there = next((_layer(a), _layer(b)) for a, b in other.items())
        notes.append(f"automatic names have other numbers in {name} ({here} is {there}): matched in their order")
    return Counterparts({path: right[there] for path, there in names.items()}, added, unclear, notes)


def _plain(path: str) -> list[str]:
    return [unnumbered(part) for part in path.split("/")]


def _by_position(own: Named, theirs: Named, known: Mapping[str, str]) -> dict[str, str]:
    """Returns path -> path in the other model of variables that one model calls by their index in a custom layer."""
    here = _inside({path: own[path] for path in own if path not in known})
    taken = set(known.values())
    there = _inside({path: theirs[path] for path in theirs if path not in taken})
    found: dict[str, str] = {}
    for layer in here.keys() & there.keys():
        one, other = here[layer], there[layer]
        is_numbered = [all(path.rpartition("/")[2].isdecimal() for path in paths) for paths in (one, other)]
        if is_numbered[0] != is_numbered[1] and [own[a].shape for a in one] == [theirs[b].shape for b in other]:
            found |= zip(one, other, strict=True)
    return found


def _inside(tensors: Named) -> dict[str, list[str]]:
    """Returns path of each layer -> the paths of its weights, in order."""
    found: dict[str, list[str]] = {}
    for path in tensors:
        found.setdefault(_layer(path), []).append(path)
    return found


def _by_order(own: Named, theirs: Named, name: str) -> tuple[dict[str, str], dict[str, str]]:
    """Returns path in the other model -> path in the model, for layers whose automatic names have other numbers.

    Returns also the weights of layers that nobody can match: the models have different numbers of layers that are
    called so, and count them from different numbers on.
    """
    moved: dict[str, str] = {}
    unclear: dict[str, str] = {}
    here, there = _namesakes(own), _namesakes(theirs)
    for stem in here.keys() & there.keys():
        left, right = here[stem], there[stem]
        if left.keys() == right.keys():
            continue
        if len(left) == len(right):
            for old, new in zip(right, left, strict=True):
                moved |= {path: f"{new}{path.removeprefix(old)}" for path in right[old]}
        elif next(iter(left)) != next(iter(right)):
            reason = (
                f"belongs to one of {len(left):,} layers here, {a_few(list(left))}, and {len(right):,} in {name}, "
                f"{a_few(list(right))}: automatic names do not tell which is which, and --rename can"
            )
            unclear |= {path: reason for layers in (left, right) for paths in layers.values() for path in paths}
    return moved, unclear


def _namesakes(tensors: Named) -> dict[tuple[str, ...], dict[str, list[str]]]:
    """Returns name of layers without automatic numbers -> path of each layer -> the paths of its weights, in order."""
    found: dict[tuple[str, ...], dict[str, list[str]]] = {}
    for path, tensor in tensors.items():
        layer = _layer(path)
        found.setdefault(_stem(layer, tensor.layer_class), {}).setdefault(layer, []).append(path)
    return found


def _layer(path: str) -> str:
    return path.rpartition("/")[0]


def _stem(layer: str, class_name: str | None) -> tuple[str, ...]:
    """Returns the parts of the path of a layer, without the numbers of automatic names."""
    *above, last = layer.split("/")
    known = None if class_name is None else snake_case(class_name.rpartition(">")[2])
    return (*(_without_number(part, None) for part in above), _without_number(last, known))


def _without_number(name: str, own: str | None) -> str:
    """Returns a name without its number, if Keras gives such names: that of a class, in a wrapper perhaps."""
    stem = unnumbered(name)
    plain = re.sub(r"^(forward|backward)_", "", stem)
    is_automatic = plain in (own, "model", "functional") or class_of_group(plain) is not None
    return stem if is_automatic else name


def with_names_of(other: Checkpoint, base: Checkpoint) -> Checkpoint:
    """Returns weights alone with the paths of a model's architecture, unless that gives a layer another name.

    Raises:
        Refused: the file tells no names of layers, and does not fit the architecture.
    """
    told = along(other, as_stored(base))
    layers = {tensor.stored: tensor.layer for tensor in other.weights}
    if not _tells_names(other):
        if told.notes:
            raise Refused(
                f"tells no names of its layers, and fits no other architecture than its own: {told.notes[0]}; take "
                "from the whole model, or from weights that a newer Keras saved",
                other.name,
            )
        return told.model
    is_same = all(_is_within(layers.get(tensor.stored, ""), tensor.layer) for tensor in told.model.weights)
    return told.model if is_same else other


def _tells_names(weights: Checkpoint) -> bool:
    """Returns whether weights alone have the names of layers: those of older versions number the classes instead."""
    if weights.format not in ("weights.h5", "weights.json"):
        return True
    groups = (each for index in weights.indexes for each in index.groups.items())
    return any(path.rpartition("/")[2] == "vars" and "name" in attributes for path, attributes in groups)


def _is_within(short: str, long: str) -> bool:
    """Returns whether the parts of a path are parts of another one, in their order: wrappers are not always told."""
    parts = iter(long.split("/"))
    return all(part in parts for part in short.split("/"))
