"""Addresses: names of files that lie elsewhere, such as `s3://bucket/model.keras`. Texts alone; nothing is opened."""

from __future__ import annotations

import re

ADDRESS = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]+::)*[A-Za-z][A-Za-z0-9+.-]+:/")
"""How an address begins: a protocol of two letters or more, since one letter is a drive of Windows, and before it those
of caches (`simplecache::s3://bucket/model.keras`)."""


def is_address(path: str) -> bool:
    """Returns whether a path is an address by its form."""
    return ADDRESS.match(path) is not None
