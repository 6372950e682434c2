"""The layers of a file as a tree, each with its stored variables, and the tensors that come of the tree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import field

from wtool.checkpoint.model import Layer, Tensor
from wtool.hdf5.reader import Dataset
from wtool.schema.config import inside
from wtool.schema.layers import MATRICES, Shape
from wtool.values import dataclass


@dataclass(slots=True, eq=False)
class StoredVariable:
    """A variable of a stored layer.

    Attributes:
        name: Keras's name, the last part of the variable's path.
        role: see `Tensor.role`.
        dataset: the stored array; None for LoRA factors, which Keras-3 files leave out.
        dtype: of the values, by NumPy's or ml_dtypes' name.
        trainable: whether the layer trains the variable unless it is frozen; None for layers of unknown classes.
        slots: whether optimizers keep slots for the variable if it is trained.
        copy: whether the array is a second copy of a variable of a layer inside this one.
        key: path of the variable as Keras wrote it into the file; empty where the file does not tell.
        path: path of the tensor in the checkpoint; empty until all layers are known (see `settle_paths`).
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
        """The array's shape; None if the variable is not in the file."""
        return self.dataset.shape if self.dataset is not None else None


@dataclass(slots=True, eq=False)
class StoredLayer:
    """A layer of a file, or another object with variables.

    Attributes:
        path: names of the layers from the outermost to this one; "" for the model.
        class_name: None where neither file nor configuration tells.
        group: of the layer in the file.
        trainable: False if the layer or one around it is frozen; None where the file does not tell.
        holds: the stored variables, in the order of Keras-3 files.
        created: the variables in the order of creation; None for layers of unknown classes.
        parts: objects inside the layer.
        ordered: whether `parts` are in the order of creation.
        interleaved: whether `parts` are in the order of creation only among those of their own class.
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
        """Yields the layer and all objects inside it, outermost first."""
        yield self
        for part in self.parts:
            yield from part.walk()

    def inside(self, name: str) -> str:
        """Returns the path of an object or variable inside the layer."""
        return inside(self.path, name)


def settle_paths(roots: list[StoredLayer]) -> None:
    """Give every variable its path; where two paths would be equal, those in the file take their place."""
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
    """Yields the tensors of a layer and of all objects inside it."""
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
    """Returns the path of the variable inside a wrapper of which `copy` is the copy; copies keep the order."""
    copies = [held for held in owner.holds if held.copy]
    inside = [held for part in owner.parts for each in part.walk() for held in each.holds if held.dataset is not None]
    likely = [held for held in inside if held.name in MATRICES]
    place = copies.index(copy)
    if place < len(likely) and likely[place].shape == copy.shape:
        return likely[place].path
    return next((held.path for held in inside if held.shape == copy.shape), None)


def layers_of(root: StoredLayer) -> Iterator[Layer]:
    """Yields the layers inside a model, outermost first."""
    for part in root.parts:
        for owner in part.walk():
            yield Layer(owner.path, owner.class_name, owner.trainable)
