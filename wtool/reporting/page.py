"""The page as text: one HTML document with its style, its script and its data inside."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

SCRIPTS = (
    "text.js",
    "elements.js",
    "table.js",
    "drawing.js",
    "histogram.js",
    "lineage.js",
    "difference.js",
    "model.js",
    "zoo.js",
    "training.js",
    "main.js",
)
"""The parts of the script, each with one kind of knowledge, in the order in which the browser runs them."""

UNNEEDED = re.compile(r"^\s*(/\*\*.*?\*/|//[^\n]*)?\s*", re.DOTALL | re.MULTILINE)
"""What a browser does not need of the script and the style: comments that stand alone, and spaces before lines."""

SLOT = re.compile(r"<!-- (policy|style|data|script) -->")
"""What stands in the template for what is put in."""


def page_of(data: Mapping[str, Any]) -> str:
    """Returns the page that shows some data.

    The page asks for nothing: its policy lets a browser run this script alone, use this style alone, and load nothing.
    Data stands in a block of JSON that no browser runs, without a `<`, so that no text in it ends the block or is
    markup; the script shows texts of the data as text.

    Args:
        data: JSON values; docs/reference/report.md describes them.
    """
    script = "\n".join(_part(name) for name in SCRIPTS)
    style = _part("style.css")
    policy = f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'"
    parts = {
        "policy": f"{policy}; base-uri 'none'; form-action 'none'",
        "style": style,
        "data": json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c"),
        "script": script,
    }
    return SLOT.sub(lambda found: parts[found[1]], _part("page.html"))


@cache
def _part(name: str) -> str:
    return UNNEEDED.sub("", (files("wtool.reporting") / "browser" / name).read_text(encoding="utf-8"))


def _hash(text: str) -> str:
    """Returns the hash of a script or a style, as a content security policy has it."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
