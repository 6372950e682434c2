"""What operating systems do differently: reading by position, flags of files, locks. The one home of such knowledge.

Linux has all of it, and macOS nearly all. Windows reads at the position of a descriptor alone, knows neither users nor
locks of this kind, and makes no nameless files.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

Bytes: TypeAlias = bytes | bytearray | memoryview

PRIVATE = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOINHERIT", 0) | getattr(os, "O_BINARY", 0)
"""Flags of every file that is opened: no child process gets it, and its bytes stay as they are."""

NO_LINK = getattr(os, "O_NOFOLLOW", 0)
"""Flag that refuses a symbolic link; 0 where the system has none."""

NO_WAIT = getattr(os, "O_NONBLOCK", 0)
"""Flag with which a FIFO does not block; 0 where the system has none."""

UNFOLLOWED = os.O_RDONLY | PRIVATE | NO_WAIT | NO_LINK
"""Flags to open a file for reading: links are not followed."""

READ = os.O_RDONLY | PRIVATE | NO_WAIT
"""Flags to open a file that the user named, to which a link may lead."""

NEW = os.O_CREAT | os.O_EXCL | os.O_RDWR | PRIVATE | NO_LINK
"""Flags to make a file that must not be there yet."""

NAMELESS = getattr(os, "O_TMPFILE", 0)
"""Flag that makes a file without a name; 0 where the system has none."""

MOVES_OPEN_FILES = os.name != "nt"
"""Whether a file can be renamed and removed while it is open."""

NEW_GROUP: dict[str, Any] = {"start_new_session": True} if os.name != "nt" else {"creationflags": 0x200}
"""Arguments of `subprocess.Popen` for a process that Ctrl-C at the terminal does not reach (on Windows the flag is
CREATE_NEW_PROCESS_GROUP)."""

ACCESS_LIST = "system.posix_acl_access"
"""Extended attribute in which Linux keeps the access list of a file."""

_COPY_AT_ONCE = 1 << 30
"""Bytes that the kernel copies in one call."""

_turn = threading.Lock()
"""Held while the position of a descriptor stands elsewhere than its owner left it."""


@contextlib.contextmanager
def _placed(fd: int, offset: int) -> Iterator[None]:
    """Put the position of an open file at `offset` for a block; no other thread moves a position meanwhile."""
    with _turn:
        before = os.lseek(fd, 0, os.SEEK_CUR)
        os.lseek(fd, offset, os.SEEK_SET)
        try:
            yield
        finally:
            os.lseek(fd, before, os.SEEK_SET)


def _read_at(fd: int, count: int, offset: int) -> bytes:
    with _placed(fd, offset):
        return os.read(fd, count)


def _write_at(fd: int, data: Bytes, offset: int) -> int:
    with _placed(fd, offset):
        return os.write(fd, data)


def _read_into_at(fd: int, view: memoryview, offset: int) -> int:
    data = _read_at(fd, len(view), offset)
    view[: len(data)] = data
    return len(data)


def _preadv(fd: int, view: memoryview, offset: int) -> int:
    return os.preadv(fd, [view], offset)


read_at: Callable[[int, int, int], bytes] = getattr(os, "pread", _read_at)
"""(descriptor, count, offset) -> at most `count` bytes from `offset`; the descriptor's position stays."""

write_at: Callable[[int, Bytes, int], int] = getattr(os, "pwrite", _write_at)
"""(descriptor, data, offset) -> how many bytes of `data` were written from `offset` on; the position stays."""

read_into_at: Callable[[int, memoryview, int], int] = _preadv if hasattr(os, "preadv") else _read_into_at
"""(descriptor, view, offset) -> how many bytes from `offset` were put into the view; the position stays."""


def write_all_at(fd: int, data: Bytes, offset: int) -> None:
    """Write all of `data` from `offset` on."""
    view = memoryview(data)
    while view:
        done = write_at(fd, view, offset)
        view, offset = view[done:], offset + done


def copy_whole(source: int, target: int) -> None:
    """Copy a file from its first byte to its last: in the kernel where that is possible, else block by block.

    Args:
        source: descriptor of the file.
        target: descriptor of the copy, an empty file.
    """
    done = 0
    with contextlib.suppress(OSError, AttributeError):  # not between these file systems, or on this system
        while count := os.copy_file_range(source, target, _COPY_AT_ONCE, done, done):
            done += count
    while block := read_at(source, 1 << 20, done):
        write_all_at(target, block, done)
        done += len(block)


def begin_writing(fd: int) -> None:
    """Tell the disk to begin with what was written to a file, so that an fsync at the end finds little left to do."""
    if hasattr(os, "posix_fadvise"):
        # The kernel starts to write dirty pages that nobody will need; it drops only those that are on the disk.
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)


def is_own(status: os.stat_result) -> bool:
    """Returns whether a file belongs to the user of this process; True where the system knows no users."""
    return not hasattr(os, "geteuid") or status.st_uid == os.geteuid()


def lock(fd: int, wait: bool = False) -> None:
    """Lock an open file for this process, until the file is closed or the process ends.

    Args:
        fd: descriptor of the file.
        wait: whether to wait for another process that has the lock.

    Raises:
        BlockingIOError: another process has the lock.
        OSError: there are no locks, in this file system or in this system.
    """
    if fcntl is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))


def limit_of_open_files() -> None:
    """Raise the soft limit on open files to the hard one, where there are limits."""
    with contextlib.suppress(ImportError):
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def be_as(file: int, path: str, old: os.stat_result) -> None:
    """Give an open file the owner, permissions and access list of another, as far as that is possible and permitted.

    The set-user-ID and set-group-ID bits are never kept. Where the group cannot be kept, the new group gets no right
    that all others do not have.

    Args:
        file: descriptor of the file.
        path: of the other file.
        old: status of the other file.
    """
    mode = old.st_mode & 0o777
    new = os.fstat(file)
    if new.st_uid != old.st_uid:
        with contextlib.suppress(OSError, AttributeError):
            os.fchown(file, old.st_uid, -1)
    if new.st_gid != old.st_gid:
        try:
            os.fchown(file, -1, old.st_gid)
        except (OSError, AttributeError):
            mode &= ~0o070 | (mode & 0o007) << 3
    permit(file, mode)
    with contextlib.suppress(OSError, AttributeError):  # most files have no list
        os.setxattr(file, ACCESS_LIST, os.getxattr(path, ACCESS_LIST, follow_symlinks=False))


def permit(file: int, mode: int) -> None:
    """Give an open file or folder these permissions, where the file system has permissions."""
    with contextlib.suppress(OSError, AttributeError):
        os.fchmod(file, mode)
