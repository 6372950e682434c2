"""Unzipped models: folders whose files are what a `.keras` archive has as its members (Keras 3.4 and newer)."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress

from blake3 import blake3

from wtool.checkpoint.other_formats import SAVED_MODEL
from wtool.errors import Reaches, Refused, one_line
from wtool.io import tree
from wtool.io.addresses import is_address, joined, why_unsafe
from wtool.io.descriptor import source_of
from wtool.io.folders import Folder
from wtool.io.json_text import parse_object
from wtool.io.limits import MAX_JSON, MAX_MEMBERS
from wtool.io.source import Source
from wtool.io.system import UNFOLLOWED
from wtool.io.zip_format import Member
from wtool.io.zip_writer import new_member
from wtool.schema.archive_members import CONFIG, METADATA, OTHER_WEIGHTS, WEIGHTS

ASSETS = "assets"
MAX_DEPTH = 256
"""Folders inside folders that assets may lie in. Keras makes one per level of its own nesting."""

PARTS = frozenset({CONFIG, METADATA, WEIGHTS})
OF_SAVED_MODEL = frozenset({"saved_model.pb", "saved_model.pbtxt"})
"""Names of files that make a folder a SavedModel, which Keras 2 loads by the folder's path."""

KERAS_METADATA = "keras_metadata.pb"
"""Name of the file in which Keras 2.5 and newer tells of the model in a SavedModel."""

ORBAX = frozenset({"orbax.checkpoint", "pytree.orbax-checkpoint", "checkpoint_metadata", "_CHECKPOINT_METADATA"})


def is_model_folder(path: str, names: Collection[str] | None = None) -> bool:
    """Returns whether a folder is an unzipped model: it has weights, and a config.json that Keras could have written.

    Keras itself looks only whether there is a config.json, but many programs have files of that name. A config.json
    that cannot be judged here (too large, or a link) counts, so that the folder is refused later and not passed by.

    Args:
        path: of the folder.
        names: of what is in a folder at an address, where they are known.
    """
    config = joined(path, CONFIG)
    try:
        if is_address(path):
            there = tree.names_in(path) if names is None else names
            if CONFIG not in there or not {WEIGHTS, OTHER_WEIGHTS}.intersection(there):
                return False
        elif not any(os.path.lexists(os.path.join(path, name)) for name in (WEIGHTS, OTHER_WEIGHTS)):
            return False
        elif not stat.S_ISREG(os.lstat(config).st_mode):
            return True
        text = tree.start_of(config, MAX_JSON + 1)
    except OSError:
        return is_address(path)  # it is a folder
    try:
        return "class_name" in parse_object(text, CONFIG)
    except Refused:
        return b"class_name" in text or b"\\u" in text


def is_saved_model(path: str) -> bool:
    """Returns whether a folder is a SavedModel of TensorFlow."""
    return not OF_SAVED_MODEL.isdisjoint(_names(path))


def kind_of_folder(path: str) -> str:
    """Returns what a folder is that wtool does not read, as the end of a sentence; empty for an unknown kind."""
    names = _names(path)
    if OF_SAVED_MODEL & names:
        return SAVED_MODEL
    if checkpoint := min((name for name in names if name.endswith(".index")), default=None):
        return f"a folder of TensorFlow checkpoints; wtool convert takes one by its name, such as {checkpoint}"
    steps = [name for name in names if name.isdigit()]
    if ORBAX & names or any(ORBAX & _names(joined(path, step)) for step in steps):
        return "an Orbax checkpoint, which wtool does not read; load it with Keras, and save it as .keras"
    return ""


def _names(path: str) -> set[str]:
    with suppress(OSError):
        return set(tree.names_in(path))
    return set()


def open_parts(path: str, stack: ExitStack) -> dict[str, Source]:
    """Returns the files of an unzipped model: name (`assets/...`, with slashes) -> open file; the weights come last.

    Every file is opened in its open folder, and no symbolic link is followed.

    Args:
        path: of the folder.
        stack: closes the files.

    Raises:
        Reaches: a file is a symbolic link.
        Refused: a file is a pipe or a device, or there are more files than models have.
    """
    found: dict[str, Source] = {}
    if is_address(path):
        for name in _parts_elsewhere(path):
            found[name] = source_of(joined(path, name))
            stack.callback(found[name].close)
        return found
    top = Folder.at(path)
    try:
        for name, file in _parts(top):
            found[name] = source = Source(file, os.path.join(path, name))
            stack.callback(source.close)
            if len(found) > MAX_MEMBERS:
                raise Refused(f"its folder {ASSETS!r} holds more than {MAX_MEMBERS:,} files; models have a handful")
        return found
    finally:
        top.close()


def _parts_elsewhere(path: str) -> list[str]:
    """Returns the names of the files of an unzipped model at an address, in the order of `open_parts`."""
    listed = tree.tree_of(path)
    there = {each.name for each in listed.entries(path) if each.is_file()}
    assets: list[str] = []
    folders = [ASSETS] if any(each.name == ASSETS and each.is_dir() for each in listed.entries(path)) else []
    for folder in folders:  # those inside are appended
        for each in listed.entries(joined(path, folder)):
            name = f"{folder}/{each.name}"
            if why := why_unsafe(name):
                raise Refused(f"the name {one_line(name)!r} {why}")
            (folders if each.is_dir() else assets).append(name)
            if max(len(folders), len(assets)) > MAX_MEMBERS:
                raise Refused(f"its folder {ASSETS!r} holds more than {MAX_MEMBERS:,} files; models have a handful")
    return [*(name for name in (METADATA, CONFIG) if name in there), *sorted(assets), *({WEIGHTS} & there)]


def _parts(top: Folder) -> Iterator[tuple[str, int]]:
    there = set(top.names())
    for name in (METADATA, CONFIG):
        if name in there:
            yield name, open_inside(name, top, name)
    if ASSETS in there:
        yield from _below(ASSETS, top, ASSETS)
    if WEIGHTS in there:
        yield WEIGHTS, open_inside(WEIGHTS, top, WEIGHTS)


def _below(name: str, outer: Folder, path: str, depth: int = 0) -> Iterator[tuple[str, int]]:
    """Yields path and descriptor of all files below a folder, in the order of their names."""
    if not path.isprintable():
        raise Refused(f"the name {one_line(path)!r} holds control characters, or is no text")
    if not is_folder_inside(name, outer, path):
        yield path, open_inside(name, outer, path)
        return
    folder = folder_inside(name, outer, path)
    try:
        if depth > MAX_DEPTH:
            raise Refused(f"its folder {ASSETS!r} nests more than {MAX_DEPTH} levels deep")
        for inner in sorted(folder.names()):
            yield from _below(inner, folder, f"{path}/{inner}", depth + 1)
    finally:
        folder.close()


def is_folder_inside(name: str, folder: Folder, path: str) -> bool:
    """Returns whether a name in an open folder is a folder; a symbolic link to one is none.

    Raises:
        Refused: nothing has the name any more.
    """
    try:
        return stat.S_ISDIR(folder.status(name).st_mode)
    except OSError as error:
        raise _unopened(name, folder, path, error) from None


def open_inside(name: str, folder: Folder, path: str) -> int:
    """Returns a descriptor of a file in an open folder; symbolic links are not followed.

    Args:
        name: of the file.
        folder: the open folder.
        path: of the file in the model, for messages.

    Raises:
        Reaches: the file is a symbolic link.
        Refused: the file cannot be opened.
    """
    try:
        return folder.open(name, UNFOLLOWED)
    except OSError as error:
        raise _unopened(name, folder, path, error) from None


def folder_inside(name: str, folder: Folder, path: str) -> Folder:
    """Returns a folder in an open folder, open; symbolic links are not followed.

    Args:
        name: of the folder.
        folder: the open folder that it is in.
        path: of the folder in the model, for messages.

    Raises:
        Reaches: the folder is a symbolic link.
        Refused: the folder cannot be opened.
    """
    try:
        return folder.inside(name)
    except OSError as error:
        raise _unopened(name, folder, path, error) from None


def _unopened(name: str, folder: Folder, path: str, error: OSError) -> Refused:
    if folder.is_link(name):
        return Reaches(f"its {path} is a symbolic link, which may lead anywhere")
    return Refused(f"its {path} cannot be opened ({error.strerror})")


def file_text(source: Source, name: str) -> bytes:
    """Returns the bytes of a small file (a JSON text).

    Raises:
        Refused: the file is larger than a JSON text may be.
    """
    if source.size > MAX_JSON:
        raise Refused(f"its {name} is {source.size:,} bytes long; the limit is {MAX_JSON:,}")
    return source.read(0, source.size)


def as_members(parts: Mapping[str, Source]) -> tuple[Member, ...]:
    """Returns the members that an archive of these files would have."""
    return tuple(new_member(name, source.size) for name, source in parts.items())


def folder_hash(names: Sequence[str], hashes: Sequence[str]) -> str:
    """Returns the content hash of an unzipped model, of a text with a line `HASH  NAME` for each file, sorted by name.

    The hash is what `b3sum config.json metadata.json model.weights.h5 assets/* | b3sum` prints of one with flat assets.
    """
    lines = sorted(zip(map(str.encode, names), hashes, strict=True))
    text = b"".join(each.removeprefix("blake3:").encode() + b"  " + name + b"\n" for name, each in lines)
    return f"blake3:{blake3(text).hexdigest()}"
