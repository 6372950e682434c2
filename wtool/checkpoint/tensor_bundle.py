"""Tensor bundles: the files of a TensorFlow checkpoint (`x.index`, `x.data-00000-of-00001`), read without TensorFlow.

The index is a table of sorted strings: name of a tensor -> dtype, shape, and where its bytes are in which data file,
with their CRC-32C. The first entry describes the bundle.

Source: tensorflow/core/protobuf/tensor_bundle.proto, tensorflow/core/util/tensor_bundle/tensor_bundle.cc.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import prod

from wtool.errors import Refused
from wtool.hdf5.reader import Dataset, Index
from wtool.io.crc32c import crc32c, masked
from wtool.io.limits import MAX_MESSAGE
from wtool.io.protobuf import FIXED32, Message, NotProtobuf, varint
from wtool.io.sorted_table import read_table
from wtool.io.source import Source
from wtool.schema.node_def import DTYPES
from wtool.values import dataclass

SIZES = {"float64": 8, "int64": 8, "uint64": 8, "float32": 4, "int32": 4, "uint32": 4, "uint8": 1, "int8": 1, "bool": 1}
"""Bytes of a value; 2 where a dtype is not named here."""

STRING = 7
MAX_SHARDS = 1000
"""Data files of a bundle. TensorFlow makes one for each device of a cluster."""


@dataclass(frozen=True, slots=True)
class BundleEntry:
    """A tensor of a bundle.

    Attributes:
        key: name of the tensor.
        dtype: TensorFlow's number of the dtype.
        shape: of the tensor.
        shard: number of the data file.
        offset: of the first byte in the data file.
        size: in bytes.
        crc: CRC-32C of the bytes, masked.
    """

    key: str
    dtype: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    crc: int


def read_bundle(index: Source) -> tuple[dict[str, BundleEntry], int]:
    """Returns name -> entry of each tensor of a bundle, and the number of data files.

    Raises:
        Refused: the file is no index of a bundle, or is damaged.
    """
    entries = read_table(index)
    try:
        key, header = next(entries, (b"x", b""))
        if key:
            raise Refused("a table of sorted strings, but none that TensorFlow wrote for a checkpoint")
        shards = _shards(Message(header))
        found = {each.key: each for each in (_entry(key, Message(value), shards) for key, value in entries)}
    except NotProtobuf as error:
        raise Refused(f"damaged: its index has {error}") from None
    return found, shards


def _shards(header: Message) -> int:
    count = header.number(1)
    if header.number(2):
        raise Refused("the values of its tensors are big-endian, as no Keras on common machines writes them")
    if not 1 <= count <= MAX_SHARDS:
        raise Refused(f"its index names {count:,} data files; the limit is {MAX_SHARDS:,}")
    return count


def _entry(key: bytes, message: Message, shards: int) -> BundleEntry:
    try:
        name = key.decode()
    except UnicodeDecodeError:
        raise NotProtobuf("a name that is no text") from None
    if message.has(7):
        raise Refused(f"{name} is stored in slices, as partitioned variables are; wtool reads whole ones")
    shapes = list(message.messages(2))
    if len(shapes) > 1 or any(each.number(3) for each in shapes):
        raise NotProtobuf(f"no shape of {name!r:.80}")
    shape = tuple(size.number(1) for each in shapes for size in each.messages(2))
    shard, crc = message.number(3), message.number(6, FIXED32)
    if shard >= shards or any(size >= 1 << 63 for size in shape):
        raise NotProtobuf(f"a place or shape of {name!r:.80} that cannot be")
    return BundleEntry(name, message.number(1), shape, shard, message.number(4), message.number(5), crc)


def data_name(prefix: str, shard: int, shards: int) -> str:
    """Returns the name of a data file of a bundle."""
    return f"{prefix}.data-{shard:05d}-of-{shards:05d}"


def indexed_arrays(entries: Mapping[str, BundleEntry], data: Sequence[Source]) -> tuple[Index, ...]:
    """Returns the arrays of each data file; from now on, the files are checked against their CRCs while they are read.

    Texts, and types that no weight has, are left out.

    Raises:
        Refused: an entry contradicts itself, or leads out of its file, or shares bytes with another.
    """
    indexes = []
    for shard, source in enumerate(data):
        here = sorted(
            (each for each in entries.values() if each.shard == shard), key=lambda each: (each.offset, each.size)
        )
        reached = 0
        for each in here:
            if each.offset < reached or each.offset + each.size > source.size:
                raise Refused(f"damaged or cut short: the bytes of {each.key} are not its own", source.name)
            reached = each.offset + each.size
        datasets = {each.path: each for each in _arrays(here)}
        for each in here:
            if each.key in datasets:
                source.expect(each.offset, each.offset + each.size, _unmasked(each.crc), each.key, crc32c)
        indexes.append(Index(source.size, {"": {}}, datasets))
    return tuple(indexes)


def _arrays(entries: Sequence[BundleEntry]) -> Iterator[Dataset]:
    for each in entries:
        dtype = DTYPES.get(each.dtype)
        if dtype is None:
            continue
        if prod(each.shape) * SIZES.get(dtype, 2) != each.size:
            raise Refused(f"damaged: {each.key} takes {each.size:,} bytes, which is not what its shape and dtype take")
        yield Dataset(each.key, each.shape, dtype, each.offset, each.size, {})


def _unmasked(crc: int) -> int:
    """Returns the CRC whose masked form is stored."""
    rotated = (crc - masked(0)) & 0xFFFFFFFF
    return ((rotated >> 17) | (rotated << 15)) & 0xFFFFFFFF


def text_of(entry: BundleEntry, data: Source) -> bytes:
    """Returns the bytes of an entry that is a single text: its length, a CRC of the length, and the text.

    Raises:
        Refused: the entry is something else, or damaged.
    """
    if entry.dtype != STRING or entry.shape or entry.size > MAX_MESSAGE:
        raise Refused(f"{entry.key} is not a text, or is longer than {MAX_MESSAGE:,} bytes", data.name)
    stored = data.read(entry.offset, entry.size)
    try:
        length, at = varint(stored, 0)
    except NotProtobuf:
        length, at = -1, 0
    number = max(length, 0).to_bytes(4 if length < 1 << 32 else 8, "little")
    of_length = masked(crc32c(number)).to_bytes(4, "little")
    text = stored[at + 4 :]
    whole = crc32c(text, crc32c(of_length, crc32c(number)))
    if len(text) != length or stored[at : at + 4] != of_length or masked(whole) != entry.crc:
        raise Refused(f"damaged: the checksum of {entry.key} does not match its bytes", data.name)
    return text
