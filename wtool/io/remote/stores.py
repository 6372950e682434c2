"""The stores in which addresses lie, and what is known of the files there before they are read."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from wtool.errors import WtoolError
from wtool.io.addresses import is_address, lowered, protocol_of, without_query
from wtool.io.remote.faults import Changed, explained
from wtool.io.remote.protocols import PROTOCOLS, S3
from wtool.io.remote.retrying import retried
from wtool.suggestions import meant
from wtool.values import dataclass

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
    "Last-Modified",
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
        version = version_in(info)
        is_folder = info.get("type") == "directory"
        size = info.get("size")
        return Found(self.at(str(info["name"])), is_folder, None if size is None else int(size), version)


def version_in(info: Mapping[str, Any]) -> str:
    """Returns the version of a file that fsspec's description of a name tells; an empty text if it tells none."""
    return next((str(info[name]) for name in VERSIONS if info.get(name) is not None), "")


def store_of(address: str) -> Store:
    """Returns the store of an address.

    Raises:
        WtoolError: fsspec, or the package of the protocol, is missing; or the address is none that it understands.
    """
    assert is_address(address)
    url_to_fs = _fsspec(address)
    protocol = protocol_of(address)
    try:
        system, path = url_to_fs(lowered(address), **_options(protocol))
    except ImportError:
        known = PROTOCOLS.get(protocol)
        package = f"the package for {protocol}:// of fsspec" if known is None else known.package
        raise WtoolError(f"{protocol}:// needs {package}: pip install {package}", without_query(address)) from None
    except Exception as error:
        raise _not_understood(error, address) from None
    if hasattr(system, "retries"):
        system.retries = 1
    return Store(system, path, address)


def status(address: str) -> Found | None:
    """Returns what the store tells of an address, or None if nothing is there.

    Raises:
        WtoolError: the store cannot be reached, or refuses to tell.
    """
    store = store_of(address)
    with told(address):
        try:
            return retried(lambda: store.found(store.system.info(store.path)))
        except FileNotFoundError:
            return None


@contextmanager
def told(address: str, is_open: bool = False) -> Iterator[None]:
    """Have what a store raises come as one line that names the address.

    Args:
        address: what is asked for.
        is_open: whether the file was there before, so that its absence is a change.

    Raises:
        FileNotFoundError: nothing is there.
        FileExistsError: something is there already.
        WtoolError: anything else but an error of wtool itself was raised inside.
    """
    try:
        yield
    except (WtoolError, FileExistsError):
        raise
    except FileNotFoundError:
        if not is_open:
            raise
        raise explained(Changed(), address) from None
    except Exception as error:
        raise explained(error, address) from None


def _options(protocol: str) -> dict[str, Any]:
    """Returns options for the file system of a protocol, under the protocol's name as chains of addresses have them.

    wtool tries again by itself, so that numbers of tries do not multiply; and it asks how things are now.
    """
    from fsspec.config import conf

    if protocol not in PROTOCOLS or not PROTOCOLS[protocol].keeps_listings:
        return {}
    options: dict[str, Any] = {"use_listings_cache": False}
    if protocol in S3:
        own = {"retries": {"total_max_attempts": 1}, "max_pool_connections": 32}
        options["config_kwargs"] = {**own, **conf.get(protocol, {}).get("config_kwargs", {})}
    return {protocol: options}


def _not_understood(error: Exception, address: str) -> WtoolError:
    from fsspec.registry import known_implementations

    protocol = protocol_of(address)
    if protocol in known_implementations:
        return explained(error, address)
    hint = meant(protocol, [*PROTOCOLS, "file", "memory"])
    return WtoolError(f"no protocol is called {protocol}://{hint}", without_query(address))


@functools.cache
def _url_to_fs() -> Callable[..., Any]:
    from fsspec.core import url_to_fs

    # Sessions that are open at the end of the process are no news for its user.
    logging.getLogger("asyncio").addFilter(lambda record: not record.getMessage().startswith("Unclosed "))
    return url_to_fs  # type: ignore[no-any-return]


def _fsspec(address: str) -> Callable[..., Any]:
    try:
        return _url_to_fs()
    except ImportError:
        text = "is an address, which needs fsspec: pip install 'wtool[remote]'"
        raise WtoolError(text, without_query(address)) from None
