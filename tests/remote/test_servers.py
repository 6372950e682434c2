"""The servers answer as stores do, are recorded, and fail as planned."""

from __future__ import annotations

import http.client
import threading
import time
import urllib.request
from typing import Any

import pytest

from tests.remote.faults import Fault, of
from tests.remote.hub import Hub
from tests.remote.s3 import S3
from tests.remote.web import Web

CONTENT = bytes(range(256)) * 4096


def system(protocol: str) -> Any:
    import fsspec

    return fsspec.filesystem(protocol)


def test_s3_is_recorded(s3: S3) -> None:
    address = s3.put("m.bin", CONTENT)
    assert system("s3").cat_file(address, start=10, end=110) == CONTENT[10:110]
    (request,) = s3.server.requests
    assert (request.method, request.path, request.range) == ("GET", "/zoo/m.bin", "bytes=10-109")
    assert (request.status, request.sent, request.received) == (206, 100, 0)
    assert s3.server.sent == 100


def test_s3_takes_uploads(s3: S3) -> None:
    system("s3").pipe_file("s3://zoo/small", b"abc")
    assert s3.get("small") == b"abc"
    with system("s3").open("s3://zoo/large", "wb", block_size=5 << 20) as file:
        file.write(bytes(11 << 20))
        assert s3.uploads() == ["large"]
        assert s3.keys() == ["small"]
    assert s3.get("large") == bytes(11 << 20)
    assert s3.uploads() == []
    assert s3.server.received > 11 << 20


def test_s3_writes_on_conditions(s3: S3) -> None:
    store = system("s3")
    store.pipe_file("s3://zoo/m", b"abc", mode="create")
    with pytest.raises(FileExistsError):
        store.pipe_file("s3://zoo/m", b"def", mode="create")
    assert s3.get("m") == b"abc"


def test_s3_lists_pages(s3: S3) -> None:
    for number in range(1500):
        s3.put(f"deep/{number:05}.keras", b"x")
    assert len(system("s3").find("s3://zoo/")) == 1500
    assert len(s3.server.requests) == 2


def test_each_test_finds_s3_empty(s3: S3) -> None:
    assert s3.keys() == []
    assert system("s3").ls("s3://zoo/") == []
    assert s3.server.requests != []


def test_refusals_end(s3: S3) -> None:
    address = s3.put("m.bin", CONTENT)
    s3.server.plan(Fault(of("GET"), status=503))
    assert system("s3").cat_file(address) == CONTENT
    assert [each.status for each in s3.server.requests] == [200, 503, 200]


@pytest.mark.parametrize("is_reset", [False, True])
def test_connections_are_lost(web: Web, is_reset: bool) -> None:
    address = web.put("m.bin", CONTENT)
    web.server.plan(Fault(sent_before_end=1000, is_reset=is_reset))
    with (
        urllib.request.urlopen(address) as answer,
        pytest.raises((http.client.IncompleteRead, ConnectionResetError)) as error,
    ):
        answer.read()
    assert (error.type is ConnectionResetError) == is_reset
    assert web.server.requests[0].sent == 1000


def test_an_object_changes_in_the_middle(s3: S3) -> None:
    address = s3.put("m.bin", b"old")
    s3.server.plan(Fault(of("GET", "m.bin"), meanwhile=lambda: s3.put("m.bin", b"new")))
    assert system("s3").cat_file(address) == b"new"


def test_uploads_stop_in_the_middle(s3: S3) -> None:
    s3.server.plan(Fault(of("PUT"), rate=1 << 20, times=99))
    store = system("s3")
    thread = threading.Thread(target=store.pipe_file, args=("s3://zoo/m", bytes(1 << 20)))
    thread.start()
    (request,) = s3.server.wait_for(lambda each: each.received > 100_000)
    assert request.ended is None
    assert s3.keys() == []
    thread.join()
    assert s3.keys() == ["m"]


def test_requests_hang(web: Web) -> None:
    address = web.put("m.bin", CONTENT)
    until = threading.Event()
    web.server.plan(Fault(until=until))
    thread = threading.Thread(target=lambda: system("http").cat_file(address))
    thread.start()
    web.server.wait_for(lambda each: True)
    time.sleep(0.05)
    assert web.server.requests[0].ended is None
    until.set()
    thread.join()
    assert web.server.requests[0].sent == len(CONTENT)


def test_the_web_gives_ranges(web: Web) -> None:
    address = web.put("a b.bin", CONTENT)
    store = system("http")
    assert store.cat_file(address, 5, 9) == CONTENT[5:9]
    assert store.cat_file(address, -4) == CONTENT[-4:]
    assert store.info(address)["size"] == len(CONTENT)
    assert store.cat_file(web.at("moved/2/a b.bin"), 5, 9) == CONTENT[5:9]


def test_the_web_misbehaves(web: Web) -> None:
    address = web.put("m.bin", CONTENT)
    web.manners.ranges = web.manners.length = False
    assert system("http").cat_file(address, 5, 9) == CONTENT  # fsspec does not look
    web.manners.login = 403
    with pytest.raises(Exception, match="403"):
        system("http").cat_file(address)


def test_the_hub_has_revisions(hub: Hub) -> None:
    first = hub.put("user/model", "deep/m.bin", CONTENT)
    second = hub.put("user/model", "deep/m.bin", b"other", revision="refs/pr/1")
    store = system("hf")
    assert store.info(first)["size"] == len(CONTENT)
    assert store.info(second)["size"] == 5
    assert store.cat_file(second) == b"other"
    assert store.find("hf://user/model") == ["user/model/deep/m.bin"]
    with store.open(first, block_size=1000) as file:
        file.seek(5000)
        assert file.read(10) == CONTENT[5000:5010]
    with pytest.raises(FileNotFoundError):
        store.info("hf://user/model@no/deep/m.bin")
    with pytest.raises(FileNotFoundError):
        store.info("hf://user/none/deep/m.bin")


def test_the_hub_has_gates(hub: Hub) -> None:
    address = hub.put("user/model", "m.bin", CONTENT)
    hub.gated.add("user/model")
    with pytest.raises(Exception, match=r"gated|Gated"):
        system("hf").cat_file(address)


def test_memory_is_empty(memory: Any) -> None:
    assert memory.find("/") == []
    memory.pipe_file("/zoo/m", b"abc")
    assert system("memory").cat_file("memory://zoo/m") == b"abc"
