"""The stores in which addresses lie, and what is known of the files there before they are read."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from wtool.errors import WtoolError, in_short
from wtool.io.addresses import is_address

Value = TypeVar("Value")

VERSIONS = (
    "ETag",
    "etag",
    "content_md5",
    "md5Hash",
    "generation",
    "oid",
    "blob_id",
    "LastModified",
    "mtime",
    "created",
)
"""What stores call the version of a file, in the order in which it is believed."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a store tells of a name.

    Attributes:
        address: its address, whole.
        is_folder: whether it is a folder, or a prefix that other names have.
        size: of a file, in bytes; None where the store does not tell the size.
        version: what changes with the content of a file; an empty text where the store tells nothing of the kind.
    """

    address: str
    is_folder: bool
    size: int | None = None
    version: str = ""

    @property
    def stamp(self) -> tuple[object, ...]:
        """What tells a file and its content from others, as `source.stamp_of` does for a local file."""
        return self.address, self.size, self.version


@dataclass(frozen=True, slots=True)
class Store:
    """A file system of fsspec, and an address in it.

    Attributes:
        system: the file system (fsspec keeps one for each protocol and its options).
        path: of the address inside it.
        address: the address as the user wrote it.
    """

    system: Any
    path: str
    address: str

    def at(self, path: str) -> str:
        """Returns the address of a path inside the file system."""
        return str(self.system.unstrip_protocol(path))

    def found(self, info: dict[str, Any]) -> Found:
        """Returns what fsspec's description of a name tells."""
        version = next((str(info[name]) for name in VERSIONS if info.get(name) is not None), "")
        is_folder = info.get("type") == "directory"
        size = info.get("size")
        return Found(self.at(str(info["name"])), is_folder, None if size is None else int(size), version)


def store_of(address: str) -> Store:
    """Returns the store of an address.

    Raises:
        WtoolError: fsspec, or the package of the protocol, is missing; or the address is none that it understands.
    """
    assert is_address(address)
    url_to_fs = _fsspec(address)
    with told(address):
        system, path = url_to_fs(address)
    return Store(system, path, address)


def status(address: str) -> Found | None:
    """Returns what the store tells of an address, or None if nothing is there.

    Raises:
        WtoolError: the store cannot be reached, or refuses to tell.
    """
    store = store_of(address)
    with told(address):
        try:
            return store.found(store.system.info(store.path))
        except FileNotFoundError:
            return None


@contextmanager
def told(address: str) -> Iterator[None]:
    """Have what a store raises come as one line that names the address.

    Raises:
        WtoolError: anything but an error of wtool itself was raised inside.
    """
    try:
        yield
    except (WtoolError, FileNotFoundError, FileExistsError):
        raise
    except Exception as error:
        raise WtoolError(in_short(error), address) from None


@functools.cache
def _url_to_fs() -> Callable[..., Any]:
    from fsspec.core import url_to_fs

    return url_to_fs  # type: ignore[no-any-return]


def _fsspec(address: str) -> Callable[..., Any]:
    try:
        return _url_to_fs()
    except ImportError:
        raise WtoolError("is an address, which needs fsspec: pip install 'wtool[remote]'", address) from None
