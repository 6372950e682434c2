"""Files in stores are read as local ones are: the same bytes, hashes and refusals, by ranges, in few requests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from blake3 import blake3

from tests.remote.faults import Fault, of
from tests.remote.hub import Hub
from tests.remote.s3 import S3
from tests.remote.web import Web
from wtool.errors import WtoolError
from wtool.io.remote import files, retrying
from wtool.io.remote.files import BLOCK, HEAD, LONG, TAIL
from wtool.io.source import Source
from wtool.io.system import read_at

CONTENT = np.random.default_rng(3).bytes(3_000_000)
PUT = Callable[[bytes], str]


@pytest.fixture(params=["s3", "web", "memory"])
def put(request: pytest.FixtureRequest) -> PUT:
    """Has a store keep a file; returns its address."""
    store: Any = request.getfixturevalue(request.param)
    if request.param == "s3":
        return lambda content: store.put("m.bin", content)
    if request.param == "web":
        return lambda content: store.put("m.bin", content)

    def in_memory(content: bytes) -> str:
        store.pipe_file("/zoo/m.bin", content)
        return "memory://zoo/m.bin"

    return in_memory


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying, "FIRST_WAIT", 0.001)


Opened = Callable[[str], Source]


def test_any_bytes_come(put: PUT, opened: Opened) -> None:
    source = opened(put(CONTENT))
    assert source.size == len(CONTENT)
    rng = np.random.default_rng(4)
    for _ in range(30):
        start = int(rng.integers(len(CONTENT)))
        count = int(rng.integers(min(len(CONTENT) - start, rng.choice([10, BLOCK, LONG, 10 * LONG])) + 1))
        assert source.read(start, count) == CONTENT[start : start + count]
        view = memoryview(bytearray(count))
        source.read_into(start, view)
        assert view == CONTENT[start : start + count]
    with pytest.raises(WtoolError, match="damaged or cut short"):
        source.read(len(CONTENT) - 1, 2)


@pytest.mark.parametrize("size", [0, 1, BLOCK, HEAD - 1, HEAD, HEAD + 1, HEAD + TAIL, 3_000_000])
def test_a_pass_hashes_all_bytes(put: PUT, opened: Opened, size: int) -> None:
    source = opened(put(CONTENT[:size]))
    half = size // 2
    view = memoryview(bytearray(half))
    source.take(0, view)
    assert view == CONTENT[:half]
    assert source.finish() == f"blake3:{blake3(CONTENT[:size]).hexdigest()}"


def test_a_local_copy_has_all_bytes(put: PUT, opened: Opened) -> None:
    source = opened(put(CONTENT))
    assert read_at(source.descriptor(), len(CONTENT) + 1, 0) == CONTENT
    assert source.descriptor() == source.descriptor()


def test_what_is_not_there_is_missing(put: PUT, opened: Opened) -> None:
    address = put(CONTENT) + "x"
    with pytest.raises(WtoolError, match=r"m\.binx: No such file or directory$"):
        opened(address)


def test_a_pass_is_one_request(s3: S3, web: Web, opened: Opened) -> None:
    for store in (s3, web):
        source = opened(store.put("m.bin", CONTENT))
        assert len(store.server.requests) == 2
        for at in range(0, len(CONTENT), 500_000):
            source.take(at, memoryview(bytearray(500_000)))
        source.finish()
        assert len(store.server.requests) <= 4
        assert store.server.sent <= len(CONTENT) + HEAD + TAIL + 3 * BLOCK


def test_ranges_are_asked_for_together(web: Web, opened: Opened) -> None:
    source = opened(web.put("m.bin", CONTENT))
    web.server.forget()
    web.server.plan(Fault(wait=1.5, times=100))  # all come meanwhile, on a busy machine too
    source.prefetch([(at, at + 10) for at in range(500_000, 2_900_000, 400_000)])
    assert len(web.server.requests) == web.server.most_at_once == 6
    assert source.read(900_000, 10) == CONTENT[900_000:900_010]
    assert len(web.server.requests) == 6


@pytest.mark.parametrize(
    "fault", [{"status": 503}, {"sent_before_end": 1000}, {"sent_before_end": 9, "is_reset": True}]
)
def test_what_goes_wrong_for_a_while_is_tried_again(s3: S3, web: Web, opened: Opened, fault: dict[str, Any]) -> None:
    for store in (s3, web):
        address = store.put("m.bin", CONTENT)
        store.server.plan(Fault(of("GET"), times=2, **fault), Fault(of("GET"), skipped=1, times=2, **fault))
        source = opened(address)
        store.server.plan(Fault(of("GET"), times=3, **fault))
        source.take(0, memoryview(bytearray(600_000)))
        store.server.plan(Fault(of("GET"), times=3, **fault))
        assert source.finish() == f"blake3:{blake3(CONTENT).hexdigest()}"


def test_what_stays_wrong_is_told(s3: S3, web: Web, opened: Opened) -> None:
    for store in (s3, web):
        address = store.put("m.bin", CONTENT)
        store.server.plan(Fault(of("GET"), times=100, status=503))
        with pytest.raises(WtoolError, match=r"^\S+: the store refused a request with status 503 \("):
            opened(address)
        assert len(store.server.requests) == 6


def test_files_of_a_hub_are_read_by_ranges(hub: Hub, opened: Opened) -> None:
    address = hub.put("zoo/digits", "a b.keras", CONTENT)
    hub.put("zoo/digits", "a b.keras", CONTENT[::-1], revision="v2")
    source = opened(address)
    assert len(hub.server.requests) <= 6
    source.prefetch([(at, at + 10) for at in range(500_000, 2_900_000, 400_000)])
    assert hub.server.sent < 1_200_000
    assert source.finish() == f"blake3:{blake3(CONTENT).hexdigest()}"
    other = opened(address.replace("zoo/digits", "zoo/digits@v2"))
    assert other.finish() == f"blake3:{blake3(CONTENT[::-1]).hexdigest()}"


def test_a_busy_hub_is_asked_again(hub: Hub, opened: Opened) -> None:
    hub.server.plan(Fault(of("GET", "api/models/zoo/digits"), status=503))
    assert opened(hub.put("zoo/digits", "m.keras", CONTENT)).read(0, len(CONTENT)) == CONTENT


def test_a_hub_that_wants_a_login_is_one_line(hub: Hub, opened: Opened) -> None:
    address = hub.put("zoo/digits", "m.keras", CONTENT)
    hub.gated.add("zoo/digits")
    for bad in (address, address.replace("digits", "none")):
        with pytest.raises(WtoolError, match=r"^hf://\S+: the store refuses access .*; credentials come from HF_TOKEN"):
            opened(bad)
    with pytest.raises(WtoolError, match="No such file or directory"):
        opened(hub.put("zoo/free", "m.keras", CONTENT).replace("m.keras", "n.keras"))


def test_blocks_of_many_files_take_bounded_memory(web: Web, opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "KEPT", 20 * BLOCK)
    sources = [opened(web.put(f"{number}.bin", CONTENT[number:])) for number in range(5)]
    for at in (10, 900_000, 1_900_000, len(CONTENT) - 100):
        for number, source in enumerate(sources):
            assert source.read(at, 50) == CONTENT[number:][at : at + 50]
    assert len(files._SHELF._kept) <= 20
    for source in sources:
        source.close()
    assert not files._SHELF._kept


def test_many_ranges_come_without_what_is_around(web: Web, opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "KEPT", 60 * BLOCK)
    source = opened(web.put("m.bin", CONTENT))
    web.server.forget()
    wanted = [(at, at + 10) for at in range(200_000, 2_800_000, 200_000)]
    source.prefetch(wanted)
    assert len(web.server.requests) == len(wanted)
    assert all(source.has(start, stop - start) for start, stop in wanted)
    assert all(source.read(start, 10) == CONTENT[start:stop] for start, stop in wanted)
    assert len(web.server.requests) == len(wanted)
