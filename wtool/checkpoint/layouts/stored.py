"""What owns the variables of a file: a tree of layers, each with its stored arrays, and the tensors that come of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from wtool.checkpoint.model import Layer, Tensor
from wtool.hdf5.reader import Dataset
from wtool.schema.layers import MATRICES, Shape


@dataclass(slots=True, eq=False)
class StoredVariable:
    """A variable of an owner.

    Attributes:
        name: Keras's name, the last part of its path.
        role: what it is.
        dataset: where it is stored; None for LoRA factors, which Keras-3 files leave out.
        dtype: what it holds.
        trainable: whether its layer trains it unless frozen; None where only the layer's author knows.
        slots: whether optimizers keep slots for it if it is trained.
        copy: it is stored here a second time; the layer inside holds it as well.
        key: its path as Keras wrote it in the file, where files tell.
        path: its path in the checkpoint, once all owners are known.
    """

    name: str
    role: str
    dataset: Dataset | None
    dtype: str
    trainable: bool | None
    slots: bool = True
    copy: bool = False
    key: str = ""
    path: str = ""

    @property
    def shape(self) -> Shape | None:
        """Its shape; None if it is not in the file."""
        return self.dataset.shape if self.dataset is not None else None


@dataclass(slots=True, eq=False)
class StoredLayer:
    """A layer, or another object with variables.

    Attributes:
        path: names of the layers from the outermost to it; "" for the model.
        class_name: None where nothing tells.
        group: its group in the file.
        trainable: False if it or a layer above it is frozen; None where the file does not tell.
        holds: its stored variables, in the order of Keras-3 files.
        created: its variables in the order of creation; None where only its author knows.
        parts: objects inside it.
        ordered: whether `parts` are in the order of creation.
        interleaved: they are in that order among those of their class only.
    """

    path: str
    class_name: str | None
    group: str
    trainable: bool | None = None
    holds: list[StoredVariable] = field(default_factory=list)
    created: list[StoredVariable] | None = None
    parts: list[StoredLayer] = field(default_factory=list)
    ordered: bool = True
    interleaved: bool = False

    def walk(self) -> Iterator[StoredLayer]:
        """It and everything inside it, outermost first."""
        yield self
        for part in self.parts:
            yield from part.walk()

    def inside(self, name: str) -> str:
        """The path of something inside it."""
        return f"{self.path}/{name}" if self.path else name


def settle_paths(roots: list[StoredLayer]) -> None:
    """Give every variable its path; where two would be equal, the paths in the file take their place."""
    owners = [owner for root in roots for owner in root.walk()]
    named = Counter(owner.path for owner in owners if owner.holds)
    for owner in owners:
        if named[owner.path] > 1 and owner.holds:
            owner.path = owner.group or owner.path
    members = [(owner, held) for owner in owners for held in (*owner.holds, *(owner.created or ()))]
    for owner, held in members:
        held.path = owner.inside(held.name)
    paths = Counter(held.path for owner in owners for held in owner.holds)
    for _, held in members:
        if paths[held.path] > 1 and held.dataset is not None:
            held.path = held.dataset.path


def tensors_of(root: StoredLayer) -> Iterator[Tensor]:
    """The variables of an owner and of everything inside it."""
    for owner in root.walk():
        for held in owner.holds:
            if held.dataset is not None:
                yield _tensor(owner, held, held.dataset)


def _tensor(owner: StoredLayer, held: StoredVariable, dataset: Dataset) -> Tensor:
    trainable = held.trainable
    if owner.trainable is False:
        trainable = False
    elif owner.trainable is None and trainable:
        trainable = None
    return Tensor(
        path=held.path,
        role=held.role,
        layer=owner.path,
        layer_class=owner.class_name,
        trainable=trainable,
        shape=dataset.shape,
        dtype=held.dtype,
        stored=dataset.path,
        offset=dataset.offset,
        nbytes=dataset.nbytes,
        copy_of=_original(owner, held) if held.copy else None,
    )


def _original(owner: StoredLayer, copy: StoredVariable) -> str | None:
    """The path of the variable of a wrapped layer that its wrapper stores as well, the first as the first."""
    copies = [held for held in owner.holds if held.copy]
    inside = [held for part in owner.parts for each in part.walk() for held in each.holds if held.dataset is not None]
    likely = [held for held in inside if held.name in MATRICES]
    place = copies.index(copy)
    if place < len(likely) and likely[place].shape == copy.shape:
        return likely[place].path
    return next((held.path for held in inside if held.shape == copy.shape), None)


def layers_of(root: StoredLayer) -> Iterator[Layer]:
    """The layers inside a model, outermost first."""
    for part in root.parts:
        for owner in part.walk():
            yield Layer(owner.path, owner.class_name, owner.trainable)
