"""The variables of a model in a TensorFlow checkpoint: found by walking architecture and object graph together.

A model's object holds its layers as `layer-0`, `layer-1`, ... in Keras's order of layers; any other layer holds its
variables and the layers inside it under the names of its attributes. What a variable is called among the tensors of the
checkpoint depends on how it was first met, so nothing goes by these names.

Source: `_layer_checkpoint_dependencies` of tf_keras/engine/functional.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, replace
from functools import cached_property
from typing import Any

from wtool.checkpoint.demands import check_dtype, check_shapes, stored_dtype
from wtool.checkpoint.layouts.keras3 import unique
from wtool.checkpoint.layouts.stored import StoredLayer, StoredVariable, layers_of, settle_paths, tensors_of
from wtool.checkpoint.layouts.tensorflow_containers import names_in_container
from wtool.checkpoint.layouts.tensorflow_optimizer import optimizer_tensors
from wtool.checkpoint.model import Contents, Tensor
from wtool.checkpoint.optimizer.slots import described
from wtool.errors import Differs, Refused, a_few
from wtool.hdf5.reader import Dataset, Index
from wtool.schema.config import Node, inside, read_architecture
from wtool.schema.keras_metadata import SavedKerasModel, SavedLayer
from wtool.schema.layers import Variables, role_of
from wtool.schema.object_graph import ObjectGraph, TrackedObject
from wtool.schema.optimizer_settings import settings_of
from wtool.values import dataclass

CHECKPOINT = "tf-checkpoint"

OTHER = frozenset(
    {
        *("__call__", "call_and_return_all_conditional_losses", "call_and_return_conditional_losses"),
        *("_default_save_signature", "signatures", "train_function", "train_tf_function"),
        *("keras_api", "losses", "metrics", "regularization_losses", "trainable_variables", "variables"),
        *("optimizer", "save_counter", "states", "_random_generator"),
    }
)
"""Names under which objects hold what is no variable of the model: metrics, states of generators, lists of variables
that the layers hold themselves."""

WITH_WEIGHTS = "layer_with_weights-"
"""Beginning of a second name of layers."""


@dataclass(frozen=True, eq=False)
class Bundle:
    """The arrays of a checkpoint, by data file, and the graph of the objects that hold them."""

    indexes: tuple[Index, ...]
    graph: ObjectGraph

    @cached_property
    def datasets(self) -> Mapping[str, Dataset]:
        """Key -> array, for the arrays of all data files."""
        return {key: dataset for index in self.indexes for key, dataset in index.datasets.items()}

    @cached_property
    def shards(self) -> Mapping[str, int]:
        """Key -> number of the data file."""
        return {key: shard for shard, index in enumerate(self.indexes) for key in index.datasets}


@dataclass(slots=True, eq=False)
class _Walk:
    """The walk through an architecture and an object graph.

    Attributes:
        bundle: the arrays and the graph.
        layers: number of an object -> what a SavedModel tells of the layer; empty where nothing does.
        variables: number of an object -> the variable of the model that it is.
        named: path of each layer in the list of a model, and the names of layers in the names of its variables.
        guessed: paths of the layers of unknown classes of whose variables nothing tells which are trained.
    """

    bundle: Bundle
    layers: Mapping[int, SavedLayer]
    variables: dict[int, StoredVariable] = field(default_factory=dict)
    named: dict[str, set[str]] = field(default_factory=dict)
    guessed: list[str] = field(default_factory=list)

    def layer(self, node: Node, path: str, number: int, group: str) -> StoredLayer:
        """Returns a layer with its variables and the layers inside it.

        Args:
            node: the layer in the architecture.
            path: of the layer.
            number: of the layer's object.
            group: path of the object.

        Raises:
            Refused: the object lacks what the architecture says, or has it in another shape.
        """
        tracked = self.bundle.graph[number]
        owner = StoredLayer(path, node.class_name, group, node.trainable)
        if node.variants is None:
            self.take_all(owner, number, node)
            return owner
        self._take(owner, node, tracked)
        for position, child in enumerate(node.children):
            name = self._name(child, position, tracked)
            inner = self._number(tracked, name)
            if inner is None and _needs_nothing(child):
                continue
            if inner is None:
                raise Refused(f"the checkpoint has no {inside(group, name)}, which would be {inside(path, child.name)}")
            self._check_name(child, inner, name)
            part = self.layer(child, inside(path, child.name), inner, inside(group, name))
            owner.parts.append(part)
            if child.attribute == "layers":
                self.named[part.path] = {held.key.split("/")[-2] for held in part.holds if "/" in held.key}
        beyond = f"layer-{len(node.children)}"
        if node.is_model and beyond in tracked.children:
            raise Refused(f"the checkpoint has a layer {inside(group, beyond)}, which the architecture does not have")
        return owner

    def _name(self, child: Node, position: int, above: TrackedObject) -> str:
        """Returns the name under which the object of a layer holds a layer inside it."""
        if child.attribute == "layers":
            return f"layer-{position}"
        if child.listed:
            return f"{child.attribute}/{position}"
        return child.attribute if child.attribute in above.children else f"_{child.attribute}"

    def _number(self, above: TrackedObject, path: str) -> int | None:
        """Returns the number of the object at a path inside another one; a list is an object of its own."""
        number = None
        for name in path.split("/"):
            number = above.children.get(name)
            if number is None:
                return None
            above = self.bundle.graph[number]
        return number

    def _check_name(self, child: Node, number: int, name: str) -> None:
        """Refuse a layer that has another name in the metadata of its own than in the architecture."""
        told = self.layers[number].metadata.get("name") if number in self.layers else None
        if child.attribute == "layers" and told is not None and told != child.name:
            raise Differs(f"{name} is {child.name} in the architecture, and {told!r:.80} among the saved layers")

    def _take(self, owner: StoredLayer, node: Node, tracked: TrackedObject) -> None:
        """Give a layer of a known class its variables."""
        assert node.variants is not None
        names = {variable.name for choice in node.variants for variable in choice.saved}
        there = {name: self._dataset(tracked, name) for name in names}
        found = {name: dataset for name, dataset in there.items() if dataset is not None}
        chosen = next((each for each in node.variants if {v.name for v in each.saved} == found.keys()), None)
        if chosen is None:
            wanted = ", ".join(variable.name for variable in node.variants[0].saved) or "none"
            who = f"layer {owner.path} ({node.class_name})"
            raise Refused(f"{owner.group} holds {', '.join(sorted(found)) or 'no variables'}; {who} has {wanted}")
        shapes = {name: dataset.shape for name, dataset in found.items()}
        _check_ranks(chosen, owner, shapes)
        check_shapes(node, shapes, {name: dataset.path for name, dataset in found.items()})
        held: dict[str, StoredVariable] = {}
        for variable in chosen.saved:
            number = tracked.children[variable.name]
            dtype = stored_dtype(found[variable.name], node.policy)
            check_dtype(node, variable.name, dtype, found[variable.name].path)
            held[variable.name] = StoredVariable(
                variable.name, variable.name, found[variable.name], dtype, variable.trainable, variable.slots,
                variable.alias, self.bundle.graph[number].full_name,
            )  # fmt: skip
            if not variable.alias:
                self.variables.setdefault(number, held[variable.name])
        owner.holds = list(held.values())
        owner.created = [held[each.name] for each in chosen.created if not each.alias and each.name in held]

    def _dataset(self, tracked: TrackedObject, name: str) -> Dataset | None:
        number = tracked.children.get(name)
        return None if number is None else self.bundle.datasets.get(self.bundle.graph[number].key)

    def take_all(self, owner: StoredLayer, number: int, node: Node | None) -> None:
        """Give a layer whose class nobody knows all variables of its object, and of the objects inside.

        Keras 3 numbers those that are trained before all others. A SavedModel lists the variables in this order; in a
        checkpoint alone they are as the code made them.
        """
        owners = {owner.path: owner}
        listed = self.bundle.graph[number].children.get("variables")
        variables = self.bundle.graph[listed].children if listed is not None else {}
        order = {each: position for position, each in enumerate(variables.values())}
        for path, each in sorted(self.below(number), key=lambda item: order.get(item[1], len(order))):
            key = self.bundle.graph[each].key
            dataset = self.bundle.datasets.get(key)
            if dataset is None or each in self.variables:
                continue
            above, _, name = path.rpartition("/")
            part = _inside(owners, owner, above)
            dtype = stored_dtype(dataset, node.policy if node is not None else None)
            role = role_of(dataset.shape, name, own_class=node is not None)
            held = StoredVariable(name, role, dataset, dtype, None, key=self.bundle.graph[each].full_name)
            self.variables[each] = held
            part.holds.append(held)
        if node is not None and not order and any(len(each.holds) > 1 for each in owners.values()):
            self.guessed.append(owner.path)

    def _inner_path(self, path: str, number: int, name: str) -> str:
        """Returns the path of an object inside another one; layers in a container have the names of Keras 3."""
        tracked = self.bundle.graph[number]
        if not path or number in self.layers or tracked.children[name] not in self.layers:
            return inside(path, name)
        found = names_in_container(tracked.children, self.layers).get(name)
        return f"{path}[{name}]" if found is None else inside(path, found)

    def below(self, number: int) -> Iterator[tuple[str, int]]:
        """Yields path and number of each object inside an object, each once, outermost first."""
        waiting, seen = [("", number)], {number}
        while waiting:
            path, each = waiting.pop()
            if each != number:
                yield path, each
            inner = [
                (self._inner_path(path, each, name), child)
                for name, child in self.bundle.graph[each].children.items()
                if name not in OTHER and not name.startswith(WITH_WEIGHTS) and child not in seen
            ]
            inner = list({child: (name, child) for name, child in reversed(inner)}.values())
            seen |= {child for _, child in inner}
            waiting += inner


def contents(
    bundle: Bundle, config: Mapping[str, Any], version: str | None, model: SavedKerasModel | None = None
) -> Contents:
    """Returns tensors, layers and optimizer of a checkpoint along an architecture.

    Args:
        bundle: the checkpoint.
        config: the architecture.
        version: of the Keras that wrote it.
        model: what a SavedModel tells besides; None for a checkpoint alone.

    Raises:
        Refused: the checkpoint lacks variables of the architecture, or has others.
    """
    root, notes = read_architecture(config, version)
    walk = _Walk(bundle, model.layers if model is not None else {})
    top = _model_object(bundle.graph)
    stored = walk.layer(root, "", top, "")
    _refuse_others(walk, top)
    settle_paths([stored])
    entry = (model.training or {}).get("optimizer_config") if model is not None else None
    tensors, told = optimizer_tensors(bundle, top, settings_of(entry), stored, walk.variables)
    return Contents(
        tensors=unique([_placed(bundle, each) for each in (*tensors_of(stored), *tensors)]),
        layers=tuple(layers_of(stored)),
        optimizer=described(settings_of(entry), tensors),
        notes=(*notes, *told, *_named_otherwise(walk), *_guessed(walk)),
    )


def _guessed(walk: _Walk) -> Iterator[str]:
    """Yields a note where the order of variables depends on code that nobody has."""
    if walk.guessed:
        yield (
            f"nothing tells which variables of {a_few(walk.guessed)} are trained; Keras 3 takes them in the order in "
            "which they were made, if those that are trained come first"
        )


def _named_otherwise(walk: _Walk) -> Iterator[str]:
    """Yields a note where names say that the checkpoint is of another architecture: Keras goes by the order alone."""
    names = {path.rpartition("/")[2] for path in walk.named}
    for path, told in walk.named.items():
        if others := (told & names) - {path.rpartition("/")[2]}:
            yield (
                f"{path} gets what the checkpoint calls {min(others)}: layers are told by their order, as in Keras; is "
                "the architecture that of the checkpoint?"
            )
            return


def anonymous_contents(bundle: Bundle) -> Contents:
    """Returns the tensors of a checkpoint whose architecture nobody tells, under the names of its objects."""
    walk = _Walk(bundle, {})
    stored = StoredLayer("", None, "")
    walk.take_all(stored, _model_object(bundle.graph), None)
    settle_paths([stored])
    tensors = unique([_placed(bundle, each) for each in tensors_of(stored)])
    return Contents(tensors, tuple(layers_of(stored)), None)


def _model_object(graph: ObjectGraph) -> int:
    """Returns the number of the model's object: what was saved, or the only model that it holds."""
    if "layer-0" in graph[0].children:
        return 0
    inner = {number for number in graph[0].children.values() if "layer-0" in graph[number].children}
    return inner.pop() if len(inner) == 1 else 0


def _placed(bundle: Bundle, tensor: Tensor) -> Tensor:
    return replace(tensor, shard=bundle.shards[tensor.stored])


def _refuse_others(walk: _Walk, top: int) -> None:
    """Refuse a model that holds variables which nothing explains, since the result would lack them."""
    others = []
    for path, number in walk.below(top):
        tracked = walk.bundle.graph[number]
        if number not in walk.variables and (tracked.key in walk.bundle.datasets or tracked.is_table):
            others.append(path)
    if others:
        raise Refused(
            f"the checkpoint holds {a_few(others)}, which the layers of the architecture do not explain (what layers "
            "learned by adapt, or what a class of the user's holds); save the model as .keras (TensorFlow 2.12 to 2.15)"
        )


def _needs_nothing(node: Node) -> bool:
    return all(each.variants is not None and not any(c.saved for c in each.variants) for each in node.walk())


def _check_ranks(chosen: Variables, owner: StoredLayer, shapes: Mapping[str, Sequence[int]]) -> None:
    for variable in chosen.saved:
        if variable.rank not in (None, len(shapes[variable.name])):
            shape = "x".join(map(str, shapes[variable.name])) or "a single value"
            raise Refused(f"{inside(owner.group, variable.name)} is {shape}, but its rank should be {variable.rank}")


def _inside(owners: dict[str, StoredLayer], top: StoredLayer, path: str) -> StoredLayer:
    """Returns the object at a path inside a layer; a new one is added."""
    whole = inside(top.path, path) if path else top.path
    if whole not in owners:
        above, _, name = path.rpartition("/")
        outer = _inside(owners, top, above)
        owners[whole] = StoredLayer(outer.inside(name), None, inside(outer.group, name), outer.trainable)
        outer.parts.append(owners[whole])
    return owners[whole]
