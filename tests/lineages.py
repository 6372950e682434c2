"""Models whose lineage says anything: a copy of a `.keras` file with other records."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

from tests.models import BLOBS
from wtool.checkpoint.lineage import KEY


def with_lineage(path: Path, lineage: Any, source: Path = BLOBS[0]) -> Path:
    """Writes a model to a path, with a lineage that is any JSON value, and returns the path."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w") as new:
        for member in old.infolist():
            data = old.read(member)
            if member.filename == "metadata.json":
                data = json.dumps({**json.loads(data), KEY: lineage}).encode()
            new.writestr(member, data)
    return path
