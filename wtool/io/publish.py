"""New files appear whole or not at all.

A new file is a draft until its bytes are on the disk (fsync). Only then does it get its name, by a link where nothing
has the name and by a rename where an older file has it; both happen at once or not at all. The folder is synced last,
so that the name survives a power failure too.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import sys
from types import TracebackType
from typing import BinaryIO

from wtool.errors import WtoolError
from wtool.io.claims import claimed, hidden_name, lock_if_alone
from wtool.io.folders import Folder
from wtool.io.pipes import piped_output
from wtool.io.places import Place, Target, check_target, open_place
from wtool.io.stored import stamp_of
from wtool.io.system import MOVES_OPEN_FILES, NAMELESS, NEW, be_as, write_all_at
from wtool.io.uninterrupted import uninterrupted

BUFFER = 1 << 18
"""Bytes of a draft's buffer: no more than small pieces need, since fresh memory costs a page fault every 4 KiB."""

DRAFT = r"\.wtool-[0-9a-f]{16}\.draft"


class LocalDraft:
    """A file that is being written: it becomes the target when it is published, and vanishes otherwise.

    On Linux the draft has no name, so that not even a killed process leaves one behind, but for the moment in which the
    draft takes the place of an older file. Elsewhere the draft is a hidden file in the target's folder, which the next
    draft in that folder removes if its process was killed. Standard output (`-`), pipes and devices get the finished
    bytes copied.

    Args:
        target: where the file goes.
        claims: whether publishing claims the target's name; False for callers who hold the claim already.

    Attributes:
        file: the open draft.

    Raises:
        WtoolError: the target exists and may not be replaced, or its folder is missing or read-only.
    """

    def __init__(self, target: Target, claims: bool = True) -> None:
        self.target = target
        self._claims = claims
        self._hidden: str | None = None
        self._place: Place | None = None
        check_target(target)
        if target.is_stream:
            self.file = spool()
            return
        self._place = open_place(target)
        try:
            self.file = os.fdopen(self._opened(self._place), "w+b", BUFFER)
            _be_as_before(self.file.fileno(), self._place)
        except BaseException as error:
            self._forget()
            self._place.folder.close()
            if not isinstance(error, OSError):
                raise
            text = f"cannot write in {os.path.dirname(self._place.path)!r} ({error.strerror})"
            raise WtoolError(text, target.path) from None

    def _opened(self, place: Place) -> int:
        if NAMELESS:
            # Not every file system has files without a name.
            with contextlib.suppress(OSError):
                unnamed = place.folder.open_nameless(NAMELESS)
                if os.path.exists(_by_number(unnamed)):  # without /proc, the file could not get a name later
                    return unnamed
                os.close(unnamed)
        remove_abandoned_drafts(place.folder)
        return self._new_hidden(place)

    def _new_hidden(self, place: Place) -> int:
        """Returns a descriptor of a new hidden file, which is locked while this process lives."""
        while True:
            self._hidden = f".wtool-{os.urandom(8).hex()}.draft"
            file = place.folder.open(self._hidden, NEW, 0o666)
            lock_if_alone(file)
            with contextlib.suppress(FileNotFoundError):  # another process swept it away before it was locked
                if os.path.samestat(os.fstat(file), place.folder.status(self._hidden)):
                    return file
            os.close(file)

    def reserve(self, size: int) -> None:
        """Nothing has to be known before; see `drafts.Draft`."""

    def patch(self, offset: int, data: bytes) -> None:
        """Replace bytes that were written already."""
        self.file.flush()
        write_all_at(self.file.fileno(), data, offset)

    def publish(self) -> None:
        """Give the file its name, once its bytes are on the disk.

        Raises:
            WtoolError: the target appeared or changed meanwhile and may not be replaced.
        """
        self.sync()
        if self._place is None:
            self._copy_out()
        elif self.target.force and self._claims:
            with claimed(self._place):
                self._put(self._place)
        else:
            self._put(self._place)

    def sync(self) -> None:
        """Wait until all bytes are on the disk."""
        self.file.flush()
        if self._place is not None:
            os.fsync(self.file.fileno())

    def _put(self, place: Place) -> None:
        if self.target.force and self.refuse_changed():
            self._replace(place)
        else:
            self._take_name(place)
        place.folder.sync()

    def _replace(self, place: Place) -> None:
        try:
            self._rename(self._named(place), place)
        except BaseException:
            self._forget()  # as soon as the claim is given back, another process may use the hidden name
            raise
        self._hidden = None

    def refuse_changed(self) -> bool:
        """Refuse a target that changed since the work began; returns whether there is a file to replace.

        Raises:
            WtoolError: another file is there now, or the file appeared or vanished meanwhile.
        """
        assert self._place is not None
        found = self._place.status()
        if (None if found is None else stamp_of(found)) != self.target.seen:
            text = "was changed by somebody else since this command began; nothing was written, run the command again"
            raise WtoolError(text, self.target.path)
        return found is not None

    def _take_name(self, place: Place) -> None:
        """Take the name only if nobody has it: a link never replaces a file, where a rename would."""
        try:
            if self._hidden is None and self._linked(place, place.name):
                return
            if self._hidden is None:
                self._copy_to_hidden(place)
            self._rename_to_free(place)
        except FileExistsError:
            raise WtoolError("exists already; --force replaces it", self.target.path) from None

    def _rename_to_free(self, place: Place) -> None:
        """Give the hidden draft the target's name.

        Raises:
            FileExistsError: another file has the name.
        """
        assert self._hidden is not None
        try:
            place.folder.link(self._hidden, place.name)
        except FileExistsError:
            raise
        except OSError:  # this file system has no hard links: a look and a rename have to do
            if place.status() is not None:
                raise FileExistsError from None
            self._rename(self._hidden, place)
            self._hidden = None

    def _rename(self, hidden: str, place: Place) -> None:
        if not MOVES_OPEN_FILES:
            self.file.close()
        place.folder.replace(hidden, place.name)

    def _named(self, place: Place) -> str:
        """Returns the hidden name of the draft, which gets one now if it has none."""
        if self._hidden is None:
            hidden = hidden_name(place, "tmp")
            with contextlib.suppress(FileNotFoundError):
                # The file of a process that was killed: we hold the claim, so that nobody else uses the name.
                place.folder.remove(hidden)
            # Else a signal could come between the link and the note of it.
            with uninterrupted():
                if self._linked(place, hidden):
                    self._hidden = hidden
            if self._hidden is None:
                self._copy_to_hidden(place)
        assert self._hidden is not None
        return self._hidden

    def _linked(self, place: Place, name: str) -> bool:
        """Give the unnamed file a name. Returns whether that is possible here.

        Raises:
            FileExistsError: another file has the name.
        """
        try:
            place.folder.link_from(_by_number(self.file.fileno()), name)
        except FileExistsError:
            raise
        except OSError:
            return False
        return True

    def _copy_to_hidden(self, place: Place) -> None:
        copy = os.fdopen(self._new_hidden(place), "w+b", BUFFER)
        self.file.seek(0)
        _copy(self.file, copy)
        self.file.close()
        self.file = copy
        _be_as_before(copy.fileno(), place)
        self.sync()

    def _copy_out(self) -> None:
        pipe = piped_output() if self.target.path == "-" else None
        if pipe is not None:
            pipe.take(self.file)
            return
        self.file.seek(0)
        if self.target.path == "-":
            _copy(self.file, sys.stdout.buffer)
            sys.stdout.buffer.flush()
        else:
            with open(self.target.path, "wb") as out:
                _copy(self.file, out)

    def _forget(self) -> None:
        if self._hidden is not None and self._place is not None:
            with contextlib.suppress(FileNotFoundError):
                self._place.folder.remove(self._hidden)
            self._hidden = None

    def close(self) -> None:
        """Throw the draft away unless it was published, and close it."""
        with contextlib.suppress(OSError):  # closing writes the rest, which may fail: the draft is thrown away anyhow
            self.file.close()
        self._forget()
        if self._place is not None:
            self._place.folder.close()
            self._place = None

    def __enter__(self) -> LocalDraft:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def spool() -> BinaryIO:
    """Returns a new file without a name, in the system's folder for temporary files."""
    import tempfile  # slow to import, and seldom needed

    return tempfile.TemporaryFile(buffering=BUFFER)  # type: ignore[return-value]


def _by_number(file: int) -> str:
    """Returns a path that leads to an open file, even to one without a name."""
    return f"/proc/self/fd/{file}"


def remove_abandoned_drafts(folder: Folder) -> None:
    """Remove the hidden drafts that nobody has locked: their processes were killed."""
    names: list[str] = []
    with contextlib.suppress(OSError):  # a folder that may be written need not be listable
        names = folder.names()
    for name in names:
        if re.fullmatch(DRAFT, name):
            with contextlib.suppress(OSError):
                file = folder.open(name, os.O_RDWR)
                try:
                    if lock_if_alone(file):
                        folder.remove(name)
                finally:
                    os.close(file)


def _copy(file: BinaryIO, to: BinaryIO) -> None:
    while data := file.read(BUFFER):
        to.write(data)


def _be_as_before(file: int, place: Place) -> None:
    """Give a draft the owner and permissions of the file that it replaces; see `system.be_as`."""
    old = place.status()
    if old is not None and stat.S_ISREG(old.st_mode):
        be_as(file, place.path, old)
