"""A plain copy of an HDF5 file by the HDF5 library.

This module runs only in a child process, since the library may crash or loop on a damaged file (see `sandbox`).
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from itertools import product
from math import prod
from typing import Any

import h5py
import numpy as np
from h5py import h5a, h5d, h5g, h5o, h5p, h5s, h5t

from wtool.errors import Refused
from wtool.hdf5.limits import CHILD_STEP, COPY_BLOCK
from wtool.hdf5.sandbox_chunks import check_chunks
from wtool.hdf5.sandbox_survey import (
    HEADER,
    SUPERBLOCK,
    Survey,
    check_bomb,
    check_item,
    check_owners,
    look,
    path_text,
    shape_of,
)
from wtool.hdf5.window import Window


def warm_up() -> None:
    """Use h5py once, so that it loads all its modules before the process is limited."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver="earliest") as file:
        for encoding in ("ascii", "utf-8"):
            file.attrs.create(encoding, ["text"], dtype=h5py.string_dtype(encoding))
        file.create_dataset("x", data=np.eye(3), chunks=(1, 1), compression="gzip", shuffle=True)
    with h5py.File(buffer, "r") as file, h5py.File(io.BytesIO(), "w", libver="earliest") as target:
        survey = Survey(frozenset(), 1 << 20, lambda nbytes, size: None)
        look(survey, h5g.open(file.id, b"/"), b"", 0)
        _write(survey, h5g.open(file.id, b"/"), h5g.open(target.id, b"/"))


def copy_plain(source: Window, target: Window, drop: frozenset[str], allow: Callable[[int, int], None]) -> None:
    """Write the plain copy of `source` to the empty file `target`.

    Args:
        source: the HDF5 file.
        target: an empty file.
        drop: names in the root group to leave out.
        allow: called after every step, to give the process time for the next one; and before arrays are written, with
            the bytes of all arrays and the size of the source.

    Raises:
        Refused: the file holds things that cannot be copied, or claims far more values than it stores.
        Exception: raised by the HDF5 library for a damaged file.
    """
    size = source.seek(0, os.SEEK_END)
    file = h5py.File(source, "r")
    survey = Survey(drop, size, allow, file.id.get_create_plist().get_userblock())
    root = h5g.open(file.id, b"/")
    for start, length in ((0, SUPERBLOCK), (h5o.get_info(root).addr, HEADER)):
        survey.places.append((survey.block + start, survey.block + start + length))
    check_item(survey, root)
    look(survey, root, b"", 0)
    check_bomb(survey.nbytes, survey.stored)
    check_owners(survey.places)
    allow(survey.nbytes, size)
    with h5py.File(target, "w", libver="earliest") as plain:
        _write(survey, root, h5g.open(plain.id, b"/"))


def _write(survey: Survey, file: Any, root: Any) -> None:
    _copy_attributes(file, root)
    for number, path in enumerate(_in_file_order(survey, file)):
        if number % CHILD_STEP == 0:
            survey.allow(survey.nbytes, survey.size)
        parent, _, name = path.rpartition(b"/")
        place = h5o.open(root, parent) if parent else root
        try:
            _copy(h5o.open(file, path), place, name)
        except Refused as error:
            raise error.within(path_text(path)) from None


def _in_file_order(survey: Survey, file: Any) -> list[bytes]:
    """Returns the paths of the groups, then of the arrays as they follow each other in the file.

    In weights alone, the order of the arrays tells the order of the layers.
    """
    places = []
    for number, path in enumerate(survey.items):
        if number % CHILD_STEP == 0:
            survey.allow(survey.nbytes, survey.size)
        places.append(_place_of(h5o.open(file, path)))
    return [path for _, path in sorted(zip(places, survey.items, strict=True), key=lambda each: each[0])]


def _place_of(item: Any) -> int:
    """Returns where the bytes of an array are in the file: of its first chunk, if it has chunks; -1 for others."""
    if not isinstance(item, h5d.DatasetID):
        return -1
    if item.get_create_plist().get_layout() == h5d.CHUNKED:
        return int(item.get_chunk_info(0).byte_offset) if item.get_num_chunks() else 0
    offset = item.get_offset()
    return int(h5o.get_info(item).addr if offset is None else offset)


def _copy(item: Any, place: Any, name: bytes) -> None:
    if isinstance(item, h5g.GroupID):
        made = h5g.create(place, name)
    elif isinstance(item, h5d.DatasetID):
        made = _copy_dataset(item, place, name)
    elif isinstance(item, h5t.TypeID):
        made = item.copy()
        made.commit(place, name)
    else:
        raise Refused("is neither a group nor a dataset")
    _copy_attributes(item, made)


def _copy_dataset(item: Any, place: Any, name: bytes) -> Any:
    kind, shape = _plain_type(item.get_type()), item.shape
    # As in `writer`: a place for every array at once, no zeros before the values, and no times in the file.
    plan = h5p.create(h5p.DATASET_CREATE)
    plan.set_layout(h5d.CONTIGUOUS)
    plan.set_alloc_time(h5d.ALLOC_TIME_EARLY)
    plan.set_fill_time(h5d.FILL_TIME_NEVER)
    plan.set_obj_track_times(False)
    made = h5d.create(place, name, kind, _space(shape), plan)
    if shape == ():
        value = np.empty((), f"V{kind.get_size()}")
        item.read(h5s.ALL, h5s.ALL, value, kind)
        made.write(h5s.ALL, h5s.ALL, value, kind)
    elif shape is not None:
        old = item.get_create_plist()
        is_chunked = old.get_layout() == h5d.CHUNKED and prod(shape)
        if is_chunked:
            check_chunks(item)
        chunk = old.get_chunk() if is_chunked else (1,) * len(shape)
        for start, count in _blocks(shape, chunk, kind.get_size()):
            _copy_block(item, made, start, count, kind)
    return made


def _copy_block(item: Any, made: Any, start: tuple[int, ...], count: tuple[int, ...], kind: Any) -> None:
    values = np.empty(count, f"V{kind.get_size()}")
    memory, there = h5s.create_simple(count), item.get_space()
    there.select_hyperslab(start, count)
    item.read(memory, there, values, kind)
    made.write(memory, there, values, kind)


def _blocks(
    shape: tuple[int, ...], chunk: tuple[int, ...], element: int
) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Yields start and size of blocks of whole chunks; each chunk is in one block, so that it is inflated once."""
    # A block grows from one chunk along the last axis first, so that it is read in the order of the file's bytes.
    steps = [min(c, n) for c, n in zip(chunk, shape, strict=True)]
    for axis in reversed(range(len(shape))):
        room = COPY_BLOCK // max(1, prod(steps) * element)
        steps[axis] = min(shape[axis], steps[axis] * max(1, room))
        if steps[axis] < shape[axis]:
            break
    if not prod(shape):
        return
    for start in product(*(range(0, n, step) for n, step in zip(shape, steps, strict=True))):
        yield start, tuple(min(step, n - at) for at, n, step in zip(start, shape, steps, strict=True))


def _plain_type(kind: Any) -> Any:
    """Returns the same type, little-endian.

    Raises:
        Refused: values of the type are no numbers.
    """
    group, plain = kind.get_class(), kind.copy()
    if group in (h5t.VLEN, h5t.REFERENCE) or (group == h5t.STRING and kind.is_variable_str()):
        raise Refused("holds texts, lists or references, not numbers")
    if group in (h5t.COMPOUND, h5t.ARRAY) and kind.dtype.hasobject:
        raise Refused("holds texts, lists or references, not numbers")
    number = kind.get_super() if group == h5t.ENUM else kind
    if group in (h5t.INTEGER, h5t.FLOAT, h5t.BITFIELD, h5t.ENUM) and number.get_order() != h5t.ORDER_LE:
        if group == h5t.ENUM or number.get_order() != h5t.ORDER_BE:
            raise Refused("holds numbers of an unusual type")
        plain.set_order(h5t.ORDER_LE)
    return plain


def _copy_attributes(source: Any, target: Any) -> None:
    values: Any
    for i in range(h5a.get_num_attrs(source)):
        old = h5a.open(source, index=i)
        name, kind, shape = old.get_name(), old.get_type(), shape_of(old.get_space())
        if kind.get_class() == h5t.STRING and kind.is_variable_str():
            made = h5a.create(target, name, kind.copy(), _space(shape))
            values, plain = np.empty(shape or (), kind.dtype), None
        else:
            try:
                plain = _plain_type(kind)
            except Refused as error:
                raise Refused(f"its attribute {path_text(name)} {error.message}") from None
            made = h5a.create(target, name, plain, _space(shape))
            values = np.empty(shape or (), f"V{kind.get_size()}")
        if shape is not None and 0 not in shape:
            old.read(values, plain)
            made.write(values, plain)


def _space(shape: tuple[int, ...] | None) -> Any:
    if shape:
        return h5s.create_simple(shape)
    return h5s.create(h5s.NULL if shape is None else h5s.SCALAR)
