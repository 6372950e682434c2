"""Chunked arrays as `packing` writes them: deflated chunks of whole rows, which a B-tree (version 1) lists.

Other chunked arrays (other filters, chunks that are no rows, chunks that are not there) are not plain, and are left to
the HDF5 library.

Source: HDF5 File Format Specification 3.0, sections III.A.1 (B-trees), IV.A.2.i (layouts), IV.A.2.l (filters).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import prod
from struct import Struct, unpack_from

from wtool.errors import Refused
from wtool.hdf5.limits import LARGEST_PACKED_CHUNK, MAX_BTREE_LEVELS, SMALLEST_PACKED_CHUNK
from wtool.hdf5.metadata import UNDEFINED, Metadata, NotPlain, amount
from wtool.io.limits import MAX_INFLATED_FLOOR, MAX_INFLATED_RATIO
from wtool.values import dataclass

CHILDREN = 64
"""Most children of a node in a file whose superblock says nothing else."""

_ALIGNMENT = 8  # of arrays in a file of arrays alone
_NODE = Struct("<4sBBHQQ")
_FILTER = Struct("<HHHH")
_DEFLATE, _SHUFFLE = 1, 2
_LEVELS = 9  # beyond the last level of deflate, the library refuses to inflate
_OTHER = "chunked datasets"

Place = tuple[int, int, int]
Coordinates = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Stored:
    """How an array of a packed file is stored.

    Attributes:
        places: of each chunk, in the order of the array's bytes: offset in the file, how many bytes the chunk takes
            there, and how many bytes of the array the chunk holds. The only one of an array that is not chunked.
        chunk: how many bytes each chunk inflates to, with the padding of the last rows; 0 where nothing is deflated.
        shuffled: bytes of a value where the chunks are shuffled; else 0.
    """

    places: tuple[Place, ...]
    chunk: int = 0
    shuffled: int = 0


def rows(shape: Sequence[int], chunk: Sequence[int]) -> Iterator[tuple[Coordinates, int]]:
    """Yields the coordinates of each chunk, and how many values of the array the chunk holds.

    A chunk is one row, or several, of the same axis: 1 along all axes before that axis, and everything along those
    behind it. So the values of a chunk follow each other in the array too.

    Args:
        shape: of the array, (n_1, ...); no axis is empty.
        chunk: of the same length.
    """
    axis = next((i for i, step in enumerate(chunk) if step != 1), len(shape) - 1)
    inner = prod(shape[axis + 1 :])
    for outer in range(prod(shape[:axis])):
        left, above = outer, []
        for size in reversed(shape[:axis]):
            left, at = divmod(left, size)
            above.append(at)
        for start in range(0, shape[axis], chunk[axis]):
            values = min(chunk[axis], shape[axis] - start) * inner
            yield (*reversed(above), start, *([0] * (len(shape) - axis - 1))), values


def are_rows(shape: Sequence[int], chunk: Sequence[int]) -> bool:
    """Returns whether chunks hold values that follow each other in the array (see `rows`)."""
    axis = next((i for i, step in enumerate(chunk) if step != 1), len(shape) - 1)
    return chunk[axis] <= shape[axis] and tuple(chunk[axis + 1 :]) == tuple(shape[axis + 1 :])


def is_chunked(layout: bytes) -> bool:
    """Returns whether a layout message is one of a chunked array as `packing` writes it."""
    return layout[:2] == b"\3\2"


def read_chunks(metadata: Metadata, layout: bytes, filters: bytes, shape: tuple[int, ...], element: int) -> Stored:
    """Returns where the chunks of an array are.

    Args:
        metadata: of the file.
        layout: body of the layout message.
        filters: body of the message of filters.
        shape: of the array.
        element: bytes of a value.

    Raises:
        Refused: two things in the file share bytes, or the array leads out of the file.
        NotPlain: the array is chunked in another way than `packing` does it.
    """
    rank = layout[2] - 1
    btree, *dims = unpack_from(f"<Q{rank + 1}I", layout, 3)
    chunk, size = tuple(dims[:-1]), prod(dims)
    if rank != len(shape) or dims[-1] != element or btree == UNDEFINED or not prod(shape) or 0 in chunk:
        raise NotPlain(_OTHER)
    if not are_rows(shape, chunk) or size > LARGEST_PACKED_CHUNK:
        raise NotPlain(_OTHER)
    if size < SMALLEST_PACKED_CHUNK and chunk != shape:
        raise NotPlain(_OTHER)
    shuffled = _shuffled(filters, element)
    listed = _leaves(metadata, btree, tuple(dims))
    places: list[Place] = []
    for coordinates, values in rows(shape, chunk):
        found = next(listed, None)
        if found is None or found[0] != (*coordinates, 0) or not found[2]:
            raise NotPlain(_OTHER)
        metadata.claim(found[1], found[2])
        places.append((found[1], found[2], values * element))
    if next(listed, None) is not None:
        raise NotPlain(_OTHER)
    return Stored(tuple(places), size, shuffled)


def _shuffled(body: bytes, element: int) -> int:
    """Returns the bytes of a value where the filters are shuffle and deflate; 0 where deflate is the only one."""
    version, count = body[0], body[1]
    found, position = [], 8
    for _ in range(count if version == 1 and count <= 2 else 0):
        code, name, _flags, values = _FILTER.unpack_from(body, position)
        if name % 8 or values != 1:
            raise NotPlain("filters")
        position += _FILTER.size + name
        found.append((code, *unpack_from("<I", body, position)))
        if code == _DEFLATE and found[-1][1] > _LEVELS:
            raise NotPlain("filters")
        position += 8  # an odd number of values is padded
    if not found or found[-1][0] != _DEFLATE or any(code != _SHUFFLE for code, _ in found[:-1]):
        raise NotPlain("filters")
    if len(found) == 1:
        return 0
    if found[0][1] != element:
        raise NotPlain("filters")
    return element


def node_size(rank: int) -> int:
    """Returns the bytes of a node of the B-tree that lists the chunks of an array of `rank` dimensions."""
    return _NODE.size + CHILDREN * 8 + (CHILDREN + 1) * (8 + 8 * (rank + 1))


def _leaves(metadata: Metadata, root: int, dims: Coordinates) -> Iterator[tuple[Coordinates, int, int]]:
    """Yields coordinates, offset and size of the chunks in a B-tree, of which every key is what a search relies on.

    The HDF5 library searches chunks by the keys of all levels. A key that leads astray would hide a chunk from the
    library, which then reads zeros; so each key must be that of the first chunk below its child, and the key behind
    the last child must lie behind the last chunk. Coordinates have one more number than the array has dimensions, which
    counts the bytes of a value and is 0 for chunks.
    """
    key = Struct(f"<II{len(dims)}Q")
    size = node_size(len(dims) - 1)
    beyond = (1 << 64,) * len(dims)
    level, nodes = -1, [(root, (0,) * len(dims), beyond)]
    while True:
        below: list[tuple[int, Coordinates, Coordinates]] = []
        for number, (address, first, bound) in enumerate(nodes):
            metadata.claim(address, size)
            node = metadata.at(address, size)
            signature, kind, height, count, left, right = _NODE.unpack_from(node)
            level = height if level < 0 else level
            before = nodes[number - 1][0] if number else UNDEFINED
            after = nodes[number + 1][0] if number + 1 < len(nodes) else UNDEFINED
            if signature != b"TREE" or kind != 1 or height != level or not 0 < count <= CHILDREN:
                raise NotPlain(_OTHER)
            if (left, right) != (before, after) or level > MAX_BTREE_LEVELS:
                raise NotPlain(_OTHER)
            keys = [key.unpack_from(node, _NODE.size + i * (key.size + 8)) for i in range(count + 1)]
            at = [_coordinates(each, dims) for each in keys]
            if at[0] != first or at[count] <= at[count - 1] or bound <= at[count - 1]:
                raise NotPlain(_OTHER)
            children = [unpack_from("<Q", node, _NODE.size + i * (key.size + 8) + key.size)[0] for i in range(count)]
            if level:
                ends = [*at[1:count], min(bound, at[count])]
                below += zip(children, at[:count], ends, strict=True)
                continue
            for i, child in enumerate(children):
                if keys[i][1]:  # a filter was left out
                    raise NotPlain(_OTHER)
                yield at[i], child, keys[i][0]
        if level == 0:
            return
        nodes, level = below, level - 1


def _coordinates(key: Sequence[int], dims: Coordinates) -> Coordinates:
    """Returns the coordinates of a chunk out of a key: size, mask of filters, coordinates."""
    found = tuple(key[2:])
    if any(at % step for at, step in zip(found, dims, strict=True)):
        raise NotPlain(_OTHER)
    return found


def in_turn(
    arrays: Mapping[str, tuple[int, int]], chunked: Mapping[str, Stored]
) -> tuple[dict[str, Stored], dict[str, int], int]:
    """Returns how each array of a packed file is stored, its offset in a file of arrays alone, and that file's size.

    The arrays follow each other as in the packed file: in weights alone, that order tells the order of the layers.

    Args:
        arrays: path -> offset in the packed file, if the array is not chunked, and how many bytes the array has.
        chunked: path -> how a chunked array is stored.

    Raises:
        Refused: the arrays claim far more bytes than the file stores of them.
    """
    found = {
        path: chunked.get(path) or Stored(((offset, nbytes, nbytes),) if nbytes else ())
        for path, (offset, nbytes) in arrays.items()
    }
    stored = dict(sorted(found.items(), key=lambda each: each[1].places[:1]))
    offsets, position = {}, 0
    for path in stored:
        offsets[path] = position
        position += -(-arrays[path][1] // _ALIGNMENT) * _ALIGNMENT
    taken = sum(size for each in stored.values() for _, size, _ in each.places)
    wanted = sum(nbytes for _, nbytes in arrays.values())
    if wanted > MAX_INFLATED_FLOOR and wanted > MAX_INFLATED_RATIO * taken:
        raise Refused(f"says {amount(wanted)}, but the file holds {amount(taken)} of it")
    return stored, offsets, position
