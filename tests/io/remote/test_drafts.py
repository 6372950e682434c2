"""Files in stores appear whole or not at all, and replace nothing but what was there when the work began."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar
from zipfile import ZipFile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import wtool
from tests.models import BLOBS, ZOO
from tests.remote.faults import Fault, of
from tests.remote.hub import Hub
from tests.remote.s3 import S3
from wtool.errors import WtoolError
from wtool.io.drafts import Draft, new_draft, write_whole
from wtool.io.places import Target, check_target, make_folders
from wtool.io.remote import multipart

MODELS = [
    BLOBS[0],
    ZOO / "k3.0.5" / "mlp_defaultnames.h5",
    ZOO / "k3.0.5" / "mlp_defaultnames.weights.h5",
    ZOO / "k3.12.4" / "sharded.weights.json",
]
PART = 4096


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of 4 KiB, where stores take none below 5 MiB, so that small models have many."""
    monkeypatch.setattr(multipart, "PART", PART)
    monkeypatch.setattr("moto.s3.models.S3_UPLOAD_PART_MIN_SIZE", 1)


def draft_of(address: str, force: bool = False, in_order: bool = True) -> Draft:
    return new_draft(Target.at(address, force), in_order=in_order)


def write(address: str, data: bytes, force: bool = False) -> None:
    with draft_of(address, force) as draft:
        draft.file.write(data)
        draft.publish()


# Bytes


@pytest.mark.usefixtures("small_parts")
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_parts_make_the_file(s3: S3, data: st.DataObject) -> None:
    """Pieces of any size, some of them patched later in the bytes that were reserved."""
    s3.clear()
    sizes = st.one_of(st.integers(0, 300), st.integers(0, 3 * PART))
    pieces = data.draw(st.lists(st.tuples(sizes, st.booleans()), max_size=8))
    content, reserved = bytearray(), []
    with draft_of("s3://zoo/m") as draft:
        for number, (size, is_reserved) in enumerate(pieces):
            assert draft.file.tell() == len(content)
            if is_reserved:
                draft.reserve(size)
                reserved.append((len(content), size))
            piece = bytes([number + 1]) * size
            draft.file.write(piece)
            content += piece
        for at, size in reserved:
            first = data.draw(st.integers(0, size))
            patch = b"p" * data.draw(st.integers(0, size - first))
            draft.patch(at + first, patch)
            content[at + first : at + first + len(patch)] = patch
        assert s3.keys() == []
        draft.publish()
    assert s3.get("m") == content
    assert s3.uploads() == []


@pytest.mark.parametrize("protocol", ["memory", "s3"])
@pytest.mark.parametrize("model", MODELS[:3], ids=lambda path: path.name)
@pytest.mark.usefixtures("small_parts")
def test_results_are_those_of_files(model: Path, protocol: str, memory: Any, s3: S3, tmp_path: Path) -> None:
    name = "out" + "".join(model.suffixes[-2:])
    wtool.prune(model, sparsity=0.5, output=tmp_path / name)
    address = f"{protocol}://zoo/out/{name}"
    wtool.prune(model, sparsity=0.5, output=address)
    content = s3.get(f"out/{name}") if protocol == "s3" else memory.cat_file(address)
    assert content == (tmp_path / name).read_bytes()
    if protocol == "s3":
        assert [each.method for each in s3.server.requests if each.method == "POST"]  # it went up in parts


@pytest.mark.parametrize("name", ["m.keras", "m.h5", "m.weights.h5", "m.safetensors"])
@pytest.mark.usefixtures("small_parts")
def test_an_unzipped_model_becomes_any_file(name: str, s3: S3, tmp_path: Path) -> None:
    """The checksums of its files are known at the end only, wherever they are in an archive."""
    with ZipFile(BLOBS[0]) as archive:
        archive.extractall(tmp_path / "model")
    wtool.convert(tmp_path / "model", output=tmp_path / name)
    wtool.convert(tmp_path / "model", output=f"s3://zoo/{name}")
    assert s3.get(name) == (tmp_path / name).read_bytes()


@pytest.mark.usefixtures("small_parts")
def test_a_packed_model_is_that_of_a_file(s3: S3, tmp_path: Path) -> None:
    wtool.pack(BLOBS[0], output=tmp_path / "m.keras")
    wtool.pack(BLOBS[0], output="s3://zoo/m.keras")
    assert s3.get("m.keras") == (tmp_path / "m.keras").read_bytes()


@pytest.mark.usefixtures("small_parts")
def test_a_patch_file_is_that_of_a_file(s3: S3, tmp_path: Path) -> None:
    wtool.make_patch(BLOBS[0], BLOBS[1], output=tmp_path / "m.wpatch")
    wtool.make_patch(BLOBS[0], BLOBS[1], output="s3://zoo/m.wpatch")
    assert s3.get("m.wpatch") == (tmp_path / "m.wpatch").read_bytes()


@pytest.mark.usefixtures("small_parts")
def test_parts_go_up_beside_the_work(s3: S3) -> None:
    with draft_of("s3://zoo/m") as draft:
        draft.reserve(1)
        draft.file.write(bytes(20 * PART))
        came = s3.server.wait_for(of("PUT", "m", "partNumber="), 16)
        assert not [each for each in came if "partNumber=1&" in each.query]  # the patched part is the last to go
        draft.publish()
    assert s3.get("m") == bytes(20 * PART)
    assert s3.server.most_at_once <= multipart.AT_ONCE + 1


def test_a_small_file_is_one_request(s3: S3) -> None:
    with new_draft(Target("s3://zoo/m"), in_order=True) as draft:
        draft.file.write(b"abc")
        draft.publish()
    assert [each.method for each in s3.server.requests] == ["HEAD", "PUT"]


def test_parts_become_larger_in_the_end() -> None:
    """So 10,000 parts are enough for any model."""
    sizes = [multipart.PART << number // multipart.PARTS_OF_A_SIZE for number in range(10_000)]
    assert sum(sizes) > 450 << 30
    assert all(later in (size, 2 * size) for size, later in pairwise(sizes))


# What is there already


@pytest.mark.parametrize("protocol", ["memory", "s3"])
def test_what_is_there_stays(protocol: str, memory: Any, s3: S3) -> None:
    address = f"{protocol}://zoo/m"
    write(address, b"old")
    with pytest.raises(WtoolError, match="exists already"):
        write(address, b"new")
    write(address, b"new", force=True)
    assert (s3.get("m") if protocol == "s3" else memory.cat_file(address)) == b"new"


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("size", [3, 3 * PART])
@pytest.mark.parametrize("protocol", ["memory", "s3"])
def test_of_two_writers_one_wins(protocol: str, size: int, memory: Any, s3: S3) -> None:
    address = f"{protocol}://zoo/m"
    with draft_of(address) as one, draft_of(address) as other:
        one.file.write(b"1" * size)
        other.file.write(b"2" * size)
        other.publish()
        with pytest.raises(WtoolError, match="exists already; --force replaces it"):
            one.publish()
    assert (s3.get("m") if protocol == "s3" else memory.cat_file(address)) == b"2" * size
    assert s3.uploads() == []


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("size", [3, 3 * PART])
@pytest.mark.parametrize("force", [False, True])
def test_a_store_decides_between_two_at_the_same_time(size: int, force: bool, s3: S3) -> None:
    """The second writer comes after the look of the first, and before its request."""
    with draft_of("s3://zoo/m", force) as draft:
        draft.file.write(b"1" * size)
        last = of("POST", "m", "uploadId=") if size > PART else of("PUT", "m")
        s3.server.plan(Fault(last, meanwhile=lambda: s3.put("m", b"other")))
        with pytest.raises(WtoolError, match="was changed by somebody else" if force else "exists already"):
            draft.publish()
    assert s3.get("m") == b"other"
    assert s3.uploads() == []


@pytest.mark.parametrize("change", ["replaced", "deleted"])
def test_only_what_was_seen_is_replaced(change: str, s3: S3) -> None:
    s3.put("m", b"old")
    do: Callable[[], object] = (lambda: s3.put("m", b"other")) if change == "replaced" else (lambda: s3.delete("m"))
    for is_late in (False, True):
        s3.put("m", b"old")
        with draft_of("s3://zoo/m", force=True) as draft:
            draft.file.write(b"new")
            if is_late:
                s3.server.plan(Fault(of("PUT", "m"), meanwhile=do))
            else:
                do()
            with pytest.raises(WtoolError, match="was changed by somebody else"):
                draft.publish()
        assert s3.keys() == (["m"] if change == "replaced" else [])


def test_in_place_replaces_what_was_read(s3: S3) -> None:
    address = s3.put("m.keras", b"old")
    read = [(address, Target.at(address).seen or ())]
    s3.put("m.keras", b"other")
    with new_draft(Target.at(address, force=True, read=read)) as draft:
        draft.file.write(b"new")
        with pytest.raises(WtoolError, match="was changed by somebody else"):
            draft.publish()


def test_a_store_without_conditions_is_looked_at_before(s3: S3) -> None:
    s3.server.plan(Fault(of("PUT", "m"), status=501, code="NotImplemented"))
    write("s3://zoo/m", b"new")
    assert s3.get("m") == b"new"
    with pytest.raises(WtoolError, match="exists already"):
        write("s3://zoo/m", b"newer")


# What fails


@pytest.mark.usefixtures("small_parts")
def test_what_is_not_published_leaves_nothing(s3: S3) -> None:
    for in_order in (True, False):
        with draft_of("s3://zoo/m", in_order=in_order) as draft:
            draft.file.write(bytes(6 * PART))
        assert (s3.keys(), s3.uploads()) == ([], [])


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("what", ["create", "part", "complete"])
def test_a_refused_upload_is_taken_back(what: str, s3: S3) -> None:
    method, query = {"create": ("POST", "uploads"), "part": ("PUT", "partNumber=3"), "complete": ("POST", "uploadId=")}[
        what
    ]
    s3.server.plan(Fault(of(method, "m", query), status=403, code="AccessDenied"))
    with pytest.raises(WtoolError, match="the store refuses access") as caught:
        write("s3://zoo/m", bytes(6 * PART))
    assert str(caught.value).count("\n") == 0
    assert (s3.keys(), s3.uploads()) == ([], [])


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize(("method", "query"), [("PUT", "partNumber=3"), ("POST", "uploadId=")])
def test_an_upload_that_somebody_removes(method: str, query: str, s3: S3) -> None:
    """As a rule of the bucket does with uploads that take days."""
    s3.server.plan(Fault(of(method, "m", query), status=404, code="NoSuchUpload"))
    with pytest.raises(WtoolError, match="its store has dropped the upload"):
        write("s3://zoo/m", bytes(6 * PART))
    assert (s3.keys(), s3.uploads()) == ([], [])


@pytest.mark.usefixtures("small_parts")
def test_a_busy_store_is_asked_again(s3: S3) -> None:
    s3.server.plan(Fault(of("PUT", "m"), status=503, times=2), Fault(of("POST", "m", "uploadId="), status=503))
    write("s3://zoo/m", bytes(6 * PART))
    assert s3.get("m") == bytes(6 * PART)


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("size", [3, 3 * PART])
def test_an_answer_that_is_lost(size: int, s3: S3) -> None:
    """The store has the file by then, and refuses the second try."""
    if size > PART:
        last = of("POST", "m", "uploadId=")
        s3.server.plan(Fault(last, sent_before_end=0, is_reset=True))
    else:
        last = of("PUT", "m")
        s3.server.plan(Fault(last, status=503, meanwhile=lambda: s3.put("m", bytes(size))))
    write("s3://zoo/m", bytes(size))
    assert s3.get("m") == bytes(size)
    assert len([each for each in s3.server.requests if last(each)]) == 2


def test_maps_and_old_shards_are_asked_for_again(s3: S3) -> None:
    """Each request about a sharded checkpoint that is replaced fails once."""
    new = "s3://zoo/new.weights.json"
    (first,) = wtool.prune(MODELS[3], sparsity=0.5, output=new)
    before = s3.keys()
    old = {key for key in before if key.endswith(".h5")}
    s3.server.plan(Fault(of("GET", ".json"), status=503), Fault(of("DELETE"), status=503))
    (second,) = wtool.prune(MODELS[3], sparsity=0.8, output=new, force=True)
    assert first.zeros < second.zeros
    assert next(each.status for each in s3.server.requests if each.method == "DELETE") == 503
    assert old.isdisjoint(s3.keys())
    assert len(s3.keys()) == len(before)


def test_a_missing_bucket_is_one_line(s3: S3) -> None:
    with pytest.raises(WtoolError, match="its bucket or its folder does not exist"):
        write("s3://nowhere/m", b"new")


CHILD = f"""
import sys
from wtool.io.remote import multipart
multipart.PART = {PART}
from wtool.cli import main
main()
"""


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_killed_uploads_leave_nothing_visible(number: int, s3: S3) -> None:
    s3.server.plan(Fault(of("PUT", "m.keras"), rate=8 * PART, skipped=1, times=9))
    words = ["prune", str(BLOBS[0]), "--sparsity", "0.5", "-o", "s3://zoo/m.keras"]
    with subprocess.Popen([sys.executable, "-c", CHILD, *words], stderr=subprocess.PIPE, text=True) as child:
        s3.server.wait_for(lambda each: each.method == "PUT" and each.received > 0, 2)
        child.send_signal(number)
        _, told = child.communicate(timeout=30)
    assert child.returncode != 0
    assert "Traceback" not in told
    assert s3.keys() == []
    if number != signal.SIGKILL:
        assert s3.uploads() == []


@pytest.mark.slow
@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_killed_workers_take_their_uploads_back(number: int, s3: S3, tmp_path: Path) -> None:
    """Workers are processes of their own, which the first one ends."""
    for each in BLOBS[:3]:
        shutil.copy(each, tmp_path)
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(f"from wtool.io.remote import multipart\nmultipart.PART = {PART}\n")
    path = os.pathsep.join([str(site), *sys.path])
    s3.server.plan(Fault(of("PUT", query="partNumber="), rate=2000, times=99))
    words = ["prune", str(tmp_path), "--sparsity", "0.5", "-o", "s3://zoo/out/", "-j", "2"]
    run = [sys.executable, "-m", "wtool", *words]
    with subprocess.Popen(run, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path}) as child:
        s3.server.wait_for(lambda each: each.method == "PUT" and each.received > 0, 4)
        child.send_signal(number)
        _, told = child.communicate(timeout=30)
    assert child.returncode == 128 + number
    assert b"Traceback" not in told
    assert (s3.keys(), s3.uploads()) == ([], [])


# Other stores


@pytest.fixture
def shelf(alone: None, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A store that shows what is half written, and whose files fail behind `room` bytes."""
    from fsspec.implementations.memory import MemoryFile, MemoryFileSystem
    from fsspec.registry import _registry

    class Full(MemoryFile):  # type: ignore[misc]
        def write(self, data: Any) -> int:
            if self.tell() + len(data) > Shelf.room:
                super().write(data[: Shelf.room - self.tell()])
                raise OSError("the shelf is full")
            return int(super().write(data))

    class Shelf(MemoryFileSystem):  # type: ignore[misc]
        protocol = "shelf"
        store: ClassVar[dict[str, Any]] = {}
        pseudo_dirs: ClassVar[list[str]] = [""]
        room = 1 << 30

        @classmethod
        def _strip_protocol(cls, path: str) -> str:
            return str(MemoryFileSystem._strip_protocol(path.removeprefix("shelf://")))

        def _open(self, path: str, mode: str = "rb", **words: Any) -> Any:
            if mode != "wb":
                return super()._open(path, mode, **words)
            made = Full(self, self._strip_protocol(path))
            made.commit()
            return made

    monkeypatch.setitem(_registry, "shelf", Shelf)
    return Shelf


def test_stores_that_show_what_is_half_written(shelf: Any) -> None:
    write("shelf://zoo/m", b"old")
    assert list(shelf.store) == ["/zoo/m"]
    with pytest.raises(WtoolError, match="exists already"):
        write("shelf://zoo/m", b"new")
    write("shelf://zoo/m", b"new", force=True)
    assert {name: file.getvalue() for name, file in shelf.store.items()} == {"/zoo/m": b"new"}
    shelf.room = 1000
    with pytest.raises(WtoolError, match="the shelf is full"):
        write("shelf://zoo/m", bytes(2000), force=True)
    assert {name: file.getvalue() for name, file in shelf.store.items()} == {"/zoo/m": b"new"}


@pytest.fixture
def cloud(alone: None, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A store whose uploads are coroutines that take a path, as those of Google and Azure do; it is busy at first."""
    from fsspec.asyn import AsyncFileSystem
    from fsspec.registry import _registry

    class Busy(Exception):
        status = 503

    class Refused(Exception):
        status = 412

    class Cloud(AsyncFileSystem):  # type: ignore[misc]
        protocol = ("gs", "gcs")
        cachable = False
        store: ClassVar[dict[str, bytes]] = {}
        busy = 0
        appears: ClassVar[dict[str, bytes]] = {}

        async def _info(self, path: str, **words: Any) -> dict[str, Any]:
            if path not in self.store:
                raise FileNotFoundError(path)
            content = self.store[path]
            return {"name": path, "size": len(content), "type": "file", "etag": f'"{content!r}"'}

        async def _put_file(self, lpath: str, rpath: str, mode: str = "overwrite", **words: Any) -> None:
            Cloud.busy -= 1
            if Cloud.busy >= 0:
                raise Busy
            Cloud.store.update(Cloud.appears)
            if mode == "create" and rpath in self.store:
                raise Refused
            self.store[rpath] = Path(lpath).read_bytes()

    monkeypatch.setattr("wtool.io.remote.retrying.FIRST_WAIT", 0.001)
    monkeypatch.setitem(_registry, "gs", Cloud)
    return Cloud


def test_uploads_of_a_file_with_a_path(cloud: Any) -> None:
    cloud.busy = 2
    write("gs://zoo/m", b"old")
    with pytest.raises(WtoolError, match="exists already"):
        write("gs://zoo/m", b"new")
    write("gs://zoo/m", b"new", force=True)
    assert cloud.store == {"zoo/m": b"new"}
    cloud.appears["zoo/n"] = b"other"
    with pytest.raises(WtoolError, match="exists already"):
        write("gs://zoo/n", b"new")
    assert cloud.store["zoo/n"] == b"other"


@pytest.mark.parametrize("address", ["https://example.org/m.keras", "http://example.org/m.keras"])
def test_the_web_takes_no_files(address: str, alone: None) -> None:
    pytest.importorskip("aiohttp")
    with pytest.raises(WtoolError, match="takes no files"):
        Target.at(address)


def test_a_hub_takes_commits(hub: Hub) -> None:
    with pytest.raises(WtoolError, match="hf upload"):
        Target.at("hf://user/model/m.keras")
    assert hub.server.requests == []


def test_caches_are_passed_by(memory: Any) -> None:
    write_whole("simplecache::memory://zoo/m", b"new")
    assert memory.cat_file("memory://zoo/m") == b"new"


def test_paths_of_this_machine(tmp_path: Path) -> None:
    """No store is needed for them, and the rules are those of paths."""
    address = f"file://{tmp_path / 'm'}"
    for data in (b"old", b"new"):
        write_whole(address, data)
    assert (tmp_path / "m").read_bytes() == b"new"
    with pytest.raises(WtoolError, match="exists already"):
        new_draft(Target(address))


def test_a_new_result_takes_four_requests(s3: S3) -> None:
    """What is there, and that it is no folder; what is there now; the file."""
    wtool.prune(BLOBS[0], sparsity=0.5, output="s3://zoo/m.keras")
    assert [each.method for each in s3.server.requests] == ["HEAD", "GET", "HEAD", "PUT"]


def test_a_folder_is_no_file(s3: S3) -> None:
    s3.put("m.keras/other", b"x")
    with pytest.raises(WtoolError, match="is a folder"):
        wtool.prune(BLOBS[0], sparsity=0.5, output="s3://zoo/m.keras")


def test_an_unzipped_model_is_refused(s3: S3) -> None:
    with pytest.raises(WtoolError, match="no place for an unzipped model"):
        check_target(Target("s3://zoo/model", is_folder=True))


# Names


@pytest.mark.parametrize("name", ["../m", "sub/../../m", "./m", "/m", "sub//m", "../zoo2/m", ".."])
@pytest.mark.parametrize("below", ["memory://zoo", "memory://zoo/", "folder"])
def test_names_of_strangers_stay_below_the_folder(name: str, below: str, memory: Any, tmp_path: Path) -> None:
    root = below if "://" in below else str(tmp_path / below)
    path = f"{root.rstrip('/')}/{name}"
    is_kept = "://" not in below and ".." not in name.removeprefix("sub/../")  # the system takes such names as one
    with pytest.raises(WtoolError) if not is_kept else nullcontext():
        make_folders(Target(path, below=root))
        with new_draft(Target(path, below=root)) as draft:
            draft.publish()
    assert not (tmp_path / "m").exists()
    assert memory.store == {}


def test_a_folder_of_results_is_a_prefix(memory: Any) -> None:
    target = Target("memory://zoo/sub/m", below="memory://zoo/")
    with new_draft(target) as draft:
        draft.publish()
    assert list(memory.store) == ["/zoo/sub/m"]
    assert target.beside("n").path == "memory://zoo/sub/n"
