"""The HDF5 reader against h5py: same names, same attributes, same bytes."""

from __future__ import annotations

import io
import json
import os
import random
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.models import cpu_seconds
from wtool.errors import Differs, Refused
from wtool.hdf5.btree import read_entries
from wtool.hdf5.metadata import Metadata
from wtool.hdf5.reader import Index, NotPlain, read_index, read_superblock

FIXTURES = Path(__file__).parents[2] / "fixtures"
ZOO = Path(os.environ.get("WTOOL_ZOO", FIXTURES / "zoo"))
HOSTILE = Path(os.environ.get("WTOOL_HOSTILE", FIXTURES / "hostile"))

DTYPES = ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?", "V2", "V7"]


def index_of(data: bytes) -> Index:
    def read(offset: int, count: int) -> bytes:
        assert 0 <= offset <= offset + count <= len(data)
        return data[offset : offset + count]

    return read_index(read, len(data))


# --- what h5py says ---


def value_of(value: Any) -> Any:
    if isinstance(value, h5py.Empty):
        return None
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, np.void):
        return value.tobytes()
    if isinstance(value, np.ndarray):
        return tuple(value_of(v) for v in value) if value.size else ()
    return value.item() if isinstance(value, np.generic) else value


def attributes_of(item: Any) -> dict[str, Any]:
    return {name: value_of(value) for name, value in sorted(item.attrs.items())}


def dtype_of(dtype: np.dtype[Any]) -> str:
    if dtype.kind == "V" and not dtype.names and not dtype.subdtype:
        return f"opaque{dtype.itemsize}"
    return str(dtype.name)


def truth_of(data: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    groups: dict[str, Any] = {}
    datasets: dict[str, Any] = {}

    def visit(group: h5py.Group, path: str) -> None:
        groups[path] = attributes_of(group)
        for i in range(group.id.get_num_objs()):
            raw = group.id.get_objname_by_idx(i)
            item = group[raw]
            name = (f"{path}/" if path else "") + raw.decode("utf-8", "surrogateescape")
            if isinstance(item, h5py.Group):
                visit(item, name)
            elif isinstance(item, h5py.Dataset):
                datasets[name] = (
                    item.shape,
                    item.dtype,
                    item[()] if item.shape is not None else None,
                    attributes_of(item),
                )

    with h5py.File(io.BytesIO(data), "r") as file:
        visit(file, "")
    return groups, datasets


def compare(data: bytes) -> Index:
    index = index_of(data)
    groups, datasets = truth_of(data)
    assert repr({path: dict(sorted(found.items())) for path, found in index.groups.items()}) == repr(groups)
    assert list(index.datasets) == list(datasets)
    for path, (shape, dtype, values, attributes) in datasets.items():
        found = index.datasets[path]
        assert (found.path, found.shape, found.dtype) == (path, shape, dtype_of(dtype))
        assert data[found.offset : found.offset + found.nbytes] == values.tobytes()
        assert repr(dict(sorted(found.attributes.items()))) == repr(attributes)
    return index


def file_of(write: Callable[[h5py.File], object], **options: Any) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", **options) as file:
        write(file)
    return buffer.getvalue()


# --- generated files ---

# h5py gives links with other names a newer form of group, which is not for this reader.
names = st.text(
    st.characters(min_codepoint=1, max_codepoint=126, exclude_characters="/"), min_size=1, max_size=9
).filter(lambda name: name != ".")
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)
shapes = st.lists(st.integers(0, 4), max_size=4).map(tuple)


def array_of(shape: tuple[int, ...], dtype: str, seed: int) -> Any:
    count = int(np.prod(shape, dtype=int))
    data = random.Random(seed).randbytes(count * np.dtype(dtype).itemsize)
    flat = np.frombuffer(data, "u1").astype("?") if dtype == "?" else np.frombuffer(data, dtype)
    return flat.reshape(shape)


def pairs_of(values: list[tuple[int, int]], dtype: str) -> Any:
    return np.array(values).astype(dtype)


arrays = st.builds(array_of, shapes, st.sampled_from(DTYPES), st.integers(0, 2**32))
strings = h5py.string_dtype()
attribute_values = st.one_of(
    texts,
    texts.filter(len).map(lambda text: np.bytes_(text.encode())),
    st.lists(texts, min_size=1, max_size=5).map(lambda row: np.array(row, strings)),
    st.lists(st.tuples(texts, texts), min_size=1, max_size=3).map(lambda rows: np.array(rows, strings)),
    st.lists(st.binary(max_size=9), min_size=1, max_size=5).map(lambda row: np.array(row, "S9")),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.booleans(),
    st.builds(
        pairs_of,
        st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100)), min_size=1, max_size=4),
        st.sampled_from(["f2", "f4", "f8", "i1", "u2", "i4", "u8", "?", ">i4", ">f8"]),
    ),
    st.sampled_from([h5py.Empty("f4"), h5py.Empty("S3"), np.zeros((0,)), np.zeros((3, 0), "f4"), np.void(b"ab")]),
)
attributes = st.dictionaries(texts.filter(len), attribute_values, max_size=4)
trees = st.recursive(
    st.tuples(attributes, arrays),
    lambda inner: st.tuples(attributes, st.dictionaries(names, inner, max_size=12)),
    max_leaves=20,
)


def write_tree(group: h5py.Group, tree: Any) -> None:
    found, children = tree
    for name, value in found.items():
        group.attrs[name] = value
    if not isinstance(children, dict):
        return
    for name, child in children.items():
        if isinstance(child[1], dict):
            write_tree(group.create_group(name), child)
        else:
            write_tree(group.create_dataset(name, data=child[1]), child)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(3))  # three tests of 20 examples, so that none takes long
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.tuples(attributes, st.dictionaries(names, trees, max_size=12)))
def test_reads_what_h5py_wrote(part: int, tree: Any) -> None:
    compare(file_of(lambda file: write_tree(file, tree)))


@pytest.mark.parametrize("count", [8, 9, 300, pytest.param(5000, marks=pytest.mark.slow)])
def test_reads_groups_of_many_children(count: int) -> None:
    def write(file: h5py.File) -> None:
        for i in range(count):
            file.create_group(f"layer_{i}")
        file["last/weights"] = np.arange(6, dtype="f4")

    index = compare(file_of(write))
    assert len(index.groups) == count + 2


def test_reads_deep_groups_and_long_names() -> None:
    def write(file: h5py.File) -> None:
        file["/".join(["deep"] * 100) + "/x"] = np.arange(3)
        file["n" * 60_000] = np.arange(4)

    compare(file_of(write))


def test_reads_attributes_in_continuation_blocks_and_large_texts() -> None:
    def write(file: h5py.File) -> None:
        group = file.create_group("g")
        data = file.create_dataset("d", data=np.eye(3))
        for i in range(40):
            group.attrs[f"a{i}"] = "text" * i
            data.attrs[f"b{i}"] = i
        file.attrs["model_config"] = "x" * 5_000_000

    assert len(compare(file_of(write)).groups[""]["model_config"]) == 5_000_000  # type: ignore[arg-type]


def test_reads_attributes_of_array_types() -> None:
    def write(file: h5py.File) -> None:
        file.attrs.create("rows", np.arange(6, dtype="i2").reshape(2, 3), dtype=np.dtype("(3,)i2"))
        file.attrs.create("one", np.arange(6.0).reshape(3, 2), dtype=np.dtype("(3, 2)f8"))

    assert compare(file_of(write)).groups[""]["rows"] == ((0, 1, 2), (3, 4, 5))


def test_reads_after_changes_in_place() -> None:
    """Files that were edited have empty leaves, freed names and moved messages."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for i in range(200):
            file[f"group/{i}"] = np.full(3, i)
            file["group"].attrs[f"a{i % 20}"] = "x" * i
    with h5py.File(buffer, "r+") as file:
        for i in range(0, 200, 3):
            del file[f"group/{i}"]
        file.move("group/1", "group/moved")
        del file["group"].attrs["a3"]
    compare(buffer.getvalue())
    with h5py.File(buffer, "r+") as file:
        for name in list(file["group"]):
            del file["group"][name]
    compare(buffer.getvalue())


@pytest.mark.parametrize("values", [np.arange(5), np.zeros((0, 3)), np.float32(1)])
def test_an_array_has_one_name(values: Any) -> None:
    def write(file: h5py.File) -> None:
        file["a"] = values
        file["g/b"] = file["a"]

    with pytest.raises(Differs, match="g/b: is the same array as a"):
        index_of(file_of(write))


@pytest.mark.parametrize("shift", [0, 8, -8, 36])
def test_every_byte_has_one_owner(shift: int) -> None:
    def write(file: h5py.File) -> None:
        file["a"], file["b"] = np.arange(10.0), np.arange(10.0) + 100

    data = file_of(write)
    places = {name: dataset.offset for name, dataset in index_of(data).datasets.items()}
    old, new = (place.to_bytes(8, "little") for place in (places["b"], places["a"] + shift))
    assert data.count(old) == 1  # the address in the header of b
    with pytest.raises(Differs, match="two things in it share the bytes from"):
        index_of(data.replace(old, new))


def test_names_that_overlap_in_their_heap_are_counted_before_they_are_held() -> None:
    """A link's name may begin anywhere in the heap: thousands of names in 60 KB of it would be gigabytes."""
    data = bytearray(file_of(lambda file: [file.create_group(f"{i:06}" + "x" * 500) for i in range(120)]))
    longest = data.index(b"000000")
    last = data.rindex(b"000119")
    data[longest:last] = data[longest:last].replace(b"\0", b"y")
    seen: list[int] = []
    limit = 2_000_000

    def spend(characters: int) -> None:
        seen.append(characters)
        if sum(seen) > limit:
            raise Refused("too long")

    metadata = Metadata(lambda offset, count: bytes(data[offset : offset + count]), len(data))
    superblock = read_superblock(metadata)
    assert superblock.table is not None
    with pytest.raises(Refused, match="too long"):
        read_entries(metadata, superblock.table, superblock.leaf, superblock.internal, spend)
    assert sum(seen) < limit + len(data)


def test_other_types_are_named() -> None:
    def write(file: h5py.File) -> None:
        file["string"] = np.array([b"abc", b"d"])
        file["vlen"] = np.array(["abc", "d"], h5py.string_dtype())
        file["compound"] = np.zeros(2, [("r", "f4"), ("i", "f4")])
        file.create_dataset("array", (2,), np.dtype(("f4", (3,))))[...] = np.ones((2, 3))
        file.create_dataset("enum", data=np.zeros(2, "i4"), dtype=h5py.enum_dtype({"A": 0, "B": 1}, "i4"))
        file["float?"] = np.zeros(2, np.longdouble)
        file.create_dataset("null", data=h5py.Empty("f4"))

    datasets = index_of(file_of(write)).datasets
    assert len(datasets) == 7
    assert [dataset.dtype for dataset in datasets.values()] == list(datasets)


# --- what it leaves to the HDF5 library, and what it refuses ---


def committed(file: h5py.File) -> None:
    file["type"] = np.dtype("f4")
    file.create_dataset("x", (3,), dtype=file["type"])


ELSEWHERE: dict[str, Callable[[h5py.File], object]] = {
    "chunked datasets": lambda file: file.create_dataset("x", data=np.eye(9), chunks=(3, 3)),
    "filters": lambda file: file.create_dataset("x", data=np.eye(9), chunks=(9, 9), fletcher32=True),
    "big-endian numbers": lambda file: file.create_dataset("x", data=np.eye(9, dtype=">f4")),
    "datasets with committed datatypes": committed,
    "object headers of version 2": lambda file: file.create_group("x", track_order=True),
    "new-style groups": lambda file: file.create_group("\u00e9"),
}


@pytest.mark.parametrize("shape", [(9,), (), (1000, 1000)])
@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_arrays_that_were_never_written_are_refused(shape: tuple[int, ...], libver: str) -> None:
    data = file_of(lambda file: file.create_dataset("x", shape, "f4"), libver=libver)
    with pytest.raises((Refused, NotPlain), match=r"x: says .* its values were never written|version"):
        index_of(data)
    assert index_of(file_of(lambda file: file.create_dataset("x", (3, 0), "f4"))).datasets["x"].nbytes == 0


@pytest.mark.parametrize("reason", ELSEWHERE)
def test_names_what_keras_does_not_write(reason: str) -> None:
    with pytest.raises(NotPlain, match=reason):
        index_of(file_of(ELSEWHERE[reason]))


def test_names_newer_superblocks_and_user_blocks() -> None:
    with pytest.raises(NotPlain, match=r"a superblock of version [23]"):
        index_of(file_of(lambda file: file.create_group("x"), libver="latest"))
    with pytest.raises(NotPlain, match="a user block"):
        index_of(bytes(512) + file_of(lambda file: file.create_group("x")))


def soft(file: h5py.File) -> None:
    file["x"] = np.eye(2)
    file["y"] = h5py.SoftLink("/x")


def with_superblock(**fields: int) -> bytes:
    """A file with numbers of its superblock changed, whose places the specification of HDF5 gives."""
    places = {
        "version": 8,
        "free": 9,
        "table": 10,
        "shared": 12,
        "offsets": 13,
        "lengths": 14,
        "leaf": 16,
        "internal": 18,
    }
    data = bytearray(file_of(small_model))
    for name, value in fields.items():
        data[(places | {"base": 24, "driver": 48})[name]] = value
    return bytes(data)


SIZES = (2, 4, 8, 16, 32)
"""Of addresses and lengths, in bytes, that the HDF5 library can write."""


@pytest.mark.parametrize("offsets", SIZES)
@pytest.mark.parametrize("lengths", SIZES)
def test_names_addresses_and_lengths_of_other_sizes(offsets: int, lengths: int) -> None:
    data = with_superblock(offsets=offsets, lengths=lengths)
    if offsets == lengths == 8:
        compare(data)
        return
    with pytest.raises(NotPlain, match=f"addresses of {offsets} and lengths of {lengths} bytes"):
        index_of(data)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("version", 4, "HDF5 knows no superblock of version 4"),
        ("free", 1, "HDF5 knows no superblock"),
        ("table", 1, "HDF5 knows no superblock"),
        ("shared", 1, "HDF5 knows no superblock"),
        ("offsets", 7, "its addresses have an impossible size"),
        ("lengths", 9, "its addresses have an impossible size"),
        ("leaf", 0, "its tables hold nothing"),
        ("internal", 0, "its tables hold nothing"),
        ("driver", 0, "is one part of a set of files"),
    ],
)
def test_refuses_superblocks_that_hdf5_does_not_know(field: str, value: int, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        index_of(with_superblock(**{field: value}))


def test_names_a_base_address() -> None:
    with pytest.raises(NotPlain, match="a base address"):
        index_of(with_superblock(base=1))


REFUSED: dict[str, Callable[[h5py.File], object]] = {
    "y is a link to another path": soft,
    "x: says 3.6 TiB, but the file holds none of it": lambda file: file.create_dataset("x", (10**6, 10**6), "f4"),
    "x: keeps its values in another file": lambda file: file.create_dataset(
        "x", (9,), "f4", external=[("/etc/passwd", 0, 72)]
    ),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_refuses(reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        index_of(file_of(REFUSED[reason]))


def test_refuses_groups_that_contain_themselves() -> None:
    def write(file: h5py.File) -> None:
        file["a/b/up"] = file.create_group("a")

    with pytest.raises(Refused, match="a/b/up: damaged: this group is in two places"):
        index_of(file_of(write))


@pytest.mark.parametrize("size", [0, 7, 8, 95, 96, 500])
def test_refuses_short_files(size: int) -> None:
    with pytest.raises(Refused):
        index_of(file_of(lambda file: file.create_dataset("x", data=np.eye(3)))[:size])


# --- real files ---


def files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.name.endswith((".h5", ".keras")) and path.is_file())


def hdf5_in(path: Path) -> bytes:
    data = path.read_bytes()
    if not data.startswith(b"PK"):
        return data
    with zipfile.ZipFile(path) as archive:
        return archive.read("model.weights.h5")


@pytest.mark.skipif(not files_in(ZOO), reason="no real files")
def test_reads_every_real_file() -> None:
    for path in files_in(ZOO):
        compare(hdf5_in(path))


def outcome(data: bytes) -> str:
    start = cpu_seconds()
    try:
        index_of(data)
        found = "read"
    except (Refused, NotPlain) as error:
        found = type(error).__name__
    assert cpu_seconds() - start < 1
    return found


@pytest.mark.skipif(not files_in(HOSTILE), reason="no hostile files")
def test_survives_hostile_files() -> None:
    cases = {case["name"]: case for case in json.loads((HOSTILE / "manifest.json").read_text())["cases"]}
    for path in files_in(HOSTILE):
        try:
            data = hdf5_in(path)
        except Exception:  # a broken archive is not this reader's
            continue
        found, case = outcome(data), cases.get(path.name, {"expected": "either"})
        if case["expected"] in ("ok", "inert"):
            assert found != "Refused", path.name
        if case["expected"] == "reject" and path.name.startswith(("corrupt_", "h5_external_", "h5_soft", "h5_virtual")):
            assert found != "read", path.name


def mutants(data: bytes, seed: int, count: int) -> Iterator[bytes]:
    """Copies with some bits or bytes of the metadata changed."""
    index, chance = index_of(data), random.Random(seed)
    weights = {i for d in index.datasets.values() for i in range(d.offset, d.offset + d.nbytes)}
    places = [i for i in range(len(data)) if i not in weights]
    for _ in range(count):
        changed = bytearray(data)
        for place in chance.sample(places, chance.choice([1, 1, 1, 2, 4])):
            changed[place] = chance.choice([changed[place] ^ 1 << chance.randrange(8), chance.randrange(256), 255, 0])
        yield bytes(changed)


def small_model(file: h5py.File) -> None:
    for i in range(3):
        group = file.create_group(f"layers/dense_{i}/vars")
        group.attrs["name"] = f"dense_{i}"
        group["0"], group["1"] = np.ones((3, 4), "f4"), np.zeros(4, "f4")
    file.attrs["layer_names"] = np.array([b"a", b"bc"])


@pytest.mark.parametrize("seed", range(5))
def test_survives_changed_bytes(seed: int) -> None:
    for changed in mutants(file_of(small_model), seed, 100):
        outcome(changed)
