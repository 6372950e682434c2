"""The variables of one listed layer in an older file, where every array has a name.

Names tell which variable an array is, but Keras loads arrays in their listed order. So the names are matched first
(`legacy_matching`), and the result is then held against the order (`legacy_order`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from wtool.checkpoint.demands import check_dtype, check_shapes, stored_dtype
from wtool.checkpoint.layouts.legacy_matching import ExpectedLayer, ExpectedLayers, ListedWeight, expected_layer, plain
from wtool.checkpoint.layouts.legacy_order import keras_order
from wtool.checkpoint.layouts.stored import StoredLayer, StoredVariable
from wtool.errors import Differs, Note, Refused
from wtool.hdf5.reader import Dataset
from wtool.schema.config import Node
from wtool.schema.layers import STATISTICS, Variables, class_of_group, role_of, variants

NamedArrays = Sequence[tuple[str, Dataset]]
"""The arrays that a group lists, with their names, in order."""


def without_weights(node: Node) -> bool:
    """Returns whether neither a layer nor any layer inside it needs to have weights."""
    return all(inner.variants is None or any(not choice.saved for choice in inner.variants) for inner in node.walk())


def layer_of(
    node: Node, path: str, group: str, weights: NamedArrays, model: str, absent: bool, keras2: bool, notes: list[str]
) -> StoredLayer:
    """Returns a layer that the file lists, and the layers inside it, with their variables.

    Args:
        node: the layer in the configuration.
        path: of the layer.
        group: of the layer in the file.
        weights: names and arrays that the group lists.
        model: name of the whole model, with which names may begin.
        absent: whether the whole file has no weights.
        keras2: whether Keras 2 or an older version saved the file.
        notes: gets remarks on oddities.

    Raises:
        Refused: the arrays are not those that the configuration makes.
        Differs: names say one thing, and the order by which Keras goes says another.
    """
    root = expected_layer(node, path, "", group)
    expected_layers = ExpectedLayers(root)
    listed = [_weight(number, key, dataset, path, model) for number, (key, dataset) in enumerate(weights)]
    for weight in listed:
        if not expected_layers.take(weight):
            raise Refused(f"{weight.dataset.path} is no variable of layer {path} ({node.class_name})")
    for layer in expected_layers.layers:
        _choose(layer, group, absent)
    _follow_order(root, listed, expected_layers.guessed, keras2, notes)
    for layer in expected_layers.layers:
        _settle(layer)
    return root.owner


def _weight(number: int, key: str, dataset: Dataset, layer: str, model: str) -> ListedWeight:
    inner, name = _split(key, layer, model)
    return ListedWeight(number, inner, name, _full_key(key, layer, model), dataset)


def _split(key: str, layer: str, model: str) -> tuple[str, str]:
    """Returns the path inside the layer and the variable's name; files may repeat the layer's and the model's names."""
    for prefix in (f"{model}/{layer}/", f"{layer}/", f"{model}/"):
        if key.startswith(prefix):
            key = key.removeprefix(prefix)
            break
    inner, _, name = key.rpartition("/")
    return inner, name


def _full_key(key: str, layer: str, model: str) -> str:
    return key if "/" in key else f"{model}/{layer}/{key}"


def _choose(layer: ExpectedLayer, group: str, absent: bool) -> None:
    """Choose, of the sets of variables that a layer of a known class may have, the one whose names were found."""
    if layer.choices is None or (not layer.found and absent):
        return
    layer.chosen = next(
        (c for c in layer.choices if {v.name for v in c.created if not v.alias} == layer.found.keys()), None
    )
    if layer.chosen is None:
        wanted = ", ".join(v.name for v in layer.choices[0].created if not v.alias) or "none"
        who = f"layer {layer.owner.path} ({layer.node.class_name})"
        raise Refused(f"{group} lists {', '.join(layer.found) or 'no weights'} for {who}, which has {wanted}")


def _follow_order(
    root: ExpectedLayer, listed: Sequence[ListedWeight], guessed: set[ListedWeight], keras2: bool, notes: list[str]
) -> None:
    """Hold the match of the names against the order by which Keras loads arrays.

    Where the two differ, the order counts if the names fit it as well, or if they tell nothing.
    """
    expected = keras_order(root, keras2)
    if expected == list(listed):
        if keras2 and (other := keras_order(root, False)) != expected and _would_load(other, listed):
            told = f"Keras 3 would load the weights of layer {root.owner.path} into each other; Keras 2 does not"
            notes.append(Note(told, "differs"))
        return
    places = {id(weight): (layer, name) for layer in root.walk() for name, weight in layer.found.items()}
    moved = [(weight, *places[id(other)]) for weight, other in zip(listed, expected, strict=True)]
    for weight, layer, name in moved:
        own, _ = places[id(weight)]
        if weight not in guessed and not _fits(weight, layer, name, own):
            if _would_load(expected, listed):
                raise Differs(
                    f"by the order of weight_names of {root.owner.group}, Keras would load {weight.dataset.path} into "
                    f"{layer.owner.inside(name)}"
                )
            _check_each(root)
            notes.append(f"Keras cannot load layer {root.owner.path}: weight_names lists its weights in another order")
            return
    for layer in root.walk():
        layer.found.clear()
    for weight, layer, name in moved:
        layer.found[name if layer.choices is not None else weight.dataset.path] = weight


def _check_each(root: ExpectedLayer) -> None:
    """Refuse a list that no Keras wrote: a layer's own variables are always listed in the order of its class."""
    for layer in root.walk():
        orders = (
            [[v.name for v in each if not v.alias] for each in (layer.chosen.created, layer.chosen.weights)]
            if layer.chosen
            else []
        )
        if orders and list(layer.found) not in orders:
            who = f"{layer.owner.path} ({layer.node.class_name})"
            raise Differs(
                f"weight_names of {root.owner.group} lists {', '.join(layer.found)}, but layer {who} has "
                f"{', '.join(orders[0])}, and Keras goes by that order"
            )


def _would_load(expected: Sequence[ListedWeight], listed: Sequence[ListedWeight]) -> bool:
    """Returns whether the shapes let Keras load the listed arrays into variables that have another order."""
    return all(a.dataset.shape == b.dataset.shape for a, b in zip(expected, listed, strict=True))


def _fits(weight: ListedWeight, layer: ExpectedLayer, name: str, own: ExpectedLayer) -> bool:
    """Returns whether an array's name fits another layer at least as well as the one that it was matched to."""
    known = name if layer.choices is not None else weight.name
    same = known in (weight.name, plain(weight.name))
    return same and layer.likeness(weight.inner) >= own.likeness(weight.inner)


def _settle(layer: ExpectedLayer) -> None:
    """Give a layer its variables, and check them against its settings."""
    if layer.chosen is None:
        inside = {"": layer.owner}
        for weight in layer.found.values():
            owner = _inside(inside, weight.inner.removeprefix(layer.inner).strip("/"))
            held = _held(weight, weight.name, None, layer.node.policy)
            held.role = role_of(weight.dataset.shape, weight.name, own_class=True)
            owner.holds.append(held)
        return
    _check_ranks(layer.chosen, layer)
    shapes = {name: weight.dataset.shape for name, weight in layer.found.items()}
    check_shapes(layer.node, shapes, {name: weight.dataset.path for name, weight in layer.found.items()})
    by_name = {}
    for variable in layer.chosen.created:
        if not variable.alias:
            weight = layer.found[variable.name]
            held = _held(weight, variable.name, variable.trainable, layer.node.policy, variable.slots)
            check_dtype(layer.node, variable.name, held.dtype, weight.dataset.path)
            by_name[variable.name] = held
    layer.owner.created = list(by_name.values())
    saved = [variable.name for variable in (*layer.chosen.saved, *layer.chosen.created) if not variable.alias]
    layer.owner.holds = [by_name[name] for name in dict.fromkeys(saved)]


def _held(
    weight: ListedWeight, name: str, trainable: bool | None, policy: str | None, slots: bool = True
) -> StoredVariable:
    dtype = stored_dtype(weight.dataset, policy)
    return StoredVariable(name, name, weight.dataset, dtype, trainable, slots, key=weight.key)


def _check_ranks(chosen: Variables, layer: ExpectedLayer) -> None:
    for variable in chosen.created:
        if variable.alias or variable.rank is None:
            continue
        dataset = layer.found[variable.name].dataset
        if len(dataset.shape) != variable.rank:
            shape = "x".join(map(str, dataset.shape)) or "a single value"
            raise Refused(f"{dataset.path} is {shape}, but {layer.owner.path}/{variable.name} has rank {variable.rank}")


def _inside(known: dict[str, StoredLayer], inner: str) -> StoredLayer:
    """Returns the object at a path inside a layer of an unknown class; a new object is added to the known ones."""
    if inner not in known:
        above, _, name = inner.rpartition("/")
        owner = _inside(known, above)
        known[inner] = StoredLayer(owner.inside(name), None, owner.group, owner.trainable)
        owner.parts.append(known[inner])
    return known[inner]


def anonymous_layer(name: str, group: str, weights: NamedArrays, model: str = "") -> StoredLayer:
    """Returns a layer that no configuration describes: the names of its arrays tell their roles.

    Args:
        name: of the layer; "" for the model itself.
        group: of the layer in the file.
        weights: names and arrays that the group lists.
        model: name of the whole model, with which names may begin.
    """
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
    """Give a layer the class that its name tells, if its arrays are those of that class."""
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
