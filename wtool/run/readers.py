"""Buffers of the loop over tensors, and what reads into them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from wtool.checkpoint.model import Checkpoint, Tensor
from wtool.dtypes import Array, dtype_of

if TYPE_CHECKING:
    from wtool.run.pipeline import Piece

NEAR = 4096  # bytes between two tensors that are cheaper to read than to skip
MOST_SPARE = 8  # buffers that wait for the next pass

_spare: list[Array] = []  # buffers between passes: fresh memory costs a page fault every 4 KiB


def _keep_freed_memory() -> None:
    """Have glibc's malloc keep blocks of up to 16 MiB for the next use: it does so once one of that size was freed."""
    np.empty(16 << 20, np.uint8)


_keep_freed_memory()


def _buffer(capacity: int) -> Array:
    with suppress(IndexError):  # nothing spare, or another thread took it
        while len(buffer := _spare.pop()) < capacity:
            continue
        return buffer
    return np.empty(capacity, np.uint8)


class Reader:
    """One input's blocks, read into the buffer of a thread."""

    def __init__(self, checkpoint: Checkpoint, number: int, capacity: int, whole: bool) -> None:
        self._checkpoint = checkpoint
        self._hashed = checkpoint.sources if whole else ()  # not the plain copies that stand for some of them
        self._number = number
        self._buffer = _buffer(capacity)

    def close(self) -> None:
        """Leave the buffer to the next pass."""
        _spare.append(self._buffer)
        del _spare[:-MOST_SPARE]

    def read(self, batch: Sequence[Piece]) -> dict[int, Array]:
        """Position in the batch -> block, for the pieces that read from this input; near ones in one go."""
        buffer = self._buffer
        blocks: dict[int, Array] = {}
        used = 0
        for run in self._runs(batch):
            start, stop = run[0][1], run[-1][2]
            tensor = self._tensor(batch[run[0][0]])
            region = self._checkpoint.regions[tensor.shard]
            view = buffer.data[used : used + stop - start]
            read = region.source.take if region.source in self._hashed else region.source.read_into
            read(region.start + start, view)
            for at, low, high in run:
                dtype = dtype_of(self._tensor(batch[at]).dtype)
                blocks[at] = np.frombuffer(buffer, dtype, (high - low) // dtype.itemsize, used + low - start)
            used += -(-(stop - start) // 8) * 8  # so that the next run is aligned as well
        return blocks

    def _tensor(self, piece: Piece) -> Tensor:
        """What a piece that reads from this input reads."""
        tensor = piece.edit.inputs[self._number]
        assert tensor is not None
        return tensor

    def _runs(self, batch: Sequence[Piece]) -> Iterator[list[tuple[int, int, int]]]:
        """Groups of (position in the batch, first byte, byte behind the last) with little between them."""
        run: list[tuple[int, int, int]] = []
        shard = -1
        for at, piece in enumerate(batch):
            inputs = piece.edit.inputs
            tensor = inputs[self._number] if len(inputs) > self._number else None
            if tensor is None:
                continue
            itemsize = dtype_of(tensor.dtype).itemsize
            low = tensor.offset + piece.start * itemsize
            if run and (tensor.shard != shard or not 0 <= low - run[-1][2] <= NEAR):
                yield run
                run = []
            run.append((at, low, low + piece.count * itemsize))
            shard = tensor.shard
        if run:
            yield run
