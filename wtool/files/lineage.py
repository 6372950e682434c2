"""What wtool did to a checkpoint, carried in the file itself.

A list of records, oldest first, as JSON: under `wtool_lineage` in `metadata.json` of a `.keras` file (which Keras never
reads) and in `metadata` of a `.weights.json`; as the root attribute `wtool_lineage` of an HDF5 file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from wtool.errors import Refused
from wtool.files.json_text import parse_object

KEY = "wtool_lineage"

Record = Mapping[str, Any]

UNHASHED = "blake3:" + 64 * "0"
"""As long as the content hash that takes its place."""


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


def lineage_entry(path: str, hashes: Sequence[str], told: Mapping[str, Any]) -> dict[str, Any]:
    """What a record says of an input: its name, what the operation tells of it, and the content hash of each file."""
    return {"name": os.path.basename(path), **told, "hash": hashes[0] if len(hashes) == 1 else list(hashes)}


def lineage_text(records: Sequence[Record]) -> str:
    """The records as JSON text in one line; the same records always give the same text."""
    return json.dumps(list(records), ensure_ascii=True)
