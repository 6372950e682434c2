"""Pages to test, and what is in them, read without wtool."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np

SLASH = "\u2215"
"""Looks like the slash that no name in an HDF5 file may have."""

HOSTILE = [
    "<img src=x onerror=alert(1)>".replace("/", SLASH),
    f"<{SLASH}script><script>alert(2)<{SLASH}script>",
    "<!--<script>",
    "evil\u202egnp.exe",
    "long" * 2500,
    "quote\"'`&amp;${1}",
    "constructor",
    "__proto__",
]
"""Names of layers that a page has to show as text."""


def parts_of(page: Path) -> list[dict[str, Any]]:
    """The parts of the data in a page."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page.read_text(), re.DOTALL)
    assert found is not None
    parts: list[dict[str, Any]] = json.loads(found[1])["parts"]
    return parts


def weights_of(path: Path, layers: dict[str, dict[str, np.ndarray[Any, Any]]]) -> Path:
    """Writes weights alone in the layout of Keras 2: name of each layer -> name of each of its weights -> values."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in layers]
        file.attrs["backend"] = b"tensorflow"
        file.attrs["keras_version"] = b"2.10.0"
        for layer, weights in layers.items():
            group = file.create_group(layer)
            group.attrs["weight_names"] = [f"{layer}/{name}:0".encode() for name in weights]
            for name, values in weights.items():
                group.create_dataset(f"{layer}/{name}:0", data=values)
    return path
