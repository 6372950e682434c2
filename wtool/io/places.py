"""Where a new file goes: a folder that is held open, and a name in it.

Folders that the user named may be symbolic links; below them no link is followed, so that a link which somebody puts
into a folder of models cannot lead an output to another place.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import Iterable

from wtool.errors import WtoolError
from wtool.io.addresses import folder_of, is_address, joined, local_path
from wtool.io.folders import Folder
from wtool.io.pipes import piped_output
from wtool.io.stored import Stamp, stamp_of
from wtool.values import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """Where a new file goes, and whether a file that is there may be replaced.

    Attributes:
        path: of the file as the user knows it, or `-` for standard output.
        force: whether an existing file may be replaced.
        below: the folder that the user named, below which no symbolic link is followed. None where the user named the
            target itself: then the file that a link leads to is written, as `cp` does.
        seen: stamp of the file that was there when the work began; only that file may be replaced. None if there was
            no file.
        is_folder: whether the result is a folder of files.
        mark: what a store is to keep beside the file; see `remote.marks`.
        is_seen: whether a store was asked what is there, so that `seen` tells.
    """

    path: str
    force: bool = False
    below: str | None = None
    seen: Stamp | None = None
    is_folder: bool = False
    mark: str = ""
    is_seen: bool = False

    def __post_init__(self) -> None:
        """Take `file://` addresses for the paths that they stand for."""
        object.__setattr__(self, "path", local_path(self.path))
        object.__setattr__(self, "below", None if self.below is None else local_path(self.below))

    @classmethod
    def at(
        cls,
        path: str,
        force: bool = False,
        below: str | None = None,
        read: Iterable[tuple[str, Stamp]] = (),
        is_folder: bool = False,
    ) -> Target:
        """Returns a target with the stamp of the file that is there now.

        Args:
            path: see `Target`.
            force: see `Target`.
            below: see `Target`.
            read: (path, stamp when it was opened) of files that were read already. Where the target is one of them, the
                stamp of that moment counts, so that no change since then is lost.
            is_folder: see `Target`.
        """
        path = local_path(path)
        if is_address(path):
            from wtool.io.remote.draft import seen_at  # late: most targets are files
            from wtool.io.remote.marks import mark_of

            stamps = dict(read)
            seen = stamps.get(path) or seen_at(path)
            return cls(path, force, below, seen, is_folder, mark_of(stamps.items()), is_seen=True)
        place = os.path.realpath(path)
        seen = next((stamp for name, stamp in read if os.path.realpath(name) == place), None) or _seen(path)
        return cls(path, force, below, seen, is_folder)

    @property
    def is_stream(self) -> bool:
        """Whether the target is standard output, a pipe or a device, which a rename must not replace."""
        if self.path == "-":
            return True
        if is_address(self.path):
            return False
        try:
            mode = os.stat(self.path).st_mode
        except OSError:
            return False
        return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)

    def beside(self, name: str) -> Target:
        """Returns the target of another new file in the same folder, which replaces nothing."""
        return Target(joined(folder_of(self.path), name), below=self.below)


def _seen(path: str) -> Stamp | None:
    with contextlib.suppress(OSError):
        return stamp_of(os.stat(path))
    return None


@dataclass(frozen=True, slots=True)
class Place:
    """A name in an open folder.

    Attributes:
        folder: the open folder.
        name: of the file in the folder.
        path: of the file, for messages and for functions that take no open folder.
    """

    folder: Folder
    name: str
    path: str

    def status(self) -> os.stat_result | None:
        """Returns the status of the file of that name (of a link itself, not of its target), or None."""
        with contextlib.suppress(FileNotFoundError):
            return self.folder.status(self.name)
        return None


def open_place(target: Target) -> Place:
    """Returns the target's place; the caller has to close its folder.

    Raises:
        WtoolError: the folder does not exist, or a symbolic link is in the way that may not be followed.
    """
    if target.below is None:
        path = os.path.realpath(target.path)
        parent, name = os.path.split(path)
        try:
            return Place(Folder.at(parent), name, path)
        except OSError as error:
            raise _no_folder(parent, error, target) from None
    *folders, name = steps(target)
    place = Place(_walked(target, folders), name, target.path)
    found = place.status()
    if found is not None and stat.S_ISLNK(found.st_mode):
        place.folder.close()
        raise _is_link(name, target)
    return place


def make_folders(target: Target) -> None:
    """Make the folders that the target lies in, up to the one that the user named and including it.

    Raises:
        WtoolError: a symbolic link or something else is in the way.
    """
    if is_address(target.path):
        return  # stores make what is on the way to a file when they get the file
    if target.below is None:
        os.makedirs(os.path.dirname(target.path) or ".", exist_ok=True)
        return
    os.makedirs(target.below or ".", exist_ok=True)
    _walked(target, steps(target)[:-1], make=True).close()


def missing_folder(folder: str) -> str | None:
    """Returns the topmost of the folders that have to be made so that a folder is there; None if it is, or elsewhere.

    Args:
        folder: its path or address.
    """
    if is_address(folder) or os.path.lexists(folder):
        return None
    path = folder.rstrip(os.sep)
    while (outer := os.path.dirname(path)) and not os.path.lexists(outer):
        path = outer
    return path


def remove_empty_folders(folder: str) -> None:
    """Remove a folder and all folders below, but for those in which something is."""
    for here, _, _ in os.walk(folder, topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(here)


def steps(target: Target) -> list[str]:
    """Returns the names on the way from the folder that the user named to the target; none where no folder was named.

    Raises:
        WtoolError: the target is not below the folder. Names of models may come from strangers.
    """
    if target.below is None:
        return []
    if is_address(target.path):
        names = target.path.removeprefix(target.below.rstrip("/") + "/").split("/")
        is_below = target.path != "/".join(names) and not {"", ".", ".."} & set(names)
    else:
        names = os.path.relpath(target.path, target.below or ".").split(os.sep)
        is_below = os.pardir not in names
    if not is_below:
        raise WtoolError(f"does not lie below the folder {target.below!r}, and nothing is written there", target.path)
    return names


def _walked(target: Target, folders: list[str], make: bool = False) -> Folder:
    """Returns the last folder, open; each one is opened inside the one before it, and must not be a link."""
    here = target.below or "."
    try:
        folder = Folder.at(here)
    except OSError as error:
        raise _no_folder(here, error, target) from None
    for name in folders:
        outer = folder
        try:
            if make:
                with contextlib.suppress(FileExistsError):
                    outer.make_folder(name)
            folder = outer.inside(name)
        except OSError as error:
            if outer.is_link(name):
                raise _is_link(name, target) from None
            raise _no_folder(name, error, target) from None
        finally:
            outer.close()
    return folder


def _is_link(name: str, target: Target) -> WtoolError:
    below = target.below or "."
    text = f"{name!r} is a symbolic link, and none is followed below {below!r}; name what it leads to, or remove it"
    return WtoolError(text, target.path)


def _no_folder(name: str, error: OSError, target: Target) -> WtoolError:
    if isinstance(error, FileNotFoundError):
        return WtoolError(f"the folder {name!r} does not exist", target.path)
    return WtoolError(f"cannot write in {name!r} ({error.strerror})", target.path)


def check_target(target: Target) -> None:
    """Refuse a target that cannot be written, before any work is done for it.

    Raises:
        WtoolError: the target is a folder, a terminal, or an existing file without `force`; its folder is missing, or a
            link is in the way.
    """
    if is_address(target.path):
        from wtool.io.remote.draft import check_address  # late: most targets are files

        check_address(target)
        return
    if target.path == "-":
        if piped_output() is not None:
            return
        if sys.stdout is None:
            raise WtoolError("standard output is closed", "-")
        if sys.stdout.isatty():
            raise WtoolError("a model is not for a terminal; redirect standard output or name a file with --output")
        return
    place = open_place(target)
    place.folder.close()
    if target.is_folder:
        if os.path.exists(target.path) and not os.path.isdir(target.path):
            raise WtoolError("is a file, which no folder replaces; choose another --output", target.path)
    elif os.path.isdir(target.path):
        raise WtoolError("is a folder; a model is written as a single file: name one with --output", target.path)
    if os.path.exists(target.path) and not target.is_stream and not target.force:
        raise WtoolError("exists already; --force replaces it", target.path)
