"""Open folders: files in them are opened, made, renamed and removed by their names alone.

Where the system does that in an open folder, a link that somebody puts on the way meanwhile cannot lead a name to
another place. Other systems (Windows) get the folder's path with the name behind it, after a look for links.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat

from wtool.io.system import NO_LINK, PRIVATE

INSIDE = {os.open, os.stat, os.mkdir, os.unlink, os.link, os.rename} <= os.supports_dir_fd
"""Whether this system works inside open folders."""

FOLDER = os.O_RDONLY | PRIVATE | getattr(os, "O_DIRECTORY", 0)


class Folder:
    """A folder that is held open.

    Args:
        path: of the folder.
        fd: its descriptor, owned by this object from now on; None where the system has none for folders.

    Attributes:
        path: of the folder when it was opened.
        fd: see above.
    """

    __slots__ = ("fd", "path")

    def __init__(self, path: str, fd: int | None) -> None:
        self.path = path
        self.fd = fd

    @classmethod
    def at(cls, path: str) -> Folder:
        """Open a folder; symbolic links are followed.

        Raises:
            OSError: nothing or no folder is there, or this user may not enter.
        """
        if INSIDE:
            return cls(path, os.open(path, FOLDER))
        return cls(_existing(path, os.stat(path)), None)

    def inside(self, name: str) -> Folder:
        """Open a folder of this folder.

        Raises:
            OSError: nothing, no folder, or a symbolic link has the name.
        """
        path = os.path.join(self.path, name)
        if self.fd is None:
            return Folder(_existing(path, self.status(name)), None)
        return Folder(path, os.open(name, FOLDER | NO_LINK, dir_fd=self.fd))

    def open(self, name: str, flags: int, mode: int = 0o600) -> int:
        """Open or make a file; returns its descriptor.

        Args:
            name: of the file.
            flags: of `os.open`; a symbolic link is never followed.
            mode: permissions of a new file.

        Raises:
            OSError: as of `os.open`; a symbolic link has the name.
        """
        if not NO_LINK:
            with contextlib.suppress(FileNotFoundError):
                _refuse_link(self._at(name), self.status(name))
        return os.open(self._at(name), flags | PRIVATE | NO_LINK, mode, dir_fd=self.fd)

    def open_nameless(self, flag: int) -> int:
        """Make a file without a name; returns its descriptor.

        Args:
            flag: that of the system, `system.NAMELESS`.

        Raises:
            OSError: the file system has no such files.
        """
        return os.open(".", flag | os.O_RDWR | PRIVATE, 0o666, dir_fd=self.fd)

    def status(self, name: str) -> os.stat_result:
        """Returns the status of what has a name: of a link itself, and not of its target.

        Raises:
            FileNotFoundError: nothing has the name.
        """
        return os.stat(self._at(name), dir_fd=self.fd, follow_symlinks=False)

    def is_link(self, name: str) -> bool:
        """Returns whether a symbolic link has the name."""
        with contextlib.suppress(OSError):
            return stat.S_ISLNK(self.status(name).st_mode)
        return False

    def names(self) -> list[str]:
        """Returns the names of everything in the folder.

        Raises:
            OSError: the folder cannot be listed.
        """
        return os.listdir(self.path if self.fd is None else self.fd)

    def make_folder(self, name: str) -> None:
        """Make a folder in this folder.

        Raises:
            FileExistsError: something has the name.
        """
        os.mkdir(self._at(name), dir_fd=self.fd)

    def remove(self, name: str) -> None:
        """Remove a file.

        Raises:
            FileNotFoundError: nothing has the name.
        """
        os.unlink(self._at(name), dir_fd=self.fd)

    def link(self, old: str, new: str) -> None:
        """Give a file another name, too.

        Raises:
            FileExistsError: something has the new name.
            OSError: the file system has no hard links.
        """
        os.link(self._at(old), self._at(new), src_dir_fd=self.fd, dst_dir_fd=self.fd)

    def link_from(self, path: str, new: str) -> None:
        """Give the file that a path leads to a name in this folder.

        Raises:
            FileExistsError: something has the new name.
            OSError: the file cannot have a name here.
        """
        os.link(path, self._at(new), dst_dir_fd=self.fd, follow_symlinks=True)

    def replace(self, old: str, new: str) -> None:
        """Rename a file; the file that has the new name is replaced."""
        os.replace(self._at(old), self._at(new), src_dir_fd=self.fd, dst_dir_fd=self.fd)

    def rename_out(self, old: str, other: Folder, new: str) -> None:
        """Give what is called `old` here the name `new` in another folder.

        Raises:
            OSError: a folder with files in it has the new name, or on some systems anything at all.
        """
        os.rename(self._at(old), other._at(new), src_dir_fd=self.fd, dst_dir_fd=other.fd)

    def sync(self) -> None:
        """Wait until the names in the folder are on the disk."""
        if self.fd is not None:
            with contextlib.suppress(OSError):  # some file systems cannot sync a folder; the files themselves are safe
                os.fsync(self.fd)

    def close(self) -> None:
        """Close the folder."""
        if self.fd is not None:
            os.close(self.fd)

    def _at(self, name: str) -> str:
        return name if self.fd is not None else os.path.join(self.path, name)


def _existing(path: str, status: os.stat_result) -> str:
    _refuse_link(path, status)
    if not stat.S_ISDIR(status.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
    return path


def _refuse_link(path: str, status: os.stat_result) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
