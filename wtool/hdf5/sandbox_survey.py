"""Survey of an HDF5 file by the HDF5 library, in the child process: all objects are looked at before any is copied.

The survey refuses links that lead elsewhere, arrays whose values are elsewhere or were never written, bombs, and files
in which two things share bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from math import prod
from typing import Any

from h5py import h5a, h5d, h5g, h5l, h5o, h5s, h5z

from wtool.errors import Differs, Reaches, Refused
from wtool.hdf5.limits import CHILD_STEP, MAX_ATTRIBUTES, MAX_CHUNK, MAX_DEPTH, MAX_OBJECTS
from wtool.hdf5.messages import NEVER_WRITTEN
from wtool.hdf5.metadata import amount, shown
from wtool.io.limits import MAX_INFLATED_FLOOR, MAX_INFLATED_RATIO
from wtool.values import dataclass

_FILTERS = {h5z.FILTER_DEFLATE, h5z.FILTER_SHUFFLE, h5z.FILTER_FLETCHER32, h5z.FILTER_LZF, h5z.FILTER_SZIP}
SUPERBLOCK, HEADER = 48, 16
"""Bytes that a superblock and an object header have at least; the HDF5 library does not tell where other tables are."""


@dataclass
class Survey:
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


def look(survey: Survey, group: Any, path: bytes, depth: int) -> None:
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
            check_item(survey, item)
        except Refused as error:
            raise error.within(path_text(where)) from None
        if isinstance(item, h5g.GroupID):
            look(survey, item, where, depth + 1)


def _refuse_second_name(item: Any, before: bytes) -> None:
    if isinstance(item, h5g.GroupID):
        raise Refused("damaged: this group is in two places")
    if isinstance(item, h5d.DatasetID):
        raise Differs(f"is the same array as {path_text(before)}: to change one would be to change the other")


def _open(group: Any, name: bytes) -> Any:
    kind = group.links.get_info(name).type
    if kind == h5l.TYPE_SOFT:
        raise Reaches("is a link to another path (a soft link)")
    if kind == h5l.TYPE_EXTERNAL:
        raise Reaches("is a link into another file (an external link)")
    if kind != h5l.TYPE_HARD or name in (b"", b"."):
        raise Refused("damaged: a link")
    return h5o.open(group, name)


def check_item(survey: Survey, item: Any) -> None:
    """Add an object's attributes and values to the survey.

    Raises:
        Reaches: values are in another file or dataset.
        Refused: the object holds more than the limits allow, or values that were never written.
    """
    for i in range(h5a.get_num_attrs(item)):
        found = h5a.open(item, index=i)
        survey.attributes += prod(shape_of(found.get_space()) or ()) * found.get_type().get_size() + 64
        if survey.attributes > MAX_ATTRIBUTES:
            raise Refused(f"the attributes take more than {MAX_ATTRIBUTES >> 20} MiB")
    if isinstance(item, h5d.DatasetID):
        _check_storage(item)
        nbytes, stored = prod(item.shape or ()) * item.get_type().get_size(), min(item.get_storage_size(), survey.size)
        check_bomb(nbytes if item.shape is not None else 0, stored)
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


def _check_written(survey: Survey, item: Any, nbytes: int) -> None:
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


def check_owners(places: list[tuple[int, int]]) -> None:
    """Refuse arrays that share bytes with each other, or with the headers of objects."""
    last = 0
    for start, stop in sorted(places):
        if start < last:
            raise Differs(f"two things in it share the bytes from {start} on")
        last = stop


def check_bomb(nbytes: int, stored: int) -> None:
    """Refuse arrays that claim far more bytes than the file stores of them."""
    if nbytes > MAX_INFLATED_FLOOR and nbytes > MAX_INFLATED_RATIO * stored:
        raise Refused(f"says {amount(nbytes)}, but the file holds {amount(stored)} of it")


def shape_of(space: Any) -> tuple[int, ...] | None:
    """Returns the shape of a dataspace, or None for a null dataspace."""
    return None if space.get_simple_extent_type() == h5s.NULL else space.shape


def path_text(path: bytes) -> str:
    """Returns a path as a message may show it."""
    return shown(path.decode("utf-8", "surrogateescape"))
