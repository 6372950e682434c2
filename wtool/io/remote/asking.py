"""Requests for ranges of files in stores: S3 and the web by requests of their own, other stores through fsspec.

fsspec's own requests believe whatever a server sends, keep all of it, and do not ask for the version that was opened.
"""

from __future__ import annotations

import re
from typing import Any, Protocol

from wtool.io.remote.faults import Changed, Truncated, Unanswerable, chain, status_of
from wtool.io.remote.stores import Store
from wtool.values import dataclass

PATIENCE = 15
"""Seconds without a byte after which a request has failed."""

_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)$")


class Body(Protocol):
    """The bytes of an answer, which come one after the other."""

    async def read(self, count: int) -> bytes:
        """Returns at most `count` bytes, none at the end."""

    def close(self) -> object:
        """End the request."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a store answers to a request for bytes of a file.

    Attributes:
        body: the bytes.
        size: of the whole file; None where the store does not tell the size.
        version: of the file, as the store calls it; empty where the store tells none.
        is_range: whether these are the bytes asked for; else the whole file comes.
    """

    body: Body
    size: int | None
    version: str
    is_range: bool = True

    async def whole(self, count: int) -> bytes:
        """Returns exactly `count` bytes, and ends the request.

        Raises:
            Truncated: fewer bytes come.
            Unanswerable: more bytes come.
        """
        parts: list[bytes] = []
        left = count
        try:
            while left and (data := await self.body.read(left)):
                parts.append(data)
                left -= len(data)
            if left < 0 or (not left and await self.body.read(1)):
                raise Unanswerable("its server sends more bytes than it is asked for")
        finally:
            self.body.close()
        if left:
            raise Truncated(f"{left} of {count} bytes did not come")
        return b"".join(parts)


def _checked(header: str | None, start: int, stop: int) -> tuple[int, int]:
    """Returns where the bytes of an answer end, and the size of the file.

    Raises:
        Unanswerable: the bytes are others than those asked for.
    """
    found = _RANGE.match(header or "")
    if found is None:
        raise Unanswerable("its server does not say which bytes it sends")
    first, last, size = map(int, found.groups())
    if first != start or last + 1 != min(stop, size):
        raise Unanswerable(f"its server sends bytes {first} to {last + 1} where {start} to {stop} are asked for")
    return last + 1, size


async def ask_s3(store: Store, start: int, stop: int, version: str) -> Answer:
    """Ask S3 for the bytes [start, stop) of a file, or those of them that the file has.

    Raises:
        Changed: the file has another version by now.
        Unanswerable: the store sends other bytes.
    """
    bucket, key, number = store.system.split_path(store.path)
    more = {"IfMatch": version} if version.startswith('"') else {}
    if number:
        more["VersionId"] = number
    asked = f"bytes={start}-{stop - 1}"
    try:
        found = await store.system._call_s3("get_object", Bucket=bucket, Key=key, Range=asked, **more)
    except Exception as error:
        statuses = [status_of(each) for each in chain(error)]
        if 412 in statuses:
            raise Changed from None
        if 416 in statuses and start == 0:  # an empty file
            return Answer(_Nothing(), 0, "")
        raise
    body, version = found["Body"], str(found.get("ETag") or found.get("LastModified") or "")
    try:
        _, size = _checked(found.get("ContentRange"), start, stop)
    except Unanswerable:
        body.close()
        raise
    return Answer(body, size, version)


class _Content:
    """The body of an answer of aiohttp."""

    def __init__(self, response: Any) -> None:
        self._response = response

    async def read(self, count: int) -> bytes:
        """Returns at most `count` bytes, none at the end."""
        data: bytes = await self._response.content.read(count)
        return data

    def close(self) -> None:
        """End the request; the connection is kept where all of the answer came."""
        self._response.release() if self._response.content.at_eof() else self._response.close()


async def ask_hub(store: Store, start: int, stop: int, version: str) -> Answer:
    """Ask the hub for bytes of a file (see `ask_web`). It leads to other servers, which know other versions."""
    return await ask_web(store, start, stop, "")


async def ask_web(store: Store, start: int, stop: int, version: str) -> Answer:
    """Ask a server of the web for the bytes [start, stop) of a file, or those of them that the file has.

    Raises:
        Changed: the file has another version by now.
        Unanswerable: the server sends other bytes, or compresses them.
        FileNotFoundError: the server has no such file.
    """
    import aiohttp

    system = store.system
    more = dict(system.kwargs)
    headers = {**more.pop("headers", {}), "Accept-Encoding": "identity", "Range": f"bytes={start}-{stop - 1}"}
    if version.startswith('"'):
        headers["If-Match"] = version
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=PATIENCE, sock_read=PATIENCE)
    session = await system.set_session()
    response = await session.get(system.encode_url(store.path), headers=headers, timeout=timeout, **more)
    try:
        return _of_web(response, start, stop)
    except BaseException:
        response.close()
        raise


def _of_web(response: Any, start: int, stop: int) -> Answer:
    headers = response.headers
    if response.status in (404, 410):
        raise FileNotFoundError
    if response.status == 412:
        raise Changed
    version = headers.get("ETag") or headers.get("Last-Modified") or ""
    if response.status == 416 and start == 0:  # an empty file
        return Answer(_Nothing(), 0, version)
    response.raise_for_status()
    if headers.get("Content-Encoding", "identity") not in ("identity", ""):
        raise Unanswerable("its server sends it compressed, whatever is asked for; download it first")
    if response.status == 206:
        _, size = _checked(headers.get("Content-Range"), start, stop)
        return Answer(_Content(response), size, version)
    length = headers.get("Content-Length", "")
    return Answer(_Content(response), int(length) if length.isdigit() else None, version, is_range=False)


class _Nothing:
    """The body of an answer without bytes."""

    async def read(self, count: int) -> bytes:
        """Returns nothing."""
        return b""

    def close(self) -> None:
        """Do nothing."""
