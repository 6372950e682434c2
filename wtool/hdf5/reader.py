"""A strict reader of plain HDF5 files: an index of groups, datasets and attributes, without the values of the datasets.

A plain file is one that the HDF5 library writes by default (`libver="earliest"`) without compression: old-style groups,
contiguous little-endian datasets. That is how Keras writes models. The reader knows one kind of compressed arrays as
well, those of packed files (`chunks`). The bytes are parsed here and not by the HDF5
library, which crashes or loops on damaged metadata (measured: about one flipped bit in 400). A feature that the reader
does not know raises `NotPlain`; a contradiction is refused.

Source: HDF5 File Format Specification, version 3.0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import field, replace
from math import prod
from struct import Struct
from struct import error as StructError

from wtool.dtypes import NUMPY_FLOATS, NUMPY_OTHERS
from wtool.errors import Differs, Reaches, Refused
from wtool.hdf5.attribute_reader import Value, parse_attribute
from wtool.hdf5.btree import Link, Table, read_entries
from wtool.hdf5.chunks import Stored, in_turn, is_chunked, read_chunks
from wtool.hdf5.datatypes import parse_type
from wtool.hdf5.heaps import GlobalHeaps
from wtool.hdf5.limits import MAX_ATTRIBUTES, MAX_DEPTH, MAX_OBJECTS, MAX_PATHS
from wtool.hdf5.messages import (
    ATTRIBUTE,
    DATASPACE,
    DATATYPE,
    FILTERS,
    LAYOUT,
    PAIR,
    SHARED,
    SYMBOL_TABLE,
    Message,
    parse_layout,
    parse_shape,
    read_messages,
)
from wtool.hdf5.metadata import UNDEFINED, Allowance, Metadata, NotPlain, shown
from wtool.values import dataclass

__all__ = [
    "Dataset",
    "Index",
    "NotPlain",
    "Superblock",
    "Value",
    "behind_user_block",
    "possible_starts",
    "read_index",
    "read_superblock",
]

SIGNATURE = b"\x89HDF\r\n\x1a\n"
_SUPERBLOCK = Struct("<8sBBBxBBBxHHI")
_ADDRESSES = Struct("<QQQQ")
_ENTRY = Struct("<QQIIQQ")
_SINGLE = {SYMBOL_TABLE, DATASPACE, DATATYPE, LAYOUT, FILTERS}
_NUMBERS = {*NUMPY_FLOATS, *NUMPY_OTHERS}
_FIRST = 24  # where the addresses stand in a superblock of version 0


@dataclass(frozen=True, slots=True)
class Dataset:
    """A contiguous dataset, and where its bytes are in the HDF5 file.

    Attributes:
        path: from the root, without a slash in front.
        shape: of the array.
        dtype: NumPy's or ml_dtypes' name; `opaque<n>` for n-byte opaque types; little-endian. Types that no weight
            can have are named too: `string`, `vlen`, `compound`, `reference`, `array`, `enum`, `time`, `bitfield`,
            `complex`, `float?` and `int?` (of unusual layout), `null` (no value at all).
        offset: of the first byte in the HDF5 file; 0 where there are no bytes.
        nbytes: how many bytes the array takes; they are contiguous.
        attributes: name -> value.
    """

    path: str
    shape: tuple[int, ...]
    dtype: str
    offset: int
    nbytes: int
    attributes: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Index:
    """All groups and datasets of a file, in the order of the file's tables.

    Every byte has one owner: no two datasets share bytes with each other or with the file's own tables, and no dataset
    has two paths. So bytes that are written to one array change no other array.

    Attributes:
        size: of the file, in bytes.
        groups: path -> attributes; the root's path is "".
        datasets: path -> dataset.
        attributes: how many bytes of `MAX_ATTRIBUTES` the values of all attributes took.
        stored: of a packed file, path -> how the array is stored. The offsets of datasets are then those in the file
            of arrays that `unpacking` makes. Empty for plain files.
    """

    size: int
    groups: Mapping[str, Mapping[str, Value]]
    datasets: Mapping[str, Dataset]
    attributes: int = 0
    stored: Mapping[str, Stored] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Superblock:
    """The superblock, with which a file begins: where the root group is, and how tables are laid out.

    Attributes:
        end: the end-of-file address.
        root: address of the root group's object header.
        table: the root's B-tree and heap if the superblock repeats their addresses, else None.
        leaf: half the number of entries that a symbol table node holds.
        internal: half the number of children that a B-tree node holds.
        addresses: offset of the four addresses in the superblock, of which the third is the end of the file.
    """

    end: int
    root: int
    table: Table | None
    leaf: int
    internal: int
    addresses: int


def read_index(read: Callable[[int, int], bytes], size: int) -> Index:
    """Returns the index of an HDF5 file.

    Names and texts that are no UTF-8 come with lone surrogates (`surrogateescape`); names are data, never paths of the
    file system. Committed datatypes that nothing uses are left out.

    Args:
        read: gives exactly n bytes at an offset of the file, or raises `Refused`.
        size: of the file, in bytes.

    Raises:
        Differs: an array has two names, or two things share bytes.
        Refused: the file is damaged, contradicts itself, points outside itself, or is beyond a limit.
        NotPlain: the file uses features of HDF5 that this reader does not know.
    """
    metadata = Metadata(read, size)
    superblock = read_superblock(metadata)
    metadata.claim(0, superblock.addresses + _ADDRESSES.size + _ENTRY.size)
    walk = _Walk(metadata, superblock)
    walk.run()
    metadata.check_claims()
    index = Index(size, walk.groups, walk.datasets, walk.attributes.spent)
    return _packed(index, walk.chunked) if walk.chunked else index


def _packed(index: Index, chunked: Mapping[str, Stored]) -> Index:
    """Returns the index of a packed file, in which arrays follow each other, each from a multiple of 8 bytes on."""
    arrays = {path: (each.offset, each.nbytes) for path, each in index.datasets.items()}
    stored, offsets, size = in_turn(arrays, chunked)
    datasets = {path: replace(each, offset=offsets[path]) for path, each in index.datasets.items()}
    return replace(index, size=size, datasets=datasets, stored=stored)


def read_superblock(metadata: Metadata) -> Superblock:
    """Returns the superblock, checked, and tells `metadata` where the file ends.

    Raises:
        Refused: the file is no HDF5 file, damaged, or one part of a set of files.
        NotPlain: the superblock is of version 2 or 3, stands behind a user block, or has addresses of another size.
    """
    size = metadata.end
    if size < 96 or metadata.at(0, 8) != SIGNATURE:
        _find_signature(metadata)
    head = _SUPERBLOCK.unpack(metadata.at(0, _SUPERBLOCK.size))
    _, version, free, table, shared, offsets, lengths, leaf, internal, _flags = head
    if version in (2, 3):
        raise NotPlain(f"a superblock of version {version}")
    if version not in (0, 1) or free or table or shared:
        raise Refused(f"damaged: HDF5 knows no superblock of version {version}")
    if (offsets, lengths) != (8, 8):
        if offsets in (2, 4, 8, 16, 32) and lengths in (2, 4, 8, 16, 32):
            raise NotPlain(f"addresses of {offsets} and lengths of {lengths} bytes")
        raise Refused("damaged: its addresses have an impossible size")
    if not leaf or not internal:
        raise Refused("damaged: its tables hold nothing")
    start = 24 + 4 * version
    base, _space, end, driver = _ADDRESSES.unpack(metadata.at(start, 32))
    _, root, cached, _, *scratch = _ENTRY.unpack(metadata.at(start + 32, 40))
    if base:
        raise NotPlain("a base address")
    if driver != UNDEFINED:
        raise Reaches("is one part of a set of files (a driver information block)")
    metadata.end_at(end)
    return Superblock(end, root, Table(*scratch) if cached == 1 else None, leaf, internal, start)


def _find_signature(metadata: Metadata) -> None:
    if behind_user_block(metadata.at, metadata.end) is not None:
        raise NotPlain("a user block")
    raise Refused("this is no HDF5 file")


def possible_starts(size: int) -> Iterator[int]:
    """Yields where HDF5 may begin in a file: at 0, or at 512, 1024, 2048, ... behind a user block."""
    offset = 0
    while offset + len(SIGNATURE) <= size:
        yield offset
        offset = 2 * offset or 512


def behind_user_block(read: Callable[[int, int], bytes], size: int) -> int | None:
    """Returns where HDF5 begins behind a user block, or None where no signature stands behind one.

    Args:
        read: gives exactly n bytes at an offset of the file.
        size: of the file, in bytes.
    """
    starts = possible_starts(size)
    return next((start for start in starts if start and read(start, len(SIGNATURE)) == SIGNATURE), None)


class _Walk:
    """The one pass over all objects, depth first, and the groups and datasets that it has found so far."""

    def __init__(self, metadata: Metadata, superblock: Superblock) -> None:
        self.metadata = metadata
        self.superblock = superblock
        self.groups: dict[str, dict[str, Value]] = {}
        self.datasets: dict[str, Dataset] = {}
        self.chunked: dict[str, Stored] = {}
        self.tables: set[int] = set()  # header addresses of groups
        self.others: dict[int, str | None] = {}  # header addresses of datasets -> path; of committed datatypes -> None
        self.attributes = Allowance(MAX_ATTRIBUTES, f"the attributes take more than {MAX_ATTRIBUTES >> 20} MiB")
        self.names = Allowance(MAX_PATHS, "the names of its groups and datasets are too long")
        self.heaps = GlobalHeaps(metadata, self.attributes.spend)
        self.objects = Allowance(MAX_OBJECTS, f"holds more than {MAX_OBJECTS} groups and datasets")

    def run(self) -> None:
        """Visit all objects to which the root group leads."""
        stack = [("", Link(b"", self.superblock.root, self.superblock.table), 0)]
        while stack:
            path, entry, depth = stack.pop()
            try:
                children = self.visit(path, entry, depth)
            except Refused as error:
                where = shown(path) if path else "the root group"
                raise error.within(where) from None
            except StructError:
                raise Refused(f"{shown(path) or 'the root group'}: damaged: something ends too early") from None
            if children:
                self.spend_objects(path, children)
                prefix = f"{path}/" if path else ""
                names = ((prefix + child.name.decode("utf-8", "surrogateescape"), child) for child in children)
                stack.extend((name, child, depth + 1) for name, child in reversed(list(names)))

    def spend_objects(self, path: str, children: list[Link]) -> None:
        """Count links, and the characters in front of their names in their paths, against the limits."""
        self.objects.spend(len(children))
        self.names.spend(len(path) * len(children))

    def visit(self, path: str, entry: Link, depth: int) -> list[Link]:
        """Put one object into the index; returns its links where it is a group, else none."""
        if entry.address in self.others:
            known = self.others[entry.address]
            if known is not None:
                raise Differs(f"is the same array as {shown(known)}: to change one would be to change the other")
            return []
        if entry.address in self.tables:
            raise Refused("damaged: this group is in two places")
        # The checks above let every object be read once only, so that links in circles come to an end.
        messages = read_messages(self.metadata, entry.address)
        found = {message.kind: message for message in messages if message.kind in _SINGLE}
        if len(found) != sum(message.kind in _SINGLE for message in messages):
            raise Refused("damaged: an object header says the same thing twice")
        attributes = self.attributes_of(messages)
        if SYMBOL_TABLE not in found:
            dataset = self.dataset(path, found, attributes)
            self.others[entry.address] = path if dataset else None
            if dataset:
                self.datasets[path] = dataset
            return []
        if FILTERS in found:
            raise NotPlain("filters of groups")
        if len(found) > 1:
            raise Refused("damaged: it is a group and a dataset at once")
        if depth > MAX_DEPTH:
            raise Refused(f"more than {MAX_DEPTH} groups inside each other")
        table = Table(*PAIR.unpack_from(found[SYMBOL_TABLE].body))
        if entry.table and entry.table != table:
            raise Refused("damaged: two places say different things about this group")
        self.tables.add(entry.address)
        self.groups[path] = attributes
        return read_entries(self.metadata, table, self.superblock.leaf, self.superblock.internal, self.names.spend)

    def attributes_of(self, messages: list[Message]) -> dict[str, Value]:
        """Returns the attributes among an object's messages."""
        attributes: dict[str, Value] = {}
        for message in messages:
            if message.kind == ATTRIBUTE:
                if message.flags & SHARED:
                    raise NotPlain("shared messages")
                name, value = parse_attribute(message.body, self.heaps.fetch, self.attributes.spend)
                if name in attributes:
                    raise Refused(f"damaged: two attributes are called {shown(name)}")
                attributes[name] = value
        return attributes

    def dataset(self, path: str, found: dict[int, Message], attributes: dict[str, Value]) -> Dataset | None:
        """Returns the dataset that these messages describe, or None for a committed datatype."""
        filters = found.pop(FILTERS, None)
        if len(found) < 3:
            if found.keys() == {DATATYPE}:
                return None
            raise Refused("damaged: it is neither a group nor a dataset")
        if found[DATATYPE].flags & SHARED:
            raise NotPlain("datasets with committed datatypes")
        if found[DATASPACE].flags & SHARED or found[LAYOUT].flags & SHARED:
            raise NotPlain("shared messages")
        parsed = parse_type(found[DATATYPE].body)
        shape = parse_shape(found[DATASPACE].body)
        nbytes = prod(shape) * parsed.size if shape is not None else 0
        if filters is not None:
            is_number = parsed.order != ">" and (parsed.name.startswith("opaque") or parsed.name in _NUMBERS)
            is_known = is_chunked(found[LAYOUT].body) and self.superblock.addresses == _FIRST
            if shape is None or not is_number or not is_known or filters.flags & SHARED:
                raise NotPlain("filters")
            self.chunked[path] = read_chunks(self.metadata, found[LAYOUT].body, filters.body, shape, parsed.size)
            return Dataset(path, shape, parsed.name, 0, nbytes, attributes)
        offset = parse_layout(found[LAYOUT].body, nbytes)
        if parsed.order == ">":
            raise NotPlain("big-endian numbers")
        if nbytes:
            self.metadata.claim(offset, nbytes)
        return Dataset(path, shape or (), "null" if shape is None else parsed.name, offset, nbytes, attributes)
