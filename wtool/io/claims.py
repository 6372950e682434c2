"""Locks: one process at a time replaces a name in a folder.

The lock is on a hidden file beside the name, the claim, and not on the file that is replaced: the HDF5 library locks
the files that it reads, and a lock on a replaced file would lock nothing.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from blake3 import blake3

from wtool.io.folders import Folder
from wtool.io.places import Place
from wtool.io.system import MOVES_OPEN_FILES, is_own, lock, write_all_at
from wtool.io.uninterrupted import uninterrupted


def hidden_name(place: Place, ending: str) -> str:
    """Returns the name of the hidden file that belongs to a name in a folder, with the given ending."""
    return f".wtool-{blake3(os.fsencode(place.name)).hexdigest(length=8)}.{ending}"


@contextlib.contextmanager
def claimed(place: Place) -> Iterator[int]:
    """Hold the claim on a name; gives a descriptor of the claim, a hidden file that is locked, and removed at the end.

    The system unlocks the claim of a process that was killed. The next process that claims the name gets the same file
    with the text that the killed process left in it (see `write_claim`). A claim that belongs to another user is not
    trusted: its text is removed. Where the file system has no locks, the claim keeps nobody out.
    """
    hidden = hidden_name(place, "claim")
    claim: int | None = None
    try:
        while claim is None:
            # Else a signal could come between the making of the claim and the note of it.
            with uninterrupted():
                claim = _new_claim(hidden, place.folder)
            if claim is None:
                _wait_for(hidden, place.folder)
        if not is_own(os.fstat(claim)):
            os.ftruncate(claim, 0)
        yield claim
    finally:
        if claim is not None:
            with uninterrupted():
                if not MOVES_OPEN_FILES:
                    os.close(claim)
                with contextlib.suppress(FileNotFoundError):
                    place.folder.remove(hidden)
                if MOVES_OPEN_FILES:  # while the claim is locked, so that nobody takes what is going to be removed
                    os.close(claim)


def _new_claim(hidden: str, folder: Folder) -> int | None:
    """Returns a descriptor of the claim, which is locked now; None if another process has it."""
    claim = folder.open(hidden, os.O_RDWR | os.O_CREAT)
    try:
        is_ours = _lock(claim) and _is_there(claim, hidden, folder)
    except BaseException:
        os.close(claim)
        raise
    if is_ours:
        return claim
    # Another process has the lock; or its former holder removed the claim between our open and our lock, and our file
    # is a nameless one.
    os.close(claim)
    return None


def _lock(claim: int) -> bool:
    """Lock a claim. Returns False if another process has the lock, and True where the file system has no locks."""
    try:
        lock(claim)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _wait_for(hidden: str, folder: Folder) -> None:
    """Wait until the process that has the claim gives it back."""
    with contextlib.suppress(FileNotFoundError):
        claim = folder.open(hidden, os.O_RDWR)
        try:
            lock(claim, wait=True)
        finally:
            os.close(claim)


def write_claim(claim: int, text: bytes) -> None:
    """Replace the text that a claim holds, and wait until it is on the disk."""
    os.ftruncate(claim, 0)
    write_all_at(claim, text, 0)
    os.fsync(claim)


def _is_there(claim: int, hidden: str, folder: Folder) -> bool:
    """Returns whether a name still leads to the open file."""
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(claim), folder.status(hidden))
    return False


def lock_if_alone(file: int) -> bool:
    """Lock an open file if nobody has; returns False where another process has the lock or locks do not work."""
    try:
        lock(file)
    except OSError:
        return False
    return True
