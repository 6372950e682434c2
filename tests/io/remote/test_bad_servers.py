"""Servers that give no ranges, other bytes, or nothing: the file is read all the same, or refused in one line."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from blake3 import blake3

from tests.remote.faults import Fault, of
from tests.remote.s3 import S3
from tests.remote.web import Web
from wtool.errors import WtoolError
from wtool.io.addresses import RETRIES
from wtool.io.remote import asking, files, ranges, retrying
from wtool.io.source import Source

CONTENT = np.random.default_rng(5).bytes(1_500_000)
OTHER = CONTENT[::-1]
HASH = f"blake3:{blake3(CONTENT).hexdigest()}"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying, "FIRST_WAIT", 0.001)
    monkeypatch.setattr(files, "SMALL", 0)  # files are read as large ones are


Opened = Callable[[str], Source]


@pytest.mark.parametrize("manners", [{}, {"length": False}, {"says_ranges": False}, {"etag": ""}])
def test_a_server_without_ranges_sends_the_file_once(web: Web, opened: Opened, manners: dict[str, Any]) -> None:
    address = web.put("m.bin", CONTENT)
    web.manners.ranges = False
    for name, value in manners.items():
        setattr(web.manners, name, value)
    source = opened(address)
    assert source.read(1_000_000, 1000) == CONTENT[1_000_000:1_001_000]
    assert source.finish() == HASH
    assert len(web.server.requests) == 1


def test_a_file_without_end_is_refused(web: Web, opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranges, "MOST_FETCHED", 1 << 20)
    address = web.put("m.bin", CONTENT)
    web.manners.ranges, web.manners.endless = False, True
    with pytest.raises(WtoolError, match="its server sends more than 0 GiB, and does not send parts of it"):
        opened(address)


@pytest.mark.parametrize(
    ("manners", "words"),
    [
        ({"shift": 5}, "sends bytes 5 to 131077 where 0 to 131072 are asked for"),
        ({"false_range": "bytes 0-131071/100"}, "sends bytes"),
        ({"false_range": "0-10"}, "does not say which bytes it sends"),
        ({"surplus": 1}, "sends more bytes than it is asked for"),
        ({"ranges": False, "gzip": True}, "sends it compressed"),
        ({"login": 401}, "refuses access .*; credentials come from the address"),
        ({"login": 403}, "refuses access .*; credentials come from the address"),
    ],
)
def test_what_servers_do_wrong_is_one_line(web: Web, opened: Opened, manners: dict[str, Any], words: str) -> None:
    address = web.put("m.bin", CONTENT)
    for name, value in manners.items():
        setattr(web.manners, name, value)
    with pytest.raises(WtoolError, match=words) as caught:
        opened(f"{address}?token=secret")
    assert str(caught.value).startswith(f"{address}: ")
    assert "secret" not in str(caught.value)
    assert len(web.server.requests) == 1


def test_redirections_are_followed_to_an_end(web: Web, opened: Opened) -> None:
    web.put("m.bin", CONTENT)
    assert opened(web.at("moved/2/m.bin")).finish() == HASH
    with pytest.raises(WtoolError, match="TooManyRedirects"):
        opened(web.at("moved/ever/m.bin"))


@pytest.mark.parametrize("etag", ["strong", "weak", ""])
def test_a_file_that_changes_is_refused(web: Web, opened: Opened, etag: str) -> None:
    web.manners.etag = etag
    source = opened(web.put("m.bin", CONTENT))
    source.take(0, memoryview(bytearray(100)))
    web.put("m.bin", OTHER)
    web.manners.modified = "Thu, 22 Oct 2026 07:28:00 GMT"
    with pytest.raises(WtoolError, match=r"m\.bin: changed while it was being read; nothing was written"):
        source.finish()


def test_a_file_that_changes_at_the_end_is_refused(web: Web, opened: Opened) -> None:
    web.manners.etag = "weak"
    source = opened(web.put("m.bin", CONTENT))
    source.take(0, memoryview(bytearray(len(CONTENT))))
    web.put("m.bin", CONTENT + b"x")
    with pytest.raises(WtoolError, match="changed while it was being read"):
        source.finish()


def test_an_object_that_changes_is_refused(s3: S3, opened: Opened) -> None:
    source = opened(s3.put("m.bin", CONTENT))
    s3.put("m.bin", OTHER)
    with pytest.raises(WtoolError, match=r"s3://zoo/m.bin: changed while it was being read"):
        source.read(700_000, 10)
    source = opened(s3.put("m.bin", CONTENT))
    s3.delete("m.bin")
    with pytest.raises(WtoolError, match="changed while it was being read"):
        source.finish()


def test_an_object_that_changes_in_the_middle_of_a_request_is_refused(s3: S3, opened: Opened) -> None:
    """A request that broke off goes on with the version that it began with, or not at all."""
    source = opened(s3.put("m.bin", CONTENT))
    s3.server.plan(
        Fault(of("GET"), sent_before_end=400_000), Fault(of("GET"), meanwhile=lambda: s3.put("m.bin", OTHER))
    )
    with pytest.raises(WtoolError, match="changed while it was being read"):
        source.finish()


def test_a_server_that_hangs_is_given_up(web: Web, opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "PATIENCE", 0.1)
    monkeypatch.setenv(RETRIES, "2")
    address = web.put("m.bin", CONTENT)
    forever = threading.Event()
    web.server.plan(Fault(until=forever, times=100))
    try:
        with pytest.raises(WtoolError, match="its server did not answer in time"):
            opened(address)
        assert len(web.server.requests) == 3
    finally:
        forever.set()


def test_servers_that_are_not_there_are_told(opened: Opened, alone: None) -> None:
    with pytest.raises(WtoolError, match=r"^http://127.0.0.1:1/m: its server cannot be reached$"):
        opened("http://127.0.0.1:1/m")
    with pytest.raises(WtoolError, match=r"^http://none.invalid/m: the name of its server is not known"):
        opened("http://none.invalid/m")


def test_credentials_are_asked_for(s3: S3, opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    address = s3.put("m.bin", CONTENT)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(WtoolError, match=r"^s3://zoo/m.bin: the store refuses access .*AWS_ACCESS_KEY_ID"):
        opened(address)


def test_packages_that_are_missing_are_named(opened: Opened, alone: None) -> None:
    with pytest.raises(WtoolError, match=r"^gs://a/b: gs:// needs gcsfs: pip install gcsfs$"):
        opened("gs://a/b")
    with pytest.raises(WtoolError, match=r"^htps://a/b: no protocol is called htps://; did you mean https"):
        opened("htps://a/b")


def test_a_cache_in_front_of_a_store_is_read(s3: S3, opened: Opened) -> None:
    address = s3.put("m.bin", CONTENT)
    for cache in ("simplecache", "blockcache", "filecache"):
        source = opened(f"{cache}::{address}")
        assert source.read(1_000_000, 10) == CONTENT[1_000_000:1_000_010]
        assert source.finish() == HASH
