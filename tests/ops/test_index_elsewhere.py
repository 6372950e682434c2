"""`wtool index` of models at addresses, and of tables there."""

from __future__ import annotations

import json
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
