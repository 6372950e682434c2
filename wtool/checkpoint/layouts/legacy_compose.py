"""A composed model as a whole-model `.h5` of Keras 3: the groups of its layers, and the order of the weights in them.

Keras loads such a file by order alone: in each layer of the outermost model, the weights that are trained come before
those that are not, with all layers inside flattened. The entries of layers inside the model keep the form of
`config.json`, with their modules: Keras reads these too, and its reader of the older form loses some settings, such as
an axis that is a list.

Source: `save_weights_to_hdf5_group` of keras/src/legacy/saving/legacy_h5_format.py; `from_config` of
keras/src/models/functional.py and sequential.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from functools import partial

import numpy as np

from wtool.checkpoint.composition import Composition, Outline
from wtool.checkpoint.layouts.legacy import stored_weights
from wtool.checkpoint.layouts.legacy_matching import ExpectedLayer, ListedWeight, expected_layer
from wtool.checkpoint.layouts.legacy_names import names_attribute
from wtool.checkpoint.layouts.legacy_order import keras_order
from wtool.checkpoint.layouts.legacy_words import Source, configurations, optimizer_names, readable
from wtool.checkpoint.model import Checkpoint, Slot
from wtool.checkpoint.structure import Fresh, old_tensor
from wtool.checkpoint.weight_order import owner_of
from wtool.errors import Refused, a_few
from wtool.hdf5.reader import Dataset
from wtool.schema.config import Node, read_architecture
from wtool.schema.layers import Variables, quantisation
from wtool.values import dataclass

LISTING = ("h5", "h5-weights")
"""Formats of old files that list the weights of a layer in their order."""

NAMES = "weight_names"
WEIGHTS, OWN, SLOTS = "model_weights", "top_level_model_weights", "optimizer_weights"
"""Groups of all layers, of the variables that belong to the model itself, and of the optimizer's variables."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a layer cannot be in an `.h5`.

    Attributes:
        layer: path of the layer; "" for the model.
        class_name: of the layer.
        text: what is wrong, as the end of a sentence about the layer.
    """

    layer: str
    class_name: str
    text: str

    def __str__(self) -> str:
        return f"{f'layer {self.layer}' if self.layer else 'the model'} ({self.class_name}) {self.text}"


def outline_of(base: Checkpoint, composition: Composition) -> Outline:
    """Returns the HDF5 file of a composed model.

    Args:
        base: the checkpoint of whose tensors the model is composed.
        composition: the model.

    Raises:
        Refused: the architecture has variables that the composition lacks, or the other way round; or nothing tells the
            order of the weights.
    """
    listing = _listed(base, composition)
    if listing.faults:
        raise Refused(a_few([str(fault) for fault in listing.faults]))
    listing.add_slots(composition)
    return listing.outline


def faults_of(base: Checkpoint, composition: Composition) -> tuple[Fault, ...]:
    """Returns what keeps a model from being an `.h5`, layer by layer; see `outline_of`."""
    return tuple(_listed(base, composition).faults)


def _listed(base: Checkpoint, composition: Composition) -> _Listing:
    if composition.config is None:
        raise Refused("it has no architecture, only weights, and an .h5 of a whole model needs one")
    root, _ = read_architecture(composition.config, composition.keras_version)
    listing = _Listing(base, composition, _positions(base))
    written = {"keras_version": str(composition.keras_version), "backend": "tensorflow"}
    groups = listing.outline.skeleton.groups
    groups[""] = {**written, **configurations(composition)}
    groups[WEIGHTS] = {**written, **names_attribute("layer_names", [child.name for child in root.children])}
    given = _by_layer(composition.variables, [child.name for child in root.children])
    for child in root.children:
        listing.add_layer(child, given.get(child.name, {}))
    listing.add_own(root, given.get("", {}))
    return listing


def _by_layer(variables: Mapping[str, Source], names: Sequence[str]) -> dict[str, dict[str, Source]]:
    """Returns name of a layer of the outermost model -> its variables, by path; those of no layer under ""."""
    known = frozenset(names)
    if len(known) < len(names):
        raise Refused("two layers of the model have one name, and an .h5 cannot tell their weights apart")
    found: dict[str, dict[str, Source]] = {}
    for path, source in variables.items():
        found.setdefault(owner_of(path.rpartition("/")[0], known) or "", {})[path] = source
    return found


def _positions(base: Checkpoint) -> dict[str, int]:
    """Returns place of an array in an old `.h5` -> its position in the list of its layer; nothing for other formats."""
    if base.format not in LISTING:
        return {}
    index = base.indexes[0]
    groups = [group for group, attributes in index.groups.items() if any(key.startswith(NAMES) for key in attributes)]
    return {each.path: number for group in groups for number, (_, each) in enumerate(stored_weights(index, group))}


@dataclass(slots=True, eq=False)
class _Listing:
    """Lists the weights of one layer after the other in a new file.

    Attributes:
        base: the checkpoint of whose tensors the model is composed.
        composition: the model.
        positions: see `_positions`.
        outline: of the new file.
        faults: what keeps the model from being an `.h5`.
    """

    base: Checkpoint
    composition: Composition
    positions: Mapping[str, int]
    outline: Outline = field(default_factory=Outline)
    faults: list[Fault] = field(default_factory=list)

    def add_layer(self, node: Node, given: Mapping[str, Source]) -> None:
        """Add the group of a layer of the outermost model, with the weights of all layers inside."""
        root = expected_layer(node, node.name, "", f"{WEIGHTS}/{node.name}")
        layers = {layer.owner.path: layer for layer in root.walk()}
        own: dict[str, dict[str, Source]] = {}
        for path, source in given.items():
            owner = owner_of(path.rpartition("/")[0], layers) or node.name
            own.setdefault(owner, {})[path[len(owner) + 1 :]] = source
        sources: dict[ListedWeight, tuple[str, Source]] = {}
        settled = [(path, layer, self._settled(layer, own.get(path, {}))) for path, layer in layers.items()]
        numbers = self._numbers([source for _, _, held in settled for source in held.values()])
        for path, layer, held in settled:
            for name, source in held.items():
                weight = ListedWeight(numbers[len(sources)], layer.inner, name, name, _yet_to_be(source))
                sources[weight] = (f"{path}/{name}", source)
                layer.found[name] = weight
        ordered = [sources[weight] for weight in keras_order(root, keras2=False)]
        self._add_group(
            f"{WEIGHTS}/{node.name}", [(path, source, self._meaning(path, layers)) for path, source in ordered]
        )

    def _numbers(self, sources: Sequence[Source]) -> list[int]:
        """Returns the index of each array in the list of the old file, if that is an `.h5`, else in the new tree.

        The old list tells which variables of custom classes are trained: those before the list begins anew.
        """
        old = [old_tensor(source) for source in sources]
        known = [len(sources) if each is None else self.positions.get(each.stored, len(sources)) for each in old]
        order = sorted(range(len(sources)), key=lambda number: (known[number], number))
        found = [0] * len(sources)
        for rank, number in enumerate(order):
            found[number] = rank
        return found

    def _settled(self, layer: ExpectedLayer, own: Mapping[str, Source]) -> Mapping[str, Source]:
        """Returns the variables of a layer, and notes which set these are, or what is wrong."""
        if layer.node.variants is None:
            if why := self._unordered(own):
                self._note(layer, why)
            return own
        if quantisation(layer.node.config)[0] == "float8":
            self._note(layer, "has float8 scales, which Keras cannot load again from an .h5")
            return {}
        for choice in layer.node.variants:
            names = {variable.name for variable in choice.created if not variable.alias}
            aliases = {variable.name for variable in choice.created if variable.alias}
            factors = _zero_factors(choice, layer.node, own)
            if names == (own.keys() | factors.keys()) - aliases:
                layer.chosen = choice
                return {name: source for name, source in {**own, **factors}.items() if name not in aliases}
        if self.composition.variables:
            wanted = ", ".join(variable.name for variable in layer.node.variants[0].created) or "no variables"
            found = ", ".join(own) or "none"
            self._note(layer, f"has {wanted} in an .h5 of Keras 3, but {found} would be written")
        return {}

    def _note(self, layer: ExpectedLayer, text: str) -> None:
        self.faults.append(Fault(layer.owner.path, layer.node.class_name, text))

    def _unordered(self, own: Mapping[str, Source]) -> str:
        """Returns why nobody can tell the order of a custom layer's variables; empty where the order is known."""
        if self.base.format in LISTING:
            return ""  # an .h5 lists them in their order
        objects = {path.rpartition("/")[0] for path in own}
        keys = [tensor.stored.rpartition("/")[2] for tensor in map(old_tensor, own.values()) if tensor is not None]
        if len(objects) > 1:
            return (
                "holds variables of several objects; an .h5 needs their order, which only the code of the class tells"
            )
        if not all(map(str.isdecimal, keys)):
            return "names its variables itself; an .h5 needs their order, which only the code of the class tells"
        return ""

    def _meaning(self, path: str, layers: Mapping[str, ExpectedLayer]) -> str | None:
        owner = layers[owner_of(path.rpartition("/")[0], layers) or ""]
        return None if owner.node.variants is None else path

    def add_own(self, root: Node, given: Mapping[str, Source]) -> None:
        """Add the variables that belong to no layer of the model."""
        if root.variants is None and self.base.format not in LISTING:
            why = "an .h5 needs the order of its layers, which only the code of the class tells"
            self.faults.append(Fault("", root.class_name, f"is of a class of its own; {why}"))
        elif given and root.variants is not None:
            self.faults.append(Fault("", root.class_name, f"has no layer for {a_few(list(given))}"))
        self._add_group(f"{WEIGHTS}/{OWN}", [(path, source, None) for path, source in given.items()])

    def add_slots(self, composition: Composition) -> None:
        """Add the variables of the optimizer; an optimizer that wraps another one lists those of both."""
        slots = composition.slots.get("optimizer", ())
        if not slots:
            return
        outer, inner = optimizer_names(composition, slots)
        rows: dict[str, tuple[Source, Slot]] = {}
        for slot, source in slots:
            plain = f"{slot.weight.replace('/', '_')}_{slot.name}" if slot.weight else slot.name
            key = f"{outer}/{plain}"
            if key in rows:
                key = f"{inner}/{plain}"
            while key in rows:
                key += "_"
            rows[key] = source, slot
        self._add_group(SLOTS, [(key, source, slot) for key, (source, slot) in rows.items()])

    def _add_group(self, group: str, rows: Sequence[tuple[str, Source, str | Slot | None]]) -> None:
        self.outline.skeleton.groups[group] = names_attribute("weight_names", [name for name, _, _ in rows])
        for name, source, meaning in rows:
            self.outline.add(f"{group}/{name}", readable(self.base, source), meaning)


def _yet_to_be(source: Source) -> Dataset:
    """Returns an array of the new file, which has no place yet."""
    return Dataset("", source.shape, source.dtype, 0, 0, {})


def _zero_factors(choice: Variables, node: Node, own: Mapping[str, Source]) -> dict[str, Source]:
    """Returns the LoRA factors that a layer lacks: files of the Keras-3 layout hold them merged into the kernel.

    Keras loads such files with factors of zeros: a (..., rank) and b (rank, outputs).
    """
    rank = node.config.get("lora_rank")
    found: dict[str, Source] = {}
    for variable in choice.created:
        target = variable.name.removeprefix("lora_")[:-2]
        if variable.name.startswith("lora_") and variable.name not in own and target in own and type(rank) is int:
            shape = own[target].shape
            made = (*shape[:-1], rank) if variable.name.endswith("_a") else (rank, *shape[-1:])
            found[variable.name] = Fresh(made, "float32", partial(np.zeros, made, np.float32))
    return found
