"""One upload to an S3 store: parts go up beside the work, and the object appears when the upload is completed."""

from __future__ import annotations

import asyncio
import concurrent.futures
import hashlib
from collections import deque
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from io import UnsupportedOperation
from typing import Any, BinaryIO

from wtool.errors import WtoolError
from wtool.io.publish import spool
from wtool.io.remote.retrying import retried_async
from wtool.io.remote.stores import Store
from wtool.io.remote.whole import writing
from wtool.io.system import read_at, write_all_at
from wtool.io.uninterrupted import uninterrupted

PART = 8 << 20
"""Bytes of a part: stores take no smaller ones than 5 MiB, but for the last."""

PARTS_OF_A_SIZE = 2000
"""Number of parts after which parts become twice as large: stores take 10,000, which are 486 GiB then."""

AT_ONCE = 2
"""Number of parts that are on their way at the same time; the next one waits in memory."""

PATIENCE = 10
"""Seconds that an abandoned upload has to be taken back."""

REFUSED = ("PreconditionFailed", "412", "ConditionalRequestConflict", "409")
"""Codes of a store that tell that a condition does not hold."""

GONE = "its store has dropped the upload before it was complete; nothing was written, run the command again"
"""What is said where a rule of the bucket, or somebody, has removed the parts meanwhile."""

NO_CONDITIONS = ("NotImplemented", "501")
"""Codes of a store that knows no conditions; there the look just before has to do."""


class Multipart:
    """A file that is written from its first byte to its last, into an upload that is completed or aborted.

    Parts in which bytes are reserved wait in a temporary file without a name, and go up last. A file of one part is put
    in a single request.

    Args:
        store: an S3 store, with the path of the object.
        kept: what the store is to keep beside the object: name -> text.
    """

    def __init__(self, store: Store, kept: Mapping[str, str]) -> None:
        self._store = store
        self._system = store.system
        self._kept = {"Metadata": dict(kept)} if kept else {}
        self._bucket, self._key, _ = store.system.split_path(store.path)
        self._part = bytearray()
        self._start = 0  # where the part begins
        self._reserved = 0  # bytes before this offset, and from the part's beginning on, are patched later
        self._ends: list[int] = []  # of the parts before this one
        self._waiting: deque[int] = deque()  # numbers of the parts in the spool
        self._spool: BinaryIO | None = None
        self._upload: concurrent.futures.Future[Any] | None = None
        self._sent: deque[tuple[int, concurrent.futures.Future[Any]]] = deque()
        self._tags: dict[int, str] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._tries = 0

    def write(self, data: bytes | memoryview) -> int:
        """Add bytes to the file; parts that are full go up."""
        view = memoryview(data).cast("B")
        at = 0
        while at < len(view):
            taken = min(len(view) - at, self._room())
            self._part += view[at : at + taken]
            at += taken
            if not self._room():
                self._cut()
        return len(view)

    def tell(self) -> int:
        """Returns the number of bytes that were written."""
        return self._start + len(self._part)

    def flush(self) -> None:
        """Nothing to do: parts go up when they are full."""

    def fileno(self) -> int:
        """Raises UnsupportedOperation: an upload is no file of this system."""
        raise UnsupportedOperation

    def reserve(self, size: int) -> None:
        """See `drafts.Draft.reserve`."""
        if size:
            self._reserved = self.tell() + size

    def patch(self, offset: int, data: bytes) -> None:
        """See `drafts.Draft.patch`."""
        early = max(0, min(len(data), self._start - offset))
        if early:
            assert self._spool is not None, "nobody reserved the bytes"
            write_all_at(self._spool.fileno(), data[:early], offset)
        if early < len(data):
            at = offset + early - self._start
            self._part[at : at + len(data) - early] = data[early:]

    def _room(self) -> int:
        return (PART << len(self._ends) // PARTS_OF_A_SIZE) - len(self._part)

    def _cut(self) -> None:
        """End a part: send the part, or have it wait if bytes of it are patched later."""
        start, part = self._start, self._part
        self._start, self._part = self.tell(), bytearray()
        self._ends.append(self._start)
        number = len(self._ends)
        if self._reserved > start:
            self._spool = self._spool or spool()
            write_all_at(self._spool.fileno(), part, start)
            self._waiting.append(number)
        else:
            self._send(number, part)

    def _send(self, number: int, part: bytes | bytearray) -> None:
        upload = self._begun()
        while len(self._sent) >= AT_ONCE:
            self._await_part()
        sent = self._submit(self._call("upload_part", PartNumber=number, UploadId=upload, Body=part))
        self._sent.append((number, sent))

    def _begun(self) -> str:
        """Returns the number of the upload, which begins with the first part."""
        if self._upload is None:
            with uninterrupted():  # else a signal could come between the request and the note of it
                self._upload = self._submit(self._call("create_multipart_upload", **self._kept))
        with writing(self._store.address):
            return str(self._upload.result()["UploadId"])

    def _await_part(self) -> None:
        number, sent = self._sent.popleft()
        with writing(self._store.address):
            try:
                self._tags[number] = sent.result()["ETag"]
            except FileNotFoundError:
                raise WtoolError(GONE, self._store.address) from None

    @property
    def has_several(self) -> bool:
        """Whether a part was cut off already, so that a single request cannot put the file."""
        return bool(self._ends)

    def sync(self) -> None:
        """Wait until all bytes are in the store; nothing can be patched any more."""
        if self._part:
            self._cut()
        while self._waiting:
            number = self._waiting.popleft()
            assert self._spool is not None
            start = self._ends[number - 2] if number > 1 else 0
            self._send(number, read_at(self._spool.fileno(), self._ends[number - 1] - start, start))
        while self._sent:
            self._await_part()

    def complete(self, condition: Mapping[str, str]) -> None:
        """Have the object appear.

        Args:
            condition: `IfNoneMatch` or `IfMatch`, for a request that depends on what is there.

        Raises:
            FileExistsError: the condition does not hold.
            WtoolError: the store refuses.
        """
        with writing(self._store.address):
            try:
                self._finish(condition)
            except OSError as error:
                code = _code(error)
                if condition and code in NO_CONDITIONS:
                    self._finish({})
                elif not self._is_ours():
                    if code in REFUSED or (code == "NoSuchKey" and "IfMatch" in condition):
                        raise FileExistsError from None
                    if code == "NoSuchUpload":
                        raise WtoolError(GONE, self._store.address) from None
                    raise
        self._upload = None
        self._system.invalidate_cache(self._store.path)

    def _finish(self, condition: Mapping[str, str]) -> None:
        self._tries = 0
        if self._ends:
            parts = [{"PartNumber": number, "ETag": tag} for number, tag in sorted(self._tags.items())]
            whole = {"UploadId": self._begun(), "MultipartUpload": {"Parts": parts}}
            last = self._submit(self._call("complete_multipart_upload", **whole, **condition))
        else:
            last = self._submit(self._call("put_object", Body=bytes(self._part), **self._kept, **condition))
        last.result()

    def _is_ours(self) -> bool:
        """Returns whether the object came to be by the last request, whose answer was lost and which was sent again."""
        if self._tries < 2:
            return False
        tags = [tag.strip('"') for _, tag in sorted(self._tags.items())]
        with suppress(ValueError, WtoolError):  # not every store tells the checksum of a part
            content = b"".join(map(bytes.fromhex, tags)) if self._ends else bytes(self._part)
            own = hashlib.md5(content, usedforsecurity=False).hexdigest() + (f"-{len(tags)}" if self._ends else "")
            return self.found() == f'"{own}"'
        return False

    def found(self) -> str | None:
        """Returns the tag of the object that is there now, or None."""
        with writing(self._store.address):
            try:
                return str(self._submit(self._call("head_object")).result()["ETag"])
            except FileNotFoundError:
                return None

    def abort(self) -> None:
        """Take the upload back unless it was completed."""
        if self._spool is not None:
            self._spool.close()
        # Cut short, parts would stay in the store that nobody sees and somebody pays for.
        with uninterrupted(), suppress(Exception):
            self._submit(self._taken_back(), is_kept=False).result(PATIENCE)

    async def _taken_back(self) -> None:
        # Also where this process was interrupted before it knew the name of the upload.
        begun = None if self._upload is None else await asyncio.wrap_future(self._upload)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if begun is not None:
            await self._call("abort_multipart_upload", UploadId=begun["UploadId"])

    def _submit(self, call: Coroutine[Any, Any, Any], is_kept: bool = True) -> concurrent.futures.Future[Any]:
        return asyncio.run_coroutine_threadsafe(self._noted(call) if is_kept else call, self._system.loop)

    async def _noted(self, call: Coroutine[Any, Any, Any]) -> Any:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            return await call
        finally:
            self._tasks.discard(task)

    async def _call(self, method: str, **words: Any) -> Any:
        async def once() -> Any:
            self._tries += 1
            return await self._system._call_s3(method, Bucket=self._bucket, Key=self._key, **words)

        return await retried_async(once)


def _code(error: OSError) -> str:
    """Returns the code that the store gave, which s3fs keeps in the cause."""
    told = getattr(error.__cause__, "response", None)
    return str(told.get("Error", {}).get("Code", "")) if isinstance(told, dict) else ""
