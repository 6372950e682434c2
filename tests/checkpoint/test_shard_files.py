"""Shards in a store: they appear before their map, and go again where the map does not come."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import wtool
from tests.models import ZOO
from tests.remote.faults import Fault, of
from tests.remote.s3 import S3
from wtool.errors import WtoolError
from wtool.io.remote import multipart

SHARDED = ZOO / "k3.12.4" / "sharded.weights.json"
NAMES = ["m.weights.json", "m_00000.weights.h5", "m_00001.weights.h5"]


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of 4 KiB, so that shards of a few kilobytes have several."""
    pytest.importorskip("moto.server")
    monkeypatch.setattr(multipart, "PART", 4096)
    monkeypatch.setattr("moto.s3.models.S3_UPLOAD_PART_MIN_SIZE", 1)


def prune(output: str | Path, sparsity: float = 0.5, force: bool = False) -> None:
    wtool.prune(SHARDED, sparsity=sparsity, output=output, force=force)


def in_folder(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def in_bucket(s3: S3) -> dict[str, bytes]:
    names = s3.keys()
    return {name: s3.get(name) for name in names}


@pytest.mark.parametrize("protocol", ["memory", "s3"])
def test_files_are_those_of_a_folder(protocol: str, memory: Any, s3: S3, tmp_path: Path) -> None:
    def found() -> dict[str, bytes]:
        if protocol == "s3":
            return in_bucket(s3)
        return {name.rpartition("/")[2]: file.getvalue() for name, file in memory.store.items()}

    folder = tmp_path / "zoo"
    folder.mkdir()
    for sparsity in (0.5, 0.25):  # the second time, new shards take the place of the old ones
        prune(folder / "m.weights.json", sparsity, force=sparsity < 0.5)
        prune(f"{protocol}://zoo/m.weights.json", sparsity, force=sparsity < 0.5)
        assert found() == in_folder(folder)
    assert len(found()) == 3
    assert s3.uploads() == []
    with pytest.raises(WtoolError, match="exists already"):
        prune(f"{protocol}://zoo/m.weights.json")


def test_shards_go_up_before_any_appears(s3: S3) -> None:
    prune("s3://zoo/m.weights.json")
    told = [(each.method, each.path, each.query) for each in s3.server.requests]
    parts = [at for at, (_, _, query) in enumerate(told) if "partNumber=" in query]
    ends = [at for at, (method, _, query) in enumerate(told) if method == "POST" and "uploadId=" in query]
    (at_last,) = [
        at for at, (method, path, _) in enumerate(told) if method == "PUT" and path.endswith("m.weights.json")
    ]
    assert max(parts) < min(ends) < max(ends) < at_last


@pytest.mark.parametrize("what", ["m_00001.weights.h5", "m.weights.json"])
def test_a_failure_takes_the_shards_back(what: str, s3: S3) -> None:
    is_map = what.endswith(".json")
    s3.server.plan(
        Fault(of("PUT" if is_map else "POST", what, "" if is_map else "uploadId="), status=403, code="AccessDenied")
    )
    with pytest.raises(WtoolError):
        prune("s3://zoo/m.weights.json")
    assert (s3.keys(), s3.uploads()) == ([], [])


def test_a_failure_keeps_the_old_shards(s3: S3) -> None:
    prune("s3://zoo/m.weights.json")
    before = in_bucket(s3)
    s3.server.plan(Fault(of("PUT", "m.weights.json"), status=403, code="AccessDenied"))
    with pytest.raises(WtoolError):
        prune("s3://zoo/m.weights.json", 0.25, force=True)
    assert in_bucket(s3) == before


def test_of_two_writers_one_has_its_shards(s3: S3) -> None:
    """The other wrote its map after the first looked for one, and has other shards."""
    s3.server.plan(
        Fault(of("PUT", "m.weights.json"), meanwhile=lambda: s3.put("m.weights.json", b'{"weight_map": {}}'))
    )
    with pytest.raises(WtoolError, match="exists already"):
        prune("s3://zoo/m.weights.json")
    assert in_bucket(s3) == {"m.weights.json": b'{"weight_map": {}}'}


def test_what_is_in_the_way_stays(s3: S3) -> None:
    s3.put("m_00001.weights.h5", b"of somebody")
    with pytest.raises(WtoolError, match="is in the way as a shard"):
        prune("s3://zoo/m.weights.json")
    assert in_bucket(s3) == {"m_00001.weights.h5": b"of somebody"}
