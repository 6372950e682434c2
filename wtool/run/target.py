"""Where results go: the one rule from the words of a command to the names of new files."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import TypeAlias

from wtool.checkpoint.inputs import (
    NamedModel,
    named_models,
    refuse_two_streams,
    root_of,
    searched_folders,
    stem_and_ending,
)
from wtool.checkpoint.layouts.registry import ALL, extension
from wtool.checkpoint.unzipped import is_model_folder
from wtool.checkpoint.zoo_part import ZooPart
from wtool.errors import Refused, Usage
from wtool.io import tree
from wtool.io.addresses import below, folder_of, is_address, joined, trimmed, why_unsafe, without_query
from wtool.io.places import Target, check_target, make_folders
from wtool.io.stored import Stamp
from wtool.io.tree import place_of
from wtool.values import dataclass

Place: TypeAlias = Callable[[str], str]
"""A `tree.place_of` that remembers."""


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
        refused: why no result may have the name of its model; empty where it may.
    """

    path: str
    below: str | None = None
    makes_folder: bool = False
    force: bool = False
    dry_run: bool = False
    is_folder: bool = False
    refused: str = ""

    def target(self, read: Iterable[tuple[str, Stamp]] = ()) -> Target:
        """The file of the result, with what is there now.

        Args:
            read: path and stamp of each file that was opened already; a result that replaces one of them was seen then.
        """
        return Target.at(self.path, self.force, self.below, () if self.is_folder else read, self.is_folder)


def make_ready(goal: Goal, target: Target | None = None) -> None:
    """Make the folder of a result, if the goal says so, and look whether the result can be written.

    Args:
        goal: where the result goes.
        target: of the goal, where what is there was seen already: a store is not asked again.

    Raises:
        WtoolError: something else is there, or nothing can be written there.
    """
    target = target or Target(goal.path, goal.force, goal.below, is_folder=goal.is_folder)
    if goal.makes_folder:
        make_folders(target)
    check_target(target)


def is_folder(output: str) -> bool:
    """Whether an output is a folder for models: one that exists and is none itself, or a path that ends in a slash."""
    if output == "-" or tree.ends_like_folder(output):
        return output != "-"
    if is_address(output) and extension(output).lower() in ALL:
        return False  # what is called like a file is one, in a store that makes folders of names alone
    return tree.is_folder(output) and not is_model_folder(output)


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
        return Goal(joined(output, inside), output, True, force, dry_run)
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
    own: tuple[str, str] | None = None,
) -> Goal:
    """Where the result of one model goes: beside it, as `<stem>-<suffix><ext>`, or in a folder, under its own name.

    Args:
        model: its path, or `-`.
        suffix: of the default name.
        ending: extension of the result; that of the model by default.
        root: the folder that stands for an output folder; by default the one that the model is in.
        is_free: whether a model's result may have a path; the default name is `<stem><ext>` where it may.
        output, folder, force, dry_run: see `goal_of`.
        own: stem and ending of the model, where they are known.

    Raises:
        Usage: a model from standard input without an output.
        Refused: the name of a model in a store, or of a result there, is none for a file.
    """
    if model == "-" and (output is None or (is_folder(output) if folder is None else folder)):
        raise Usage("a model from standard input needs an --output: a file, or - for standard output")
    stem, usual = stem_and_ending(model) if own is None else own
    ending = usual if ending is None else ending
    above = folder_of(stem) or "." if root is None else root
    inside = below(above, stem + ending)
    if output is not None and folder is None:
        folder = is_folder(output)
    if (output is None or folder) and (is_address(model) or (output is not None and is_address(output))):
        _refuse_unsafe(below(above, trimmed(model) or model), model)
    has_own_name = output is None and is_free is not None and stem + ending != model and is_free(model, stem + ending)
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
) -> list[tuple[NamedModel, Goal]]:
    """The models that the words mean, each with where its own result goes.

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
    refuse_two_streams(words)
    place = cache(place_of)  # asked several times of each path
    found = _distinct([each for word in words for each in named_models(word, foreign)], place)
    if not found:
        raise Usage("no models")
    roots = {each: root_of(each.word, each.path, each.is_folder) for each in found}
    ours = {each.path for each in found if part.holds(below(roots[each], each.path))}
    if in_place:
        return [(each, _in_place(each, roots[each], dry_run)) for each in found if each.path in ours]
    folder = output not in (None, "-") and (len(found) > 1 or _is_for_many(str(output), words))
    if folder:
        _refuse_file_name(str(output))
        found = [each for each in found if not _is_result(each, roots[each], str(output), place)]
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

    def goal(each: NamedModel) -> Goal:
        try:
            return how(each.path, root=roots[each], own=stem_and_ending(each.path, each.is_folder))
        except Refused as error:
            return Goal(each.path, refused=error.message)

    kept = _without_results([(each, goal(each)) for each in found], place)
    if is_free is not None:
        kept = _told_apart(kept, place)
    _refuse_clashes(kept, place)
    return [(each, goal) for each, goal in kept if each.path in ours]


def _in_place(model: NamedModel, root: str, dry_run: bool) -> Goal:
    refused = why_unsafe(below(root, model.path)) if is_address(model.path) else None
    below_root = None if model.word == model.path else root
    return Goal(model.path, below_root, force=True, dry_run=dry_run, refused=refused or "")


def _refuse_unsafe(inside: str, model: str) -> None:
    if reason := why_unsafe(inside.replace(os.sep, "/")):
        raise Refused(f"its name {inside!r} {reason}; rename it", model)


def _without_results(made: Sequence[tuple[NamedModel, Goal]], place: Place) -> list[tuple[NamedModel, Goal]]:
    """The models with their goals, but for what a search found and another model becomes."""
    results = {place(goal.path) for _, goal in made if not goal.refused}
    kept = [
        (each, goal)
        for each, goal in made
        if goal.refused
        or place(each.path) == place(goal.path)
        or each.word == each.path
        or place(each.path) not in results
    ]
    if not kept:
        raise Usage("no models, but for what is in the output folder")
    return kept


def _told_apart(found: Sequence[tuple[NamedModel, Goal]], place: Place) -> list[tuple[NamedModel, Goal]]:
    """The models with their goals; of those with one goal, models with another ending than it have theirs in the name.

    `mlp.h5` and `mlp.keras` become `mlp-h5.keras` and `mlp.keras`.
    """
    counts = Counter(place(goal.path) for _, goal in found)
    return [(each, _with_ending(each.path, goal) if counts[place(goal.path)] > 1 else goal) for each, goal in found]


def _with_ending(model: str, goal: Goal) -> Goal:
    own, ending = extension(model), extension(goal.path)
    if own.lower() == ending.lower():
        return goal
    return replace(goal, path=f"{goal.path.removesuffix(ending)}{own.replace('.', '-')}{ending}")


def _distinct(found: Sequence[NamedModel], place: Place) -> list[NamedModel]:
    """Each file once, where it comes first; but not by a link that a search found, if the file itself is there too."""
    places: dict[str, NamedModel] = {}
    for each in sorted(found, key=lambda each: each.word != each.path and tree.is_link(each.path)):
        places.setdefault(place(each.path), each)
    kept = set(places.values())
    return [each for each in dict.fromkeys(found) if each in kept]


def _is_result(model: NamedModel, root: str, output: str, place: Place) -> bool:
    """Whether a search found a file in an output folder that is inside the folder which was searched."""
    start, results = _with_slash(place(root)), _with_slash(place(output))
    is_inside = model.word != model.path and results != start and results.startswith(start)
    return is_inside and place(model.path).startswith(results)


def _with_slash(place: str) -> str:
    return f"{place}/" if is_address(place) else os.path.join(place, "")


def _is_for_many(output: str, words: Sequence[str]) -> bool:
    return is_folder(output) or any(not is_model_folder(each) for each in searched_folders(words))


def _refuse_file_name(output: str) -> None:
    """Raise Usage if an output for many models is called like a single one, and is no folder yet."""
    if extension(output).lower() in ALL and not is_folder(output):
        raise Usage(f"called like a file, but a folder may hold many models; name a folder, or write {output}/", output)


def _refuse_clashes(found: Sequence[tuple[NamedModel, Goal]], place: Place) -> None:
    """Raise Usage if two models have one result, or a result is a model that is still to be read."""
    models = {place(each.path): each.path for each, _ in found if each.path != "-"}
    results: dict[str, str] = {}
    for each, goal in found:
        there = place(goal.path)
        if there in results:
            model, other = without_query(each.path), without_query(results[there])
            raise Usage(f"{model} and {other} would both become {goal.path}")
        if models.get(there, each.path) != each.path:
            raise Usage(f"{goal.path}, the result of {without_query(each.path)}, is a model to read as well")
        results[there] = each.path
