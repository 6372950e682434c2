"""Another structure for a checkpoint: its architecture, the origins of its arrays, and the HDF5 file that it needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any

from wtool.checkpoint.demands import PACKED
from wtool.checkpoint.model import Tensor
from wtool.dtypes import Array
from wtool.errors import Refused
from wtool.hdf5.reader import Dataset, Value
from wtool.hdf5.writer import Room
from wtool.values import dataclass

Make = Callable[[], Array]


@dataclass(frozen=True, eq=False)
class Fresh:
    """An array that is new, or has another shape or values than before.

    Attributes:
        shape, dtype: of the array.
        make: gives all values at once.
        block: gives the values [start, stop) of the flat array; None where none can be told without the others.
        instead: the tensor of the base in whose place the array stands; None where nothing tells.
    """

    shape: tuple[int, ...]
    dtype: str
    make: Make
    block: Callable[[int, int], Array] | None = None
    instead: Tensor | None = None


def old_tensor(source: Tensor | Fresh) -> Tensor | None:
    """Returns the tensor of the base that is in the place of a source, or is the source; None where nothing tells."""
    return source.instead if isinstance(source, Fresh) else source


@dataclass(frozen=True, eq=False)
class Structure:
    """The structure that a checkpoint is to get.

    Attributes:
        config: its architecture.
        changed: path of a tensor -> what takes its place; others stay.
        added: path of a layer -> its new variables by name, behind those that it has.
        keep_optimizer: False leaves its state out.
        slots: path of an added variable -> whatever the optimizer keeps for it: name of the slot -> array.
        paths: of all variables of the new model.
        frozen: those that are not trained.
    """

    config: dict[str, Any]
    changed: Mapping[str, Fresh]
    added: Mapping[str, Mapping[str, Fresh]]
    keep_optimizer: bool
    slots: Mapping[str, Mapping[str, Fresh]]
    paths: frozenset[str]
    frozen: frozenset[str]


@dataclass(slots=True)
class Skeleton:
    """The new HDF5 file: its groups, its arrays, and where their values come from.

    An array takes its bytes from an array or a tensor of the old file, or its values are made.
    """

    groups: dict[str, Mapping[str, Value]] = field(default_factory=dict)
    rooms: dict[str, Room] = field(default_factory=dict)
    sources: dict[str, Dataset | Tensor | Fresh] = field(default_factory=dict)

    def put(self, path: str, source: Dataset | Tensor | Fresh, attributes: Mapping[str, Value]) -> None:
        """Add an array, and the origin of its values."""
        if path in self.rooms:
            raise Refused(f"two arrays would be called {path}")
        dtype = source.dtype if isinstance(source, Dataset) else PACKED.get(source.dtype, source.dtype)
        self.rooms[path] = Room(source.shape, dtype, attributes)
        self.sources[path] = source

    def add(self, path: str, source: Tensor | Fresh) -> None:
        """Add an array with the attributes that Keras 3 writes."""
        self.put(path, source, {"dtype": source.dtype} if source.dtype in PACKED else {})


def structure_text(config: Mapping[str, Any]) -> bytes:
    """Returns an architecture as JSON text, as Keras writes it."""
    import json

    return json.dumps(config).encode()
