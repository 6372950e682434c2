"""An open checkpoint: named tensors, and where their bytes are."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import field
from math import prod
from types import TracebackType
from typing import Any

import numpy as np

from wtool.checkpoint.lineage import UNHASHED, Record
from wtool.checkpoint.unzipped import folder_hash
from wtool.dtypes import dtype_of
from wtool.hdf5.reader import Index
from wtool.io.source import Region, Source
from wtool.io.zip_format import Member
from wtool.schema.config import is_keras2
from wtool.values import dataclass

GZIP, NONE = "gzip", "none"
"""What `Checkpoint.compression` may be."""


@dataclass(frozen=True, slots=True)
class Slot:
    """The meaning of an optimizer variable.

    Attributes:
        name: `momentum`, `velocity`, `average`, ... for a slot; `iteration`, `learning_rate`, ... for a scalar.
        weight: path of the weight that it belongs to; None for scalars, and where the weight cannot be known.
        initial: the value that a fresh optimizer of this class and configuration starts it from.
    """

    name: str
    weight: str | None = None
    initial: float = 0.0


@dataclass(frozen=True, slots=True)
class Tensor:
    """One variable of a checkpoint.

    Attributes:
        path: unique name that users see, `dense_1/kernel`; `optimizer/momentum/dense_1/kernel` for slots.
        role: `kernel`, `bias`, `gamma`, `moving_mean`, ...; `optimizer slot`; `unknown` where nothing tells.
        layer: path of the layer that it belongs to, `encoder/dense_1`; `optimizer` for slots.
        layer_class: `Dense`; the optimizer's class for slots; None where the file does not tell.
        trainable: None where the file does not tell.
        shape: as stored.
        dtype: NumPy's or ml_dtypes' name, `float32`, `bfloat16`; little-endian on disk.
        stored: path inside the HDF5 file, for messages and for Keras's own order.
        offset: of the first byte in its HDF5 file.
        nbytes: contiguous there.
        shard: which of the checkpoint's HDF5 files it is in.
        slot: its meaning for the optimizer; None for model variables.
        copy_of: path of the variable that is stored here a second time (by SpectralNormalization); mostly None.
    """

    path: str
    role: str
    layer: str
    layer_class: str | None
    trainable: bool | None
    shape: tuple[int, ...]
    dtype: str
    stored: str
    offset: int
    nbytes: int
    shard: int = 0
    slot: Slot | None = None
    copy_of: str | None = None

    def __repr__(self) -> str:
        return f"<Tensor {self.path}: {self.role}, {self.dtype}, shape {self.shape}>"


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer as its users know it: path of names (`encoder/dense_1`), class, and whether its config says trainable."""

    name: str
    class_name: str | None
    trainable: bool | None = None


@dataclass(frozen=True, slots=True)
class Optimizer:
    """The saved optimizer: its class and settings where the file tells, and its step count (None if not stored)."""

    class_name: str | None
    config: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Contents:
    """The tensors, layers and optimizer of a file: the result of reading an index together with an architecture.

    Attributes:
        tensors: model variables in the order of the model's layers, then the optimizer's in Keras's order.
        layers: every layer that the architecture or the file names, outermost first, in model order.
        optimizer: None when the file holds no optimizer state and no optimizer configuration.
        notes: remarks on oddities, one line each.
    """

    tensors: tuple[Tensor, ...]
    layers: tuple[Layer, ...]
    optimizer: Optimizer | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """An open checkpoint. Its weights stay on disk until they are asked for.

    Attributes:
        name: what the user called it.
        format: `keras`, `h5` (a whole model), `weights.h5`, `h5-weights` (the older layout), `weights.json` (shards) or
            `safetensors`; `saved-model` or `tf-checkpoint` for what TensorFlow saved, which is never written.
        keras_version: version of the Keras that saved the file; None where the file does not tell.
        config: the architecture, as parsed JSON; None in weights-only files.
        contents: tensors, layers and optimizer.
        lineage: records of the operations that made the file, oldest first.
        sources: the open files of the model, as the user has them.
        regions: the plain files (HDF5, safetensors, data of TensorFlow) that offsets of tensors count in, one for
            each shard.
        indexes: index of each region.
        members: of the archive, in the order of their bytes; () for other formats.
        parts: of an unzipped model or one of TensorFlow, name in its folder -> file, in the order of `sources`; empty
            for all others.
        texts: the small files of an archive or of a sharded checkpoint, the header of a safetensors file, and the
            object graph of a TensorFlow checkpoint, by name.
        compression: of the arrays in the HDF5 files, `gzip` or `none`. The regions of packed files are files of the
            inflated arrays alone.
        is_edited: whether its architecture and its indexes are others than in its files, as `edited` makes them; what
            is written of it has new files.
        notes: oddities worth telling, one line each.
        closing: closes all its files.
    """

    name: str
    format: str
    keras_version: str | None
    config: dict[str, Any] | None
    contents: Contents
    lineage: tuple[Record, ...]
    sources: tuple[Source, ...]
    regions: tuple[Region, ...]
    indexes: tuple[Index, ...]
    members: tuple[Member, ...] = ()
    parts: Mapping[str, Source] = field(default_factory=dict)
    texts: Mapping[str, bytes] = field(default_factory=dict)
    compression: str = NONE
    is_edited: bool = False
    notes: tuple[str, ...] = ()
    closing: ExitStack = field(default_factory=ExitStack)

    def __repr__(self) -> str:
        parameters = sum(prod(each.shape) for each in self.weights)
        return f"<Checkpoint {self.name}: {self.format}, {len(self.weights):,} weights of {parameters:,} numbers>"

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """Model variables, then the optimizer's."""
        return self.contents.tensors

    @property
    def weights(self) -> tuple[Tensor, ...]:
        """The model's own variables, without the states of metrics that Keras 2 saved beside them."""
        return tuple(each for each in self.contents.tensors if each.slot is None and each.role != "metric")

    @property
    def slots(self) -> tuple[Tensor, ...]:
        """The optimizer's variables."""
        return tuple(tensor for tensor in self.contents.tensors if tensor.slot is not None)

    def read(self, tensor: Tensor) -> np.ndarray[Any, Any]:
        """Returns a tensor's values, of its shape and dtype.

        Raises:
            Refused: the file became shorter since it was opened.
        """
        return self.read_range(tensor, 0, prod(tensor.shape)).reshape(tensor.shape)

    def read_range(self, tensor: Tensor, start: int, stop: int) -> np.ndarray[Any, Any]:
        """Returns the values [start, stop) of a tensor, flat.

        Raises:
            Refused: the file became shorter since it was opened.
        """
        values = np.empty(stop - start, dtype_of(tensor.dtype))
        self.read_into(tensor, start, values)
        return values

    def read_into(self, tensor: Tensor, start: int, values: np.ndarray[Any, Any]) -> None:
        """Fill a flat array with the values of a tensor from `start` on.

        Args:
            tensor: the tensor.
            start: index of the first value in the flat tensor.
            values: array of the tensor's dtype, shape (n,), contiguous.

        Raises:
            Refused: the file became shorter since it was opened.
        """
        region = self.regions[tensor.shard]
        region.source.read_into(region.start + tensor.offset + start * values.itemsize, values.view(np.uint8).data)

    @property
    def unhashed(self) -> tuple[str, ...]:
        """Placeholders for the hashes that `finish` gives, of the same number and length."""
        return (UNHASHED,) * (1 if self.parts else len(self.sources))

    def finish(self) -> tuple[str, ...]:
        """Read and verify the rest of all files; returns the content hash of each, or one of an unzipped model.

        Raises:
            Refused: a checksum is wrong, or a file changed since it was opened.
        """
        hashes = tuple(source.finish() for source in self.sources)
        return (folder_hash(tuple(self.parts), hashes),) if self.parts else hashes

    def close(self) -> None:
        """Close all files."""
        self.closing.close()

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def is_old(model: Checkpoint) -> bool:
    """Returns whether a model may be one of Keras 2 or 1, by the version that its file tells."""
    return is_keras2(model.keras_version or "1")
