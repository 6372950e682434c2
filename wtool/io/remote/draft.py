"""New files in stores: one upload, which becomes visible when it is complete and vanishes otherwise."""

from __future__ import annotations

import shutil
from contextlib import suppress
from types import TracebackType
from typing import BinaryIO, cast

from wtool.errors import WtoolError
from wtool.io.places import Target, steps
from wtool.io.publish import spool
from wtool.io.remote.marks import MARK
from wtool.io.remote.multipart import Multipart
from wtool.io.remote.stores import status
from wtool.io.remote.whole import is_s3, put_whole, store_to_write
from wtool.io.stored import Stamp
from wtool.io.system import write_all_at


class RemoteDraft:
    """A file that is being written to a store; see `drafts.Draft`.

    A file that is written in order goes to an S3 store while it is made. Every other one waits in a temporary file
    without a name. Stores that know conditions are asked to replace only what was there when the work began; before
    that, wtool looks itself, since not every store that takes conditions heeds them.

    Args:
        target: the address.
        in_order: see `drafts.new_draft`.

    Raises:
        WtoolError: the target exists and may not be replaced, or the store takes no files.
    """

    def __init__(self, target: Target, in_order: bool) -> None:
        self.target = target
        self._store = store_to_write(target.path)
        _refuse_existing(target, target.seen is not None)
        self._parts = Multipart(self._store, _kept(target)) if is_s3(self._store.system) else None
        self._stream = self._parts if in_order else None
        self.file = spool() if self._stream is None else cast(BinaryIO, self._stream)  # writers in order need no more

    def reserve(self, size: int) -> None:
        """See `drafts.Draft.reserve`."""
        if self._stream is not None:
            self._stream.reserve(size)

    def patch(self, offset: int, data: bytes) -> None:
        """See `drafts.Draft.patch`."""
        if self._stream is not None:
            self._stream.patch(offset, data)
        else:
            self.file.flush()
            write_all_at(self.file.fileno(), data, offset)

    def sync(self) -> None:
        """Have all bytes go up, so that little is left to do when the file is published."""
        if self._parts is not None:
            self._fill(self._parts)
            self._parts.sync()

    def _fill(self, parts: Multipart) -> None:
        """Give the upload the bytes of a file that was not written in order."""
        if self._stream is None and not parts.tell():
            self.file.seek(0)
            shutil.copyfileobj(self.file, parts, 1 << 20)

    def refuse_changed(self) -> bool:
        """See `drafts.Draft.refuse_changed`."""
        now = self._found()
        if now != self._seen:
            raise self._refused()
        return now is not None

    def publish(self) -> None:
        """See `drafts.Draft.publish`."""
        try:
            if self._parts is not None:
                self._fill(self._parts)
                if self._parts.has_several:
                    self._parts.sync()
            self.refuse_changed()
            if self._parts is not None:
                self._parts.complete({"IfNoneMatch": "*"} if self._seen is None else {"IfMatch": self._seen})
            else:
                put_whole(self._store, self.file, self._seen is None)
        except FileExistsError:
            raise self._refused() from None

    @property
    def _seen(self) -> str | None:
        """The version of the file that was there when the work began."""
        return None if self.target.seen is None else str(self.target.seen[-1])

    def _found(self) -> str | None:
        if self._parts is not None:
            return self._parts.found()
        self._store.system.invalidate_cache(self._store.path)
        found = status(self.target.path)
        return None if found is None or found.is_folder else found.version

    def _refused(self) -> WtoolError:
        if not self.target.force:
            return WtoolError("exists already; --force replaces it", self.target.path)
        text = "was changed by somebody else since this command began; nothing was written, run the command again"
        return WtoolError(text, self.target.path)

    def close(self) -> None:
        """Throw the draft away unless it was published."""
        if self._parts is not None:
            self._parts.abort()
        if self._stream is None:
            with suppress(OSError):
                self.file.close()

    def __enter__(self) -> RemoteDraft:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def check_address(target: Target) -> None:
    """Refuse an address that cannot be written, before any work is done; see `places.check_target`."""
    if target.is_folder:
        text = "is no place for an unzipped model, whose files no store shows all at once; write a .keras file"
        raise WtoolError(text, target.path)
    _refuse_existing(target, (target.seen if target.is_seen else seen_at(target.path)) is not None)


def seen_at(address: str) -> Stamp | None:
    """Returns the stamp of the file that is there now, or None.

    Raises:
        WtoolError: the store takes no files, or cannot be reached; or there is a folder.
    """
    store_to_write(address)
    found = status(address)
    if found is not None and found.is_folder:
        raise WtoolError("is a folder; a model is written as a single file: name one with --output", address)
    return None if found is None else found.stamp


def _refuse_existing(target: Target, is_there: bool) -> None:
    steps(target)
    if is_there and not target.force:
        raise WtoolError("exists already; --force replaces it", target.path)


def _kept(target: Target) -> dict[str, str]:
    return {MARK: target.mark} if target.mark else {}
