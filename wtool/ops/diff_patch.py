"""The patch between two models, as a file: what `wtool diff --patch` writes, and `wtool patch` applies."""

from __future__ import annotations

from wtool.checkpoint.inputs import stem_and_ending
from wtool.io.addresses import name_of, text_of
from wtool.ops.patch_pairs import paired
from wtool.option import path_of
from wtool.run.patch_making import PatchMade
from wtool.run.patch_making import make_patch as write_patch
from wtool.run.target import goal_of
from wtool.words import Path, Progress

ENDING = ".wpatch"


def make_patch(
    a: Path, b: Path, *, output: Path | None = None, force: bool = False, progress: Progress | None = None
) -> PatchMade:
    """Write the patch that makes the tensors of one model out of those of another: `wtool.patch` applies it.

    Args:
        a: the model to which the patch can be applied, a file or `-` for standard input.
        b: the model whose tensors the patch makes, a file or `-` for standard input.
        output: path of the patch, `-` for standard output; by default that of `b` with the ending `.wpatch`.
        force: whether a file that is there may be replaced.
        progress: called with bytes done and bytes in all.

    Raises:
        Refused: a file is no Keras model or damaged, or the models differ in what a patch cannot carry.
        WtoolError: a file is missing, or the patch exists or cannot be written.

    Example:
        >>> wtool.make_patch("a.keras", "b.keras", output="changes.wpatch")  # doctest: +SKIP
    """
    before, after = text_of(path_of("a", a)), text_of(path_of("b", b))
    name = "patch" + ENDING if after == "-" else stem_and_ending(after)[0] + ENDING
    where = None if output is None else text_of(path_of("output", output))
    return write_patch(before, after, paired, goal_of(where, name, None, name_of(name), force=force), progress)
