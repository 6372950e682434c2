"""The variables of a layer in an older file, where every weight has a name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from wtool.errors import Refused
from wtool.files.architecture import Node
from wtool.files.hdf5 import Dataset
from wtool.files.owners import Held, Owner
from wtool.files.shapes import check_dtype, check_shapes, dtype_of
from wtool.files.variables import Variables, class_of, variants

Weights = Sequence[tuple[str, Dataset]]

_STATISTICS = ("moving_mean", "moving_variance")


@dataclass(slots=True)
class _Seat:
    """A layer of the architecture, where weights may belong."""

    node: Node
    inner: str  # names from the listed layer to it
    owner: Owner
    found: dict[str, tuple[str, Dataset]] = field(default_factory=dict)

    def takes(self, name: str) -> bool:
        """Whether it may have a variable of this name that it has not yet."""
        if name in self.found:
            return False
        choices = _with_lora(self) if name.startswith("lora_") else self.node.variants
        return choices is None or any(v.name == name and not v.alias for choice in choices for v in choice.created)


def without_weights(node: Node) -> bool:
    """Whether a layer may well have none, nor anything inside it."""
    return all(inner.variants is None or any(not choice.saved for choice in inner.variants) for inner in node.walk())


def layer_of(node: Node, path: str, group: str, weights: Weights, model: str, absent: bool) -> Owner:
    """A layer that the file lists, and those inside it, with their variables.

    Args:
        node: what the configuration says of it.
        path: its path.
        group: its group in the file.
        weights: its names and arrays, in the order of the file.
        model: the name of the whole model, with which names may begin.
        absent: whether nothing in the file has weights.

    Raises:
        Refused: its weights are not those that the configuration makes.
    """
    seats: list[_Seat] = []
    owner = _seat(node, path, "", group, seats)
    for name, dataset in weights:
        _place(name, dataset, seats, owner, model)
    for seat in seats:
        if seat.node.variants is not None:
            _settle(seat, group, absent)
    return owner


def _seat(node: Node, path: str, inner: str, group: str, seats: list[_Seat]) -> Owner:
    known = node.variants is not None
    owner = Owner(path, node.class_name, group, node.trainable, created=[] if known else None)
    seats.append(_Seat(node, inner, owner))
    for child in node.children:
        deeper = f"{inner}/{child.name}" if inner else child.name
        owner.parts.append(_seat(child, owner.inside(child.name), deeper, group, seats))
    return owner


def _place(key: str, dataset: Dataset, seats: list[_Seat], layer: Owner, model: str) -> None:
    inner, name = _split(key, layer.path, model)
    seat = _best(seats, inner, name)
    if seat is None and (plain := re.sub(r"_\d+$", "", name)) != name:
        name, seat = plain, _best(seats, inner, plain)
    if seat is None:
        seat = _next_free(seats, dataset)
        if seat is None:
            raise Refused(f"{dataset.path} is no variable of layer {layer.path} ({layer.class_name})")
        name = _free_name(seat, dataset)
    if seat.node.variants is not None:
        seat.found[name] = (_full_key(key, layer.path, model), dataset)
        return
    owner = _inside(seat.owner, inner.removeprefix(seat.inner).strip("/"))
    held = Held(name, name, dataset, dtype_of(dataset, seat.node.policy), None, key=_full_key(key, layer.path, model))
    owner.holds.append(held)


def _split(key: str, layer: str, model: str) -> tuple[str, str]:
    """The path inside the layer and the variable's name; files repeat the layer's and the model's name, or not."""
    for prefix in (f"{model}/{layer}/", f"{layer}/", f"{model}/"):
        if key.startswith(prefix):
            key = key.removeprefix(prefix)
            break
    inner, _, name = key.rpartition("/")
    return inner, name


def _full_key(key: str, layer: str, model: str) -> str:
    return key if "/" in key else f"{model}/{layer}/{key}"


def _best(seats: list[_Seat], inner: str, name: str) -> _Seat | None:
    """The layer whose path ends most like the weight's; Keras 2 leaves names out, or adds numbers to them."""
    ranked = [(_likeness(seat.inner, inner), seat) for seat in seats if seat.takes(name)]
    best = max((score for score, _ in ranked), default=(0, 0))
    found = [seat for score, seat in ranked if score == best]
    if inner and best == (0, 0):
        found = [seat for seat in found if seat.node.variants is None or len(found) == 1]
    return found[0] if found else None


def _likeness(path: str, other: str) -> tuple[int, int]:
    """How many names at the end of two paths are equal, without and with regard to numbers."""
    ours, theirs = path.split("/")[::-1] if path else [], other.split("/")[::-1] if other else []
    alike = exact = 0
    for a, b in zip(ours, theirs):  # noqa: B905
        if re.sub(r"_\d+$", "", a) != re.sub(r"_\d+$", "", b):
            break
        alike += 1
        exact += a == b
    return alike, exact


def _next_free(seats: list[_Seat], dataset: Dataset) -> _Seat | None:
    """Where names tell nothing (Keras 1): the first layer with room for a variable of this rank."""
    return next((seat for seat in seats if seat.node.variants and _free_name(seat, dataset)), None)


def _free_name(seat: _Seat, dataset: Dataset) -> str:
    for choice in seat.node.variants or ():
        for variable in choice.created:
            if variable.name not in seat.found and not variable.alias:
                if variable.rank in (None, len(dataset.shape)):
                    return variable.name
                break
    return ""


def _inside(owner: Owner, inner: str) -> Owner:
    """The object inside a layer that only its author knows, by its path."""
    for name in inner.split("/") if inner else ():
        part = next((part for part in owner.parts if part.path == owner.inside(name)), None)
        if part is None:
            part = Owner(owner.inside(name), None, owner.group, owner.trainable)
            owner.parts.append(part)
        owner = part
    return owner


def _settle(seat: _Seat, group: str, absent: bool) -> None:
    """Check what a layer of a known class was given against what it must have."""
    assert seat.node.variants is not None
    if not seat.found and absent:
        return
    chosen = _chosen(_with_lora(seat), seat.found)
    who = f"layer {seat.owner.path} ({seat.node.class_name})"
    if chosen is None:
        wanted = ", ".join(v.name for v in seat.node.variants[0].created if not v.alias) or "none"
        raise Refused(f"{group} lists {', '.join(seat.found) or 'no weights'} for {who}, which has {wanted}")
    order = [variable.name for variable in chosen.created if not variable.alias]
    natural = sorted(order, key=[variable.name for variable in (*chosen.saved, *chosen.created)].index)
    if list(seat.found) not in (order, natural):
        raise Refused(f"weight_names of {group} lists {', '.join(seat.found)}, but {who} has {', '.join(order)}")
    for variable in sorted(chosen.created, key=lambda v: natural.index(v.name) if not v.alias else -1):
        if not variable.alias:
            key, dataset = seat.found[variable.name]
            dtype = dtype_of(dataset, seat.node.policy)
            check_dtype(seat.node, variable.name, dtype, dataset.path)
            held = Held(variable.name, variable.name, dataset, dtype, variable.trainable, variable.slots, key=key)
            seat.owner.holds.append(held)
    shapes = {held.name: held.dataset.shape for held in seat.owner.holds if held.dataset}
    check_shapes(seat.node, shapes, {held.name: held.dataset.path for held in seat.owner.holds if held.dataset})
    _check_ranks(chosen, seat)
    by_name = {held.name: held for held in seat.owner.holds}
    seat.owner.created = [by_name[name] for name in order]


def _with_lora(seat: _Seat) -> tuple[Variables, ...]:
    """Keras before 3.3 did not write into the configuration that a layer had LoRA factors."""
    choices = seat.node.variants or ()
    return choices + (variants(seat.node.class_name, {**seat.node.config, "lora_rank": 1}) or ())


def _chosen(choices: Sequence[Variables], found: dict[str, tuple[str, Dataset]]) -> Variables | None:
    return next((c for c in choices if {v.name for v in c.created if not v.alias} == set(found)), None)


def _check_ranks(chosen: Variables, seat: _Seat) -> None:
    for variable in chosen.created:
        if variable.alias or variable.rank is None:
            continue
        _, dataset = seat.found[variable.name]
        if len(dataset.shape) != variable.rank:
            shape = "x".join(map(str, dataset.shape)) or "a single value"
            raise Refused(f"{dataset.path} is {shape}, but {seat.owner.path}/{variable.name} has rank {variable.rank}")


def anonymous_layer(name: str, group: str, weights: Weights, model: str = "") -> Owner:
    """A layer that no configuration describes: its weights' names tell their roles."""
    owner = Owner(name, None, group)
    for key, dataset in weights:
        inner, variable = _split(key, name, model) if name else ("", key)
        trainable = False if variable in _STATISTICS else None
        held = Held(variable, variable, dataset, dtype_of(dataset), trainable, key=_full_key(key, name, model))
        _inside(owner, inner).holds.append(held)
    for part in owner.walk():
        _recognise(part)
    owner.created = owner.created if owner.holds else []
    owner.ordered = not owner.parts or bool(owner.holds)
    return owner


def _recognise(owner: Owner) -> None:
    """The class that a layer's name tells, if its weights are those of the class."""
    class_name = class_of(owner.path.rpartition("/")[2])
    for choice in (variants(class_name, None, keras2) for keras2 in (False, True)) if class_name else ():
        chosen = next(_same(choice or (), owner), None)
        if chosen is not None:
            named = {held.name: held for held in owner.holds}
            for variable in chosen.created:
                named[variable.name].trainable = variable.trainable
            owner.class_name, owner.created = class_name, [named[variable.name] for variable in chosen.created]
            return
    if class_name and not owner.holds and not owner.parts:
        owner.class_name = class_name


def _same(choices: Sequence[Variables], owner: Owner) -> Iterator[Variables]:
    names = {held.name for held in owner.holds}
    for choice in choices:
        ranks = {variable.name: variable.rank for variable in choice.created}
        if (
            names == set(ranks)
            and names
            and all(ranks[held.name] in (None, len(held.shape or ())) for held in owner.holds)
        ):
            yield choice
