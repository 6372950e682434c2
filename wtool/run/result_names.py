"""Names of results that the user gave: they end as Keras expects of the result's format."""

from __future__ import annotations

import os
from dataclasses import replace

from wtool.checkpoint.layouts.registry import EXTENSIONS, KEPT, extension
from wtool.checkpoint.model import Checkpoint
from wtool.errors import Usage
from wtool.io.addresses import is_address
from wtool.io.tree import is_link, one_place
from wtool.run.target import Goal, goal_of

ADAPTER = ".lora.h5"
"""Extension under which KerasHub opens weights alone."""


def named(goal: Goal, kind: str, base: str = "", keeps_format: bool = True) -> Goal:
    """Returns the goal with a name under which Keras takes the result for what it is.

    A name without an extension gets that of the format. The extension of the base is one that the result may have too,
    if both have one format.

    Args:
        goal: where the result goes. Only a name that the user gave is completed; a stream has none.
        kind: format of the result.
        base: path of the model that the result is made of, or `-`.
        keeps_format: whether the format of the result is that of the base.

    Raises:
        Usage: the name has another extension.
    """
    if goal.is_folder or one_place(goal.path, base) or (not is_address(goal.path) and goal.target().is_stream):
        return goal
    word = os.path.realpath(goal.path) if is_link(goal.path) else goal.path
    chosen, own = extension(word).lower(), extension(base).lower() if keeps_format else ""
    fitting = (*EXTENSIONS[kind], *([ADAPTER] if kind.endswith("weights") or kind == "weights.h5" else []))
    if chosen in fitting or (chosen and chosen == own):
        return goal
    if not chosen:
        return replace(goal, path=goal.path + EXTENSIONS[kind][0]) if goal.below is None else goal
    whose = "of its input, " if keeps_format else ""
    raise Usage(f"the output has the format {whose}{kind}; its name has to end in {EXTENSIONS[kind][0]}", goal.path)


def result_name(stem: str, kind: str, base: str) -> str:
    """Returns the name of a result in the format `kind`: with the extension of its base, where that fits the format."""
    own = extension(base)
    fits = base != "-" and own.lower() in (*EXTENSIONS[kind], *KEPT)
    return f"{stem}{own if fits else EXTENSIONS[kind][0]}"


def goal_of_several(output: str | None, stem: str, base: Checkpoint, *, force: bool, dry_run: bool) -> Goal:
    """Returns where the one result of several models goes: `<stem><ext>` in this folder, where there is no output.

    Args:
        output: a file, a folder (one that exists, or a path that ends in a slash), `-`, or None.
        stem: name of the result, without its extension, in a folder or where there is no output.
        base: the model whose format the result has.
        force, dry_run: see `Goal`.

    Raises:
        Usage: the name of the output is that of another format.
    """
    name = result_name(stem, base.format, base.name)
    return named(goal_of(output, name, ".", name, force=force, dry_run=dry_run), base.format, base.name)
