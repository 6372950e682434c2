"""From the words of a command line to the checkpoints that they mean."""

from __future__ import annotations

import glob
import itertools
import os
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from wtool.checkpoint.layouts.registry import ALL, EXTENSIONS, KEPT, extension
from wtool.checkpoint.search import is_searched, listing, passed_by
from wtool.checkpoint.unzipped import is_model_folder, kind_of_folder
from wtool.errors import Refused, Usage, WtoolError


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
        Refused: a folder that holds a model of a kind which wtool does not read.
    """
    if word == "-" or os.path.isfile(word):
        return [word]
    if os.path.isdir(word):
        found = sorted((entry.path for entry in listing(word) if is_searched(entry)), key=natural_key)
        if not found:
            if what := kind_of_folder(word):
                raise Refused(what, word)
            there = passed_by(word)
            raise WtoolError(f"a folder without models (.keras, .h5, .weights.json){there and f': {there}'}", word)
        return found
    if glob.has_magic(word):
        return [path for match in matched(word) for path in models_of(match)]
    return [word]  # does not exist, or is no regular file: opening it says so


def matched(word: str) -> list[str]:
    """What a pattern matches; a word that is none, or that is there as it is, itself.

    Raises:
        WtoolError: a pattern that matches nothing.
    """
    if os.path.lexists(word) or not glob.has_magic(word):
        return [word]
    found = sorted(glob.glob(word, recursive=True), key=natural_key)
    if not found:
        raise WtoolError("no file matches this pattern", word)
    return found


def searched_folders(words: Sequence[str]) -> list[str]:
    """The folders among the words that are searched for models."""
    return [word for word in words if os.path.isdir(word)]


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
    if output == "-":
        return output
    if output is None or output.endswith(os.sep) or os.path.isdir(output):
        own = extension(base)
        fits = base != "-" and own.lower() in (*EXTENSIONS[kind], *KEPT)
        return os.path.join(output or "", f"{stem}{own if fits else EXTENSIONS[kind][0]}")
    check_extension(output, kind, extension(base))
    return output


def named_folder(output: str | None) -> str | None:
    """The folder that one output was named by, below which no link is followed; None where it was named itself."""
    if output is None:
        return "."
    return output if output.endswith(os.sep) or os.path.isdir(output) else None


def check_extension(output: str, kind: str, own: str = "") -> None:
    """Raise Usage if Keras would take the output, in the format `kind`, for another one.

    The extension of the input, `own`, is always one that the output may have.
    """
    chosen = extension(output).lower()
    fits = output == "-" or chosen in (own.lower(), *EXTENSIONS[kind])
    if not fits and (chosen in ALL or kind == "weights.json"):
        raise Usage(
            f"the output has the format of its input, {kind}; its name has to end in {EXTENSIONS[kind][0]}", output
        )


@dataclass(frozen=True, slots=True)
class Job:
    """A model, and where its result goes.

    Attributes:
        model: path, or `-`.
        target: path, or `-`.
        below: the folder below which no symbolic link is followed to the target; None where it was named itself.
    """

    model: str
    target: str
    below: str | None = None


def jobs(
    words: Sequence[str], output: str | None, suffix: str, like: str | None = None, in_place: bool = False
) -> tuple[list[Job], bool]:
    """The models that the words mean, each with its own target; and whether the targets' folders may be made.

    Without `output`, a result is called `<stem>-<suffix><ext>` and lies beside its model. In a folder (one that exists,
    or a path that ends in a slash; always, where a word is a folder) results have the names of their models, and the
    tree below a folder or the fixed part of a pattern is kept. What such a word finds among the targets is no input.

    Args:
        words: files, folders, patterns, or `-`.
        output: a file, a folder, `-`, or None.
        suffix: of default names.
        like: a path whose extension the results have; that of each model by default.
        in_place: each model is its own target.

    Raises:
        WtoolError: a folder or pattern without any model.
        Usage: several models for one output, or one model for none.
    """
    found = _distinct(expanded(words))
    if not found:
        raise Usage("no models")
    if in_place:
        return [Job(path, path, None if word == path else _root(word, path)) for word, path in found], False
    folder = output not in (None, "-") and _is_folder(str(output), words)
    if folder:
        _refuse_file_name(str(output))
        found = [(word, path) for word, path in found if not _is_result(word, path, str(output))]
    elif output is not None and len(found) != 1:
        raise Usage(f"{len(found)} models, and one output; name a folder, with a slash at its end")
    made = [(word, _job(word, path, output, suffix, like, folder)) for word, path in found]
    targets = {os.path.realpath(job.target) for _, job in made}
    kept = [job for word, job in made if one_place(job.model, job.target) or not _is_other(word, job, targets)]
    if not kept:
        raise Usage("no models, but for what is in the output folder")
    _refuse_clashes(kept)
    return kept, folder


def _distinct(found: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Each file once, where it comes first; but not by a link that a search found, if the file itself is there too."""
    places: dict[str, tuple[str, str]] = {}
    for word, path in sorted(found, key=lambda each: each[0] != each[1] and os.path.islink(each[1])):
        places.setdefault(os.path.realpath(path), (word, path))
    kept = set(places.values())
    return [each for each in dict.fromkeys(found) if each in kept]


def _is_result(word: str, path: str, output: str) -> bool:
    """Whether a search found a file in an output folder that is inside the folder which was searched."""
    root, place = os.path.join(os.path.realpath(_root(word, path)), ""), os.path.join(os.path.realpath(output), "")
    return word != path and place != root and place.startswith(root) and os.path.realpath(path).startswith(place)


def _is_other(word: str, job: Job, targets: Collection[str]) -> bool:
    """Whether a model that a search found is what another model becomes."""
    return word != job.model and os.path.realpath(job.model) in targets


def one_place(path: str, other: str) -> bool:
    """Whether two paths lead to one file."""
    return os.path.realpath(path) == os.path.realpath(other)


def _is_folder(output: str, words: Sequence[str]) -> bool:
    searched = any(os.path.isdir(word) and not is_model_folder(word) for word in words)
    return output.endswith(os.sep) or os.path.isdir(output) or searched


def _refuse_file_name(output: str) -> None:
    """Raise Usage if an output for many models is called like a single one, and is no folder yet."""
    if extension(output).lower() in ALL and not output.endswith(os.sep) and not os.path.isdir(output):
        raise Usage(f"called like a file, but a folder may hold many models; name a folder, or write {output}/", output)


def _job(word: str, path: str, output: str | None, suffix: str, like: str | None, folder: bool) -> Job:
    target = _target(word, path, output, suffix, like, folder)
    if output is None:
        return Job(path, target, _root(word, path))
    return Job(path, target, output if folder else None)


def _target(word: str, path: str, output: str | None, suffix: str, like: str | None, folder: bool) -> str:
    if output is not None and not folder:
        return output
    if path == "-":
        raise Usage("a model from standard input needs an --output: a file, or - for standard output")
    stem, own = stem_and_ending(path)
    ending = own if like is None else stem_and_ending(like)[1]
    if output is None:
        return f"{stem}-{suffix}{ending}"
    return os.path.join(output, os.path.relpath(stem + ending, _root(word, path)))


def stem_and_ending(path: str) -> tuple[str, str]:
    """A model's path without its extension, and the extension of what is made of it: `.keras` of a folder."""
    if os.path.isdir(path):
        path = path.rstrip(os.sep)
        return path if os.path.basename(path) not in ("", ".", "..") else os.path.abspath(path), ".keras"
    return path.removesuffix(extension(path)), extension(path)


def _root(word: str, path: str) -> str:
    """The folder below which the tree is kept: the one that was named, or in which a pattern begins."""
    if path in (word, word.rstrip(os.sep)):
        return os.path.dirname(stem_and_ending(path)[0]) or "."
    if os.path.isdir(word):
        return word
    fixed = itertools.takewhile(lambda part: not glob.has_magic(part), word.split(os.sep))
    return os.sep.join(fixed) or (os.sep if word.startswith(os.sep) else ".")


def _refuse_clashes(found: Sequence[Job]) -> None:
    """Raise Usage if two models have one target, or a target is a model that is still to be read."""
    models = {os.path.realpath(job.model): job for job in found if job.model != "-"}
    targets: dict[str, Job] = {}
    for job in found:
        place = os.path.realpath(job.target)
        if place in targets:
            raise Usage(f"{job.model} and {targets[place].model} would both become {job.target}")
        if place in models and models[place] is not job:
            raise Usage(f"{job.target}, the result of {job.model}, is a model to read as well")
        targets[place] = job
