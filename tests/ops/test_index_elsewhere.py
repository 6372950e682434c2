"""`wtool index` of models at addresses, and of tables there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import wtool
from tests.models import BLOBS
from tests.remote.s3 import S3

pytest.importorskip("pyarrow")


def rows_of(data: bytes, name: str) -> list[dict[str, Any]]:
    if name.endswith(".jsonl"):
        return [json.loads(line) for line in data.splitlines()]
    import io

    from pyarrow import parquet

    rows: list[dict[str, Any]] = parquet.read_table(io.BytesIO(data)).to_pylist()
    return rows


@pytest.mark.parametrize("name", ["zoo.parquet", "zoo.jsonl"])
def test_models_and_tables_in_a_store(s3: S3, name: str) -> None:
    for path in BLOBS[:3]:
        s3.put(path.name, path.read_bytes())
    words = [f"s3://zoo/{path.name}" for path in BLOBS[:3]]
    first = wtool.index(words, output=f"s3://zoo/{name}")
    assert (first.new, first.kept, first.failed) == (3, 0, {})
    rows = rows_of(s3.get(name), name)
    assert [row["path"] for row in rows] == words
    assert [row["file_size"] for row in rows] == [path.stat().st_size for path in BLOBS[:3]]
    s3.put(BLOBS[1].name, BLOBS[5].read_bytes())
    done = wtool.index(words, output=f"s3://zoo/{name}")
    assert (done.new, done.changed, done.kept) == (0, 1, 2)
    again = wtool.index(words, output=f"s3://zoo/{name}")
    assert again.skipped
    assert again.bytes == len(s3.get(name)) == done.bytes


def put_zoo(store: Any, folder: Path) -> None:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            store.put(str(path.relative_to(folder.parent)), path.read_bytes())


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    """A file, a model in shards and an unzipped one."""
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(3):
        (folder / f"m{number}.keras").write_bytes(BLOBS[number].read_bytes())
    wtool.convert(BLOBS[3], output=folder / "s.weights.json")
    wtool.convert(BLOBS[4], output=f"{folder}/u/", unzipped=True)
    return folder


def test_a_listing_tells_what_changed(s3: S3, zoo: Path, tmp_path: Path) -> None:
    put_zoo(s3, zoo)
    name = str(tmp_path / "zoo.jsonl")
    local = wtool.index(zoo, output=str(tmp_path / "local.jsonl"))
    first = wtool.index("s3://zoo/many/", output=name)
    assert (first.new, first.failed) == (local.new, {}) == (5, {})
    own = ("path", "modified", "stamp", "notes")
    rows = [rows_of(Path(each).read_bytes(), name) for each in (name, tmp_path / "local.jsonl")]
    assert [{key: row[key] for key in row if key not in own} for row in rows[0]] == [
        {key: row[key] for key in row if key not in own} for row in rows[1]
    ]
    s3.server.forget()
    assert wtool.index("s3://zoo/many/", output=name).skipped
    asked = [request.path for request in s3.server.requests if request.path.endswith(".keras")]
    assert asked == [], "the listing has sizes and ETags"
    totals = set[int]()
    wtool.index("s3://zoo/many/", output=name, force=True, progress=lambda done, total: totals.add(total))
    files = sum(path.stat().st_size for path in zoo.rglob("*") if path.is_file())
    assert totals == {files}
    shard = next(path for path in zoo.iterdir() if path.name.startswith("s_"))
    s3.put(f"many/{shard.name}", shard.read_bytes()[:-1] + b"\1")
    s3.put("many/m1.keras", BLOBS[6].read_bytes())
    s3.delete("many/m2.keras")
    done = wtool.index("s3://zoo/many/", output=name)
    assert (done.changed + len(done.failed), done.kept, done.gone) == (2, 2, 1)


def test_secrets_of_web_addresses_are_in_no_row(web: Any, tmp_path: Path) -> None:
    address = web.put("a.keras", BLOBS[0].read_bytes())
    output = tmp_path / "zoo.jsonl"
    for kept in (0, 1):
        done = wtool.index(f"{address}?token=secret", output=output)
        assert (done.kept, done.failed) == (kept, {})
        assert "secret" not in output.read_text()
        assert rows_of(output.read_bytes(), "zoo.jsonl")[0]["path"] == address
