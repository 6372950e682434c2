"""Masks that the lineage tells: which values of a tensor are pruned, where zeros do not say that.

A record has an entry in `masks` for each such tensor: a bit for each value, 1 where the value is kept, deflated and in
base64. Where every zero is a pruned value and no other value is, nothing is written; `null` says so of a tensor that
had an entry before.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from wtool.checkpoint.lineage import MASKS, Record, lineage_text, own_records
from wtool.checkpoint.model import Tensor
from wtool.dtypes import Array
from wtool.errors import Refused, a_few
from wtool.io.limits import MAX_JSON
from wtool.values import dataclass

VALUES, ZEROS = "values", "zeros"
"""What is held where a mask prunes: any value, or zeros only."""

MOST = MAX_JSON * 3 // 4
"""Characters that a lineage with masks may have; the rest of the largest JSON text is for the model's other texts."""

REORDERING = frozenset({"align"})
"""Operations that put channels in another order, so that earlier masks are of other values."""


@dataclass(frozen=True, slots=True, eq=False)
class Mask:
    """Which values of a tensor are kept, and which are pruned.

    Attributes:
        bits: a bit for each value in C order, eight in a byte, 1 where the value is kept.
        holds_values: pruned values are held, whatever they are; otherwise only those that are zero.
    """

    bits: Array
    holds_values: bool

    def kept(self, values: Array, start: int = 0) -> Array:
        """Returns which values are not held, as booleans of shape (n,).

        Args:
            values: the values of the positions [start, start + n) of the tensor, shape (n,).
            start: position of the first of them.
        """
        first, stop = start // 8, start + len(values)
        bits = np.unpackbits(self.bits[first : -(-stop // 8)])[start - 8 * first : stop - 8 * first].view(bool)
        return bits if self.holds_values else bits | (values != 0)


def entry(kept: Array, shape: Sequence[int], holds_values: bool) -> dict[str, Any]:
    """Returns a mask as JSON values.

    Args:
        kept: booleans, shape (n,).
        shape: of the tensor.
        holds_values: see `Mask`.
    """
    # Other strategies look for repeated strings, of which random bits have none: a tenth of the time, and as small.
    packing = zlib.compressobj(strategy=zlib.Z_RLE)
    deflated = packing.compress(np.packbits(kept).tobytes()) + packing.flush()
    bits = base64.b64encode(deflated).decode()
    return {"shape": list(shape), "held": VALUES if holds_values else ZEROS, "kept": bits}


def fits(records: Sequence[Record], entries: Mapping[str, Any]) -> bool:
    """Returns whether a lineage has room for further masks."""
    return len(lineage_text([*records, Record(None, more={MASKS: entries})])) <= MOST


@dataclass(frozen=True, slots=True, eq=False)
class RecordedMasks:
    """The masks of a checkpoint that its lineage tells.

    Attributes:
        masks: path of a tensor -> its mask.
        notes: what is worth knowing of masks that no tensor has any more, one line each.
    """

    masks: Mapping[str, Mask]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class RecordedEntries:
    """What a record tells of masks under its key `masks`, and notes for the user."""

    entries: Mapping[str, Any]
    notes: tuple[str, ...] = ()


def recorded_masks(
    records: Sequence[Record], weights: Iterable[Tensor], wanted: Collection[str] | None = None
) -> RecordedMasks:
    """Returns the masks that a lineage tells.

    A mask counts until an operation changes the tensor's shape, its path or the order of its channels.

    Args:
        records: the lineage.
        weights: of the checkpoint.
        wanted: paths of the tensors whose masks are read, since reading takes time; None for all.

    Raises:
        Refused: a mask is no text of as many bits as its tensor has values.
    """
    told: dict[str, dict[str, Any]] = {}
    lost: list[str] = []
    for record in own_records(records):
        gone = [*told] if record.operation in REORDERING else []
        if record.operation == "swap":
            gone = [path for path in dict.fromkeys(_texts(record.more.get("new"))) if path in told]
        lost += [path for path in gone if told[path].get("held") == VALUES]
        for path in gone:
            del told[path]
        entries = record.more.get(MASKS)
        for path, each in entries.items() if isinstance(entries, dict) else ():
            told.pop(path, None)
            if isinstance(each, dict):
                told[path] = each
    masks = {}
    for tensor in weights:
        found = told.pop(tensor.path, None)
        if found is not None and found.get("shape") == list(tensor.shape):
            if wanted is None or tensor.path in wanted:
                masks[tensor.path] = _mask(tensor, found)
        elif found is not None:
            lost.append(tensor.path)
    lost += told
    what = f"the recorded mask of {a_few(lost)} is dropped, since the tensor has another shape, order or name now"
    return RecordedMasks(masks, (what,) if lost else ())


def moved_masks(records: Sequence[Record], weights: Sequence[Tensor], taken: Mapping[str, str]) -> RecordedEntries:
    """Returns what a record tells of earlier masks where it gives tensors new names.

    Args:
        records: the lineage so far.
        weights: of the checkpoint.
        taken: path of each new tensor that holds the values of an old one, in their order -> path of the old one.

    Raises:
        Refused: a mask is damaged.
    """
    found = recorded_masks(records, weights).masks
    shapes = {tensor.path: tensor.shape for tensor in weights}
    entries: dict[str, Any] = {path: None for path in found if taken.get(path) != path}
    for new, old in taken.items():
        if new != old and old in found:
            kept = np.unpackbits(found[old].bits, count=prod(shapes[old])).view(bool)
            entries[new] = entry(kept, shapes[old], found[old].holds_values)
    lost = sorted(found.keys() - {*taken.values()})
    note = f"the recorded mask of {a_few(lost)} is dropped, since the values are in another order now"
    return RecordedEntries(entries, (note,) if lost else ())


def _mask(tensor: Tensor, told: Mapping[str, Any]) -> Mask:
    """Returns the mask of a tensor; a text from a stranger takes no more memory than the tensor's own bits."""
    count = prod(tensor.shape)
    size = -(-count // 8)
    text = told.get("kept")
    try:
        inflating = zlib.decompressobj()
        bits = inflating.decompress(base64.b64decode(text if isinstance(text, str) else "", validate=True), size + 1)
    except (binascii.Error, zlib.error, ValueError):
        bits = b""
        inflating = None
    if inflating is None or len(bits) != size or not inflating.eof or inflating.unused_data:
        raise Refused(f"its lineage has a mask of {tensor.path} that is not {count:,} bits; the file is damaged")
    return Mask(np.frombuffer(bits, np.uint8), told.get("held") == VALUES)


def _texts(value: Any) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []
