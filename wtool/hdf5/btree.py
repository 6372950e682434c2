"""The tables of old-style HDF5 groups: a B-tree leads to symbol nodes, whose entries name their links in a heap.

Source: HDF5 File Format Specification 3.0, sections III.A.1 (B-trees), III.B (symbol nodes) and III.D (local heaps).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from struct import Struct, unpack_from
from typing import NamedTuple

from wtool.errors import Reaches, Refused
from wtool.hdf5.heaps import read_local_heap
from wtool.hdf5.limits import MAX_BTREE_LEVELS
from wtool.hdf5.metadata import UNDEFINED, Metadata, shown

_NODE = Struct("<4sBBHQQ")
_LEAF = Struct("<4sBxH")
_ENTRY = Struct("<QQIIQQ")


class Table(NamedTuple):
    """The table of a group's links: addresses of its B-tree and of the heap with the names."""

    btree: int
    heap: int


class Link(NamedTuple):
    """A hard link: its name, the address of its object's header, and the object's table if the entry repeats it."""

    name: bytes
    address: int
    table: Table | None


def read_entries(
    metadata: Metadata, table: Table, leaf: int, internal: int, spend: Callable[[int], None]
) -> list[Link]:
    """Returns a group's links, in the order of their names.

    Args:
        metadata: of the file.
        table: of the group.
        leaf: half the number of entries that a symbol node holds.
        internal: half the number of children that a B-tree node holds.
        spend: counts the characters of each name as soon as the name is read; raises `Refused`. Names may overlap in
            their heap, so that a small file could spell out gigabytes.

    Raises:
        Refused: the tables are damaged, or a link leads to another path or file.
    """
    names = read_local_heap(metadata, table.heap)
    entries: list[Link] = []
    for address in read_leaves(metadata, table.btree, internal):
        for cell in _ENTRY.iter_unpack(read_leaf(metadata, address, leaf)):
            entries.append(_entry(names, *cell))
            spend(len(entries[-1].name))
    for before, after in pairwise(entries):
        if before.name >= after.name:
            raise Refused(f"damaged: {shown(after.name.decode('utf-8', 'replace'))} is not in its place in the table")
    return entries


def _entry(names: bytes, name_at: int, address: int, cached: int, _: int, btree: int, heap: int) -> Link:
    end = names.find(b"\0", name_at)
    name = names[name_at:end]
    if end < 0 or not name or name == b"." or b"/" in name:
        raise Refused("damaged: a link has no proper name")
    if cached == 2 or address == UNDEFINED:
        raise Reaches(f"{shown(name.decode('utf-8', 'replace'))} is a link to another path (a soft link)")
    if cached > 1:
        raise Refused("damaged: a symbol table entry")
    return Link(name, address, Table(btree, heap) if cached else None)


def read_leaf(metadata: Metadata, address: int, leaf: int) -> bytes:
    """Returns the entries of a symbol node, as they are stored.

    Args:
        metadata: of the file.
        address: of the node.
        leaf: half the number of entries that a symbol node holds.

    Raises:
        Refused: the node is damaged.
    """
    signature, version, count = _LEAF.unpack(metadata.at(address, _LEAF.size))
    if signature != b"SNOD" or version != 1 or count > 2 * leaf:
        raise Refused("damaged: a symbol table node")
    metadata.claim(address, _LEAF.size + 2 * leaf * _ENTRY.size)
    return metadata.at(address + _LEAF.size, count * _ENTRY.size)


def read_leaves(metadata: Metadata, root: int, internal: int) -> list[int]:
    """Returns the addresses of a B-tree's symbol nodes, read level by level.

    Every node names its neighbours on its level; these have to be the ones that the level above tells, so that no node
    can be in the tree twice.

    Args:
        metadata: of the file.
        root: address of the tree's first node.
        internal: half the number of children that a node holds.

    Raises:
        Refused: the tree is damaged.
    """
    size = _NODE.size + 8 + 32 * internal
    nodes, level = [root], -1
    while True:
        children: list[int] = []
        for before, address, after in zip([UNDEFINED, *nodes], nodes, [*nodes[1:], UNDEFINED], strict=False):
            metadata.claim(address, size)
            node = metadata.at(address, size)
            signature, kind, height, count, left, right = _NODE.unpack_from(node)
            if signature != b"TREE" or kind or count > 2 * internal:
                raise Refused("damaged: a B-tree node")
            level = height if level < 0 else level
            if (
                height != level
                or height > MAX_BTREE_LEVELS
                or (left, right) != (before, after)
                or (height and not count)
            ):
                raise Refused("damaged: a B-tree whose nodes do not fit together")
            children += unpack_from("<" + "8xQ" * count, node, _NODE.size)
        if level == 0:
            return children
        nodes, level = children, level - 1
