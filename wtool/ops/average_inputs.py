"""Which checkpoints the words of a command mean, without the command's own output."""

from __future__ import annotations

import os

from wtool.checkpoint.inputs import expanded
from wtool.checkpoint.layouts.registry import extension
from wtool.errors import Usage
from wtool.run.target import goal_of, one_place

STEM = "average"
"""Name, without its extension, of an output that nobody named."""

Named = list[tuple[str, str]]
"""(word, path of a model that it means)."""


def inputs_but(output: str | os.PathLike[str] | None, words: list[str], stem: str = STEM) -> tuple[Named, list[str]]:
    """The models that the words mean, without an earlier output among what folders and patterns hold; and notes.

    Args:
        output: a file, a folder, `-`, or None for the default name.
        words: files, folders, patterns, or `-`.
        stem: name, without its extension, of an output that nobody named.

    Raises:
        Usage: no model is left.
    """
    paths: Named = []
    skipped: list[str] = []
    for word, path in expanded(words):
        if word != path and _is_output(path, None if output is None else os.fspath(output), stem):
            skipped.append(path)
        else:
            paths.append((word, path))
    if not paths:
        raise Usage(f"no checkpoints to {STEM}" if stem == STEM else "no models")
    return paths, [f"{path} is the output of this command, not an input" for path in skipped]


def _is_output(path: str, output: str | None, stem: str) -> bool:
    """Whether a path is that of the output, which has the extension of the path where its name is the default."""
    name = f"{stem}{extension(path)}"
    return one_place(path, goal_of(output, name, ".", name).path)
