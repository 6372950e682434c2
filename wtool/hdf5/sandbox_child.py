"""A plain copy of an HDF5 file by the HDF5 library.

This module runs only in a child process, since the library may crash or loop on a damaged file (see `sandbox`).
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import product
from math import prod
from typing import Any

import h5py
import numpy as np
from h5py import h5a, h5d, h5g, h5l, h5o, h5p, h5s, h5t, h5z

from wtool.errors import Differs, Reaches, Refused
from wtool.hdf5.limits import CHILD_STEP, COPY_BLOCK, MAX_ATTRIBUTES, MAX_CHUNK, MAX_DEPTH, MAX_OBJECTS
from wtool.hdf5.messages import NEVER_WRITTEN
from wtool.hdf5.metadata import amount, shown
from wtool.hdf5.window import Window
from wtool.io.limits import MAX_INFLATED_FLOOR, MAX_INFLATED_RATIO

_FILTERS = {h5z.FILTER_DEFLATE, h5z.FILTER_SHUFFLE, h5z.FILTER_FLETCHER32, h5z.FILTER_LZF, h5z.FILTER_SZIP}
SUPERBLOCK, HEADER = 48, 16
"""Bytes that a superblock and an object header have at least; the HDF5 library does not tell where other tables are."""


@dataclass
class _Survey:
    """All that is to be copied, found before anything is copied.

    Attributes:
        drop: names in the root group that are left out.
        size: of the file, in bytes.
        allow: gives the process time and disk for the next step.
        block: size of the user block in bytes. Addresses of headers count from its end, those of values do not.
        items: paths of the objects in order.
        seen: address of each header -> the first path of its object.
        places: where headers and values are, as (start, stop).
        nbytes: of all arrays.
        stored: bytes that all arrays take in the file.
        attributes: bytes of the values of all attributes.
    """

    drop: frozenset[str]
    size: int
    allow: Callable[[int, int], None]
    block: int = 0
    items: list[bytes] = field(default_factory=list)
    seen: dict[int, bytes] = field(default_factory=dict)
    places: list[tuple[int, int]] = field(default_factory=list)
    nbytes: int = 0
    stored: int = 0
    attributes: int = 0


def warm_up() -> None:
    """Use h5py once, so that it loads all its modules before the process is limited."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver="earliest") as file:
        for encoding in ("ascii", "utf-8"):
            file.attrs.create(encoding, ["text"], dtype=h5py.string_dtype(encoding))
        file.create_dataset("x", data=np.eye(3), chunks=(1, 1), compression="gzip", shuffle=True)
    with h5py.File(buffer, "r") as file, h5py.File(io.BytesIO(), "w", libver="earliest") as target:
        survey = _Survey(frozenset(), 1 << 20, lambda nbytes, size: None)
        _look(survey, h5g.open(file.id, b"/"), b"", 0)
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
    survey = _Survey(drop, size, allow, file.id.get_create_plist().get_userblock())
    root = h5g.open(file.id, b"/")
    for start, length in ((0, SUPERBLOCK), (h5o.get_info(root).addr, HEADER)):
        survey.places.append((survey.block + start, survey.block + start + length))
    _check(survey, root)
    _look(survey, root, b"", 0)
    _check_bomb(survey.nbytes, survey.stored)
    _check_owners(survey.places)
    allow(survey.nbytes, size)
    with h5py.File(target, "w", libver="earliest") as plain:
        _write(survey, root, h5g.open(plain.id, b"/"))


def _write(survey: _Survey, file: Any, root: Any) -> None:
    _copy_attributes(file, root)
    for number, path in enumerate(survey.items):
        if number % CHILD_STEP == 0:
            survey.allow(survey.nbytes, survey.size)
        parent, _, name = path.rpartition(b"/")
        place = h5o.open(root, parent) if parent else root
        try:
            _copy(h5o.open(file, path), place, name)
        except Refused as error:
            raise error.within(_named(path)) from None


# --- looking ---


def _look(survey: _Survey, group: Any, path: bytes, depth: int) -> None:
    """Add all objects to which a group leads to the survey, following hard links only."""
    if depth > MAX_DEPTH:
        raise Refused(f"more than {MAX_DEPTH} groups inside each other")
    names: list[bytes] = []
    group.links.iterate(names.append)
    for name in names:
        where = path + b"/" + name if path else name
        if not path and name.decode("utf-8", "surrogateescape") in survey.drop:
            continue
        try:
            item = _open(group, name)
            header = h5o.get_info(item).addr
            before = survey.seen.setdefault(header, where)
            survey.items.append(where)
            if len(survey.items) % CHILD_STEP == 0:
                survey.allow(0, 0)
            if len(survey.items) > MAX_OBJECTS:
                raise Refused(f"more than {MAX_OBJECTS} groups and datasets")
            if before != where:
                _refuse_second_name(item, before)
            else:
                survey.places.append((survey.block + header, survey.block + header + HEADER))
            _check(survey, item)
        except Refused as error:
            raise error.within(_named(where)) from None
        if isinstance(item, h5g.GroupID):
            _look(survey, item, where, depth + 1)


def _refuse_second_name(item: Any, before: bytes) -> None:
    if isinstance(item, h5g.GroupID):
        raise Refused("damaged: this group is in two places")
    if isinstance(item, h5d.DatasetID):
        raise Differs(f"is the same array as {_named(before)}: to change one would be to change the other")


def _open(group: Any, name: bytes) -> Any:
    kind = group.links.get_info(name).type
    if kind == h5l.TYPE_SOFT:
        raise Reaches("is a link to another path (a soft link)")
    if kind == h5l.TYPE_EXTERNAL:
        raise Reaches("is a link into another file (an external link)")
    if kind != h5l.TYPE_HARD or name in (b"", b"."):
        raise Refused("damaged: a link")
    return h5o.open(group, name)


def _check(survey: _Survey, item: Any) -> None:
    for i in range(h5a.get_num_attrs(item)):
        found = h5a.open(item, index=i)
        survey.attributes += prod(_shape(found.get_space()) or ()) * found.get_type().get_size() + 64
        if survey.attributes > MAX_ATTRIBUTES:
            raise Refused(f"the attributes take more than {MAX_ATTRIBUTES >> 20} MiB")
    if isinstance(item, h5d.DatasetID):
        _check_storage(item)
        nbytes, stored = prod(item.shape or ()) * item.get_type().get_size(), min(item.get_storage_size(), survey.size)
        _check_bomb(nbytes if item.shape is not None else 0, stored)
        _check_written(survey, item, nbytes if item.shape is not None else 0)
        survey.nbytes += nbytes
        survey.stored += stored


def _check_storage(item: Any) -> None:
    plan, element = item.get_create_plist(), item.get_type().get_size()
    if plan.get_external_count():
        raise Reaches("keeps its values in another file (external storage)")
    layout = plan.get_layout()
    if layout == h5d.VIRTUAL:
        raise Reaches("takes its values from other datasets (a virtual dataset)")
    for i in range(plan.get_nfilters()):
        code = plan.get_filter(i)[0]
        if code not in _FILTERS or not h5z.filter_avail(code):
            raise Refused(f"is compressed with filter {code}, which is not read here; save it without")
    chunk = prod(plan.get_chunk()) * element if layout == h5d.CHUNKED else element
    if chunk > MAX_CHUNK:
        raise Refused(f"has chunks of {amount(chunk)}; at most {amount(MAX_CHUNK)} are read here")


def _check_written(survey: _Survey, item: Any, nbytes: int) -> None:
    """Refuse arrays of which not all was written; note where contiguous arrays and chunks are.

    Compact arrays are part of their headers.
    """
    layout, places = item.get_create_plist().get_layout(), survey.places
    if not nbytes or layout == h5d.COMPACT:
        return
    if layout == h5d.CONTIGUOUS:
        start, written = item.get_offset(), item.get_storage_size()
        if start is None or written < nbytes:
            raise Refused(NEVER_WRITTEN.format(amount(nbytes), amount(written if start is not None else 0)))
        _add_place(places, start, start + written)
        return
    chunk, written = item.get_create_plist().get_chunk(), item.get_num_chunks()
    wanted = prod(-(-n // step) for n, step in zip(item.shape, chunk, strict=True))
    if written < wanted:
        raise Refused(NEVER_WRITTEN.format(f"{wanted} chunks", written))
    item.chunk_iter(lambda info: _add_place(places, info.byte_offset, info.byte_offset + info.size))


def _add_place(places: list[tuple[int, int]], start: int, stop: int) -> None:
    """Note a place, joined with the one before where they touch: chunks in a row make one place, not millions."""
    if places and places[-1][1] == start:
        start = places.pop()[0]
    places.append((start, stop))


def _check_owners(places: list[tuple[int, int]]) -> None:
    """Refuse arrays that share bytes with each other, or with the headers of objects."""
    last = 0
    for start, stop in sorted(places):
        if start < last:
            raise Differs(f"two things in it share the bytes from {start} on")
        last = stop


def _check_bomb(nbytes: int, stored: int) -> None:
    if nbytes > MAX_INFLATED_FLOOR and nbytes > MAX_INFLATED_RATIO * stored:
        raise Refused(f"says {amount(nbytes)}, but the file holds {amount(stored)} of it")


# --- copying ---


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
        chunk = old.get_chunk() if old.get_layout() == h5d.CHUNKED else (1,) * len(shape)
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
        name, kind, shape = old.get_name(), old.get_type(), _shape(old.get_space())
        if kind.get_class() == h5t.STRING and kind.is_variable_str():
            made = h5a.create(target, name, kind.copy(), _space(shape))
            values, plain = np.empty(shape or (), kind.dtype), None
        else:
            try:
                plain = _plain_type(kind)
            except Refused as error:
                raise Refused(f"its attribute {_named(name)} {error.message}") from None
            made = h5a.create(target, name, plain, _space(shape))
            values = np.empty(shape or (), f"V{kind.get_size()}")
        if shape is not None and 0 not in shape:
            old.read(values, plain)
            made.write(values, plain)


def _shape(space: Any) -> tuple[int, ...] | None:
    return None if space.get_simple_extent_type() == h5s.NULL else space.shape


def _space(shape: tuple[int, ...] | None) -> Any:
    if shape:
        return h5s.create_simple(shape)
    return h5s.create(h5s.NULL if shape is None else h5s.SCALAR)


def _named(path: bytes) -> str:
    return shown(path.decode("utf-8", "surrogateescape"))
