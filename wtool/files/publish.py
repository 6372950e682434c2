"""New files appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from types import TracebackType
from typing import BinaryIO

from wtool.errors import WtoolError

BUFFER = 1 << 18  # fresh memory costs a page fault every 4 KiB: no larger than small pieces need


class Draft:
    """A file being written, that becomes `target` when it is published and vanishes otherwise.

    The draft has no name where the system allows that (Linux), so that not even a killed process leaves one behind (but
    for the moment in which it takes the place of an older file); elsewhere it is a hidden file in the target's folder.
    `-`, pipes and devices get the finished bytes copied.

    Args:
        target: path, or `-` for standard output.
        force: whether an existing file may be replaced.

    Raises:
        WtoolError: the target exists and may not be replaced, or its folder is missing or read-only.
    """

    def __init__(self, target: str, force: bool = False) -> None:
        self.target = target
        self._force = force
        self._hidden: str | None = None
        check_target(target, force)
        self._path = os.path.realpath(target)  # a symbolic link stays one, and its file is what changes
        try:
            self.file = self._open()
            with contextlib.suppress(OSError):  # a file that is replaced keeps its permissions
                os.fchmod(self.file.fileno(), stat.S_IMODE(os.stat(self._path).st_mode))
        except OSError as error:
            raise WtoolError(f"cannot write in {os.path.dirname(self._path)!r} ({error.strerror})", target) from None

    def _open(self) -> BinaryIO:
        if _is_stream(self.target):
            import tempfile  # slow to import, and seldom needed

            return tempfile.TemporaryFile(buffering=BUFFER)  # type: ignore[return-value]
        folder = os.path.dirname(self._path)
        if hasattr(os, "O_TMPFILE"):
            with contextlib.suppress(OSError):  # not every file system has them
                return os.fdopen(os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o666), "w+b", BUFFER)
        self._hidden = os.path.join(folder, f".wtool-{os.urandom(8).hex()}.tmp")
        return os.fdopen(os.open(self._hidden, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666), "w+b", BUFFER)

    def publish(self) -> None:
        """Give the file its name, once its bytes are on the disk.

        Raises:
            WtoolError: the target appeared meanwhile and may not be replaced.
        """
        self.file.flush()
        if _is_stream(self.target):
            self._copy_out()
            return
        os.fsync(self.file.fileno())
        if self._force:
            self._replace()
        else:
            self._claim()
        with contextlib.suppress(OSError):  # some file systems cannot sync a folder; the file itself is safe
            folder = os.open(os.path.dirname(self._path), os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def _replace(self) -> None:
        if self._hidden is None:
            hidden = os.path.join(os.path.dirname(self._path), f".wtool-{os.urandom(8).hex()}.tmp")
            self._link(hidden)
            self._hidden = hidden
        os.replace(self._hidden, self._path)
        self._hidden = None

    def _claim(self) -> None:
        """Take the name only if nobody has it: a link never replaces a file, where a rename would."""
        try:
            if self._hidden is None:
                self._link(self._path)
            else:
                os.link(self._hidden, self._path)
        except FileExistsError:
            raise WtoolError("exists already; --force replaces it", self.target) from None
        except OSError:
            if self._hidden is None:
                raise
            check_target(self.target, force=False)  # no hard links here: the check and the rename have to do
            os.replace(self._hidden, self._path)
            self._hidden = None

    def _link(self, path: str) -> None:
        folder = os.open(os.path.dirname(path), os.O_RDONLY)
        try:
            os.link(
                f"/proc/self/fd/{self.file.fileno()}", os.path.basename(path), dst_dir_fd=folder, follow_symlinks=True
            )
        finally:
            os.close(folder)

    def _copy_out(self) -> None:
        import shutil

        self.file.seek(0)
        if self.target == "-":
            shutil.copyfileobj(self.file, sys.stdout.buffer, BUFFER)
            sys.stdout.buffer.flush()
        else:
            with open(self.target, "wb") as out:
                shutil.copyfileobj(self.file, out, BUFFER)

    def close(self) -> None:
        """Throw the draft away, unless it was published."""
        with contextlib.suppress(OSError):  # closing flushes; what could not be written is thrown away here
            self.file.close()
        if self._hidden is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._hidden)
            self._hidden = None

    def __enter__(self) -> Draft:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def check_target(target: str, force: bool) -> None:
    """Refuse a target that cannot be written before any work is done for it.

    Raises:
        WtoolError: a folder, an existing file without `force`, a missing folder, or a terminal.
    """
    if target == "-":
        if sys.stdout is None or sys.__stdout__ is None:
            raise WtoolError("standard output is closed", target)
        if sys.stdout.isatty():
            raise WtoolError("a model is not for a terminal; redirect standard output or name a file with --output")
        return
    if os.path.isdir(target):
        raise WtoolError("is a folder", target)
    if os.path.exists(target) and not _is_stream(target) and not force:
        raise WtoolError("exists already; --force replaces it", target)
    folder = os.path.dirname(os.path.realpath(target))
    if not os.path.isdir(folder):
        raise WtoolError(f"the folder {folder!r} does not exist", target)


def _is_stream(target: str) -> bool:
    """Whether the target is standard output, a pipe or a device: nothing that a rename may replace."""
    if target == "-":
        return True
    try:
        mode = os.stat(target).st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def write_whole(path: str, data: bytes) -> None:
    """Write a small file, whole or not at all; what is there is replaced."""
    with Draft(path, force=True) as draft:
        draft.file.write(data)
        draft.publish()
