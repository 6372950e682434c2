"""Two models side by side: which tensor is which, and how far the values are apart, in one pass over both files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, replace
from math import prod
from typing import TypeAlias

import numpy as np

from wtool.checkpoint.model import Checkpoint, Slot, Tensor
from wtool.checkpoint.structure import Fresh
from wtool.dtypes import Array
from wtool.run import pipeline
from wtool.run.difference import TensorDifference, ValueDifference
from wtool.run.pairing import Pairing, paired_by_key
from wtool.transforms.distance import Distance, are_the_same_bytes, distance, equal_blocks
from wtool.values import dataclass

BLOCK = 1 << 20  # values of a second look, which takes 8 MB

Source: TypeAlias = Tensor | Fresh
"""Where values come from: a tensor of the file, or values that are computed from tensors of the file."""

SlotKey: TypeAlias = tuple[str, str | None, int]
"""A variable of an optimizer: its name, the path of its weight, and its index among variables that share the two."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A tensor of the first model and its counterpart in the second, one of them stored, with their paths."""

    paths: tuple[str, str]
    left: Source
    right: Source

    @property
    def is_comparable(self) -> bool:
        """Whether the shapes are equal, so that values at the same position belong together."""
        return self.left.shape == self.right.shape


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far values may be apart that count as equal: |a - b| <= absolute + relative * |b|."""

    relative: float = 0.0
    absolute: float = 0.0


def slot_keys(slots: Sequence[Slot], renamed: Mapping[str, str] | None = None) -> list[SlotKey]:
    """Returns a key for each variable of an optimizer, by which it is found in another file.

    Args:
        slots: meanings of the variables, in the order of the file.
        renamed: path of a weight -> the path of its counterpart in the other file, where that differs.
    """
    counts: dict[tuple[str, str | None], int] = {}
    keys = []
    for slot in slots:
        weight = slot.weight if slot.weight is None or renamed is None else renamed.get(slot.weight, slot.weight)
        number = counts.get((slot.name, weight), 0)
        counts[slot.name, weight] = number + 1
        keys.append((slot.name, weight, number))
    return keys


def paired_slots(left: Mapping[SlotKey, Source], right: Mapping[SlotKey, Source]) -> Pairing[SlotKey]:
    """Returns which variable of one optimizer is which of another, by their keys, or by position.

    Archives do not tell which slot belongs to which variable of a custom layer, and an `.h5` does. Both list what the
    optimizer keeps in its own order, so variables are paired by position where nothing that is told contradicts that.

    Args:
        left: key -> variable of the first optimizer, in the order of the file.
        right: the same of the second one; its weights are called as in the first model.
    """
    found = paired_by_key(list(left), list(right))
    if not (found.removed and found.added) or len(left) != len(right):
        return found
    pairs = tuple(zip(left, right, strict=True))
    is_one = all(one[0] == two[0] and (None in (one[1], two[1]) or one[1] == two[1]) for one, two in pairs)
    return Pairing(pairs) if is_one and all(left[one].shape == right[two].shape for one, two in pairs) else found


def compared(
    models: tuple[Checkpoint, Checkpoint],
    pairs: Sequence[Pair],
    tolerance: Tolerance | None = None,
    progress: pipeline.Progress | None = None,
) -> list[TensorDifference]:
    """Compares the tensors of two models in one pass, which also verifies the checksums of both files.

    Blocks with the same bytes are compared and not calculated with. Where other blocks of their tensor differ, they
    are read once more, since the norms of the whole tensor are needed.

    Args:
        models: both open.
        pairs: which tensor is which; those that are not comparable are told by their shapes.
        tolerance: how far values may be apart that count as equal.
        progress: called with bytes done and bytes in all.

    Returns:
        a difference for each pair, in the order of the pairs.

    Raises:
        Refused: a file is damaged or changes meanwhile.
    """
    found = [_Found() for _ in pairs]
    allowed = tolerance or Tolerance()
    edits = [_edit(number, pair, allowed) for number, pair in enumerate(pairs) if pair.is_comparable]
    is_stored = all(isinstance(each, Tensor) for pair in pairs for each in (pair.left, pair.right))
    in_order = not is_stored  # values that are computed are made when the first block comes
    for _, start, (number, part, count) in pipeline.verified_scan(models, edits, progress, in_order):
        found[number].add(start, count, part)
    for each, pair in zip(found, pairs, strict=True):
        if each.distance.changed and isinstance(pair.left, Tensor):
            each.look_again(models[0], pair.left)
    formats = {model.format for model in models}
    return [_difference(pair, each, formats) for pair, each in zip(pairs, found, strict=True)]


def unread(models: tuple[Checkpoint, Checkpoint], pairs: Sequence[Pair]) -> list[TensorDifference]:
    """Returns a difference for each pair of tensors of two models by shapes and dtypes alone; no values are read."""
    formats = {model.format for model in models}
    return [replace(_difference(pair, _Found(), formats), has_same_bytes=False, values=None) for pair in pairs]


@dataclass(slots=True)
class _Found:
    """What is known of a pair so far: its distance, which leaves out the ranges [start, stop) with the same bytes."""

    distance: Distance = field(default_factory=Distance)
    same: list[tuple[int, int]] = field(default_factory=list)

    def add(self, start: int, count: int, part: Distance | None) -> None:
        """Add what was found in a block; None for the same bytes."""
        if part is not None:
            self.distance = self.distance.merged(part) if self.distance.count else part
        elif self.same and self.same[-1][1] == start:
            self.same[-1] = (self.same[-1][0], start + count)
        else:
            self.same.append((start, start + count))

    def look_again(self, model: Checkpoint, tensor: Tensor) -> None:
        """Add the norms of the ranges with the same bytes."""
        for start, stop in self.same:
            for at in range(start, stop, BLOCK):
                values = model.read_range(tensor, at, min(at + BLOCK, stop))
                self.distance = self.distance.merged(equal_blocks(values))


def _edit(number: int, pair: Pair, tolerance: Tolerance) -> pipeline.Edit:
    """Returns the look at a pair; values that are computed are made when the pass comes to them."""
    made: list[Array] = []

    def values(source: Source, blocks: Iterator[Array], start: int, stop: int) -> Array:
        if isinstance(source, Tensor):
            return next(blocks)
        if not made:
            made.append(np.ascontiguousarray(source.make()).reshape(-1))
        return made[0][start:stop]

    def look(blocks: Sequence[Array], start: int, stop: int) -> tuple[int, Distance | None, int]:
        stored = iter(blocks)
        left, right = values(pair.left, stored, start, stop), values(pair.right, stored, start, stop)
        if stop == size:
            made.clear()
        if are_the_same_bytes(left, right) and isinstance(pair.left, Tensor):
            return number, None, stop - start
        return number, distance(left, right, start, tolerance.relative, tolerance.absolute), stop - start

    inputs = tuple(each if isinstance(each, Tensor) else None for each in (pair.left, pair.right))
    target = next(each for each in inputs if each is not None)
    size = prod(target.shape)
    return pipeline.Edit(target, inputs, look)


FORCED = frozenset({"bfloat16", "float32"})
"""Whole models in .h5 hold values of bfloat16 as float32, since Keras loads no others there."""


def _difference(pair: Pair, found: _Found, formats: set[str]) -> TensorDifference:
    dtypes = pair.left.dtype, pair.right.dtype
    has_same_bytes = pair.is_comparable and not found.distance.count and dtypes[0] == dtypes[1]
    return TensorDifference(
        pair.paths[0],
        pair.paths[1],
        (pair.left.shape, pair.right.shape),
        dtypes,
        has_same_bytes,
        None if has_same_bytes or not pair.is_comparable else _values(found.distance, pair.left.shape),
        is_dtype_forced="h5" in formats and set(dtypes) == FORCED,
    )


def _values(found: Distance, shape: tuple[int, ...]) -> ValueDifference:
    place = None if found.place < 0 else tuple(int(each) for each in np.unravel_index(found.place, shape))
    return ValueDifference(
        found.changed,
        found.beyond,
        found.largest,
        place,
        found.rms,
        found.relative,
        found.cosine if found.changed else 1.0,
        found.flips,
        found.zeros_gained,
        found.zeros_lost,
        (found.nans_a, found.nans_b),
        found.hidden,
    )
