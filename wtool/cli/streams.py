"""Standard streams that may be closed, full, or read by somebody who has left."""

from __future__ import annotations

import atexit
import errno
import io
import os
import signal
import sys
import threading
from typing import Any, NoReturn, TextIO

BROKEN_PIPE = 128 + 13
"""Exit status of a command whose output nobody reads any more, as of one that SIGPIPE (13) ends."""


class Unwritable(BaseException):
    """Standard output takes no more. Like an interrupt it ends all work, and nobody takes it for a model's fault."""

    def __init__(self, error: OSError) -> None:
        super().__init__(error.strerror)
        self.is_pipe = error.errno == errno.EPIPE
        self.text = f"cannot write to standard output ({error.strerror})"


class _Output(io.FileIO):
    """The file behind standard output."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            raise Unwritable(error) from None


class _Words(io.FileIO):
    """The file behind standard error: words that nobody can read are lost."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError:
            return len(data)


def prepare() -> None:
    """Give the process streams whose failures have one meaning, wherever something is written."""
    _occupy_closed()
    if sys.stdout is sys.__stdout__:
        sys.stdout = _text(_Output(1, "w", closefd=False), sys.__stdout__)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _text(_Words(2, "w", closefd=False), sys.__stderr__, line_buffering=True)


def _occupy_closed() -> None:
    """Put something in the place of closed streams, or the next file that is opened is taken for one of them."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            nowhere = os.open(os.devnull, os.O_RDONLY)  # so that writing fails as it does on a closed stream
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)


def _text(raw: io.FileIO, like: TextIO | None, line_buffering: bool = False) -> TextIO:
    encoding, errors = ("utf-8", "backslashreplace") if like is None else (like.encoding, like.errors)
    if like is not None:
        like.flush()
    buffered = io.BufferedWriter(raw)
    return io.TextIOWrapper(buffered, encoding, errors, line_buffering=line_buffering or raw.isatty())


def finish(status: int) -> NoReturn:
    """End the process with this exit status, or with that of what becomes of the last words."""
    status = flushed(status)
    sys.stderr.flush()
    if status == 128 + signal.SIGINT:
        os._exit(status)  # not to wait for what a thread is still calculating
    sys.exit(status)


def leave(status: int) -> NoReturn:
    """End as Python does, but without taking its modules apart: that takes a tenth of the time of a small command."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    status = flushed(status)
    sys.stderr.flush()
    os._exit(status)


def flushed(status: int) -> int:
    """The exit status once standard output is flushed: another one where that fails."""
    try:
        sys.stdout.flush()
    except Unwritable as error:
        return unwritable(error)
    return status


def unwritable(error: Unwritable) -> int:
    """The exit status of a command whose output has no place: 141 where a reader has left; all else is told, and 1."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)  # what is still buffered goes there, or Python complains at its end
    os.close(nowhere)
    if error.is_pipe:
        return BROKEN_PIPE
    print(f"wtool: {error.text}", file=sys.stderr)
    return 1
