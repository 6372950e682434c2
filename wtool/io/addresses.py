"""Addresses: names of files that lie elsewhere, such as `s3://bucket/model.keras`. Texts alone; nothing is opened."""

from __future__ import annotations

import re

ADDRESS = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]+::)*[A-Za-z][A-Za-z0-9+.-]+:/")
"""How an address begins: a protocol of two letters or more, since one letter is a drive of Windows, and before it those
of caches (`simplecache::s3://bucket/model.keras`)."""


def is_address(path: str) -> bool:
    """Returns whether a path is an address by its form."""
    return ADDRESS.match(path) is not None


def protocol_of(address: str) -> str:
    """Returns the protocol of an address, in small letters; of `simplecache::s3://...` it is `s3`."""
    return address.partition(":/")[0].rpartition("::")[2].lower()


def without_query(address: str) -> str:
    """Returns an address as messages and records have it: of the web without a query or a login, which may be secret.

    Addresses of other protocols stay as they are: `?` and `@` are parts of names there.
    """
    if protocol_of(address) not in ("http", "https"):
        return address
    return re.sub(r"://[^/?#]*@", "://", re.split(r"[?#]", address, maxsplit=1)[0])


def local_path(path: str) -> str:
    """Returns the path of a `file://` address, and any other path or address as it is."""
    return path[len("file://") :] if path[:7].lower() == "file://" else path
