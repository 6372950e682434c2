"""Questions about names of files: what is there, what a folder holds, what a pattern matches; of paths and addresses.

The one home of such questions, since whoever asks need not know where a file lies. A path is asked of the operating
system at once, and the modules of stores are imported for addresses alone.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Sequence
from fnmatch import translate
from typing import TYPE_CHECKING, Protocol

from wtool.errors import WtoolError
from wtool.io.addresses import Address, has_listing, is_address, joined, protocol_of
from wtool.values import dataclass

if TYPE_CHECKING:
    from wtool.io.remote.stores import Found


def _found(address: str) -> Found | None:
    from wtool.io.remote.stores import status

    return status(address)


def exists(path: str) -> bool:
    """Returns whether anything is there; what a symbolic link leads to counts, and not the link."""
    return _found(path) is not None if is_address(path) else os.path.exists(path)


def is_named(path: str) -> bool:
    """Returns whether anything has this name, and be it a symbolic link that leads nowhere."""
    return _found(path) is not None if is_address(path) else os.path.lexists(path)


def is_file(path: str) -> bool:
    """Returns whether a file is there, or a symbolic link to one."""
    if not is_address(path):
        return os.path.isfile(path)
    found = _found(path)
    return found is not None and not found.is_folder


def is_folder(path: str) -> bool:
    """Returns whether a folder is there, or a symbolic link to one; of an address, a prefix of other names."""
    if not is_address(path):
        return os.path.isdir(path)
    if not has_listing(path):
        return False
    found = _found(path)
    return found is not None and found.is_folder


FILE, FOLDER, NOTHING = "file", "folder", ""


def kind_of(path: str) -> str:
    """Returns whether a `FILE`, a `FOLDER` or `NOTHING` is there (or something else), with one look at a store."""
    if not is_address(path):
        return FILE if os.path.isfile(path) else FOLDER if os.path.isdir(path) else NOTHING
    if not has_listing(path):
        return FOLDER if ends_like_folder(path) else FILE
    found = _found(path)
    return NOTHING if found is None else FOLDER if found.is_folder else FILE


def ends_like_folder(path: str) -> bool:
    """Returns whether a path ends in a slash."""
    return path.endswith("/" if is_address(path) else os.sep)


def is_link(path: str) -> bool:
    """Returns whether a path is that of a symbolic link; stores have none."""
    return not is_address(path) and os.path.islink(path)


def size_of(path: str) -> int | None:
    """Returns the bytes of a file, or None where they are not told.

    Raises:
        OSError: nothing is there, or it cannot be asked.
    """
    if not is_address(path):
        return os.stat(path).st_size
    found = _found(path)
    if found is None:
        raise FileNotFoundError(path)
    return found.size


def state_of(path: str) -> tuple[object, ...]:
    """Returns what changes whenever the content of a file does.

    Raises:
        OSError: nothing is there, or it cannot be asked.
        WtoolError: the store of an address cannot be reached, or refuses to tell.
    """
    if not is_address(path):
        there = os.stat(path)
        return there.st_ino, there.st_size, there.st_mtime_ns
    found = _found(path)
    if found is None:
        raise FileNotFoundError(path)
    return found.stamp


def changed_at(path: str) -> int:
    """Returns when a file was last changed, in nanoseconds.

    Raises:
        OSError: nothing is there, or it cannot be asked.
        WtoolError: the store of an address tells no time.
    """
    if not is_address(path):
        return os.stat(path).st_mtime_ns
    from wtool.io.remote.listing import changed_at

    return changed_at(path)


def names_in(folder: str) -> list[str]:
    """Returns the names in a folder.

    Raises:
        OSError: there is no such folder.
    """
    if not is_address(folder):
        return os.listdir(folder)
    from wtool.io.remote.listing import names_in

    return names_in(folder)


def start_of(path: str, count: int) -> bytes:
    """Returns the first `count` bytes of a file; fewer where it is shorter.

    Raises:
        OSError: there is no such file, or it cannot be read.
    """
    if is_address(path):
        from wtool.io.remote.listing import start_of

        return start_of(path, count)
    with open(path, "rb") as file:
        return file.read(count)


def place_of(path: str) -> str:
    """Returns a text that is equal for two names of one file: symbolic links are followed, protocols spelled one way.

    Nothing needs to be there.
    """
    if not is_address(path):
        return os.path.realpath(path)
    from wtool.io.remote.listing import place_of

    return place_of(path)


def one_place(path: str, other: str) -> bool:
    """Returns whether two paths lead to one file."""
    return is_address(path) == is_address(other) and place_of(path) == place_of(other)


class Named(Protocol):
    """What is known of a name in a folder; an entry of `os.scandir` is one."""

    @property
    def name(self) -> str:
        """The name."""

    @property
    def path(self) -> str:
        """The path, or the address."""

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        """Returns whether it is a folder."""

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        """Returns whether it is a file."""

    def is_symlink(self) -> bool:
        """Returns whether it is a symbolic link."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A name in a folder of a store, where no links are.

    Attributes:
        name: of a file or folder in its folder.
        path: its address.
        is_folder: whether it is a folder.
        size: of a file, in bytes; None where the store does not tell.
        version: of a file: what changes with its content; an empty text where the store does not tell.
    """

    name: str
    path: str
    is_folder: bool
    size: int | None = None
    version: str = ""

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        """Returns whether it is a folder."""
        return self.is_folder

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        """Returns whether it is a file that an address can name."""
        return not self.is_folder and "::" not in self.name

    def is_symlink(self) -> bool:
        """Returns False."""
        return False


class Tree(Protocol):
    """A folder, and the folders inside."""

    def entries(self, folder: str) -> Sequence[Named]:
        """Returns the names in a folder of the tree, sorted.

        Raises:
            OSError: the folder cannot be read.
        """


class _Local:
    def entries(self, folder: str) -> Sequence[Named]:
        with os.scandir(folder) as scan:
            return sorted(scan, key=lambda entry: entry.name)


def tree_of(folder: str) -> Tree:
    """Returns a folder with all that is inside: an address is listed at once, a path folder by folder when asked.

    Raises:
        WtoolError: the store of an address cannot be reached, or refuses.
    """
    if not is_address(folder):
        return _Local()
    from wtool.io.remote.listing import Listing

    return Listing(folder)


def has_magic(word: str) -> bool:
    """Returns whether a word may be a pattern; of a web address, a question mark begins its query."""
    if not is_address(word):
        return glob.has_magic(word)
    return has_listing(word) and glob.has_magic(Address.of(word).path)


def refuse_wild_bucket(pattern: str) -> None:
    """Raise WtoolError if a wildcard stands where an address has the name of its bucket, which no store lists."""
    if not is_address(pattern):
        return
    parts = Address.of(pattern)
    if glob.has_magic(parts.path.split("/")[0]) and not parts.tail and protocol_of(pattern) != "memory":
        raise WtoolError("has a wildcard where the name of its bucket stands; name the bucket", pattern)


def fixed_part(pattern: str) -> str:
    """Returns the folder in which the matches of a pattern begin: the parts before the first with a wildcard."""
    if is_address(pattern):
        parts = Address.of(pattern)
        fixed = parts.path.split("/")
        wild = next((number for number, part in enumerate(fixed) if glob.has_magic(part)), len(fixed))
        return parts.at("/".join(fixed[:wild]))
    fixed = pattern.split(os.sep)
    wild = next((number for number, part in enumerate(fixed) if glob.has_magic(part)), len(fixed))
    return os.sep.join(fixed[:wild]) or (os.sep if pattern.startswith(os.sep) else ".")


@dataclass(frozen=True, slots=True)
class Match:
    """What a pattern matches.

    Attributes:
        path: the path, or the address.
        kind: `FILE` or `FOLDER` in a store that was listed; None of a path.
        size: in bytes, of a file in a store that tells it.
        version: of a file in a store that was listed; see `Entry`.
        within: the listing in which the match was found.
    """

    path: str
    kind: str | None = None
    size: int | None = None
    version: str = ""
    within: Tree | None = None


def matches(pattern: str) -> list[Match]:
    """Returns what a pattern matches, in no order; `**` stands for folders inside folders.

    Hidden names are matched by patterns that begin with a dot alone. An address has the rules of a path.

    Raises:
        WtoolError: the store of an address cannot be reached, or refuses.
    """
    if not is_address(pattern):
        return [Match(path) for path in glob.glob(pattern, recursive=True)]
    start = fixed_part(pattern)
    parts = Address.of(start)
    rest = Address.of(pattern).path[len(parts.path) :]
    whole = tree_of(start)
    found = _matched(whole, start, rest.removeprefix("/").split("/"))
    return list({each.path: Match(each.path, *_told(each), whole) for each in found}.values())


def _told(entry: Named) -> tuple[str, int | None, str]:
    size, version = (entry.size, entry.version) if isinstance(entry, Entry) else (None, "")
    return FOLDER if entry.is_dir() else FILE, size, version


def _matched(tree: Tree, folder: str, parts: Sequence[str]) -> Iterator[Named]:
    """Yields what a pattern matches in a folder of a tree, as `glob.glob` does, which yields some twice."""
    first, *rest = parts
    if not first and not rest:
        yield Entry("", joined(folder, ""), True)  # the pattern ends in a slash
        return
    if first == "**":
        yield from _matched(tree, folder, rest or [""])
    fits = re.compile(translate(first)).match if glob.has_magic(first) else first.__eq__
    for entry in tree.entries(folder):
        if not fits(entry.name) or (entry.name.startswith(".") and not first.startswith(".")):
            continue
        if first == "**" and entry.is_dir():
            yield from ([entry] if not rest else [])
            yield from (each for each in _matched(tree, entry.path, parts) if each.name or rest)
        elif not rest:
            yield entry
        elif entry.is_dir() and first != "**":
            yield from _matched(tree, entry.path, rest)
