"""Patch files: what makes the tensors of one checkpoint out of those of another, and back.

A patch file is a safetensors file. The text `wtool_patch` of its header is a JSON object that says of each tensor which
values it must have before and after, by content hashes, and has a content hash itself; the arrays of the file say how
the one values come from the others:

    TENSOR/xor, TENSOR/ends     differences (see `transforms/xor_coding.py`), and where the code of each chunk ends
    TENSOR/before               the values of a tensor that only the first checkpoint has
    TENSOR/after                the values of a tensor that only the second checkpoint has

Patches come from strangers. Whatever a patch says is checked here or, against the checkpoint, in `run/patching.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from math import prod

import numpy as np

from wtool.checkpoint.patch_text import AFTER, BEFORE, TEXT, Told, told_in
from wtool.dtypes import Array, dtype_of
from wtool.errors import Refused, WtoolError
from wtool.io.addresses import without_query
from wtool.io.descriptor import source_of
from wtool.io.safetensors_header import Entry, has_header, read_header
from wtool.io.source import Source
from wtool.transforms.streams import CHUNK, overlaps
from wtool.transforms.xor_coding import chunks, decoded
from wtool.values import dataclass

XOR, ENDS = "xor", "ends"


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """An open patch file.

    Attributes:
        told: what its text says.
        source: the open file.
        start: offset of the first array in the file.
        entries: name -> each array.
        is_reversed: whether the patch is read from the second checkpoint to the first.
    """

    told: Told
    source: Source
    start: int
    entries: Mapping[str, Entry]
    is_reversed: bool = False

    def reversed(self) -> Patch:
        """Returns the patch that makes the first checkpoint of the second."""
        told = self.told
        changed = {path: (replace(old, hash=new), old.hash) for path, (old, new) in told.changed.items()}
        turned = replace(told, before=told.after, after=told.before, changed=changed)
        return replace(self, told=turned, is_reversed=not self.is_reversed)

    def differences(self, path: str) -> Differences:
        """Returns the differences of a tensor that both checkpoints have."""
        return Differences(self, path)

    def new_values(self, path: str, start: int, stop: int) -> Array:
        """Returns the values [start, stop) of a tensor that only the checkpoint after the patch has, flat."""
        entry = self.entries[f"{path}/{BEFORE if self.is_reversed else AFTER}"]
        dtype = dtype_of(entry.dtype)
        values: Array = np.frombuffer(self._read(entry, start * dtype.itemsize, stop * dtype.itemsize), dtype).copy()
        return values

    def _read(self, entry: Entry, start: int, stop: int) -> bytes:
        return self.source.read(self.start + entry.start + start, stop - start)

    def places_of(self, path: str) -> Array:
        """Returns where the code of each chunk of a tensor begins and, at last, where the last one ends."""
        entry = self.entries[f"{path}/{ENDS}"]
        ends = np.frombuffer(self._read(entry, 0, entry.stop - entry.start), "<u8")
        return np.concatenate([np.zeros(1, np.uint64), ends])

    def code(self, path: str, start: int, stop: int) -> bytes:
        """Returns bytes of the codes of a tensor."""
        return self._read(self.entries[f"{path}/{XOR}"], start, stop)


class Differences:
    """The differences of a tensor, of which one chunk at a time is in memory."""

    def __init__(self, patch: Patch, path: str) -> None:
        values, _ = patch.told.changed[path]
        self._patch, self._path = patch, path
        self._count, self._width = prod(values.shape), dtype_of(values.dtype).itemsize
        self._places = patch.places_of(path)
        self._chunk: tuple[int, Array] | None = None

    def apply(self, bits: Array, start: int) -> None:
        """Change the bits of the values from `start` on in place: unsigned integers, shape (n,).

        Raises:
            Refused: the patch is damaged.
        """
        for number, low, high in overlaps(start, start + len(bits)):
            first = number * CHUNK - start
            bits[first + low : first + high] ^= self._of(number)[low:high]

    def _of(self, number: int) -> Array:
        if self._chunk is None or self._chunk[0] != number:
            code = self._patch.code(self._path, int(self._places[number]), int(self._places[number + 1]))
            count = min(CHUNK, self._count - number * CHUNK)
            try:
                self._chunk = number, decoded(code, count, self._width)
            except Refused as error:
                raise error.within(self._path).about(self._patch.source.name) from None
        return self._chunk[1]


NO_PATCH = "is no patch; `wtool diff A B --patch -o FILE` writes one"


def open_patch(path: str, stack: ExitStack) -> Patch:
    """Open a patch file, or one on standard input (`-`); the stack closes the file.

    Raises:
        Refused: the file is no patch, is damaged, or contradicts itself.
        WtoolError: the file cannot be read.
    """
    source = source_of(path, "patch")
    stack.callback(source.close)
    try:
        if not has_header(source.read, source.size):
            raise Refused(NO_PATCH)
        header = read_header(source.read, source.size)
        if TEXT not in header.texts:
            raise Refused(NO_PATCH)
        patch = Patch(told_in(header.texts), source, header.size, {each.name: each for each in header.entries})
        _check_arrays(patch)
    except WtoolError as error:
        raise error.about(without_query(path)) from None
    return patch


def _check_arrays(patch: Patch) -> None:
    """Refuse a patch whose arrays are not those that its text tells of."""
    told = patch.told
    wanted: dict[str, tuple[str, tuple[int, ...]]] = {}
    for path, (values, _) in told.changed.items():
        wanted[f"{path}/{ENDS}"] = "uint64", (chunks(prod(values.shape)),)
        xor = patch.entries.get(f"{path}/{XOR}")
        wanted[f"{path}/{XOR}"] = "uint8", (0 if xor is None else xor.stop - xor.start,)
    for word, side in ((BEFORE, told.before), (AFTER, told.after)):
        wanted |= {f"{path}/{word}": (each.dtype, each.shape) for path, each in side.tensors.items()}
    found = {name: (each.dtype, each.shape) for name, each in patch.entries.items()}
    if found != wanted:
        name = min(name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name))
        raise Refused(f"damaged: its array {name!r:.200} is missing, is another one, or belongs to no tensor")
    for path in told.changed:
        places, entry = patch.places_of(path), patch.entries[f"{path}/{XOR}"]
        if (places[1:] < places[:-1]).any() or places[-1] != entry.stop - entry.start:
            raise Refused(f"damaged: the chunks of {path!r:.200} overlap, or end elsewhere than their array")
