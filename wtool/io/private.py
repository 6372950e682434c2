"""Folders and copies of files that belong to this process alone, for libraries that insist on a path.

A folder is locked while its process lives. So a folder that a killed process left behind can be told from one in use,
and the next process that makes a private folder beside it removes it.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress

from wtool.errors import WtoolError
from wtool.io.addresses import is_address
from wtool.io.claims import lock_if_alone
from wtool.io.source import Source
from wtool.io.system import MOVES_OPEN_FILES, NEW, NO_LINK, NO_WAIT, PRIVATE, copy_whole, is_own, lock

PREFIX = ".wtool-private-"
LOCK = "lock"
NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL)
"""Error numbers of file systems without locks; no folder there is taken for an abandoned one."""


@contextmanager
def private_folder(parent: str) -> Iterator[str]:
    """Make a hidden folder that only this user may enter, give its path, and remove it at the end.

    Args:
        parent: folder in which the new folder lies; abandoned private folders there are removed.

    Raises:
        OSError: no folder can be made there.
    """
    remove_abandoned_folders(parent)
    folder, held = _made(parent)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)
        if not MOVES_OPEN_FILES:  # the lock itself stayed
            shutil.rmtree(folder, ignore_errors=True)


def remove_abandoned_folders(parent: str) -> None:
    """Remove the private folders in `parent` whose processes have ended."""
    with suppress(OSError):  # a folder that cannot be listed keeps what is in it
        found = [each.path for each in os.scandir(parent) if each.name.startswith(PREFIX) and _is_own(each)]
        for folder in found:
            _remove_abandoned(folder)


def _is_own(entry: os.DirEntry[str]) -> bool:
    status = entry.stat(follow_symlinks=False)
    return stat.S_ISDIR(status.st_mode) and is_own(status)


def _remove_abandoned(folder: str) -> None:
    with suppress(OSError):  # another process removes it
        held = _opened(folder)
        try:
            if lock_if_alone(held):
                shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(held)


def _made(parent: str) -> tuple[str, int]:
    """Make a folder; returns its path and the descriptor that holds its lock.

    Another process that sweeps may find the folder before it is locked, and remove it: then another folder is made.
    """
    while True:
        folder = tempfile.mkdtemp(prefix=PREFIX, dir=parent)
        with suppress(FileNotFoundError):
            held = _opened(folder)
            if _is_held(held, folder):
                return folder, held
            os.close(held)


def _opened(folder: str) -> int:
    flags = os.O_RDWR | os.O_CREAT | PRIVATE | NO_WAIT | NO_LINK
    return os.open(os.path.join(folder, LOCK), flags, 0o600)


def _is_held(held: int, folder: str) -> bool:
    """Lock a folder; returns whether this process has the lock and the folder is still there."""
    try:
        lock(held)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
    with suppress(FileNotFoundError):
        return os.path.samestat(os.stat(os.path.join(folder, LOCK)), os.fstat(held))
    return False


@contextmanager
def private_copy(source: Source, name: str) -> Iterator[str]:
    """Copy an open file into a private folder; gives the path of the copy, which is removed at the end.

    The private folder lies in the folder for temporary files, or beside the original where there is more room.

    Args:
        source: the file; its bytes are read through its descriptor, whatever its name leads to now.
        name: of the copy.

    Raises:
        WtoolError: there is no room for a copy.
    """
    with ExitStack() as stack:
        *others, last = _places(source)
        for place in others:
            with suppress(OSError):  # no room, or not writable: then the last one
                path = _copied(source, place, name, stack)
                break
        else:
            try:
                path = _copied(source, last, name, stack)
            except OSError as error:
                raise WtoolError(_no_copy(error), source.name) from error
        yield path


@contextmanager
def private_tree(parts: Mapping[str, Source], name: str) -> Iterator[str]:
    """Copy open files into one private folder; gives the path of the folder that they are in.

    Args:
        parts: path of each copy below the new folder -> the file; the largest file comes last.
        name: of the new folder.

    Raises:
        WtoolError: there is no room for a copy.
    """
    *_, largest = parts.values()
    with ExitStack() as stack:
        try:
            tree = os.path.join(stack.enter_context(private_folder(_places(largest)[0])), name)
            for part, source in parts.items():
                path = os.path.join(tree, part)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                _copy_to(source, path)
        except OSError as error:
            raise WtoolError(_no_copy(error), largest.name) from error
        yield tree


def _no_copy(error: OSError) -> str:
    return f"no private copy of it can be made ({error.strerror}); TMPDIR names another folder for that"


def _places(source: Source) -> tuple[str, str]:
    """Returns the folders in which a copy may lie, the better one first.

    There has to be room for the file twice: Keras unpacks large weights beside the archive that holds them.
    """
    temporary = tempfile.gettempdir()
    own = temporary if is_address(source.name) else os.path.dirname(os.path.realpath(source.name))
    return (temporary, own) if shutil.disk_usage(temporary).free >= 2 * source.size else (own, temporary)


def _copied(source: Source, place: str, name: str, stack: ExitStack) -> str:
    with ExitStack() as own:
        path = os.path.join(own.enter_context(private_folder(place)), name)
        _copy_to(source, path)
        stack.enter_context(own.pop_all())
    return path


def _copy_to(source: Source, path: str) -> None:
    copy = os.open(path, NEW, 0o600)
    try:
        copy_whole(source.descriptor(), copy)
    finally:
        os.close(copy)
