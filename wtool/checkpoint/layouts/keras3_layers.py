"""The variables of one layer in a Keras-3 file, where arrays have numbers: which one is the kernel, which the bias."""

from __future__ import annotations

from collections.abc import Sequence

from wtool.checkpoint.demands import check_dtype, check_shapes, stored_dtype
from wtool.checkpoint.layouts.keras3_groups import Groups
from wtool.checkpoint.layouts.stored import StoredLayer, StoredVariable
from wtool.errors import Refused, counted
from wtool.hdf5.reader import Dataset
from wtool.schema.config import Node
from wtool.schema.layers import CODES, TABLE, Variables, class_of_group, fitting, role_of, snake_case, variants

Keys = Sequence[tuple[str, Dataset]]


def held_by(owner: StoredLayer, node: Node, keys: Keys, absent: bool) -> None:
    """Give a layer of a known class its variables.

    Args:
        owner: the layer; its variables are filled in.
        node: the layer in the configuration.
        keys: the layer's arrays in the file.
        absent: whether the file may lack the arrays of this layer.

    Raises:
        Refused: the arrays are not those that the class and its settings make.
    """
    assert node.variants is not None
    owner.created = []
    if not keys and absent:
        return
    chosen = fitting(node.variants, [dataset.shape for _, dataset in keys])
    if chosen is None:
        raise Refused(_complaint(owner, node, keys))
    _check_keys(owner, chosen, keys)
    shapes, stored = {}, {}
    for variable, (_, dataset) in zip(chosen.saved, keys, strict=True):
        dtype = stored_dtype(dataset, node.policy)
        check_dtype(node, variable.name, dtype, dataset.path)
        shapes[variable.name], stored[variable.name] = dataset.shape, dataset.path
        held = StoredVariable(
            variable.name, variable.name, dataset, dtype, variable.trainable, variable.slots, variable.alias
        )
        owner.holds.append(held)
    check_shapes(node, shapes, stored)
    _fill_created(owner, chosen)


def _fill_created(owner: StoredLayer, chosen: Variables) -> None:
    saved = {held.name: held for held in owner.holds}
    dtype = next((held.dtype for held in owner.holds), "float32")
    owner.created = [
        saved.get(variable.name) or StoredVariable(variable.name, variable.name, None, dtype, variable.trainable)
        for variable in chosen.created
        if not variable.alias
    ]


def _check_keys(owner: StoredLayer, chosen: Variables, keys: Keys) -> None:
    for number, ((key, dataset), variable) in enumerate(zip(keys, chosen.saved, strict=True)):
        if key not in (str(number), variable.name):
            raise Refused(f"{dataset.path} is where {owner.path}/{variable.name} should be vars/{number}")


def _complaint(owner: StoredLayer, node: Node, keys: Keys) -> str:
    wanted = node.variants[0].saved if node.variants else ()
    names = ", ".join(variable.name for variable in wanted) or "none"
    where = f"{owner.group}/vars" if owner.group else "vars"
    who = f"layer {owner.path} ({node.class_name})"
    if len(keys) != len(wanted):
        return f"{where} holds {counted(len(keys), 'variable')}, but {who} has {len(wanted)}: {names}"
    shapes = ", ".join("x".join(map(str, dataset.shape)) or "a single value" for _, dataset in keys)
    return f"{where} holds variables of shapes {shapes}, which cannot be those of {who}: {names}"


def unknown(owner: StoredLayer, keys: Keys, policy: str | None) -> None:
    """Give a layer of an unknown class its variables, named by their keys."""
    owner.created = None
    for key, dataset in keys:
        role = role_of(dataset.shape, key.rpartition("/")[2], owner.class_name is not None)
        owner.holds.append(StoredVariable(key, role, dataset, stored_dtype(dataset, policy), None))


_PROJECTIONS = {part.attribute.lstrip("_"): part.name for part in TABLE["MultiHeadAttention"].parts}
"""Attributes of Keras's attention layers that hold layers -> the names that Keras gives these layers."""

_CREATION = (*_PROJECTIONS, "forward_layer", "backward_layer")


def anonymous(
    groups: Groups,
    group: str,
    above: StoredLayer | None,
    keras2: bool,
    policy: str | None,
    skip: tuple[str, ...] = ("vars",),
) -> StoredLayer:
    """Returns an object that no configuration describes, by its group's name, its stored name and its shapes.

    Args:
        groups: of the file.
        group: of the object.
        above: the object around it; None for the model.
        keras2: whether Keras 2 saved the file.
        policy: dtype policy of the layer around it, for arrays that do not tell their dtype.
        skip: names of groups inside it that are no objects.
    """
    groups.check_vars(group)
    attribute = group.rpartition("/")[2]
    keys = groups.variables(group)
    class_name = _class(attribute, groups.name(group), above, [dataset.shape for _, dataset in keys]) if group else None
    name = groups.name(group) or _name(attribute, class_name)
    owner = StoredLayer((above.inside(name) if above else name) if group else "", class_name, group)
    chosen = _choose(class_name, keys, keras2)
    if chosen is None:
        unknown(owner, keys, policy)
    else:
        for variable, (_, dataset) in zip(chosen.saved, keys, strict=True):
            dtype = stored_dtype(dataset, policy)
            trainable = variable.trainable
            slots, copy = variable.slots, variable.alias
            owner.holds.append(StoredVariable(variable.name, variable.name, dataset, dtype, trainable, slots, copy))
        _fill_created(owner, chosen)
    owner.parts = [anonymous(groups, found, owner, keras2, policy) for found in groups.objects(group, skip)]
    _order_parts(owner, groups)
    return owner


def _choose(class_name: str | None, keys: Keys, keras2: bool) -> Variables | None:
    choices = variants(class_name, None, keras2) if class_name else None
    likely = [choice for choice in choices or () if len(choice.saved) == len(keys) and _alike(choice, keys)]
    return fitting(likely, [dataset.shape for _, dataset in keys])


def _alike(choice: Variables, keys: Keys) -> bool:
    """Returns whether integers are exactly where the class has quantised codes."""
    for variable, (_, dataset) in zip(choice.saved, keys, strict=True):
        whole = "int" in dataset.dtype
        if (whole and variable.trainable) or (not whole and variable.name in CODES and not variable.trainable):
            return False
        if variable.name in CODES and (variable.name == "quantized_kernel") != (dataset.dtype == "uint8"):
            return False
    return True


def _class(
    attribute: str, name: str | None, above: StoredLayer | None, shapes: Sequence[tuple[int, ...]]
) -> str | None:
    plain = attribute.lstrip("_")
    if plain in _PROJECTIONS:
        return "EinsumDense"
    if plain in ("forward_layer", "backward_layer"):
        return class_of_group((name or "").removeprefix("forward_").removeprefix("backward_"))
    if plain == "cell":
        return _cell(shapes) or (f"{above.class_name}Cell" if above and above.class_name else None)
    return class_of_group(attribute)


def _cell(shapes: Sequence[tuple[int, ...]]) -> str | None:
    """Returns the class of a recurrent cell, by the number of gates that its kernels hold."""
    if len(shapes) < 2 or len(shapes[0]) < 2 or len(shapes[0]) != len(shapes[1]):
        return None
    if len(shapes[1]) > 2:
        return "ConvLSTMCell"
    units, wide = shapes[1]
    return {1: "SimpleRNNCell", 3: "GRUCell", 4: "LSTMCell"}.get(wide // units if units and not wide % units else 0)


def _name(attribute: str, class_name: str | None) -> str:
    plain = attribute.lstrip("_")
    if plain == "cell" and class_name:
        return snake_case(class_name)
    return _PROJECTIONS.get(plain, attribute)


def _order_parts(owner: StoredLayer, groups: Groups) -> None:
    """Put the parts in the order of creation: Keras's own order for its own layers, else the order of their arrays."""
    if owner.created is None and not owner.holds:
        owner.created, owner.ordered = [], sum(groups.holds_variables(part.group) for part in owner.parts) < 2
    owner.parts.sort(key=lambda part: _CREATION.index(_attribute(part)) if _attribute(part) in _CREATION else -1)


def _attribute(part: StoredLayer) -> str:
    return part.group.rpartition("/")[2].lstrip("_")
