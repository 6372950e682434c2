"""What wtool says when it cannot go on: one line, for the person who reads it."""

from __future__ import annotations


class WtoolError(Exception):
    """Something asked for failed; the text says what is wrong and what to do.

    Args:
        message: one line, without the file's name.
        file: the file it is about; whoever knows it fills it in (see `about`).
    """

    def __init__(self, message: str, file: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.file = file

    def about(self, file: str) -> WtoolError:
        """The same error, naming `file` unless a file is already named."""
        self.file = self.file or file
        return self

    def __str__(self) -> str:
        return f"{self.file}: {self.message}" if self.file else self.message


class Refused(WtoolError):
    """A file that is damaged, hostile, or not a Keras model."""


class Usage(WtoolError):
    """Words that do not go together (exit status 2)."""
