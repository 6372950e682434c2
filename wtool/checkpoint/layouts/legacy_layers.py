"""The variables of a layer in an older file, where every weight has a name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from wtool.checkpoint.demands import check_dtype, check_shapes, stored_dtype
from wtool.checkpoint.layouts.legacy_order import keras_order
from wtool.checkpoint.layouts.legacy_seats import Seat, Seats, Weight, plain, seat_of
from wtool.checkpoint.layouts.stored import StoredLayer, StoredVariable
from wtool.errors import Differs, Note, Refused
from wtool.hdf5.reader import Dataset
from wtool.schema.config import Node
from wtool.schema.layers import STATISTICS, Variables, class_of_group, role_of, variants

Weights = Sequence[tuple[str, Dataset]]


def without_weights(node: Node) -> bool:
    """Whether a layer may well have none, nor anything inside it."""
    return all(inner.variants is None or any(not choice.saved for choice in inner.variants) for inner in node.walk())


def layer_of(
    node: Node, path: str, group: str, weights: Weights, model: str, absent: bool, keras2: bool, notes: list[str]
) -> StoredLayer:
    """A layer that the file lists, and those inside it, with their variables.

    Args:
        node: what the configuration says of it.
        path: its path.
        group: its group in the file.
        weights: its names and arrays, in the order of the file.
        model: the name of the whole model, with which names may begin.
        absent: whether nothing in the file has weights.
        keras2: whether Keras 2 or an older one saved it.
        notes: what is worth telling is added.

    Raises:
        Refused: its weights are not those that the configuration makes.
        Differs: names say one thing, and the order by which Keras goes another.
    """
    root = seat_of(node, path, "", group)
    seats = Seats(root)
    listed = [_weight(number, key, dataset, path, model) for number, (key, dataset) in enumerate(weights)]
    for weight in listed:
        if not seats.take(weight):
            raise Refused(f"{weight.dataset.path} is no variable of layer {path} ({node.class_name})")
    for seat in seats.seats:
        _choose(seat, group, absent)
    _follow_order(root, listed, seats.guessed, keras2, notes)
    for seat in seats.seats:
        _settle(seat)
    return root.owner


def _weight(number: int, key: str, dataset: Dataset, layer: str, model: str) -> Weight:
    inner, name = _split(key, layer, model)
    return Weight(number, inner, name, _full_key(key, layer, model), dataset)


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


def _choose(seat: Seat, group: str, absent: bool) -> None:
    """Find out which of the sets of variables that a layer of a known class may have are there."""
    if seat.choices is None or (not seat.found and absent):
        return
    seat.chosen = next(
        (c for c in seat.choices if {v.name for v in c.created if not v.alias} == seat.found.keys()), None
    )
    if seat.chosen is None:
        wanted = ", ".join(v.name for v in seat.choices[0].created if not v.alias) or "none"
        who = f"layer {seat.owner.path} ({seat.node.class_name})"
        raise Refused(f"{group} lists {', '.join(seat.found) or 'no weights'} for {who}, which has {wanted}")


def _follow_order(root: Seat, listed: Sequence[Weight], guessed: set[Weight], keras2: bool, notes: list[str]) -> None:
    """Hold what the names say against the order by which Keras goes.

    Where it is another, and names fit that as well, it counts; so it does where names tell nothing.
    """
    expected = keras_order(root, keras2)
    if expected == list(listed):
        if keras2 and (other := keras_order(root, False)) != expected and _would_load(other, listed):
            told = f"Keras 3 would load the weights of layer {root.owner.path} into each other; Keras 2 does not"
            notes.append(Note(told, "differs"))
        return
    places = {id(weight): (seat, name) for seat in root.walk() for name, weight in seat.found.items()}
    moved = [(weight, *places[id(other)]) for weight, other in zip(listed, expected, strict=True)]
    for weight, seat, name in moved:
        own, _ = places[id(weight)]
        if weight not in guessed and not _fits(weight, seat, name, own):
            if _would_load(expected, listed):
                raise Differs(
                    f"by the order of weight_names of {root.owner.group}, Keras would load {weight.dataset.path} into "
                    f"{seat.owner.inside(name)}"
                )
            _check_each(root)
            notes.append(f"Keras cannot load layer {root.owner.path}: weight_names lists its weights in another order")
            return
    for seat in root.walk():
        seat.found.clear()
    for weight, seat, name in moved:
        seat.found[name if seat.choices is not None else weight.dataset.path] = weight


def _check_each(root: Seat) -> None:
    """Refuse a list that no Keras wrote: one layer's own variables always stand in the order of its class."""
    for seat in root.walk():
        orders = (
            [[v.name for v in each if not v.alias] for each in (seat.chosen.created, seat.chosen.weights)]
            if seat.chosen
            else []
        )
        if orders and list(seat.found) not in orders:
            who = f"{seat.owner.path} ({seat.node.class_name})"
            raise Differs(
                f"weight_names of {root.owner.group} lists {', '.join(seat.found)}, but layer {who} has "
                f"{', '.join(orders[0])}, and Keras goes by that order"
            )


def _would_load(expected: Sequence[Weight], listed: Sequence[Weight]) -> bool:
    """Whether the shapes let Keras load weights in the order of the list into variables in another order."""
    return all(a.dataset.shape == b.dataset.shape for a, b in zip(expected, listed, strict=True))


def _fits(weight: Weight, seat: Seat, name: str, own: Seat) -> bool:
    """Whether a weight's name speaks for another seat at least as well as for its own."""
    known = name if seat.choices is not None else weight.name
    same = known in (weight.name, plain(weight.name))
    return same and seat.likeness(weight.inner) >= own.likeness(weight.inner)


def _settle(seat: Seat) -> None:
    """Give a layer its variables, and check them against its settings."""
    if seat.chosen is None:
        inside = {"": seat.owner}
        for weight in seat.found.values():
            owner = _inside(inside, weight.inner.removeprefix(seat.inner).strip("/"))
            held = _held(weight, weight.name, None, seat.node.policy)
            held.role = role_of(weight.dataset.shape, weight.name, own_class=True)
            owner.holds.append(held)
        return
    _check_ranks(seat.chosen, seat)
    shapes = {name: weight.dataset.shape for name, weight in seat.found.items()}
    check_shapes(seat.node, shapes, {name: weight.dataset.path for name, weight in seat.found.items()})
    by_name = {}
    for variable in seat.chosen.created:
        if not variable.alias:
            weight = seat.found[variable.name]
            held = _held(weight, variable.name, variable.trainable, seat.node.policy, variable.slots)
            check_dtype(seat.node, variable.name, held.dtype, weight.dataset.path)
            by_name[variable.name] = held
    seat.owner.created = list(by_name.values())
    saved = [variable.name for variable in (*seat.chosen.saved, *seat.chosen.created) if not variable.alias]
    seat.owner.holds = [by_name[name] for name in dict.fromkeys(saved)]


def _held(weight: Weight, name: str, trainable: bool | None, policy: str | None, slots: bool = True) -> StoredVariable:
    dtype = stored_dtype(weight.dataset, policy)
    return StoredVariable(name, name, weight.dataset, dtype, trainable, slots, key=weight.key)


def _check_ranks(chosen: Variables, seat: Seat) -> None:
    for variable in chosen.created:
        if variable.alias or variable.rank is None:
            continue
        dataset = seat.found[variable.name].dataset
        if len(dataset.shape) != variable.rank:
            shape = "x".join(map(str, dataset.shape)) or "a single value"
            raise Refused(f"{dataset.path} is {shape}, but {seat.owner.path}/{variable.name} has rank {variable.rank}")


def _inside(known: dict[str, StoredLayer], inner: str) -> StoredLayer:
    """The object inside a layer that only its author knows, by its path; new ones are added to those known."""
    if inner not in known:
        above, _, name = inner.rpartition("/")
        owner = _inside(known, above)
        known[inner] = StoredLayer(owner.inside(name), None, owner.group, owner.trainable)
        owner.parts.append(known[inner])
    return known[inner]


def anonymous_layer(name: str, group: str, weights: Weights, model: str = "") -> StoredLayer:
    """A layer that no configuration describes: its weights' names tell their roles."""
    owner = StoredLayer(name, None, group)
    known = {"": owner}
    for key, dataset in weights:
        inner, variable = _split(key, name, model) if name else ("", key)
        trainable = False if variable in STATISTICS else None
        role = role_of(dataset.shape, variable, own_class=False)
        held = StoredVariable(
            variable, role, dataset, stored_dtype(dataset), trainable, key=_full_key(key, name, model)
        )
        _inside(known, inner).holds.append(held)
    for part in owner.walk():
        _recognise(part)
    owner.created = owner.created if owner.holds else []
    owner.ordered = not owner.parts or bool(owner.holds)
    return owner


def _recognise(owner: StoredLayer) -> None:
    """The class that a layer's name tells, if its weights are those of the class."""
    class_name = class_of_group(owner.path.rpartition("/")[2])
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


def _same(choices: Sequence[Variables], owner: StoredLayer) -> Iterator[Variables]:
    names = {held.name for held in owner.holds}
    for choice in choices:
        ranks = {variable.name: variable.rank for variable in choice.created}
        if (
            names == set(ranks)
            and names
            and all(ranks[held.name] in (None, len(held.shape or ())) for held in owner.holds)
        ):
            yield choice
