"""From the words of a command line to the checkpoints that they mean."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Sequence

from wtool.errors import Usage, WtoolError

SUFFIXES = (".keras", ".h5", ".hdf5", ".weights.json")
SHARD = re.compile(r"(.+)_\d{5}\.weights\.h5")


def expanded(words: Sequence[str]) -> list[tuple[str, str]]:
    """(word, path of a model that it means): files as they are, folders searched, patterns matched; `-` stays.

    Raises:
        WtoolError: a folder or pattern without any model.
        Usage: `-` more than once: standard input can be read once only.
    """
    refuse_two_streams(words)
    return [(word, path) for word in words for path in models_of(word)]


def refuse_two_streams(words: Sequence[str]) -> None:
    """Raise Usage if `-` comes more than once: standard input can be read once only."""
    if sum(word == "-" for word in words) > 1:
        raise Usage("standard input (-) can be only one of the inputs")


def models_of(word: str) -> list[str]:
    """Paths of the models that one word means.

    Raises:
        WtoolError: a folder or pattern without any model.
    """
    if word == "-" or os.path.isfile(word):
        return [word]
    if os.path.isdir(word):
        found = sorted(_searched(word), key=natural_key)
        if not found:
            raise WtoolError("a folder without models (.keras, .h5, .hdf5, .weights.json)", word)
        return found
    if glob.has_magic(word):
        matched = sorted(glob.glob(word, recursive=True), key=natural_key)
        if not matched:
            raise WtoolError("no file matches this pattern", word)
        return [path for match in matched for path in models_of(match)]
    return [word]  # does not exist, or is no regular file: opening it says so


def _searched(folder: str) -> Iterator[str]:
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        present = set(files)
        for name in files:
            shard = SHARD.fullmatch(name)
            if name.startswith(".") or (shard and f"{shard[1]}.weights.json" in present):
                continue
            if name.endswith(SUFFIXES):
                yield os.path.join(parent, name)


def natural_key(path: str) -> tuple[list[tuple[int, int, str]], str]:
    """Sort key in which numbers compare as numbers, so that `ckpt2` comes before `ckpt10`."""
    parts = re.split(r"([0-9]+)", path)
    numbers = (part.lstrip("0") if part.isascii() and part.isdigit() else None for part in parts)
    keys = (
        (0, 0, part) if number is None else (1, len(number), number)
        for part, number in zip(parts, numbers, strict=True)
    )
    return list(keys), path


def target_for(kind: str, base: str, output: str | None, stem: str) -> str:
    """The path of an output in the format `kind`: as given, or `stem` with the right extension.

    Args:
        kind: `Checkpoint.format`.
        base: name of the checkpoint that it is made of; its extension is kept where it fits the format.
        output: a file, a folder (one that exists, or a path that ends in a slash), `-`, or None.
        stem: of the default name.

    Raises:
        Usage: an extension that Keras takes for another format.
    """
    fitting = FITTING[kind]
    known = extension(base) if extension(base) in (*fitting, ".keras") and base != "-" else fitting[0]
    if output == "-":
        return output
    if output is None or output.endswith(os.sep) or os.path.isdir(output):
        return os.path.join(output or "", f"{stem}{known}")
    chosen = extension(output)
    if chosen != known and chosen not in fitting and (chosen in ALL or kind == "weights.json"):
        raise Usage(f"{output}: the output is in the format of the newest input, {kind}; call it {stem}{known}, say")
    return output


FITTING = {
    "keras": (".keras",),
    "h5": (".h5", ".hdf5"),
    "weights.h5": (".weights.h5",),
    "h5-weights": (".h5", ".hdf5", ".weights.h5"),
    "weights.json": (".weights.json",),
}
"""Format -> extensions under which Keras opens it, the usual one first."""

ALL = frozenset(suffix for suffixes in FITTING.values() for suffix in suffixes)


def extension(path: str) -> str:
    """What follows a model's stem, with both parts of `.weights.h5` and `.weights.json`."""
    name = os.path.basename(path)
    for long in (".weights.h5", ".weights.json"):
        if name.endswith(long):
            return long
    return os.path.splitext(name)[1]
