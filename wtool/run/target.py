"""Where results go: the one rule from the words of a command to the names of new files."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from wtool.checkpoint.inputs import expanded, inside, root_of, stem_and_ending
from wtool.checkpoint.layouts.registry import ALL, extension
from wtool.checkpoint.unzipped import is_model_folder, is_saved_model
from wtool.checkpoint.zoo_part import ZooPart
from wtool.errors import Usage
from wtool.io.places import Target, check_target, make_folders
from wtool.io.stored import Stamp


@dataclass(frozen=True, slots=True)
class Goal:
    """Where a result goes, and what may happen to what is there.

    Attributes:
        path: of the result, or `-` for standard output.
        below: the folder below which no symbolic link is followed to the result; None where it was named itself.
        makes_folder: whether the folder of the result may be made.
        force: whether a file that is there may be replaced.
        dry_run: do everything but write.
        is_folder: whether the result is a folder: an unzipped model.
    """

    path: str
    below: str | None = None
    makes_folder: bool = False
    force: bool = False
    dry_run: bool = False
    is_folder: bool = False

    def target(self, read: Iterable[tuple[str, Stamp]] = ()) -> Target:
        """The file of the result, with what is there now.

        Args:
            read: path and stamp of each file that was opened already; a result that replaces one of them was seen then.
        """
        return Target.at(self.path, self.force, self.below, () if self.is_folder else read, self.is_folder)


def make_ready(goal: Goal) -> None:
    """Make the folder of a result, if the goal says so, and look whether the result can be written.

    Raises:
        WtoolError: something else is there, or nothing can be written there.
    """
    target = Target(goal.path, goal.force, goal.below, is_folder=goal.is_folder)
    if goal.makes_folder:
        make_folders(target)
    check_target(target)


def is_folder(output: str) -> bool:
    """Whether an output is a folder for models: one that exists and is none itself, or a path that ends in a slash."""
    is_there = output != "-" and os.path.isdir(output)
    return output.endswith(os.sep) or (is_there and not is_model_folder(output))


def goal_of(
    output: str | None,
    default: str,
    root: str | None,
    inside: str,
    *,
    folder: bool | None = None,
    force: bool = False,
    dry_run: bool = False,
) -> Goal:
    """Where one result goes.

    Args:
        output: a file, a folder (one that exists, or a path that ends in a slash), `-`, or None.
        default: path of the result where there is no output.
        root: the folder of that path, below which no symbolic link is followed.
        inside: path of the result in a folder.
        folder: whether the output is a folder, where other words tell that.
        force: whether a file that is there may be replaced.
        dry_run: nothing is written.

    Raises:
        Usage: the output is an empty text.
    """
    if output is None:
        return Goal(default, root, False, force, dry_run)
    if not output:
        raise Usage("the name of the output is empty")
    if is_folder(output) if folder is None else folder:
        return Goal(os.path.join(output, inside), output, True, force, dry_run)
    return Goal(output, None, False, force, dry_run)


def goal_beside(
    model: str,
    output: str | None,
    suffix: str,
    *,
    ending: str | None = None,
    root: str | None = None,
    folder: bool | None = None,
    is_free: Callable[[str, str], bool] | None = None,
    force: bool = False,
    dry_run: bool = False,
) -> Goal:
    """Where the result of one model goes: beside it, as `<stem>-<suffix><ext>`, or in a folder, under its own name.

    Args:
        model: its path, or `-`.
        suffix: of the default name.
        ending: extension of the result; that of the model by default.
        root: the folder that stands for an output folder; by default the one that the model is in.
        is_free: whether a model's result may have a path; the default name is `<stem><ext>` where it may.
        output, folder, force, dry_run: see `goal_of`.

    Raises:
        Usage: a model from standard input without an output.
    """
    if model == "-" and (output is None or (is_folder(output) if folder is None else folder)):
        raise Usage("a model from standard input needs an --output: a file, or - for standard output")
    stem, own = stem_and_ending(model)
    ending = own if ending is None else ending
    above = os.path.dirname(stem) or "." if root is None else root
    inside = os.path.relpath(stem + ending, above)
    has_own_name = is_free is not None and stem + ending != model and is_free(model, stem + ending)
    default = stem + ending if has_own_name else f"{stem}-{suffix}{ending}"
    return goal_of(output, default, above, inside, folder=folder, force=force, dry_run=dry_run)


def goals_of(
    words: Sequence[str],
    output: str | None,
    suffix: str,
    ending: str | None = None,
    in_place: bool = False,
    force: bool = False,
    dry_run: bool = False,
    is_free: Callable[[str, str], bool] | None = None,
    foreign: bool = False,
    shard: str | None = None,
) -> list[tuple[str, Goal]]:
    """Paths of the models that the words mean, each with where its own result goes.

    Without `output`, a result is called `<stem>-<suffix><ext>` and lies beside its model. In a folder (one that exists,
    a path that ends in a slash, or the place of several results) results have the names of their models, and the tree
    below a folder or the fixed part of a pattern is kept. What such a word finds among the results is no input.

    Args:
        words: files, folders, patterns, or `-`.
        output: a file, a folder, `-`, or None.
        suffix: of default names.
        ending: extension of the results; that of each model by default.
        in_place: each model is its own result, whatever is there.
        force: whether files that are there may be replaced.
        dry_run: nothing is written.
        foreign: see `search.models_in`.
        shard: `I/N`, for the I-th of N parts of the models (see `ZooPart`); all models are looked at for clashes.
        is_free: see `goal_beside`. Results whose models differ in their endings alone then have these in their names.

    Raises:
        WtoolError: a folder or pattern without any model.
        Usage: several models for one output, or one model for none.
    """
    part = ZooPart.of(shard)
    found = _distinct(expanded(words, foreign))
    if not found:
        raise Usage("no models")
    ours = {path for word, path in found if part.holds(inside(word, path))}
    if in_place:
        roots = [None if word == path else root_of(word, path) for word, path in found]
        pairs = zip(found, roots, strict=True)
        goals = [(path, Goal(path, root, force=True, dry_run=dry_run)) for (_, path), root in pairs]
        return [(path, goal) for path, goal in goals if path in ours]
    folder = output not in (None, "-") and (len(found) > 1 or _is_for_many(str(output), words))
    if folder:
        _refuse_file_name(str(output))
        found = [(word, path) for word, path in found if not _is_result(word, path, str(output))]
    elif output == "-" and len(found) != 1:
        raise Usage(f"{len(found)} models, and standard output takes one; name a folder, with a slash at its end")
    how = partial(
        goal_beside,
        output=output,
        suffix=suffix,
        ending=ending,
        folder=folder,
        is_free=is_free,
        force=force,
        dry_run=dry_run,
    )
    kept = _without_results([(word, path, how(path, root=root_of(word, path))) for word, path in found])
    if is_free is not None:
        kept = _told_apart(kept)
    _refuse_clashes(kept)
    return [(path, goal) for path, goal in kept if path in ours]


def _without_results(made: Sequence[tuple[str, str, Goal]]) -> list[tuple[str, Goal]]:
    """The models with their goals, but for what a search found and another model becomes."""
    results = {os.path.realpath(goal.path) for _, _, goal in made}
    kept = [
        (path, goal)
        for word, path, goal in made
        if one_place(path, goal.path) or word == path or os.path.realpath(path) not in results
    ]
    if not kept:
        raise Usage("no models, but for what is in the output folder")
    return kept


def _told_apart(found: Sequence[tuple[str, Goal]]) -> list[tuple[str, Goal]]:
    """The models with their goals; of those with one goal, models with another ending than it have theirs in the name.

    `mlp.h5` and `mlp.keras` become `mlp-h5.keras` and `mlp.keras`.
    """
    counts = Counter(os.path.realpath(goal.path) for _, goal in found)
    shared = {place for place, count in counts.items() if count > 1}
    return [(path, _with_ending(path, goal) if os.path.realpath(goal.path) in shared else goal) for path, goal in found]


def _with_ending(model: str, goal: Goal) -> Goal:
    own, ending = extension(model), extension(goal.path)
    if own.lower() == ending.lower():
        return goal
    return replace(goal, path=f"{goal.path.removesuffix(ending)}{own.replace('.', '-')}{ending}")


def _distinct(found: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Each file once, where it comes first; but not by a link that a search found, if the file itself is there too."""
    places: dict[str, tuple[str, str]] = {}
    for word, path in sorted(found, key=lambda each: each[0] != each[1] and os.path.islink(each[1])):
        places.setdefault(os.path.realpath(path), (word, path))
    kept = set(places.values())
    return [each for each in dict.fromkeys(found) if each in kept]


def _is_result(word: str, path: str, output: str) -> bool:
    """Whether a search found a file in an output folder that is inside the folder which was searched."""
    root, place = os.path.join(os.path.realpath(root_of(word, path)), ""), os.path.join(os.path.realpath(output), "")
    return word != path and place != root and place.startswith(root) and os.path.realpath(path).startswith(place)


def one_place(path: str, other: str) -> bool:
    """Whether two paths lead to one file."""
    return os.path.realpath(path) == os.path.realpath(other)


def _is_for_many(output: str, words: Sequence[str]) -> bool:
    searched = any(os.path.isdir(each) and not is_model_folder(each) and not is_saved_model(each) for each in words)
    return is_folder(output) or searched


def _refuse_file_name(output: str) -> None:
    """Raise Usage if an output for many models is called like a single one, and is no folder yet."""
    if extension(output).lower() in ALL and not is_folder(output):
        raise Usage(f"called like a file, but a folder may hold many models; name a folder, or write {output}/", output)


def _refuse_clashes(found: Sequence[tuple[str, Goal]]) -> None:
    """Raise Usage if two models have one result, or a result is a model that is still to be read."""
    models = {os.path.realpath(model): model for model, _ in found if model != "-"}
    results: dict[str, str] = {}
    for model, goal in found:
        place = os.path.realpath(goal.path)
        if place in results:
            raise Usage(f"{model} and {results[place]} would both become {goal.path}")
        if models.get(place, model) != model:
            raise Usage(f"{goal.path}, the result of {model}, is a model to read as well")
        results[place] = model
