"""Making a patch file: what differs between two checkpoints, tensor by tensor."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from math import prod
from tempfile import TemporaryFile
from typing import BinaryIO

import numpy as np

from wtool.checkpoint.inputs import refuse_two_streams
from wtool.checkpoint.layouts.hdf5_file import training_config
from wtool.checkpoint.model import Checkpoint, Tensor
from wtool.checkpoint.opener import open_checkpoint
from wtool.checkpoint.optimizer.kept import stored_state
from wtool.checkpoint.patch_file import ENDS, XOR
from wtool.checkpoint.patch_text import AFTER, BEFORE, TEXT, Architecture, Side, Told, Values, texts_of
from wtool.checkpoint.relabelling import Relabelled, check_labels
from wtool.dtypes import Array
from wtool.errors import Refused, one_line
from wtool.io.addresses import name_of
from wtool.io.drafts import new_draft
from wtool.io.json_text import refuse_unreadable
from wtool.io.safetensors_header import header_text, laid_out, with_length
from wtool.run import pipeline
from wtool.run.patching import composition_of
from wtool.run.pipeline import Edit
from wtool.run.target import Goal, make_ready
from wtool.run.tensor_hashes import TensorHash, hash_of_all
from wtool.transforms.xor_coding import Encoder, as_bits
from wtool.values import dataclass
from wtool.words import Progress

BLOCK = 1 << 18
"""Values that are copied at a time."""


@dataclass(frozen=True, slots=True)
class PatchMade:
    """A patch that was written, or would be.

    Attributes:
        output: path of the patch, `-` for standard output; None after a dry run.
        changed: paths of the tensors that both models have, with different values.
        added: paths of the tensors that only the second model has.
        removed: paths of the tensors that only the first model has.
        bytes: size of the patch.
        notes: what is worth knowing, one line each.
    """

    output: str | None
    changed: tuple[str, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    bytes: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Paired:
    """The tensors of two models, as a patch tells of them.

    Attributes:
        both: tensors of the first model, each with its counterpart in the second, of equal shape and number type.
        removed: the tensors that only the first has.
        added: the tensors that only the second has.
        has_architectures: whether the patch carries the architectures of both models.
        notes: what the patch leaves out, one line each.
    """

    both: Sequence[tuple[Tensor, Tensor]]
    removed: Sequence[Tensor] = ()
    added: Sequence[Tensor] = ()
    has_architectures: bool = False
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True, eq=False)
class _Coded:
    """The differences of a tensor: where their codes begin in the spool, and the size of each."""

    start: int
    sizes: Array

    @property
    def ends(self) -> Array:
        return np.cumsum(self.sizes, dtype=np.uint64)


def make_patch(
    one: str,
    other: str,
    paired: Callable[[Checkpoint, Checkpoint], Paired],
    goal: Goal,
    progress: Progress | None = None,
) -> PatchMade:
    """Write the patch that makes the tensors of one model out of those of another.

    Args:
        one: path of the model to which the patch can be applied; `-` for standard input.
        other: path of the model whose tensors the patch makes.
        paired: tells which tensor of one model is which of the other; refuses models that no patch leads between.
        goal: where the patch goes.
        progress: called with bytes done and bytes in all.

    Raises:
        Refused: a file is damaged, or the models differ in what a patch cannot carry.
        WtoolError: a file is missing, or the patch exists or cannot be written.
    """
    refuse_two_streams([one, other])
    with ExitStack() as stack:
        old = stack.enter_context(open_checkpoint(one))
        new = stack.enter_context(open_checkpoint(other))
        target = goal.target((each.name, each.sources[0].stamp) for each in (old, new))
        pairs = paired(old, new)
        both, left, right = pairs.both, pairs.removed, pairs.added
        trainings = training_config(old), training_config(new)
        is_compiled_otherwise = old.format == new.format and trainings[0] != trainings[1]
        for each in (old, new) if pairs.has_architectures else ():
            _refuse_untold(each, stack)
        for each, training in zip((old, new), reversed(trainings), strict=True) if is_compiled_otherwise else ():
            check_labels(each, Relabelled(each.config, training), stack)
        if not goal.dry_run:
            make_ready(goal, target)
        spool = stack.enter_context(TemporaryFile())
        coded, hashes = _compared(old, new, both, (left, right), spool, progress)
        for checkpoint in (old, new):
            checkpoint.finish()
        same = [tensor for tensor, _ in both if tensor.path not in coded]
        before, after = (
            replace(
                _side(each, alone, own, pairs.has_architectures), training=training if is_compiled_otherwise else None
            )
            for each, alone, own, training in zip((old, new), (left, right), hashes, trainings, strict=True)
        )
        told = Told(
            before,
            after,
            {a.path: (_values(a, hashes[0]), hashes[1][b.path]) for a, b in both if a.path in coded},
            hash_of_all(same, hashes[0]),
            {a.path: b.path for a, b in both if a.path != b.path},
        )
        arrays = _arrays(coded, old, left, new, right, spool)
        entries = laid_out((name, dtype, shape) for name, (dtype, shape, _) in arrays.items())
        text = header_text(texts_of(told), entries)
        refuse_unreadable(text, "the header of the patch")
        refuse_unreadable(texts_of(told)[TEXT], "the text of the patch")
        size = len(with_length(text)) + max((each.stop for each in entries), default=0)
        made = PatchMade(
            None if goal.dry_run else goal.path,
            tuple(told.changed),
            tuple(told.after.tensors),
            tuple(told.before.tensors),
            size,
            tuple(pairs.notes),
        )
        if goal.dry_run:
            return made
        draft = stack.enter_context(new_draft(target, in_order=True))
        draft.file.write(with_length(text))
        for entry in entries:
            arrays[entry.name][2](draft.file)
        draft.publish()
        return made


def _compared(
    old: Checkpoint,
    new: Checkpoint,
    both: Sequence[tuple[Tensor, Tensor]],
    alone: tuple[Sequence[Tensor], Sequence[Tensor]],
    spool: BinaryIO,
    progress: Progress | None,
) -> tuple[dict[str, _Coded], tuple[dict[str, str], dict[str, str]]]:
    """Returns the differences, whose codes go to the spool, and the hashes of the tensors of both checkpoints."""
    taken = tuple({each.path: TensorHash() for each in one.tensors} for one in (old, new))
    edits = [Edit(a, (a, b), partial(_differing, taken[0][a.path], taken[1][b.path])) for a, b in both]
    edits += [Edit(each, (each,), partial(_hashed, taken[0][each.path])) for each in alone[0]]
    scanned = pipeline.scan([old, new], edits, progress)
    coded = _coded(scanned, spool)
    edits = [Edit(each, (each,), partial(_hashed, taken[1][each.path])) for each in alone[1]]
    for _ in pipeline.scan([new], edits):
        pass
    hashes = tuple({path: each.text() for path, each in one.items()} for one in taken)
    return coded, (hashes[0], hashes[1])


def _coded(scanned: object, spool: BinaryIO) -> dict[str, _Coded]:
    found: dict[str, _Coded] = {}
    path, encoder = "", Encoder(0, 1, spool.write)
    for tensor, start, bits in scanned:  # type: ignore[attr-defined]
        if bits is None:
            continue
        if tensor.path != path:
            encoder.finish()
            path, encoder = tensor.path, Encoder(prod(tensor.shape), bits.dtype.itemsize, spool.write)
            found[path] = _Coded(spool.tell(), encoder.sizes)
        encoder.add(start, bits)
    encoder.finish()
    return found


def _differing(own: TensorHash, other: TensorHash, blocks: Sequence[Array], start: int, stop: int) -> Array | None:
    """Hash a block of each checkpoint; returns in which bits the blocks differ, if they do."""
    old, new = (as_bits(each) for each in blocks)
    own.take(old, start)
    other.take(new, start)
    bits: Array = old ^ new
    return bits if bits.any() else None


def _hashed(own: TensorHash, blocks: Sequence[Array], start: int, stop: int) -> None:
    own.take(blocks[0], start)


def _values(tensor: Tensor, hashes: Mapping[str, str]) -> Values:
    return Values(tensor.shape, tensor.dtype, hashes[tensor.path])


def _side(checkpoint: Checkpoint, alone: Sequence[Tensor], hashes: Mapping[str, str], has_architecture: bool) -> Side:
    own = _architecture(checkpoint) if has_architecture else None
    tensors = {each.path: _values(each, hashes) for each in alone}
    return Side(one_line(name_of(checkpoint.name)), tensors, checkpoint.lineage, own)


def _architecture(checkpoint: Checkpoint) -> Architecture:
    assert checkpoint.config is not None
    assert checkpoint.keras_version is not None
    slots = {
        group: tuple((slot, source.path) for slot, source in kept if isinstance(source, Tensor))
        for group, kept in stored_state(checkpoint).items()
    }
    variables = tuple(each.path for each in checkpoint.weights)
    known = checkpoint.contents.optimizer
    optimizer = None if known is None else known.class_name
    return Architecture(checkpoint.config, checkpoint.keras_version, variables, slots, optimizer)


def _refuse_untold(checkpoint: Checkpoint, stack: ExitStack) -> None:
    """Refuse a model that no patch can make again, since a new file would not tell which tensor is which."""
    from wtool.checkpoint.compose import check_composition

    own = _architecture(checkpoint)
    own = replace(own, config=dict(own.config))  # an equal one: the bytes of the file would serve for its own
    sources = {each.path: each for each in checkpoint.tensors}
    try:
        check_composition(checkpoint, composition_of(checkpoint, own, sources, checkpoint.name), stack)
    except Refused as error:
        raise Refused(
            f"no patch can make this model of one with other layers or settings: {error.message}", checkpoint.name
        ) from None


Written = tuple[str, tuple[int, ...], "partial[None]"]
"""Dtype and shape of an array of the patch, and what writes its bytes."""


def _arrays(
    coded: Mapping[str, _Coded],
    old: Checkpoint,
    left: Sequence[Tensor],
    new: Checkpoint,
    right: Sequence[Tensor],
    spool: BinaryIO,
) -> dict[str, Written]:
    """Returns name of each array of the patch -> what it is, and what writes it."""
    found: dict[str, Written] = {}
    for path, each in coded.items():
        ends = each.ends
        size = int(ends[-1])
        found[f"{path}/{ENDS}"] = "uint64", (len(ends),), partial(_write, ends.astype("<u8").tobytes())
        found[f"{path}/{XOR}"] = "uint8", (size,), partial(_copy_spooled, spool, each.start, size)
    for word, checkpoint, alone in ((BEFORE, old, left), (AFTER, new, right)):
        for tensor in alone:
            found[f"{tensor.path}/{word}"] = tensor.dtype, tensor.shape, partial(_copy_tensor, checkpoint, tensor)
    return found


def _write(data: bytes, file: BinaryIO) -> None:
    file.write(data)


def _copy_spooled(spool: BinaryIO, start: int, size: int, file: BinaryIO) -> None:
    spool.seek(start)
    while size:
        data = spool.read(min(size, BLOCK))
        file.write(data)
        size -= len(data)


def _copy_tensor(checkpoint: Checkpoint, tensor: Tensor, file: BinaryIO) -> None:
    count = prod(tensor.shape)
    for start in range(0, count, BLOCK):
        values = checkpoint.read_range(tensor, start, min(count, start + BLOCK))
        file.write(values.view(np.uint8).data)
