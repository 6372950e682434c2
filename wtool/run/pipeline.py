"""The one loop over tensors: read blocks of every input, hand them to a function of arrays, write what it gives.

Blocks come in the order of the base's bytes, a batch of them at a time. Each thread reads, hashes, computes and writes
all of a batch, and they follow each other through these stages (`run.turns`). Memory is a fixed budget, whatever the
number of inputs and their size.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain, pairwise
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from wtool.checkpoint.model import Checkpoint, Tensor
from wtool.dtypes import Array, dtype_of
from wtool.errors import Refused
from wtool.run.readers import NEAR, Reader
from wtool.run.threads import MOST, Here, workers
from wtool.values import dataclass
from wtool.words import Progress as Progress

if TYPE_CHECKING:
    from wtool.checkpoint.patch import Rewrite
    from wtool.run.thread_pool import Threads

BUDGET = 96 << 20  # bytes of all read buffers together, where there are as many cores as are used
LARGEST_BATCH = 5 << 20  # bytes of one input's share, however few inputs there are
SMALLEST_BATCH = 4096  # bytes of one input's share, however many inputs there are
LARGE = 1 << 16  # bytes of a tensor that stays and is worth a batch; smaller ones are copied with what is around them

Apply = Callable[[Sequence[Array], int, int], Any]


@dataclass(frozen=True, slots=True)
class Edit:
    """One tensor's part in an operation.

    Attributes:
        target: of the base; its new values are written where its old ones are.
        inputs: the tensors to read, one of each of the first inputs, all of one shape; None where nothing of an input
            is read.
        apply: from blocks (flat, one of each input) and the range [start, stop) of their elements to the new block,
            flat and of the target's dtype; None where the base's bytes stay.
        is_whole: `apply` is asked for all values at once, since none of them can be told without the others. Such an
            edit reads by itself.
    """

    target: Tensor
    inputs: tuple[Tensor | None, ...]
    apply: Apply
    is_whole: bool = False


@dataclass(frozen=True, slots=True)
class Piece:
    edit: Edit
    start: int
    count: int
    width: int  # bytes of one value of the widest dtype that is read or written

    @property
    def stop(self) -> int:
        return self.start + self.count

    @property
    def nbytes(self) -> int:
        """Of the widest block that is read or written for it."""
        return self.count * self.width

    @property
    def work(self) -> int:
        """Bytes that are read for it; of an edit that reads by itself, or nothing, those that it gives."""
        inputs = self.edit.inputs
        return self.nbytes * max(1, len(inputs) - inputs.count(None))


def _width(edit: Edit) -> int:
    """Returns the bytes of one value of the widest dtype that is read or written."""
    dtypes = {edit.target.dtype, *(each.dtype for each in edit.inputs if each is not None)}
    return max(dtype_of(name).itemsize for name in dtypes)


def run(
    inputs: Sequence[Checkpoint],
    edits: Sequence[Edit],
    output: Rewrite,
    progress: Progress | None = None,
    in_order: bool = True,
) -> tuple[tuple[str, ...], ...]:
    """Do all edits; returns the content hash of every file of every input, each of which is read whole for it.

    Args:
        inputs: open checkpoints, in the order of every edit's `inputs`.
        edits: of distinct tensors of the base.
        output: takes the new bytes and, at the end, all the others.
        progress: called with bytes done and bytes in all.
        in_order: whether the edits see the blocks in file order; else threads compute at the same time.

    Raises:
        Refused: an input is damaged or changed meanwhile, or two edits mean the same stored bytes.
    """
    ordered = _in_file_order(edits)
    _refuse_shared(ordered)
    with workers(sum(edit.target.nbytes for edit in ordered)) as pool:
        for _ in _results(pool, inputs, ordered, progress, in_order=in_order, write=partial(_write, output)):
            pass
        hashes = [pool.submit(checkpoint.finish) for checkpoint in inputs]
        output.copy_rest()
        return tuple(each.result() for each in hashes)


def kept(base: Checkpoint, edits: Sequence[Edit]) -> list[Edit]:
    """Returns edits that leave the large tensors as they are that no other edit writes.

    With them, the file is read once, for its hash and for what is written, and the threads share the work.

    Args:
        base: the checkpoint that is copied.
        edits: of its tensors.
    """
    others = [each for each in base.tensors if each.nbytes >= LARGE]
    if not others:  # as in most models of a zoo
        return []
    written = sorted((edit.target.shard, edit.target.offset) for edit in edits)
    found = []
    behind = 0, 0  # shard, and offset behind the last tensor in it
    for tensor in sorted([*others, *(edit.target for edit in edits)], key=lambda each: (each.shard, each.offset)):
        place, stop = (tensor.shard, tensor.offset), (tensor.shard, tensor.offset + tensor.nbytes)
        following = bisect_left(written, place)
        is_free = following == len(written) or written[following] >= stop
        if tensor.nbytes >= LARGE and place >= behind and is_free:
            found.append(Edit(tensor, (tensor,), _same))
        behind = max(behind, stop)
    return found


def _same(blocks: Sequence[Array], start: int, stop: int) -> Array:
    return blocks[0]


def _write(output: Rewrite, found: Sequence[tuple[Piece, Any]]) -> None:
    for piece, new in found:
        if new is not None:
            target = piece.edit.target
            start = target.offset + piece.start * dtype_of(target.dtype).itemsize
            output.replace(target.shard, start, new.view(np.uint8).data)


def scan(
    inputs: Sequence[Checkpoint], edits: Sequence[Edit], progress: Progress | None = None
) -> Iterator[tuple[Tensor, int, Any]]:
    """Do all edits and write nothing: gives (tensor, first element of the block, what `apply` gave), in file order.

    Args:
        inputs: open checkpoints, in the order of every edit's `inputs`; they may be scanned again.
        edits: what is looked at.
        progress: called with bytes done and bytes in all.
    """
    return _scanned(inputs, edits, progress, [False] * len(inputs))


def _scanned(
    inputs: Sequence[Checkpoint],
    edits: Sequence[Edit],
    progress: Progress | None,
    whole: Sequence[bool],
    in_order: bool = True,
) -> Iterator[tuple[Tensor, int, Any]]:
    ordered = _in_file_order(edits)
    with workers(sum(edit.target.nbytes for edit in ordered)) as pool:
        for piece, found in _results(pool, inputs, ordered, progress, whole, in_order):
            yield piece.edit.target, piece.start, found


def verified_scan(
    inputs: Sequence[Checkpoint], edits: Sequence[Edit], progress: Progress | None = None, in_order: bool = True
) -> Iterator[tuple[Tensor, int, Any]]:
    """Like `scan`, and verify the files on the way; once for each open checkpoint.

    Args:
        inputs: see `scan`.
        edits: what is looked at.
        progress: called with bytes done and bytes in all.
        in_order: whether the edits see the blocks in file order; else threads compute at the same time. What is found
            comes in file order all the same.

    Raises:
        Refused: a file is damaged or changes meanwhile.
    """
    sources = [source for each in inputs for source in each.sources]
    for source in sources:
        source.leave_out_hash()
    whole = [any(source.has_checksums for source in each.sources) for each in inputs]
    yield from _scanned(inputs, edits, progress, whole, in_order)
    for source in sources:
        source.verify()


def hashed_scan(
    checkpoint: Checkpoint, edits: Sequence[Edit], progress: Progress | None = None
) -> Iterator[tuple[Tensor, int, Any]]:
    """Like `scan` of one checkpoint, whose bytes go into its content hash on the way; once for each open checkpoint.

    What is still missing of the hash, `checkpoint.finish` reads: the caller gets the hash from there afterwards.

    Args:
        checkpoint: see `scan`.
        edits: what is looked at.
        progress: called with bytes done and bytes in all.
    """
    return _scanned([checkpoint], edits, progress, [True])


def _results(
    pool: Threads | Here,
    inputs: Sequence[Checkpoint],
    ordered: Sequence[Edit],
    progress: Progress | None,
    whole: Sequence[bool] | None = None,
    in_order: bool = True,
    write: Callable[[Sequence[tuple[Piece, Any]]], None] | None = None,
) -> Iterator[tuple[Piece, Any]]:
    """Every piece with what its edit made of it, in order; `whole` files (all, if None) are hashed and checked."""
    # What is found of a batch may depend on its size in the last digits, so that size does not depend on the cores.
    readers = max(1, len(inputs))  # of each thread
    batch_bytes = max(SMALLEST_BATCH, min(LARGEST_BATCH, BUDGET // (2 * MOST * readers)))
    batches = list(_batches(ordered, batch_bytes))
    total = sum(piece.work for batch in batches for piece in batch)
    done = 0
    count = max(1, min(pool.count, len(batches), BUDGET // (2 * batch_bytes * readers)))
    rows = [
        [Reader(each, number, 2 * batch_bytes, whole is None or whole[number]) for number, each in enumerate(inputs)]
        for _ in range(count)
    ]
    for batch, found in zip(batches, _found(pool, rows, batches, in_order, write), strict=True):
        yield from found
        done += sum(piece.work for piece in batch)
        if progress is not None:
            progress(done, total)
    for reader in chain.from_iterable(rows):
        reader.close()


def _found(
    pool: Threads | Here,
    rows: Sequence[Sequence[Reader]],
    batches: Sequence[Sequence[Piece]],
    in_order: bool,
    write: Callable[[Sequence[tuple[Piece, Any]]], None] | None,
) -> Iterator[Sequence[tuple[Piece, Any]]]:
    """What the edits make of each batch, in order; nothing where it is written.

    Args:
        pool: who works.
        rows: the readers of each thread.
        batches: what is read and computed.
        in_order: whether the edits see the batches in their order; else each thread computes when it has read.
        write: takes what was made of each batch, in order.
    """
    if isinstance(pool, Here):
        for batch in batches:
            found = _computed([reader.read(batch) for reader in rows[0]], batch)
            yield _taken(found, write)
        return
    from wtool.run.turns import Stage, Turns

    blocks: list[list[dict[int, Array]]] = [[{} for _ in row] for row in rows]
    made: list[Sequence[tuple[Piece, Any]]] = [() for _ in rows]

    def read(number: int, thread: int, batch: int) -> None:
        blocks[thread][number] = rows[thread][number].read(batches[batch])

    def compute(thread: int, batch: int) -> None:
        made[thread] = _computed(blocks[thread], batches[batch])

    def take(thread: int, batch: int) -> Sequence[tuple[Piece, Any]]:
        found, made[thread] = made[thread], ()  # a result may be a whole tensor, which nobody needs any longer
        return _taken(found, write)

    reads = [Stage(partial(read, number)) for number in range(len(rows[0]))]
    stages = [*reads, Stage(compute, in_order), Stage(take)]
    yield from Turns(pool, len(rows), len(batches), stages).results()


def _taken(
    found: Sequence[tuple[Piece, Any]], write: Callable[[Sequence[tuple[Piece, Any]]], None] | None
) -> Sequence[tuple[Piece, Any]]:
    if write is None:
        return found
    write(found)
    return ()


def _computed(blocks: Sequence[dict[int, Array]], batch: Sequence[Piece]) -> list[tuple[Piece, Any]]:
    return [
        (piece, piece.edit.apply([each[at] for each in blocks if at in each], piece.start, piece.stop))
        for at, piece in enumerate(batch)
    ]


def _in_file_order(edits: Sequence[Edit]) -> list[Edit]:
    return sorted(edits, key=lambda edit: (edit.target.shard, edit.target.offset))


def _refuse_shared(ordered: Sequence[Edit]) -> None:
    for left, right in pairwise(edit.target for edit in ordered):
        if left.shard == right.shard and left.offset + left.nbytes > right.offset:
            raise Refused(f"{left.path} and {right.path} are one array in the file, and would change together")


def _batches(edits: Sequence[Edit], limit: int) -> Iterator[list[Piece]]:
    batch: list[Piece] = []
    size = 0
    for edit in edits:
        count = prod(edit.target.shape)
        width = _width(edit)
        start = 0
        while start < count:
            most = count if edit.is_whole else max(1, (limit - size) // width)
            piece = Piece(edit, start, min(count - start, most), width)
            batch.append(piece)
            size += piece.nbytes
            start += piece.count
            if size + width > limit or len(batch) * NEAR >= limit:
                yield batch
                batch, size = [], 0
    if batch:
        yield batch
