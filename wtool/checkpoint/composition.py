"""A model that is composed anew in a format of its own choice: what the model holds, and where every array comes from.

A writer of a format (`checkpoint/writers.py`) makes outlines of HDF5 files from a composition.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any

from wtool.checkpoint.model import Slot, Tensor
from wtool.checkpoint.structure import Fresh, Skeleton
from wtool.values import dataclass


@dataclass(frozen=True, slots=True, eq=False)
class Composition:
    """A model that is to be written.

    Attributes:
        format: of the result, as in `Checkpoint.format`; `unzipped` for the folder of an unzipped model.
        config: the architecture as `config.json` has it. Files of weights alone do not hold an architecture, but their
            groups follow from it. None where nobody knows the architecture.
        keras_version: of the Keras whose format the result has.
        variables: path of each variable -> what fills it: a tensor of the base, whose bytes are taken, or new values.
        slots: group of an optimizer, as `.keras` files call it (`optimizer`, `optimizer/inner_optimizer`) -> all that
            the optimizer keeps, each with what fills it, in the order of the file; empty where nothing is kept.
        training: how the model was compiled, as `training_config` of an `.h5` has it; None where it was not.
        assets: name of a file in the base (`assets/...`) -> its name in the result.
        shard_size: the most bytes of a shard; None where the result has no shards.
        attributes: path or name of a layer of a custom class -> the attributes that hold its layers, in the order in
            which these layers first occur in `variables`; needed where the base does not tell attributes.
        can_drop_slots: whether the user may leave the optimizer's state out (`--optimizer drop`), as refusals then say.
    """

    format: str
    config: dict[str, Any] | None
    keras_version: str | None
    variables: Mapping[str, Tensor | Fresh]
    slots: Mapping[str, Sequence[tuple[Slot, Tensor | Fresh]]] = field(default_factory=dict)
    training: dict[str, Any] | None = None
    assets: Mapping[str, str] = field(default_factory=dict)
    shard_size: int | None = None
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    can_drop_slots: bool = True


@dataclass(slots=True, eq=False)
class Outline:
    """One HDF5 file of a composed model.

    Attributes:
        skeleton: the groups and arrays of the file.
        meanings: path of an array in the file -> the path of the variable or the slot that the array holds; None for a
            variable of a custom class, whose name the file does not tell.
    """

    skeleton: Skeleton = field(default_factory=Skeleton)
    meanings: dict[str, str | Slot | None] = field(default_factory=dict)

    def add(self, path: str, source: Tensor | Fresh, meaning: str | Slot | None) -> None:
        """Add an array with the attributes that Keras 3 writes.

        Raises:
            Refused: the file has another array at this path.
        """
        self.skeleton.add(path, source)
        self.meanings[path] = meaning
