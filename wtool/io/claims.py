"""One process at a time replaces a name in a folder."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator

from wtool.io.places import NO_LINK, Place


def hidden_name(place: Place, ending: str) -> str:
    """The name of a hidden file that belongs to a name in a folder."""
    return f".wtool-{hashlib.blake2b(os.fsencode(place.name), digest_size=8).hexdigest()}.{ending}"


@contextlib.contextmanager
def claimed(place: Place) -> Iterator[int]:
    """Hold the claim on a name: a descriptor of a hidden file that is locked by this process, and removed at the end.

    The system unlocks the file of a process that was killed; whoever claims the name next gets this file with what is
    in it. A file that belongs to somebody else is nothing to trust: it comes empty. Where the file system has no locks,
    the claim keeps nobody out.
    """
    hidden = hidden_name(place, "claim")
    while True:
        claim = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | NO_LINK, 0o600, dir_fd=place.folder)
        try:
            with contextlib.suppress(OSError):
                fcntl.flock(claim, fcntl.LOCK_EX)
            if _is_there(claim, hidden, place.folder):
                break
        except BaseException:
            os.close(claim)
            raise
        os.close(claim)  # whoever held it has removed it meanwhile
    try:
        if os.fstat(claim).st_uid != os.geteuid():
            os.ftruncate(claim, 0)
        yield claim
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(hidden, dir_fd=place.folder)
        os.close(claim)


def write_claim(claim: int, text: bytes) -> None:
    """Replaces what a claim holds, and waits until it is on the disk."""
    os.ftruncate(claim, 0)
    os.pwrite(claim, text, 0)
    os.fsync(claim)


def _is_there(claim: int, hidden: str, folder: int) -> bool:
    """Whether a name still leads to the open file."""
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(claim), os.stat(hidden, dir_fd=folder, follow_symlinks=False))
    return False


def lock_if_alone(file: int) -> bool:
    """Whether this process has the lock of an open file now; False where somebody else has it or locks do not work."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
