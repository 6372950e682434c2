"""Addresses: names of files that lie elsewhere, such as `s3://bucket/model.keras`. Texts alone; nothing is opened.

The functions here take paths as well, and answer for a path as `os.path` does.
"""

from __future__ import annotations

import functools
import os
import re
import unicodedata
from dataclasses import replace

from wtool.errors import Usage
from wtool.values import dataclass

ADDRESS = re.compile(r"((?:[A-Za-z][A-Za-z0-9+.-]+::)*[A-Za-z][A-Za-z0-9+.-]+://)(.*)", re.DOTALL)
"""How an address begins: a protocol of two letters or more, since one letter is a drive of Windows, and before it those
of caches (`simplecache::s3://bucket/model.keras`)."""

RETRIES = "WTOOL_RETRIES"
"""Environment variable that tells how often a request to a store is tried again: processes inherit it."""

WEB = ("http", "https")
"""Protocols whose addresses have queries, and whose servers list no folders."""


def is_address(path: str) -> bool:
    """Returns whether a path is an address by its form."""
    return ADDRESS.match(path) is not None


def protocol_of(address: str) -> str:
    """Returns the protocol of an address, in small letters; of `simplecache::s3://...` it is `s3`."""
    return address.partition("://")[0].rpartition("::")[2].lower()


def lowered(address: str) -> str:
    """Returns an address with its protocols in small letters, which are the ones that fsspec knows."""
    parts = Address.of(address)
    return str(replace(parts, head=parts.head.lower()))


def without_query(address: str) -> str:
    """Returns an address as messages and records have it: of the web without a query or a login, which may be secret.

    Addresses of other protocols stay as they are: `?` and `@` are parts of names there.
    """
    return "::".join(map(_plain, INNER.split(address)))  # also of an archive: `zip://m.keras::https://...`


INNER = re.compile(r"::(?=[A-Za-z][A-Za-z0-9+.-]+://)")
"""What stands in front of the address of an archive, or of a cache's file."""


def _plain(address: str) -> str:
    if protocol_of(address) not in WEB:
        return address
    return re.sub(r"://[^/?#]*@", "://", re.split(r"[?#]", address, maxsplit=1)[0])


def local_path(path: str) -> str:
    """Returns the path of a `file://` address, and any other path or address as it is."""
    return path[len("file://") :] if path[:7].lower() == "file://" else path


def text_of(path: str | os.PathLike[str]) -> str:
    """Returns a path or an address of the user as a text; a `file://` address becomes the path behind it.

    Raises:
        Usage: `pathlib` has taken a slash of an address away.
    """
    text = os.fspath(path)
    if not isinstance(path, str) and re.match(SINGLE, text) and not os.path.lexists(text):
        raise Usage("looks like an address in a Path, and pathlib takes slashes away; give the address as a text", text)
    return local_path(text)


SINGLE = r"[A-Za-z][A-Za-z0-9+.-]+:/[^/]"
"""How an address begins that has lost a slash."""


@dataclass(frozen=True, slots=True)
class Address:
    """The parts of an address; written one behind the other, they are the address.

    Attributes:
        head: the protocol with its slashes, and before it those of caches.
        path: what a slash separates into folders; `bucket/zoo/model.keras`, or `host/zoo/model.keras`.
        query: of a web address, with its question mark. It may hold a password.
        tail: the address of the archive in which the path is, with `::` in front (`zip://zoo/m.keras::s3://b/a.zip`).
    """

    head: str
    path: str
    query: str = ""
    tail: str = ""

    @staticmethod
    def of(address: str) -> Address:
        """Returns the parts of an address."""
        return _taken_apart(address)

    def __str__(self) -> str:
        return f"{self.head}{self.path}{self.query}{self.tail}"

    def at(self, path: str) -> str:
        """Returns the address of another path in the same place."""
        return f"{self.head}{path}{self.tail}"


@functools.lru_cache(maxsize=256)  # the functions below ask for the same few again and again
def _taken_apart(address: str) -> Address:
    match = ADDRESS.match(address)
    assert match is not None
    head, rest = match.groups()
    path, colons, tail = rest.partition("::")
    query = re.search(r"[?#].*", path, re.DOTALL) if protocol_of(head) in WEB else None
    return Address(head, path[: query.start()] if query else path, query[0] if query else "", colons + tail)


def has_listing(address: str) -> bool:
    """Returns whether the files of an address's folder can be listed."""
    return protocol_of(address) not in WEB


def name_of(path: str) -> str:
    """Returns the last name of a path, as `os.path.basename` does, without the query of a web address."""
    return Address.of(path).path.rpartition("/")[2] if is_address(path) else os.path.basename(path)


def folder_of(path: str) -> str:
    """Returns the folder that a path is in, as `os.path.dirname` does."""
    if not is_address(path):
        return os.path.dirname(path)
    parts = Address.of(path)
    return parts.at(parts.path.rpartition("/")[0])


def trimmed(path: str) -> str:
    """Returns a path without slashes at its end, and without the query of a web address."""
    if not is_address(path):
        return path.rstrip(os.sep)
    parts = Address.of(path)
    return parts.at(parts.path.rstrip("/"))


def joined(folder: str, inside: str) -> str:
    """Returns the path of what lies inside a folder.

    Args:
        folder: a path or an address, with or without a slash at its end.
        inside: path of the file in the folder, whose separators are slashes or those of the system.
    """
    if not is_address(folder):
        return os.path.join(folder, inside.replace("/", os.sep))
    parts = Address.of(folder)
    between = "" if not parts.path or parts.path.endswith("/") else "/"
    return parts.at(f"{parts.path}{between}{inside.replace(os.sep, '/')}")


def below(folder: str, path: str) -> str:
    """Returns the path of a file below a folder: what `joined` puts behind the folder.

    Args:
        folder: that the file is in, or a folder around that one.
        path: of the file; its query, if it has one, is left out.
    """
    if not is_address(path):
        return os.path.relpath(path, folder)
    whole, outer = Address.of(path).path, Address.of(folder).path
    return whole[len(outer) + (bool(outer) and not outer.endswith("/")) :]


def is_below(folder: str, address: str) -> bool:
    """Returns whether an address is that of something in a folder, or in one of the folders inside."""
    outer = Address.of(folder).path
    start = outer if not outer or outer.endswith("/") else f"{outer}/"
    return Address.of(address).path.startswith(start)


def why_unsafe(inside: str) -> str | None:
    """Returns why a file of this name is not to be made: the name may lead elsewhere, or cannot be a name everywhere.

    Args:
        inside: path of the file below a folder; names in a store are whatever strangers wrote there.

    Returns:
        The reason, as the end of a sentence that begins with the name; None for a name that is fine.
    """
    parts = inside.split("/")
    if any(part in ("", ".", "..") for part in parts):
        return "has an empty part, or a part . or .., and may lead out of the folder"
    if "\\" in inside or any(os.path.splitdrive(part)[0] for part in parts):
        return "has a backslash or a drive in it, and may lead out of the folder"
    kinds = {unicodedata.category(each) for each in inside}
    if kinds & {"Cc", "Cs"}:
        return "holds control characters, or is no text"
    return None
