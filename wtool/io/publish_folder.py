"""New folders appear whole or not at all.

A new folder is made inside a hidden one beside its name, and gets the name when all its files are on the disk (fsync).
Where another folder has the name, the system swaps the two at once: a killed process leaves one of them whole under the
name, and the other in the hidden folder, which the next process that makes a folder there removes.
"""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import BinaryIO

from wtool.errors import WtoolError
from wtool.io.claims import claimed
from wtool.io.folders import Folder
from wtool.io.places import Place, Target, check_target, open_place
from wtool.io.private import private_folder
from wtool.io.publish import BUFFER
from wtool.io.stored import stamp_of
from wtool.io.system import MOVES_OPEN_FILES, NEW, permit

MADE = "made"
"""Name of the new folder inside the hidden one, and of the old one after they were swapped."""

RENAMES = {"linux": ("renameat2", 1, 2), "darwin": ("renameatx_np", 4, 2)}
"""System -> function of its C library that renames with flags; the flag to replace nothing; the flag to swap."""


class FolderDraft:
    """A folder that is being written: it becomes the target when it is published, and vanishes otherwise.

    Args:
        target: where the folder goes, with `is_folder`.

    Raises:
        WtoolError: the target exists and may not be replaced, or the folder around it is missing or read-only.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self._files: list[BinaryIO] = []
        self._folders: dict[str, Folder] = {}
        check_target(target)
        with ExitStack() as stack:
            self._place: Place = open_place(target)
            stack.callback(self._place.folder.close)
            try:
                hidden = stack.enter_context(private_folder(os.path.dirname(self._place.path) or "."))
                # Opened by its name in the open folder: a link on the way, put there meanwhile, would lead elsewhere.
                self._hidden = self._place.folder.inside(os.path.basename(hidden))
                stack.callback(self._hidden.close)
                self._hidden.make_folder(MADE)
                self._folders[""] = self._hidden.inside(MADE)
            except OSError as error:
                text = f"cannot write in {os.path.dirname(self._place.path)!r} ({error.strerror})"
                raise WtoolError(text, target.path) from None
            self._closing = stack.pop_all()

    def file(self, name: str) -> BinaryIO:
        """Returns a new file of the folder, open for reading and writing.

        Args:
            name: path of the file below the folder, with slashes; folders on the way are made.

        Raises:
            WtoolError: the path leads out of the folder, or another file has it.
        """
        *folders, last = name.split("/")
        if any(part in ("", ".", "..") or "\0" in part for part in (*folders, last)):
            raise WtoolError(f"{name!r} cannot be the name of a file in a folder", self.target.path)
        try:
            file = os.fdopen(self._folder("/".join(folders)).open(last, NEW, 0o666), "w+b", BUFFER)
        except OSError as error:
            raise WtoolError(f"cannot write its file {name!r} ({error.strerror})", self.target.path) from None
        self._files.append(file)
        return file

    def _folder(self, path: str) -> Folder:
        """Returns a folder below the new one, which is made if it is not there yet."""
        if path not in self._folders:
            above, _, name = path.rpartition("/")
            outer = self._folder(above)
            outer.make_folder(name)
            self._folders[path] = outer.inside(name)
        return self._folders[path]

    def publish(self) -> None:
        """Give the folder its name, once all its bytes are on the disk.

        Raises:
            WtoolError: the target appeared or changed meanwhile and may not be replaced.
        """
        for file in self._files:
            file.flush()
            os.fsync(file.fileno())
        for folder in self._folders.values():
            folder.sync()
        with claimed(self._place):
            replaced = self._replaced()
            if replaced is None:
                self._take_name()
            else:
                self._swap(replaced)
        self._place.folder.sync()

    def _replaced(self) -> os.stat_result | None:
        """Returns the status of the folder that is there and may be replaced; None where nothing is there.

        Raises:
            WtoolError: it is another one than when the work began, or something is there that may not be replaced.
        """
        found = self._place.status()
        if found is not None and not self.target.force:
            raise WtoolError("exists already; --force replaces it", self.target.path)
        if self.target.force and (None if found is None else stamp_of(found)) != self.target.seen:
            text = "was changed by somebody else since this command began; nothing was written, run the command again"
            raise WtoolError(text, self.target.path)
        return found

    def _swap(self, old: os.stat_result) -> None:
        if self._folders[""].fd is not None:
            permit(self._folders[""].fd, old.st_mode & 0o777)
        if not self._renamed(swap=True):
            text = "cannot be replaced at once on this system; remove it, or choose another --output"
            raise WtoolError(text, self.target.path)

    def _take_name(self) -> None:
        try:
            if not self._renamed(swap=False):  # this system cannot rule out an empty folder that appears right now
                if not MOVES_OPEN_FILES:
                    self._close_files()
                self._hidden.rename_out(MADE, self._place.folder, self._place.name)
        except OSError as error:
            text = (
                "exists already; --force replaces it" if self._place.status() else f"no new folder ({error.strerror})"
            )
            raise WtoolError(text, self.target.path) from None

    def _renamed(self, swap: bool) -> bool:
        """Rename the folder to its name, or swap the two; returns False where the system cannot do that.

        Raises:
            FileExistsError: something has the name, and the two were not to be swapped.
        """
        import ctypes  # slow to import, and needed once in a command

        name, alone, both = RENAMES.get(sys.platform, ("", 0, 0))
        rename = getattr(ctypes.CDLL(None, use_errno=True), name, None) if name else None
        here, there = self._hidden.fd, self._place.folder.fd
        if rename is None or here is None or there is None:
            return False
        old, new = MADE.encode(), os.fsencode(self._place.name)
        if rename(here, old, there, new, both if swap else alone) == 0:
            return True
        if not swap and self._place.status() is not None:
            raise FileExistsError
        return False

    def _close_files(self) -> None:
        for file in self._files:
            with suppress(OSError):  # closing writes the rest, which may fail: the draft is thrown away anyhow
                file.close()

    def close(self) -> None:
        """Throw the folder away unless it was published; then throw away the one that it has replaced."""
        self._close_files()
        for folder in self._folders.values():
            folder.close()
        self._folders.clear()
        self._closing.close()

    def __enter__(self) -> FolderDraft:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
