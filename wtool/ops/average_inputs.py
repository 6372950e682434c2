"""Which checkpoints the words of a command mean, without the command's own output."""

from __future__ import annotations

import os

from wtool.checkpoint.inputs import expanded
from wtool.checkpoint.layouts.registry import extension
from wtool.errors import Usage
from wtool.io.addresses import folder_of, text_of
from wtool.io.tree import one_place
from wtool.run.target import goal_of
from wtool.training.saving.record import best_of, is_checkpoint

STEM = "average"
"""Name, without its extension, of an output that nobody named."""

Named = list[tuple[str, str]]
"""(word, path of a model that it means)."""


def inputs_but(output: str | os.PathLike[str] | None, words: list[str], stem: str = STEM) -> tuple[Named, list[str]]:
    """The models that the words mean, without an earlier output among what folders and patterns hold; and notes.

    The best model of a training, which `wtool resume --save-best` saves among the checkpoints, is left out as well.

    Args:
        output: a file, a folder, `-`, or None for the default name.
        words: files, folders, patterns, or `-`.
        stem: name, without its extension, of an output that nobody named.

    Raises:
        Usage: no model is left.
    """
    paths: Named = []
    notes: list[str] = []
    found = expanded(words)
    numbered = {folder_of(path) for _, path in found if is_checkpoint(path)}
    for word, path in found:
        if word != path and _is_output(path, None if output is None else text_of(output), stem):
            notes.append(f"{path} is the output of this command, not an input")
        elif word != path and path == best_of(folder_of(path)) and folder_of(path) in numbered:
            notes.append(f"{path} is the best of the checkpoints beside it, not another input")
        else:
            paths.append((word, path))
    if not paths:
        raise Usage(f"no checkpoints to {STEM}" if stem == STEM else "no models")
    return paths, notes


def _is_output(path: str, output: str | None, stem: str) -> bool:
    """Whether a path is that of the output, which has the extension of the path where its name is the default."""
    name = f"{stem}{extension(path)}"
    place = goal_of(output, name, ".", name).path
    return one_place(path, place) or (not extension(place) and one_place(path, place + extension(path)))
