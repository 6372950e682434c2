"""Folders in stores: one listing tells all files below an address."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime

from wtool.errors import Missing, WtoolError
from wtool.io.addresses import Address, below, has_listing, joined, protocol_of, trimmed, without_query
from wtool.io.remote.files import opened
from wtool.io.remote.retrying import retried
from wtool.io.remote.stores import store_of, told, version_in
from wtool.io.tree import Entry


class Listing:
    """All files below an address, listed at once, and the folders between.

    Names with an empty part, `.` or `..` stand in the uppermost folder, whole: they are in no folder that a path leads
    to.

    Args:
        address: of the folder.

    Raises:
        WtoolError: the store cannot be reached or refuses to tell, or has no listings.
    """

    def __init__(self, address: str) -> None:
        self.address = trimmed(address)
        self._folders: dict[str, dict[tuple[str, bool], Entry]] = {"": {}}
        for name, size, version in _files(self.address):
            self._add(name, size, version)

    def _add(self, name: str, size: int | None, version: str) -> None:
        *above, last = name.split("/")
        if any(part in ("", ".", "..") for part in (*above, *([last] if last else []))):
            above, last = [], name
        here = ""
        for part in above:
            folder = f"{here}/{part}" if here else part
            if folder not in self._folders:
                self._folders[folder] = {}
                self._folders[here][part, True] = Entry(part, joined(self.address, folder), True)
            here = folder
        if last:  # a name that ends in a slash is a folder which somebody made for its own sake
            path = joined(self.address, name)
            self._folders[here][last, False] = Entry(last, path, False, size, version)

    def entries(self, folder: str) -> list[Entry]:
        """Returns the files and folders in a folder, in the order of their names; of an unknown folder, none."""
        found = self._folders.get(below(self.address, folder), {})
        return [found[key] for key in sorted(found)]


def _files(address: str) -> Iterator[tuple[str, int | None, str]]:
    """Yields the path below a folder, the size and the version of each of its files."""
    if not has_listing(address):
        raise WtoolError(
            "is on a web server, which lists no folders; name the files themselves", without_query(address)
        )
    store = store_of(address)
    try:
        with told(address):
            found = retried(lambda: store.system.find(store.path, detail=True))
    except FileNotFoundError:
        found = {}
    finally:
        store.system.invalidate_cache()  # what is listed now says nothing of later
    root = store.path.rstrip("/")
    start = f"{root}/" if root else ""  # the names in an archive begin with no slash
    for name in list(found):
        info = found.pop(name)  # a hundred thousand descriptions are much memory
        size = info.get("size")
        if name.startswith(start) and info.get("type") != "directory":
            inside = name[len(start) :] if root else name.removeprefix("/")
            yield inside, None if size is None else int(size), version_in(info)


def names_in(address: str) -> list[str]:
    """Returns the names of the files and folders in a folder; of none, where nothing is there."""
    if not has_listing(address):
        return []
    store = store_of(trimmed(address))
    try:
        with told(address):
            found = retried(lambda: store.system.ls(store.path, detail=False))
    except (FileNotFoundError, NotADirectoryError):
        return []
    finally:
        store.system.invalidate_cache()
    return sorted({str(name).rstrip("/").rpartition("/")[2] for name in found})


def start_of(address: str, count: int) -> bytes:
    """Returns the first `count` bytes of a file; fewer where it is shorter.

    Raises:
        FileNotFoundError: nothing is there.
        WtoolError: the store cannot be reached, or refuses.
    """
    try:
        file = opened(address)
    except Missing as error:
        raise FileNotFoundError(error.message) from None
    try:
        return file.read(0, min(count, file.size))
    finally:
        file.close()


def changed_at(address: str) -> int:
    """Returns when a file was last changed, in nanoseconds.

    Raises:
        FileNotFoundError: nothing is there.
        WtoolError: the store cannot be reached, or tells no time.
    """
    store = store_of(address)
    with told(address):
        info = retried(lambda: store.system.info(store.path))
    for name in TIMES:
        value = info.get(name)
        if isinstance(value, str):
            with suppress(ValueError):
                value = datetime.fromisoformat(value)
        if isinstance(value, datetime):
            return int(value.timestamp() * 1e9)
        if isinstance(value, (int, float)):
            return int(value * 1e9)
    raise WtoolError("its store does not tell when it was changed; choose another --order", without_query(address))


TIMES = ("LastModified", "mtime", "last_modified", "updated", "created")
"""What stores call the time of the last change."""


def place_of(address: str) -> str:
    """Returns a text that is equal for two addresses of one file, as far as the protocol tells.

    A cache in front of a store leads to the same file. The address need not be that of a file that exists.
    """
    parts = Address.of(address)
    path = parts.path.rstrip("/")
    if parts.tail:
        return parts.at(path)
    protocol = protocol_of(parts.head)
    plain = f"{protocol}://{path}"
    if protocol not in _STRIPPING:
        _STRIPPING[protocol] = store_of(plain).system._strip_protocol
    return f"{protocol}://{_STRIPPING[protocol](plain)}"


_STRIPPING: dict[str, Callable[[str], str]] = {}
"""Protocol -> fsspec's function that takes an address apart: asking the store each time is slow for thousands."""
