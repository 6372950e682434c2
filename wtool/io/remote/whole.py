"""Finished files that go to a store in one piece, and how each store takes them whole or not at all."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO

from wtool.errors import WtoolError
from wtool.io.addresses import protocol_of, without_query
from wtool.io.private import private_folder
from wtool.io.remote.faults import chain, status_of
from wtool.io.remote.protocols import PROTOCOLS, S3
from wtool.io.remote.retrying import retried
from wtool.io.remote.stores import Store, store_of, told

CACHES = ("simplecache", "filecache", "blockcache", "cached")
"""Protocols that keep copies of what is read, and are no place for files themselves."""

NOT_SO = 412
"""Status of HTTP with which a store tells that a condition does not hold."""


def store_to_write(address: str) -> Store:
    """Returns the store of an address, without the caches in front of it.

    Raises:
        WtoolError: the store takes no files, or a package of it is missing.
    """
    known = PROTOCOLS.get(protocol_of(address))
    if known is not None and known.unwritable:
        raise WtoolError(known.unwritable, without_query(address))
    store = store_of(address)
    system = store.system
    while protocols(system) & set(CACHES):
        system = system.fs
    return Store(system, store.path, address)


def protocols(system: Any) -> set[str]:
    """Returns the names of the protocol that a file system of fsspec is for."""
    return {system.protocol} if isinstance(system.protocol, str) else set(system.protocol)


def is_s3(system: Any) -> bool:
    """Returns whether a file system of fsspec is one of S3."""
    return not protocols(system).isdisjoint(S3)


def put_whole(store: Store, file: BinaryIO, is_new: bool) -> None:
    """Put a finished file into a store, whole or not at all.

    Args:
        store: with the path of the new file.
        file: the finished bytes.
        is_new: whether the path has to be free; stores that know conditions are asked to hold that.

    Raises:
        FileExistsError: the path is not free.
        WtoolError: the store refuses.
    """
    with writing(store.address):
        try:
            retried(lambda: _put(store, file, "create" if is_new else "overwrite"))
        except Exception as error:
            if any(status_of(each) == NOT_SO for each in chain(error)):
                raise FileExistsError from None
            raise
    store.system.invalidate_cache(store.path)


def _put(store: Store, file: BinaryIO, mode: str) -> None:
    file.seek(0)
    if "memory" in protocols(store.system):
        # Memory holds the file in any case, and a file that is opened there can be seen at once.
        store.system.pipe_file(store.path, file.read(), mode=mode)
    elif any(name in PROTOCOLS and PROTOCOLS[name].is_whole_at_once for name in protocols(store.system)):
        with _path_of(file) as path:
            _run(store.system, store.system._put_file(path, store.path, mode=mode))
    else:
        _put_and_rename(store, file)


def read_whole(address: str, limit: int) -> bytes | None:
    """Returns the bytes of a small file, at most `limit` + 1 of them; None where there is no such file."""
    store = store_of(address)
    with told(address), suppress(FileNotFoundError):
        store.system.invalidate_cache(store.path)
        return bytes(retried(lambda: store.system.cat_file(store.path, start=0, end=limit + 1)))
    return None


def remove(address: str) -> None:
    """Remove a file, if it is there."""
    store = store_to_write(address)
    with told(address), suppress(FileNotFoundError):
        retried(lambda: store.system.rm_file(store.path))


def _run(system: Any, call: Any) -> None:
    """Run a coroutine of an asynchronous file system, and end it where this thread is interrupted."""
    running = asyncio.run_coroutine_threadsafe(call, system.loop)
    try:
        running.result()
    finally:
        running.cancel()


def _put_and_rename(store: Store, file: BinaryIO) -> None:
    """Put a file under a hidden name, and then give the file its own, for stores that show what is half written."""
    above = store.path.rpartition("/")[0]
    hidden = f"{above}/.wtool-{os.urandom(8).hex()}.draft"
    if above:
        store.system.makedirs(above, exist_ok=True)
    try:
        with store.system.open(hidden, "wb") as made:
            shutil.copyfileobj(file, made, 1 << 20)
        store.system.mv(hidden, store.path)
    except BaseException:
        with suppress(Exception):
            store.system.rm_file(hidden)
        raise


@contextmanager
def writing(address: str) -> Iterator[None]:
    """Have what a store raises come as one line that names the address, but for files that exist already.

    Raises:
        FileExistsError: a condition of the store did not hold.
        WtoolError: anything else was raised inside.
    """
    try:
        with told(address):
            yield
    except FileNotFoundError:
        raise WtoolError("cannot be written: its bucket or its folder does not exist", address) from None


@contextmanager
def _path_of(file: BinaryIO) -> Iterator[str]:
    """Give a path of an open file, for libraries that insist on one."""
    file.flush()
    path = f"/proc/self/fd/{file.fileno()}"
    if os.path.exists(path):
        yield path
        return
    with private_folder(tempfile.gettempdir()) as folder:
        copy = os.path.join(folder, "draft")
        with open(copy, "wb") as made:
            shutil.copyfileobj(file, made, 1 << 20)
        yield copy
