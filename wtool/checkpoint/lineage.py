"""What wtool did to a checkpoint, carried in the file itself.

A list of records, oldest first, as JSON: under `wtool_lineage` in `metadata.json` of a `.keras` file (which Keras never
reads) and in `metadata` of a `.weights.json`; as the root attribute `wtool_lineage` of an HDF5 file.

Records of what was done to another checkpoint that went into the result have a key `of`, which says what it was to it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from wtool.errors import Refused, one_line
from wtool.io.json_text import parse_object
from wtool.version import __version__

KEY = "wtool_lineage"

Record = Mapping[str, Any]

UNHASHED = "blake3:" + 64 * "0"
"""As long as the content hash that takes its place."""

RESULT = "result"
"""Last key of a record: the content hash of the result (see `seal.py`), and what the operation counted in it."""

OF = "of"
"""Key of records that were carried along from another input."""


def lineage_in(holder: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
    """The records under `KEY` of a parsed `metadata.json`, or of HDF5 root attributes (there as JSON text).

    Whatever is not a list of objects is somebody else's, and gives no records.
    """
    value = holder.get(KEY)
    if isinstance(value, str):
        with suppress(Refused):
            value = parse_object(f'{{"{KEY}": {value}}}', KEY).get(KEY)
    if not isinstance(value, (list, tuple)):
        return ()
    return tuple(record for record in value if isinstance(record, dict))


def record_of(operation: str, parameters: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """A record: the operation, its parameters, and what else tells how it was done."""
    return {"operation": operation, "parameters": dict(parameters), **more, "wtool": __version__}


def lineage_entry(path: str, hashes: Sequence[str], told: Mapping[str, Any]) -> dict[str, Any]:
    """What a record says of an input: its name, what the operation tells of it, and the content hash of each file."""
    name = one_line(os.path.basename(path))  # a name that is no UTF-8 would be no JSON text
    return {"name": name, **told, "hash": hashes[0] if len(hashes) == 1 else list(hashes)}


def own_records(records: Sequence[Record]) -> list[Record]:
    """What was done to the checkpoint itself, without the records that were carried along from other inputs."""
    return [record for record in records if OF not in record]


def carried(name: str, role: str, records: Sequence[Record], base: Sequence[Record]) -> list[Record]:
    """The records that another input than the base brings along: those of a pipe, which are nowhere else.

    Args:
        name: of the input; `-` for standard input.
        role: what it is to the operation.
        records: its lineage.
        base: the lineage that they are added to; what it has already is left out.
    """
    return [{OF: role, **record} for record in records if record not in base] if name == "-" else []


def mask_origin(records: Sequence[Record]) -> dict[str, Any]:
    """How a mask came about, as its checkpoint's lineage tells: parameters of the pruning, and hash of its model.

    A ticket tells of the mask that it was made with.
    """
    for record in reversed(records):
        inputs = record.get("inputs")
        entries = [each for each in inputs if isinstance(each, dict)] if isinstance(inputs, list) else []
        if record.get("operation") == "prune":
            model = next((each.get("hash") for each in entries if each.get("as") == "model"), None)
            return {"pruned": {"parameters": record.get("parameters"), "model": model}}
        told = next((each["pruned"] for each in entries if "pruned" in each), None)
        if told is not None:
            return {"pruned": told}
    return {}


def with_result(records: Sequence[Record], hash_: str) -> list[Record]:
    """The records, the last of which tells the content hash of the result."""
    if not records:
        return []
    *before, last = records
    rest = {name: value for name, value in last.items() if name != RESULT}
    return [*before, {**rest, RESULT: {**last.get(RESULT, {}), "hash": hash_}}]


def lineage_text(records: Sequence[Record]) -> str:
    """The records as JSON text in one line; the same records always give the same text."""
    return json.dumps(list(records), ensure_ascii=True)
