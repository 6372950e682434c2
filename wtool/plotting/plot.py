"""Plots of saved models, of lottery experiments and of logs, as files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from wtool.checkpoint.inputs import expanded
from wtool.errors import Usage
from wtool.io.addresses import text_of, without_query
from wtool.io.places import Target, check_target
from wtool.ops.training_logs import is_log, read
from wtool.option import checked, path_of
from wtool.plotting import curves, kernels, logs, movement, scatter, weights
from wtool.plotting.style import publish, styled, suffix_of
from wtool.run.pipeline import Progress
from wtool.training.lottery.curves import is_run, run_of
from wtool.values import dataclass
from wtool.words import Models, Path


@dataclass(frozen=True, slots=True)
class Plotted:
    """The result of `plot`.

    Attributes:
        output: path of the plot, as it was asked for.
        files: paths of the files that were written: the output, or files with numbers for several pages.
        drawn: the models, experiments or logs.
    """

    output: str
    files: tuple[str, ...]
    drawn: tuple[str, ...]


def plot(
    paths: Path | Sequence[Path],
    *,
    output: Path,
    metric: str | Sequence[str] = (),
    against: Path | None = None,
    mask: Path | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    force: bool = False,
    progress: Progress | None = None,
) -> Plotted:
    """Draw models' weights, or the curves of lottery experiments and logs, into a .png, .svg or .pdf file.

    Args:
        paths: models (files, folders, patterns), or the folders of experiments, or logs of trainings (.csv, .jsonl).
        output: of the plot; several pages have numbers in their names, or are those of one .pdf file.
        metric: of experiments and logs, what to draw: `loss`, in training and on validation data, `early_stop` and so
            on. By default the score, the loss and, of experiments, the early-stop epoch.
        against: of models, the initial one: trained weights are drawn against initial ones.
        mask: with `against`, the model that tells which weights are marked as pruned, by the masks in its lineage or by
            its zeros; by default, each model tells that itself.
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
    paths = checked("paths", Models, paths)
    words = [text_of(paths)] if isinstance(paths, (str, os.PathLike)) else [text_of(each) for each in paths]
    metrics = [metric] if isinstance(metric, str) else list(metric)
    target = text_of(path_of("output", output))
    suffix_of(target)
    check_target(Target(target, force))
    if not words:
        raise Usage("no models")
    kind = _kind(words)
    if kind != "models" and (include or exclude):
        raise Usage(f"{_NOUNS[kind]} has no tensors to choose", words[0])
    if kind != "models" and against is not None:
        raise Usage(f"{_NOUNS[kind]} has no weights to draw against others", words[0])
    if mask is not None and against is None:
        raise Usage("a mask marks weights in a plot against an initial model: add --against")
    if metrics and kind == "models":
        raise Usage("a model has no metrics; --metric goes with experiments and logs", words[0])
    with styled():
        drawn = words
        if kind == "experiments":
            figures = curves.draw([run_of(word) for word in words], metrics)
        elif kind == "logs":
            figures = [logs.draw([read(word) for word in words], metrics)]
        else:
            drawn = [path for _, path in expanded(words)]
            figures = _of_models(drawn, against, mask, include, exclude, progress)
        files = publish(figures, target, force)
    return Plotted(target, files, tuple(map(without_query, drawn)))


def _of_models(
    paths: Sequence[str],
    against: Path | None,
    mask: Path | None,
    include: Sequence[str],
    exclude: Sequence[str],
    progress: Progress | None,
) -> list[Any]:
    if against is None:
        return weights.draw(kernels.models(paths, include, exclude, progress))
    marked = None if mask is None else text_of(mask)
    return scatter.draw(movement.movements(paths, text_of(against), marked, include, exclude, progress))


_NOUNS = {"experiments": "an experiment", "logs": "a log", "models": "a model"}


def _kind(words: Sequence[str]) -> str:
    """Returns what the words are: experiments, logs or models.

    Raises:
        Usage: they are of several kinds.
    """
    kinds = ["experiments" if is_run(word) else "logs" if is_log(word) else "models" for word in words]
    other = next((kind for kind in kinds if kind != kinds[0]), None)
    if other:
        raise Usage(f"{_NOUNS[kinds[0]]} and {_NOUNS[other]} do not go into one plot", words[0])
    return kinds[0]
