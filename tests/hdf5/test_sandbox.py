"""Files made plain by the child: equal values for h5py, readable for the reader, and no way out of it."""

from __future__ import annotations

import io
import itertools
import os
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.hdf5.test_reader import (
    HOSTILE,
    attributes,
    file_of,
    files_in,
    hdf5_in,
    index_of,
    names,
    small_model,
    trees,
    truth_of,
    write_tree,
)
from tests.models import cpu_seconds
from wtool.errors import Differs, Refused
from wtool.hdf5 import sandbox as plain_hdf5
from wtool.hdf5.reader import NotPlain, read_index
from wtool.hdf5.sandbox import make_plain

REPOSITORY = Path(__file__).parents[2]


def plain_of(data: bytes, drop: Sequence[str] = ()) -> bytes:
    with tempfile.TemporaryFile() as file:
        file.write(b"before" + data + b"after")
        file.flush()
        with make_plain(file.fileno(), 6, len(data), drop) as plain:
            return plain.read()


def normal(truth: tuple[dict[str, Any], dict[str, Any]]) -> str:
    """Everything that h5py sees in a file, but for the byte order of numbers."""
    datasets = {
        path: (shape, str(dtype.newbyteorder("<")), None if shape is None else values.tolist(), found)
        for path, (shape, dtype, values, found) in truth[1].items()
    }
    return repr((truth[0], datasets))


def check(data: bytes) -> bytes:
    made = plain_of(data)
    index, truth = index_of(made), truth_of(made)
    assert normal(truth) == normal(truth_of(data))
    assert list(index.groups) == list(truth[0])
    for path, (_, _, values, _) in truth[1].items():
        found = index.datasets[path]
        assert made[found.offset : found.offset + found.nbytes] == (b"" if found.dtype == "null" else values.tobytes())
    return made


def chunked(file: h5py.File) -> None:
    numbers = np.arange(7 * 11 * 5, dtype="f4").reshape(7, 11, 5)
    file.create_dataset("gzip", data=numbers, chunks=(3, 4, 5), compression="gzip", shuffle=True, fletcher32=True)
    file.create_dataset("lzf", data=numbers, chunks=(7, 11, 5), compression="lzf")
    file.create_dataset("part", (100, 3), "i2", chunks=(9, 2))[...] = 7
    file.create_dataset("grows", data=numbers, maxshape=(None, None, 5), chunks=(2, 20, 5))
    file.create_dataset("none", (0, 3), "f4", chunks=(1, 3), maxshape=(None, 3))


def big_endian(file: h5py.File) -> None:
    for code in (">f2", ">f4", ">f8", ">i2", ">u4", ">i8"):
        file[f"g/{code}"] = np.arange(12).astype(code).reshape(3, 4)
    file["scalar"] = np.array(7, ">i4")
    file["g"].attrs["a"] = np.arange(3, dtype=">f8")


def odd_names(file: h5py.File) -> None:
    file["größe/\x80/..x"] = np.arange(3)
    file["größe"].attrs["straße"] = "ß"
    file["two"] = np.arange(2)
    file.id.links.move(b"two", file.id, b"\xff\xfe")


def odd_things(file: h5py.File) -> None:
    file["empty"] = np.zeros(0)
    file.create_dataset("filled", (5,), "f4", fillvalue=3)[...] = 3
    file["type"] = np.dtype("f4")
    file.create_dataset("typed", data=np.arange(3), dtype=file["type"])
    file.create_dataset("null", data=h5py.Empty("f4"))
    file["bool"], file["opaque"] = np.array([True, False]), np.zeros(3, "V2")
    file["long"], file["string"] = np.arange(3, dtype=np.longdouble), np.array([b"a", b"bc"])
    file["compound"] = np.ones(2, [("r", "f4"), ("i", ">i2")])
    file["complex"] = np.ones(2, "c8")
    small_model(file)
    file.attrs["empty"], file.attrs["none"] = h5py.Empty("S1"), np.zeros((0,))
    file.attrs.create("fixed", "text", dtype=h5py.string_dtype("ascii", 9))
    file.attrs.create("ascii", ["text", "b"], dtype=h5py.string_dtype("ascii"))


@pytest.mark.parametrize("write", [chunked, big_endian, odd_names, odd_things])
@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_makes_plain(write: Callable[[h5py.File], None], libver: str) -> None:
    check(file_of(write, libver=libver))


def test_compact_layout_and_user_block(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w", userblock_size=1024) as file:
        small_model(file)
        plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plan.set_layout(h5py.h5d.COMPACT)
        space = h5py.h5s.create_simple((3,))
        made = h5py.h5d.create(file.id, b"compact", h5py.h5t.IEEE_F32LE, space, plan)
        made.write(h5py.h5s.ALL, h5py.h5s.ALL, np.arange(3, dtype="f4"))
    check((tmp_path / "x.h5").read_bytes())


@pytest.mark.slow
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.tuples(attributes, st.dictionaries(names, trees, max_size=12)), st.sampled_from(["earliest", "latest"]))
def test_makes_any_file_plain(tree: Any, libver: str) -> None:
    check(file_of(lambda file: write_tree(file, tree), libver=libver, track_order=libver == "latest"))


@pytest.mark.parametrize("chunks", [None, (2,)])
def test_arrays_keep_their_order(chunks: tuple[int] | None) -> None:
    """Not that of their names: weights alone tell the order of their layers by it."""

    def write(file: h5py.File) -> None:
        for number, name in enumerate(("z/b", "a/c", "m", "a/b")):
            file.create_dataset(name, data=np.full(5, number, ">f4"), chunks=chunks)

    plain = index_of(plain_of(file_of(write, libver="latest"))).datasets
    assert sorted(plain, key=lambda path: plain[path].offset) == ["z/b", "a/c", "m", "a/b"]


def test_leaves_out_what_is_dropped() -> None:
    def write(file: h5py.File) -> None:
        small_model(file)
        file["optimizer/vars/0"], file["layers/optimizer"] = np.arange(3), np.arange(4)

    made = plain_of(file_of(write), ["optimizer", "optimizer_weights"])
    found = index_of(made)
    assert "optimizer" not in found.groups
    assert "layers/optimizer" in found.datasets
    assert len(found.datasets) == 7


def test_drops_what_would_be_refused() -> None:
    def write(file: h5py.File) -> None:
        small_model(file)
        file["optimizer"] = h5py.ExternalLink("/etc/passwd", "/x")

    assert len(index_of(plain_of(file_of(write), ["optimizer"])).datasets) == 6


def linked(file: h5py.File) -> None:
    file.create_dataset("a", data=np.eye(4), chunks=(2, 2))
    file["b"] = file["a"]


def same_bytes(file: h5py.File) -> None:
    file["a"], file["b"] = np.arange(10.0), np.arange(10.0) + 100


def unwritten(file: h5py.File) -> None:
    file.create_dataset("x", (9,), "f4")


def unwritten_chunks(file: h5py.File) -> None:
    file.create_dataset("x", (100, 3), "i2", chunks=(9, 2))[40:60] = 7


def unwritten_compressed(file: h5py.File) -> None:
    file.create_dataset("x", (100, 3), "i2", chunks=(9, 2), compression="gzip")[:99] = 7


@pytest.mark.parametrize("write", [unwritten, unwritten_chunks, unwritten_compressed])
@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_refuses_what_was_never_written(write: Callable[[h5py.File], None], libver: str) -> None:
    with pytest.raises(Refused, match=r"x: says .* its values were never written"):
        plain_of(file_of(write, libver=libver))


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_refuses_arrays_of_two_names(libver: str) -> None:
    with pytest.raises(Differs, match="b: is the same array as a"):
        plain_of(file_of(linked, libver=libver))


@pytest.mark.parametrize("shift", [0, 8])
def test_refuses_arrays_that_share_bytes(shift: int) -> None:
    data = file_of(same_bytes)
    places = {name: dataset.offset for name, dataset in index_of(data).datasets.items()}
    old, new = (place.to_bytes(8, "little") for place in (places["b"], places["a"] + shift))
    with pytest.raises(Differs, match="two things in it share the bytes"):
        plain_of(data.replace(old, new))


@pytest.mark.slow
@pytest.mark.parametrize("libver", ["earliest", "latest"])
@pytest.mark.parametrize("block", [0, 1024])
@pytest.mark.parametrize("owner", ["superblock", "root", "a"])
def test_refuses_arrays_over_the_headers_of_objects(owner: str, block: int, libver: str) -> None:
    out = io.BytesIO()
    with h5py.File(out, "w", libver=libver, userblock_size=block) as file:
        same_bytes(file)
        file.create_dataset("chunks", data=np.eye(4), chunks=(2, 2))
        places = {"superblock": 0, "root": h5py.h5o.get_info(file["/"].id).addr}
        places["a"] = h5py.h5o.get_info(file["a"].id).addr
        old = file["b"].id.get_offset() - block
    data = out.getvalue()
    assert set(index_of(plain_of(data)).datasets) == {"a", "b", "chunks"}
    if libver == "earliest":  # newer headers have checksums; no array begins at 0 for the library itself
        with pytest.raises(Refused, match=r"two things in it share the bytes|cannot read it .* H5Dget_offset"):
            plain_of(data.replace(old.to_bytes(8, "little"), places[owner].to_bytes(8, "little")))


@pytest.mark.slow
def test_is_the_same_every_time() -> None:
    data = file_of(chunked, libver="latest")
    first = plain_of(data)
    time.sleep(1.1)
    assert plain_of(data) == first


def bomb(file: h5py.File) -> None:
    file.create_dataset("x", (10**6, 10**6), "f4", chunks=(100, 100), compression="gzip")


def many_bombs(file: h5py.File) -> None:
    for i in range(20):
        file.create_dataset(f"x{i}", (200, 2**18), "f4", chunks=(1, 2**18))


def chunk(file: h5py.File) -> None:
    file.create_dataset("x", (2**28,), "f4", chunks=(2**28,), maxshape=(None,))


def soft(file: h5py.File) -> None:
    file["x"] = h5py.SoftLink("/y")


def external(file: h5py.File) -> None:
    file["x"] = h5py.ExternalLink("/etc/passwd", "/y")


def storage(file: h5py.File) -> None:
    file.create_dataset("x", (3,), "u1", external=[("/etc/passwd", 0, 3)])


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((3,), "u1")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (3,))
    file.create_virtual_dataset("x", layout)


def scale_offset(file: h5py.File) -> None:
    file.create_dataset("x", data=np.arange(9), chunks=(3,), scaleoffset=0)


def texts(file: h5py.File) -> None:
    file["x"] = np.array(["a"], h5py.string_dtype())


def reference(file: h5py.File) -> None:
    file.attrs["x"] = file.ref


def loop(file: h5py.File) -> None:
    file["a/x"] = file.create_group("a")


def huge_attribute(file: h5py.File) -> None:
    file.attrs["x"] = np.zeros(2**23 + 1)


def big_endian_enumeration(file: h5py.File) -> None:
    kind = h5py.enum_dtype({"A": 0, "B": 1}, ">i4")
    file.create_dataset("x", data=np.zeros(2, ">i4"), dtype=kind)


REFUSED = {
    "x: holds numbers of an unusual type": big_endian_enumeration,
    "x: says 3.6 TiB, but the file holds 0 bytes of it": bomb,
    "x0: says 200 chunks, but the file holds 0 of it": many_bombs,
    "x: has chunks of 1.0 GiB": chunk,
    "x: is a link to another path": soft,
    "x: is a link into another file": external,
    "x: keeps its values in another file": storage,
    "x: takes its values from other datasets": virtual,
    "x: is compressed with filter 6": scale_offset,
    "x: holds texts": texts,
    "its attribute x holds texts, lists or references": reference,
    "a/x: damaged: this group is in two places": loop,
    "the attributes take more than 64 MiB": huge_attribute,
}


@pytest.mark.parametrize("reason", REFUSED)
def test_refuses(reason: str) -> None:
    data = file_of(REFUSED[reason], libver="latest")
    before = os.times()
    with pytest.raises(Refused, match=reason):
        plain_of(data)
    after = os.times()  # of the child's processor, which a busy machine does not make longer
    assert after.children_user + after.children_system - before.children_user - before.children_system < 2


def test_loads_no_plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HDF5_PLUGIN_PATH", str(tmp_path))
    monkeypatch.setenv("HDF5_DRIVER", "split")
    plain_of(file_of(chunked, libver="latest"))


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("os.abort()", "crashed on it .signal 6."),
        ("os.kill(os.getpid(), 11)", "crashed on it .signal 11."),
        ("os.kill(os.getpid(), 9)", "out of memory"),
        ("os._exit(1)", "could not be run"),
        ("p.CHILD_SECONDS = 0.3; p._confine(9); all(x == 0 for x in iter(int, 1))", "does not come to an end"),
    ],
)
def test_survives_its_child(program: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first = plain_hdf5._FIRST_LINES
    monkeypatch.setattr(plain_hdf5, "_PROGRAM", f"{first}import os, wtool.hdf5.sandbox as p; {program}")
    with pytest.raises(Refused, match=reason):
        plain_of(file_of(chunked))


def test_ends_a_child_that_sleeps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_hdf5, "_PROGRAM", "import time; time.sleep(60)")
    monkeypatch.setattr(plain_hdf5, "CHILD_PATIENCE", 0.01)
    with pytest.raises(Refused, match="does not come to an end"):
        plain_of(file_of(chunked))


def test_the_child_opens_no_files_and_holds_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    attempts = "import os, wtool.hdf5.sandbox as p, wtool.hdf5.sandbox_child; p._confine(9)\n"
    attempts += "try:\n  open(os.devnull)\nexcept OSError:\n  pass\nelse:\n  os._exit(1)\n"
    attempts += "try:\n  bytearray(3 << 30)\nexcept MemoryError:\n  os._exit(0)\nos._exit(1)"
    monkeypatch.setattr(plain_hdf5, "_PROGRAM", f"{plain_hdf5._FIRST_LINES}{attempts}")
    plain_of(b"")


def test_works_from_anywhere_and_imports_nothing_from_there(tmp_path: Path) -> None:
    (tmp_path / "h5py.py").write_text("raise SystemExit('imported')")
    (tmp_path / "x.h5").write_bytes(file_of(chunked))
    program = (
        f"import sys; sys.path.insert(0, {str(REPOSITORY)!r}); import os\n"
        "from wtool.hdf5.sandbox import make_plain\n"
        "fd = os.open('x.h5', os.O_RDONLY); print(len(make_plain(fd, 0, os.fstat(fd).st_size).read()) > 1000)"
    )
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    run = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=clean, capture_output=True, text=True)
    assert run.stdout == "True\n", run.stderr


@pytest.mark.slow
def test_memory_does_not_grow_with_an_array(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a gigabyte passes through a child that may hold 128 MiB more than at its start."""
    values = np.zeros((2**20, 4), "u1")
    values[: 2**15] = np.random.default_rng(1).integers(0, 255, (2**15, 4))
    compressed = zlib.compress(values.tobytes(), 1)

    def write(file: h5py.File) -> None:
        data = file.create_dataset("x", (32, 2**22), "f4", chunks=(1, 2**20), compression="gzip")
        for place in itertools.product(range(32), range(0, 2**22, 2**20)):
            data.id.write_direct_chunk(place, compressed)

    first = f"{plain_hdf5._FIRST_LINES}import wtool.hdf5.sandbox as p; p.CHILD_MEMORY = 128 << 20; "
    monkeypatch.setattr(plain_hdf5, "_PROGRAM", f"{first}p.run_child(job)")
    data = file_of(write)
    with tempfile.TemporaryFile() as source:
        source.write(data)
        source.flush()
        with make_plain(source.fileno(), 0, len(data)) as plain:
            size = os.fstat(plain.fileno()).st_size
            assert size > 2**29
            found = read_index(lambda offset, count: os.pread(plain.fileno(), count, offset), size).datasets["x"]
            assert os.pread(plain.fileno(), 2**22, found.offset + 2**22 * 127) == values.tobytes()


@pytest.mark.skipif(not files_in(HOSTILE), reason="no hostile files")
def test_survives_hostile_files() -> None:
    for path in files_in(HOSTILE):
        try:
            data = hdf5_in(path)
            index_of(data)
        except NotPlain:
            start = cpu_seconds()
            try:
                check(data)
                assert not path.name.startswith(("h5_external", "h5_shape_bomb", "h5_gzip_bomb", "h5_unknown_filter"))
            except Refused:
                assert not path.name.startswith("ok_"), path.name
            assert cpu_seconds() - start < 2
        except Exception:  # refused, or a broken archive
            continue
