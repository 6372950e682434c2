"""A new HDF5 file: groups, attributes, and room for every array, or its deflated chunks.

The HDF5 library writes the file. The library is given names and attributes that wtool has read and checked, never a
file of somebody else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, BinaryIO

from wtool.errors import Refused
from wtool.hdf5.attribute_reader import FixedText, Value
from wtool.values import dataclass


@dataclass(frozen=True, slots=True)
class Room:
    """An array of the new file, whose values come later.

    Attributes:
        shape: of the array.
        dtype: NumPy's name, or `opaque<n>` for values of n bytes that HDF5 has no type for.
        attributes: name -> value.
        deflated: its values, deflated; None for a contiguous array, whose values come later.
    """

    shape: tuple[int, ...]
    dtype: str
    attributes: Mapping[str, Value]
    deflated: Deflated | None = None


@dataclass(frozen=True, slots=True)
class Deflated:
    """The values of an array as deflated chunks.

    Attributes:
        chunk: shape of a chunk.
        is_shuffled: whether the first bytes of all values of a chunk come first, then the second ones, and so on.
        level: of deflate, as the file tells it; readers do not need it.
        chunks: gives the coordinates of each chunk, and the chunk as a zlib stream.
    """

    chunk: tuple[int, ...]
    is_shuffled: bool
    level: int
    chunks: Callable[[], Iterable[tuple[tuple[int, ...], bytes]]]


def write_skeleton(
    file: BinaryIO, groups: Mapping[str, Mapping[str, Value]], rooms: Mapping[str, Room]
) -> dict[str, int]:
    """Write a file in the oldest layout, which every HDF5 library reads; its contiguous arrays are yet to be filled.

    Args:
        file: empty, open for reading and writing.
        groups: path -> attributes; the root is "".
        rooms: path -> array.

    Returns:
        path -> offset of each contiguous array in the file; 0 where the array has no bytes.

    Raises:
        Refused: an array has a dtype that no weight has.
    """
    import h5py
    from h5py import h5d, h5s, h5t

    offsets = {}
    plan = _new_plan()
    # Early allocation gives every array its place in the file now; values are written there later, by offset.
    plan.set_layout(h5d.CONTIGUOUS)
    plan.set_alloc_time(h5d.ALLOC_TIME_EARLY)
    with h5py.File(file, "w", libver="earliest") as made:
        for path, attributes in groups.items():
            _describe(h5py.Group(_group(made.id, path)), attributes)
        for path, room in rooms.items():
            above, _, name = path.rpartition("/")
            space = h5s.create_simple(room.shape) if room.shape else h5s.create(h5s.SCALAR)
            kind = h5t.py_create(_stored_type(room.dtype, path), logical=True)
            own = plan if room.deflated is None else _chunked_plan(room.deflated)
            array = h5py.Dataset(h5d.create(_group(made.id, above), _encoded(name), kind, space, own))
            _describe(array, room.attributes)
            if room.deflated is None:
                offsets[path] = array.id.get_offset() or 0
                continue
            for coordinates, data in room.deflated.chunks():
                array.id.write_direct_chunk(coordinates, data)
    return offsets


def _new_plan() -> Any:
    """Returns how an array is made: without fill values, which would be written first, and without times.

    Without times two runs make the same bytes.
    """
    from h5py import h5d, h5p

    plan = h5p.create(h5p.DATASET_CREATE)
    plan.set_fill_time(h5d.FILL_TIME_NEVER)
    plan.set_obj_track_times(False)
    return plan


def _chunked_plan(deflated: Deflated) -> Any:
    plan = _new_plan()
    plan.set_chunk(deflated.chunk)
    if deflated.is_shuffled:
        plan.set_shuffle()
    plan.set_deflate(deflated.level)
    return plan


def _group(file: Any, path: str) -> Any:
    """Returns a group; the group and those above it are made where they are missing."""
    from h5py import h5g

    found = h5g.open(file, b"/")
    for name in filter(None, path.split("/")):
        own = _encoded(name)
        found = h5g.open(found, own) if found.links.exists(own) else h5g.create(found, own)
    return found


def _encoded(text: str) -> bytes:
    """Returns the bytes of a name as they were in the file that it came from, UTF-8 or not."""
    return text.encode("utf-8", "surrogateescape")


def _stored_type(dtype: str, path: str) -> Any:
    import numpy as np

    from wtool.dtypes import NUMPY_FLOATS, NUMPY_OTHERS

    if dtype in NUMPY_FLOATS or dtype in NUMPY_OTHERS:
        return np.dtype(dtype)
    if dtype.startswith("opaque"):
        return np.dtype(f"V{int(dtype.removeprefix('opaque'))}")
    raise Refused(f"{path} is of type {dtype}, which no weight has")


def _describe(item: Any, attributes: Mapping[str, Value]) -> None:
    import h5py
    import numpy as np

    for name, value in attributes.items():
        if isinstance(value, bytes):
            item.attrs[name] = np.bytes_(value)
        elif isinstance(value, FixedText):
            item.attrs[name] = np.array(_encoded(value), f"S{max(1, len(_encoded(value)))}")
        elif isinstance(value, tuple) and value and all(isinstance(each, FixedText) for each in value):
            texts = [_encoded(str(each)) for each in value]
            item.attrs.create(name, np.array(texts, f"S{max(1, *map(len, texts))}"))
        elif isinstance(value, str):
            item.attrs.create(name, _encoded(value), dtype=h5py.string_dtype())
        elif isinstance(value, tuple) and value and all(isinstance(each, str) for each in value):
            item.attrs.create(name, [_encoded(str(each)) for each in value], dtype=h5py.string_dtype())
        elif isinstance(value, tuple) and value and all(isinstance(each, bytes) for each in value):
            width = max(len(each) for each in value if isinstance(each, bytes))
            item.attrs.create(name, np.array(value, dtype=f"S{max(1, width)}"))
        elif value is None:
            item.attrs[name] = h5py.Empty("f")
        else:
            item.attrs[name] = np.asarray(value) if isinstance(value, tuple) else value
