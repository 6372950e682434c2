"""Which checkpoints are averaged, and in which order: from the words of a command to paths, oldest first."""

from __future__ import annotations

import os
from collections.abc import Sequence

from wtool.checkpoint.inputs import expanded, natural_key
from wtool.checkpoint.layouts.registry import extension
from wtool.errors import Usage, WtoolError
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
        raise Usage("no checkpoints to average")
    return paths, [f"{path} is the output of this command, not an input" for path in skipped]


def _is_output(path: str, output: str | None, stem: str) -> bool:
    """Whether a path is that of the output, which has the extension of the path where its name is the default."""
    name = f"{stem}{extension(path)}"
    return one_place(path, goal_of(output, name, ".", name).path)


def ordered(named: Named, order: str | None, method: str) -> tuple[list[str], list[str]]:
    """The checkpoints from oldest to newest, and a note where that is not plain.

    Raises:
        Usage: it is not clear what is meant.
    """
    paths = [path for _, path in named]
    if order is None:
        return _usual(paths, all(word == path for word, path in named), method)
    if order == "given":
        return paths, []
    if order == "natural":
        return sorted(paths, key=natural_key), []
    if "-" in paths:
        raise Usage("standard input has no time of change; choose another --order")
    return sorted(paths, key=lambda path: (_modified(path), natural_key(path))), []


def _usual(paths: list[str], one_by_one: bool, method: str) -> tuple[list[str], list[str]]:
    """The order without --order: by name, but never silently another than the one that was typed.

    Shells sort what a pattern matches by characters, so words in that order were not typed in any.
    """
    natural = sorted(paths, key=natural_key)
    if not one_by_one or paths == natural:
        return natural, []
    is_of_shell = paths == sorted(paths)
    if method == "coefficients":
        if is_of_shell:
            raise Usage(
                f"the coefficients may be meant as typed or by number ({_sequence(natural)}); --order says which"
            )
        return paths, [f"coefficients in the order of the words, not of the names: {_sequence(paths)}"]
    if is_of_shell or (method == "equal" and paths[-1] == natural[-1]):
        return natural, []
    return natural, [f"in the order of the names, {natural[-1]} is the newest, not {paths[-1]}; see --order"]


def _sequence(paths: Sequence[str]) -> str:
    return ", ".join(paths) if len(paths) < 5 else f"{paths[0]}, {paths[1]}, ..., {paths[-1]}"


def _modified(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError as error:
        raise WtoolError(error.strerror or str(error), path) from None
