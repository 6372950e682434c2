"""Drafts: new files that are being written, here or in a store elsewhere, and get their names when they are whole."""

from __future__ import annotations

from types import TracebackType
from typing import BinaryIO, Protocol

from wtool.io.addresses import is_address
from wtool.io.places import Target
from wtool.io.publish import LocalDraft


class Draft(Protocol):
    """A file that is being written: it becomes the target when it is published, and vanishes otherwise.

    Attributes:
        target: where the file goes.
        file: the new file, open for writing.
    """

    target: Target
    file: BinaryIO

    def reserve(self, size: int) -> None:
        """Announce that the next `size` bytes of the file are going to be patched, before they are written."""

    def patch(self, offset: int, data: bytes) -> None:
        """Replace bytes that were written already, and were reserved before that.

        Args:
            offset: of the first byte in the file.
            data: the new bytes.
        """

    def sync(self) -> None:
        """Wait until all bytes are on the disk, or in the store."""

    def refuse_changed(self) -> bool:
        """Refuse a target that changed since the work began; returns whether there is a file to replace.

        Raises:
            WtoolError: another file is there now, or the file appeared or vanished meanwhile.
        """

    def publish(self) -> None:
        """Give the file its name, once its bytes are on the disk, or in the store.

        Raises:
            WtoolError: the target appeared or changed meanwhile and may not be replaced, or the store failed.
        """

    def __enter__(self) -> Draft: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


def new_draft(target: Target, claims: bool = True, in_order: bool = False) -> Draft:
    """Returns a new draft.

    Args:
        target: where the file goes.
        claims: whether publishing claims the target's name; False for callers who hold the claim already.
        in_order: whether the file is written from its first byte to its last, with `write` and `tell` alone, but for
            what is reserved and patched. Such a file goes to a store while it is made.

    Raises:
        WtoolError: the target exists and may not be replaced, or nothing can be written there.
    """
    if is_address(target.path):
        from wtool.io.remote.draft import RemoteDraft

        return RemoteDraft(target, in_order)
    return LocalDraft(target, claims)


def write_whole(path: str, data: bytes) -> None:
    """Write a small file, whole or not at all; an older file of that name is replaced."""
    with new_draft(Target.at(path, force=True)) as draft:
        draft.file.write(data)
        draft.publish()
