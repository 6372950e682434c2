"""What `-` means: standard input and output, or files that stand in for them while several operations are done.

What one operation writes to `-` can so be what the next one reads from `-`, as through a pipe, in one process.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import BinaryIO

from wtool.values import dataclass


@dataclass(slots=True)
class Pipe:
    """An unnamed file that one operation writes and others read.

    Attributes:
        fd: descriptor of the file, once it was written; -1 before.
    """

    fd: int = -1

    def take(self, file: BinaryIO) -> None:
        """Take over the content of an open file, which its owner may close then."""
        file.flush()
        self.close()
        self.fd = os.dup(file.fileno())

    def close(self) -> None:
        """Forget the file; a second call does nothing."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


_INPUT: ContextVar[Pipe | None] = ContextVar("input", default=None)
_OUTPUT: ContextVar[Pipe | None] = ContextVar("output", default=None)


@contextmanager
def joined(read: Pipe | None, write: Pipe | None) -> Iterator[None]:
    """Let `-` mean these files inside.

    Args:
        read: what `-` is as an input; None for what it is outside.
        write: what `-` is as an output; None for what it is outside.
    """
    inside = _INPUT.set(read or _INPUT.get()), _OUTPUT.set(write or _OUTPUT.get())
    try:
        yield
    finally:
        _INPUT.reset(inside[0])
        _OUTPUT.reset(inside[1])


def piped_input() -> Pipe | None:
    """Returns what stands in for standard input; None where nothing does."""
    return _INPUT.get()


def piped_output() -> Pipe | None:
    """Returns what stands in for standard output; None where nothing does."""
    return _OUTPUT.get()
