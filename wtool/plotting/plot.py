"""Plots of saved models and of lottery experiments, as files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from wtool.checkpoint.inputs import expanded
from wtool.errors import Usage
from wtool.io.places import Target, check_target
from wtool.plotting import curves, kernels, runs, weights
from wtool.plotting.style import publish, styled, suffix_of
from wtool.run.pipeline import Progress
from wtool.words import Path


@dataclass(frozen=True, slots=True)
class Plotted:
    """The result of `plot`.

    Attributes:
        output: path of the plot, as it was asked for.
        files: paths of the files that were written: the output, or files with numbers for several pages.
        drawn: the models, or the experiment.
    """

    output: str
    files: tuple[str, ...]
    drawn: tuple[str, ...]


def plot(
    paths: Path | Sequence[Path],
    *,
    output: Path,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    force: bool = False,
    progress: Progress | None = None,
) -> Plotted:
    """Draw models' weights, or a lottery experiment's curves, into a .png, .svg or .pdf file.

    Args:
        paths: models (files, folders, patterns), or the folder of one experiment.
        output: of the plot.
        include, exclude: of models, only tensors with paths like these: biases too, and others where they are named.
        force: replace an existing output.
        progress: called with bytes done and bytes in all.

    Raises:
        Usage: another kind of file, words that do not go together, or more than fits.
        Refused: a file is damaged, or there is nothing to draw.
        WtoolError: matplotlib is not installed, a file is missing, or the output exists or cannot be written.

    Example:
        >>> wtool.plot(["trained.keras", "pruned.keras"], output="weights.png")  # doctest: +SKIP
    """
    words = [os.fspath(paths)] if isinstance(paths, (str, os.PathLike)) else [os.fspath(each) for each in paths]
    target = os.fspath(output)
    suffix_of(target)
    check_target(Target(target, force))
    if not words:
        raise Usage("no models")
    experiments = [word for word in words if runs.is_run(word)]
    if experiments and (len(words) > 1 or include or exclude):
        raise Usage("an experiment is plotted alone, and has no tensors to choose", experiments[0])
    with styled():
        if experiments:
            drawn = experiments
            figures = [curves.draw(runs.run_of(experiments[0]))]
        else:
            drawn = [path for _, path in expanded(words)]
            figures = weights.draw(kernels.models(drawn, include, exclude, progress))
        files = publish(figures, target, force)
    return Plotted(target, files, tuple(drawn))
