"""Slow, throttled and failing stores: the right result, or one line, in a bounded time."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import forkserver
from tests.remote.cases import fill
from tests.remote.faults import Fault, of
from tests.remote.hub import Hub
from tests.remote.large import dense_model
from tests.remote.s3 import S3
from tests.remote.web import Web

READING = {
    "refused twice": lambda: Fault(of("GET", ".keras"), status=503, times=2),
    "internal error": lambda: Fault(of("GET", ".keras"), status=500, code="InternalError"),
    "refused at the first look": lambda: Fault(of("HEAD"), status=503),
    "reset": lambda: Fault(of("GET", ".keras"), sent_before_end=5000, is_reset=True),
    "reset at once": lambda: Fault(of("GET", ".keras"), sent_before_end=0, is_reset=True),
    "truncated": lambda: Fault(of("GET", ".keras"), sent_before_end=5000),
    "slow": lambda: Fault(of("GET"), wait=0.1, rate=200_000, times=1000),
}
WRITING = {
    "refused twice": lambda: Fault(of("PUT"), status=503, times=2),
    "internal error": lambda: Fault(of("PUT"), status=500, code="InternalError"),
    "reset": lambda: Fault(of("PUT"), received_before_end=5000, is_reset=True),
    "slow": lambda: Fault(of("PUT"), wait=0.1, rate=200_000, times=1000),
}
PARTS = {
    "refused at the beginning": lambda: Fault(of("POST", query="uploads"), status=503),
    "a part refused": lambda: Fault(of("PUT", query="partNumber"), status=503),
    "a part lost": lambda: Fault(of("PUT", query="partNumber"), received_before_end=100_000, is_reset=True),
    "refused at the end": lambda: Fault(of("POST", query="uploadId"), status=503),
}
WORDS = "prune {i}a.keras --sparsity .8 -o {o}sparse.keras"


def run(*words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    argv = forkserver.wtool(*words, remote=True)
    return subprocess.run(argv, cwd=cwd, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the cases, and a pruned one."""
    folder = tmp_path_factory.mktemp("here")
    fill(folder)
    assert run(*WORDS.format(i="", o="").split(), cwd=folder).returncode == 0
    return folder


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of 39 MB, which goes up in parts, and what `stroke` makes of it."""
    path = dense_model(tmp_path_factory.mktemp("model") / "m.keras", 6)
    assert run("stroke", path, "--seed", "1", "-o", "stroked.keras", cwd=path.parent).returncode == 0
    return path


@pytest.mark.parametrize("fault", READING)
def test_reading(fault: str, here: Path, s3: S3, tmp_path: Path) -> None:
    s3.put("a.keras", (here / "a.keras").read_bytes())
    s3.server.plan(READING[fault]())
    done = run(*WORDS.format(i="s3://zoo/", o="").split(), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "sparse.keras").read_bytes() == (here / "sparse.keras").read_bytes()


@pytest.mark.parametrize("fault", [name for name in READING if name != "refused at the first look"])
def test_reading_from_the_web(fault: str, here: Path, web: Web, tmp_path: Path) -> None:
    web.put("a.keras", (here / "a.keras").read_bytes())
    web.server.plan(READING[fault]())
    done = run(*WORDS.format(i=web.at(""), o="").split(), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "sparse.keras").read_bytes() == (here / "sparse.keras").read_bytes()


@pytest.mark.parametrize("fault", WRITING)
def test_writing(fault: str, here: Path, s3: S3, tmp_path: Path) -> None:
    s3.server.plan(WRITING[fault]())
    done = run(*WORDS.format(i=f"{here}/", o="s3://zoo/").split(), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert s3.get("sparse.keras") == (here / "sparse.keras").read_bytes()


@pytest.mark.parametrize("fault", PARTS)
def test_writing_in_parts(fault: str, large: Path, s3: S3, tmp_path: Path) -> None:
    s3.server.plan(PARTS[fault]())
    done = run("stroke", large, "--seed", "1", "-o", "s3://zoo/stroked.keras", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert s3.get("stroked.keras") == large.with_name("stroked.keras").read_bytes()
    assert s3.uploads() == []


@pytest.mark.slow
def test_a_request_that_hangs_is_made_again(here: Path, s3: S3, tmp_path: Path) -> None:
    s3.put("a.keras", (here / "a.keras").read_bytes())
    s3.server.plan(Fault(of("GET", ".keras"), until=threading.Event()))
    done = run(*WORDS.format(i="s3://zoo/", o="").split(), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "sparse.keras").read_bytes() == (here / "sparse.keras").read_bytes()


def told(done: subprocess.CompletedProcess[str], address: str) -> str:
    """Returns the one line that a failed command told of an address."""
    assert done.returncode in (1, 2), done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"wtool: {address}: "), line
    assert "Traceback" not in line
    return line


@pytest.mark.parametrize(
    ("status", "code"), [(403, "AccessDenied"), (401, "Unauthorized"), (400, "InvalidToken")], ids=str
)
def test_refused_logins_are_told_at_once(status: int, code: str, here: Path, s3: S3, tmp_path: Path) -> None:
    s3.put("a.keras", (here / "a.keras").read_bytes())
    s3.server.plan(Fault(status=status, code=code, times=1000))
    begin = time.monotonic()
    told(run(*WORDS.format(i="s3://zoo/", o="").split(), cwd=tmp_path), "s3://zoo/a.keras")
    assert time.monotonic() - begin < 10
    assert len(s3.server.requests) <= 4
    assert list(tmp_path.iterdir()) == []


def test_refused_uploads_are_told_at_once(here: Path, s3: S3, tmp_path: Path) -> None:
    s3.server.plan(Fault(of("PUT"), status=403, code="AccessDenied", times=1000))
    told(run(*WORDS.format(i=f"{here}/", o="s3://zoo/").split(), cwd=tmp_path), "s3://zoo/sparse.keras")
    assert [each.method for each in s3.server.requests].count("PUT") == 1
    assert s3.keys() == []


@pytest.mark.parametrize("direction", ["reading", "writing"])
def test_there_is_an_end_of_trying(direction: str, here: Path, s3: S3, tmp_path: Path) -> None:
    s3.put("a.keras", (here / "a.keras").read_bytes())
    s3.server.plan(Fault(of("GET" if direction == "reading" else "PUT"), status=503, times=1000))
    places = {"i": "s3://zoo/", "o": ""} if direction == "reading" else {"i": f"{here}/", "o": "s3://zoo/"}
    done = run(*WORDS.format(**places).split(), "--retries", "2", cwd=tmp_path)
    told(done, "s3://zoo/a.keras" if direction == "reading" else "s3://zoo/sparse.keras")
    tried = [each for each in s3.server.requests if each.status == 503]
    assert 3 <= len(tried) <= 6
    assert s3.keys() == ["a.keras"]


def test_an_object_that_changes_while_it_is_read_is_refused(large: Path, s3: S3, tmp_path: Path) -> None:
    s3.put("m.keras", large.read_bytes())
    changed = large.with_name("stroked.keras").read_bytes()
    s3.server.plan(Fault(of("GET", "m.keras"), skipped=4, meanwhile=lambda: s3.put("m.keras", changed)))
    done = run("stroke", "s3://zoo/m.keras", "--seed", "2", "-o", "new.keras", cwd=tmp_path)
    assert "chang" in told(done, "s3://zoo/m.keras")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("lacking", ["the file", "the revision", "the repository", "the right to read"])
def test_hubs_refuse_in_one_line(lacking: str, here: Path, hub: Hub, tmp_path: Path) -> None:
    address = hub.put("user/model", "a.keras", (here / "a.keras").read_bytes())
    if lacking == "the right to read":
        hub.gated.add("user/model")
    elif lacking == "the file":
        address = address.replace("a.keras", "b.keras")
    elif lacking == "the revision":
        address = address.replace("model/", "model@v9/")
    else:
        address = address.replace("user", "nobody")
    told(run("prune", address, "--sparsity", ".5", "-o", "new.keras", cwd=tmp_path), address)
    assert len(hub.server.requests) <= 12
    assert list(tmp_path.iterdir()) == []


MANNERS: dict[str, Callable[[Web], object]] = {
    "no ranges": lambda web: setattr(web.manners, "ranges", False),
    "ranges that are not told": lambda web: setattr(web.manners, "says_ranges", False),
    "no length": lambda web: (setattr(web.manners, "length", False), setattr(web.manners, "ranges", False)),
    "no HEAD": lambda web: setattr(web.manners, "head", False),
    "weak ETag": lambda web: setattr(web.manners, "etag", "weak"),
    "no ETag": lambda web: setattr(web.manners, "etag", ""),
    "nothing of a version": lambda web: (setattr(web.manners, "etag", ""), setattr(web.manners, "modified", "")),
}


@pytest.mark.parametrize("manner", MANNERS)
def test_web_servers_of_other_manners(manner: str, here: Path, web: Web, tmp_path: Path) -> None:
    web.put("a.keras", (here / "a.keras").read_bytes())
    MANNERS[manner](web)
    done = run(*WORDS.format(i=web.at(""), o="").split(), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "sparse.keras").read_bytes() == (here / "sparse.keras").read_bytes()


def test_redirections_are_followed(here: Path, web: Web, tmp_path: Path) -> None:
    web.put("a.keras", (here / "a.keras").read_bytes())
    done = run(*WORDS.format(i=web.at("moved/2/"), o="").split(), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "sparse.keras").read_bytes() == (here / "sparse.keras").read_bytes()


WRONG: dict[str, Callable[[Web], object]] = {
    "another range": lambda web: setattr(web.manners, "shift", 7),
    "a false range": lambda web: setattr(web.manners, "false_range", "bytes 0-9/10"),
    "more than was asked for": lambda web: setattr(web.manners, "surplus", 100),
    "packed": lambda web: (setattr(web.manners, "gzip", True), setattr(web.manners, "ranges", False)),
    "a login": lambda web: setattr(web.manners, "login", 403),
    "a page for people": lambda web: web.put("a.keras", b"<html>log in</html>"),
    "redirections for ever": lambda web: web.put("a.keras", b""),
}


@pytest.mark.parametrize("manner", WRONG)
def test_web_servers_that_are_wrong(manner: str, here: Path, web: Web, tmp_path: Path) -> None:
    web.put("a.keras", (here / "a.keras").read_bytes())
    WRONG[manner](web)
    before = web.at("moved/ever/") if manner == "redirections for ever" else web.at("")
    told(run(*WORDS.format(i=before, o="").split(), "--retries", "1", cwd=tmp_path), f"{before}a.keras")
    assert list(tmp_path.iterdir()) == []
    assert web.server.sent < 100_000_000
