"""Bytes of files in stores, by ranges: many at once, tried again, and all of one version of the file."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeAlias, TypeVar

from wtool.io.addresses import WEB, protocol_of
from wtool.io.remote.asking import Answer, ask_hub, ask_s3, ask_web
from wtool.io.remote.faults import Changed, Truncated, Unanswerable
from wtool.io.remote.hub import on_the_web
from wtool.io.remote.protocols import S3
from wtool.io.remote.retrying import retried, retried_async
from wtool.io.remote.stores import Store

AT_ONCE = 16
"""Requests of one file that are under way at the same time."""

CHUNK = 1 << 20
"""Bytes of a whole file that are written to the disk at once."""

MOST_FETCHED = 64 << 30
"""Bytes of a file that can be had only whole; what is longer may have no end."""

Value = TypeVar("Value")
Range: TypeAlias = tuple[int, int]
Ask: TypeAlias = Callable[[Store, int, int, str], Awaitable[Answer]]


class Ranges(Protocol):
    """How the bytes of one file in a store are asked for.

    Attributes:
        size: of the file in bytes; None where the store does not tell the size.
        version: of the file, as the store calls it; empty where the store tells none.
    """

    size: int | None
    version: str

    def first(self, count: int) -> bytes | None:
        """Returns the first `count` bytes (all of a smaller file), and learns size and version.

        None is returned where the store sends nothing but whole files.
        """

    def gather(self, ranges: Sequence[Range]) -> list[bytes]:
        """Returns the bytes of each range (start, stop)."""

    def is_changed(self) -> bool:
        """Returns whether the file has other bytes by now than those that were read."""

    def is_replaced(self) -> bool:
        """Returns whether the file has another version by now."""

    def fetched(self) -> int:
        """Returns a descriptor of an unnamed local copy, where `first` returned None."""


def ranges_of(store: Store) -> Ranges:
    """Returns how the bytes of a file in a store are asked for, by its protocol.

    Raises:
        FileNotFoundError: a hub has no such repository.
    """
    is_chained = "::" in store.address.partition(":/")[0]
    protocol = "" if is_chained else protocol_of(store.address)
    if protocol == "hf":
        there = on_the_web(store)
        return StoreRanges(store) if there is None else AskedRanges(there, ask_hub)
    return AskedRanges(store, _ASK[protocol]) if protocol in _ASK else StoreRanges(store)


_ASK: dict[str, Ask] = {**dict.fromkeys(S3, ask_s3), **dict.fromkeys(WEB, ask_web)}


class AskedRanges:
    """Ranges that wtool asks for itself (see `Ranges`)."""

    def __init__(self, store: Store, ask: Ask) -> None:
        self.size: int | None = None
        self.version = ""
        self._store = store
        self._ask = ask
        self._local = -1

    def first(self, count: int) -> bytes | None:
        """See `Ranges`."""

        async def once() -> bytes | None:
            answer = await self._ask(self._store, 0, count, "")
            self.size, self.version = answer.size, answer.version
            if not answer.is_range:
                self._local = await _spooled(answer)
                return None
            assert answer.size is not None
            return await answer.whole(min(count, answer.size))

        return self.waited(lambda: retried_async(once))

    def gather(self, ranges: Sequence[Range]) -> list[bytes]:
        """See `Ranges`."""
        return self.waited(lambda: self._gathered(ranges))

    def is_changed(self) -> bool:
        """See `Ranges`. Every answer tells the version, and one that a store calls strong stands for the bytes."""
        return not self.version.startswith('"') and self.is_replaced()

    def is_replaced(self) -> bool:
        """See `Ranges`."""
        now = AskedRanges(self._store, self._ask)
        now.first(1)
        return (now.size, now.version) != (self.size, self.version)

    def fetched(self) -> int:
        """See `Ranges`."""
        return self._local

    def waited(self, action: Callable[[], Awaitable[Value]]) -> Value:
        """Returns what an action returns, which is done in the event loop of the store."""
        from fsspec.asyn import sync

        return sync(  # type: ignore[no-any-return]
            self._store.system.loop, action
        )

    async def opened(self, start: int, stop: int) -> Answer:
        """Returns the answer to a request for a range.

        Raises:
            Changed: the file has another version by now.
        """
        answer = await self._ask(self._store, start, stop, self.version)
        if answer.is_range and (answer.size, answer.version) == (self.size, self.version):
            return answer
        answer.body.close()
        if answer.is_range:
            raise Changed
        raise Unanswerable("its server sends the whole file where a part is asked for")

    async def _gathered(self, ranges: Sequence[Range]) -> list[bytes]:
        turn = asyncio.Semaphore(AT_ONCE)

        async def fetched(start: int, stop: int) -> bytes:
            async def once() -> bytes:
                return await (await self.opened(start, stop)).whole(stop - start)

            async with turn:
                return await retried_async(once)

        return await asyncio.gather(*(fetched(start, stop) for start, stop in ranges))


class StoreRanges:
    """Ranges that fsspec asks for (see `Ranges`)."""

    def __init__(self, store: Store) -> None:
        self.size: int | None = None
        self.version = ""
        self._store = store

    def first(self, count: int) -> bytes | None:
        """See `Ranges`."""
        found = retried(lambda: self._store.found(self._store.system.info(self._store.path)))
        if found.is_folder:
            raise FileNotFoundError  # there may be a folder, but no file
        self.size, self.version = found.size, found.version
        if found.size is None:
            return None
        return self.gather([(0, min(count, found.size))])[0] if found.size else b""

    def gather(self, ranges: Sequence[Range]) -> list[bytes]:
        """See `Ranges`."""
        path = self._store.path
        starts, stops = [start for start, _ in ranges], [stop for _, stop in ranges]

        def once() -> list[bytes]:
            found = self._store.system.cat_ranges([path] * len(ranges), starts, stops, on_error="raise")
            for data, start, stop in zip(found, starts, stops, strict=True):
                if len(data) != stop - start:
                    raise Truncated(f"{len(data)} of {stop - start} bytes came")
            return list(found)

        return retried(once)

    def is_changed(self) -> bool:
        """See `Ranges`."""
        return self.is_replaced()

    def is_replaced(self) -> bool:
        """See `Ranges`."""
        found = retried(lambda: self._store.found(self._store.system.info(self._store.path)))
        return (found.size, found.version) != (self.size, self.version)

    def fetched(self) -> int:
        """See `Ranges`."""
        with tempfile.TemporaryFile() as spool, self._store.system.open(self._store.path, "rb") as file:
            while data := file.read(CHUNK):
                _refuse_endless(spool.tell() + len(data))
                spool.write(data)
            spool.flush()
            return os.dup(spool.fileno())


async def _spooled(answer: Answer) -> int:
    """Returns a descriptor of an unnamed file with all bytes of an answer, which are those of a whole file."""
    with tempfile.TemporaryFile() as spool:
        try:
            while data := await answer.body.read(CHUNK):
                _refuse_endless(spool.tell() + len(data))
                spool.write(data)
        finally:
            answer.body.close()
        if answer.size is not None and spool.tell() != answer.size:
            raise Truncated(f"{spool.tell()} of {answer.size} bytes came")
        spool.flush()
        return os.dup(spool.fileno())


def _refuse_endless(nbytes: int) -> None:
    if nbytes > MOST_FETCHED:
        raise Unanswerable(f"its server sends more than {MOST_FETCHED >> 30} GiB, and does not send parts of it")
