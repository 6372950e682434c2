"""How many requests commands make of S3, and how many bytes they get."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import wtool
from tests import forkserver
from tests.models import BLOBS
from tests.remote.faults import Fault, Request
from tests.remote.large import dense_model
from tests.remote.s3 import S3

FORMATS = ("l.keras", "l.h5", "l.weights.h5", "l.safetensors")


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """One model of four layers and 105 MB in all formats: its name -> content."""
    folder = tmp_path_factory.mktemp("large")
    path = dense_model(folder / "l.keras", 4, units=2560)
    for name in FORMATS[1:]:
        wtool.convert(path, output=folder / name)
    return {name: (folder / name).read_bytes() for name in FORMATS}


def run(*words: str, cwd: Path, status: int = 0) -> str:
    done = subprocess.run(forkserver.wtool(*words, remote=True), cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    return done.stdout


def counts(s3: S3) -> tuple[int, int]:
    """Returns the requests of the record, and the bytes of their answers."""
    return len(s3.server.requests), s3.server.sent


@pytest.mark.parametrize("name", FORMATS)
def test_inspecting_a_large_model(name: str, large: dict[str, bytes], s3: S3, tmp_path: Path) -> None:
    address = s3.put(name, large[name])
    shown = run("inspect", address, "--json", cwd=tmp_path)
    assert '"parameters": 26224640' in shown
    requests, size = counts(s3)
    assert requests <= 6, s3.server.requests
    assert size <= 2_000_000


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(("inspect", "s3://zoo/l.keras"), id="inspect"),
        pytest.param(("inspect", "s3://zoo/l.keras", "--tensors"), id="tensors"),
        pytest.param(("check", "s3://zoo/l.keras", "--configuration"), id="check"),
        pytest.param(("diff", "s3://zoo/l.keras", "s3://zoo/l.keras", "--architecture"), id="diff"),
        pytest.param(("swap", "s3://zoo/l.keras", "--to", "linked", "-o", "s3://zoo/p.keras", "-n"), id="dry run"),
        pytest.param(("history", "s3://zoo/l.keras"), id="history"),
    ],
)
def test_no_weights_are_read(words: tuple[str, ...], large: dict[str, bytes], s3: S3, tmp_path: Path) -> None:
    s3.put("l.keras", large["l.keras"])
    run(*words, cwd=tmp_path)
    requests, size = counts(s3)
    assert requests <= 10, s3.server.requests
    assert size <= 2_000_000
    assert s3.keys() == ["l.keras"]


def test_a_pass_reads_each_byte_about_once(large: dict[str, bytes], s3: S3, tmp_path: Path) -> None:
    address = s3.put("l.keras", large["l.keras"])
    run("stroke", address, "--seed", "1", "-o", "stroked.keras", cwd=tmp_path)
    requests, size = counts(s3)
    assert size <= 1.02 * len(large["l.keras"])
    assert requests <= 12, s3.server.requests


@pytest.mark.parametrize("count", [2_500, pytest.param(10_000, marks=pytest.mark.slow)])
def test_folders_are_listed_in_pages(count: int, s3: S3, tmp_path: Path) -> None:
    """A thousand keys take a request, and the models among them are opened, nothing else."""
    for number in range(count):
        s3.put(f"deep/{number:05}.txt", b"x")
    s3.put("deep/m.keras", BLOBS[0].read_bytes())
    run("inspect", "s3://zoo/deep/", "--json", cwd=tmp_path)
    listings = [each for each in s3.server.requests if "list-type" in each.query and each.method == "GET"]
    assert len(listings) <= count // 1000 + 3
    assert {each.path for each in s3.server.requests} - {each.path for each in listings} == {"/zoo/deep/m.keras"}


def test_what_is_done_is_skipped_for_few_requests(s3: S3, tmp_path: Path) -> None:
    count = 30
    for number in range(count):
        s3.put(f"m/{number:03}.keras", BLOBS[number % 10].read_bytes())
    words = ("prune", "s3://zoo/m/", "--sparsity", ".5", "-o", "s3://zoo/done/")
    run(*words, cwd=tmp_path)
    assert len(s3.keys()) == 2 * count
    s3.server.forget()
    run(*words, cwd=tmp_path)
    assert len(s3.server.requests) <= 4 * count + 5
    assert [each for each in s3.server.requests if each.method in ("PUT", "POST", "DELETE")] == []
    assert max_of(s3.server.requests, "/zoo/m/") <= 3


@pytest.mark.slow
def test_requests_of_models_overlap(s3: S3, tmp_path: Path) -> None:
    for number in range(8):
        s3.put(f"m/{number:03}.keras", BLOBS[number].read_bytes())
    s3.server.plan(Fault(wait=0.2, times=1000))
    run("prune", "s3://zoo/m/", "--sparsity", ".5", "-o", "s3://zoo/done/", "-j", "4", cwd=tmp_path)
    assert len(s3.keys()) == 16
    assert s3.server.most_at_once >= 3


def max_of(requests: list[Request], path: str) -> int:
    """Returns how many requests the names below a path got, at most."""
    found = [each.path for each in requests if each.path.startswith(path) and len(each.path) > len(path)]
    return max(map(found.count, found), default=0)
