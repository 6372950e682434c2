"""Locks: one process at a time replaces a name in a folder.

The lock is on a hidden file beside the name, the claim, and not on the file that is replaced: the HDF5 library locks
the files that it reads, and a lock on a replaced file would lock nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator

from wtool.io.places import NO_LINK, Place
from wtool.io.uninterrupted import uninterrupted


def hidden_name(place: Place, ending: str) -> str:
    """Returns the name of the hidden file that belongs to a name in a folder, with the given ending."""
    return f".wtool-{hashlib.blake2b(os.fsencode(place.name), digest_size=8).hexdigest()}.{ending}"


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
        if os.fstat(claim).st_uid != os.geteuid():
            os.ftruncate(claim, 0)
        yield claim
    finally:
        if claim is not None:
            with uninterrupted():
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(hidden, dir_fd=place.folder)
                os.close(claim)


def _new_claim(hidden: str, folder: int) -> int | None:
    """Returns a descriptor of the claim, which is locked now; None if another process has it."""
    claim = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | NO_LINK, 0o600, dir_fd=folder)
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
        fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _wait_for(hidden: str, folder: int) -> None:
    """Wait until the process that has the claim gives it back."""
    with contextlib.suppress(FileNotFoundError):
        claim = os.open(hidden, os.O_RDWR | os.O_CLOEXEC | NO_LINK, dir_fd=folder)
        try:
            fcntl.flock(claim, fcntl.LOCK_EX)
        finally:
            os.close(claim)


def write_claim(claim: int, text: bytes) -> None:
    """Replace the text that a claim holds, and wait until it is on the disk."""
    os.ftruncate(claim, 0)
    os.pwrite(claim, text, 0)
    os.fsync(claim)


def _is_there(claim: int, hidden: str, folder: int) -> bool:
    """Returns whether a name still leads to the open file."""
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(claim), os.stat(hidden, dir_fd=folder, follow_symlinks=False))
    return False


def lock_if_alone(file: int) -> bool:
    """Lock an open file if nobody has; returns False where another process has the lock or locks do not work."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
