"""Recipes done to models: from a recipe's words to the work on each model.

`wtool/ops/signatures.pyi` has the function's signature for type checkers and editors; `make docs` writes it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

from wtool.checkpoint.inputs import NamedModel, stem_and_ending
from wtool.checkpoint.layouts.registry import EXTENSIONS
from wtool.errors import Usage, counted
from wtool.io.addresses import text_of
from wtool.io.tree import one_place
from wtool.ops.functions import First, function_of
from wtool.recipes.document import of_python, read
from wtool.recipes.grammar import recipe_of
from wtool.recipes.options import RunRecipe
from wtool.recipes.recipe import File, Made, Model, Recipe, Reference, Step
from wtool.recipes.running import Following, RecipeRun
from wtool.run.batch import do_all, words_of
from wtool.run.results import refuse_pipes
from wtool.run.target import Goal, goal_of, goals_of
from wtool.transforms.registry import REGISTRY, transform
from wtool.words import Path

if TYPE_CHECKING:
    from wtool.ops.signatures import run_recipe as run_recipe

RecipeWords: TypeAlias = Path | Sequence[Any] | Mapping[str, Any]
"""A recipe: path of its file, or its steps as Python's values."""

RECIPE = First(
    "recipe",
    RecipeWords,
    "path of a recipe, or what one says: a list of steps, or a dictionary with `steps` and `inputs`.",
    "the model failed; `wtool.SomeFailed` if several were given",
    is_each=True,
)


def recipe_in(words: RecipeWords) -> Recipe:
    """Returns the recipe in a file, or in values of Python.

    Raises:
        Faulty: something is wrong with the recipe.
        WtoolError: the file is missing, or PyYAML is not installed.
    """
    if isinstance(words, (str, os.PathLike)):
        path = text_of(words)
        return recipe_of(read(path), path)
    return recipe_of(of_python(words), "recipe")


def _run_recipe(words: RecipeWords, given: Mapping[str, Any]) -> list[RecipeRun]:
    options = RunRecipe(**given)
    recipe = recipe_in(words)
    output = None if options.output is None else text_of(options.output)
    if output is not None and recipe.steps[-1].output is not None:
        raise Usage("its last step has an output, and --output would be another one", recipe.path)
    models = [] if options.models is None else words_of(options.models)
    if bool(models) != recipe.takes_models:
        told = "takes a model: name one behind it" if recipe.takes_models else "names all that it reads: no models"
        raise Usage(told, recipe.path)
    refuse_pipes([*models, output], options.cluster)
    if not models:
        return do_all(
            [Following(recipe.path, recipe, _own_goals(recipe, output, options), {}, options.dry_run)], options
        )
    tasks = _of_models(recipe, models, output, options)
    return do_all(tasks, options)


globals()["run_recipe"] = function_of(RunRecipe, "run_recipe", (RunRecipe,), RecipeRun, _run_recipe, RECIPE)


def _of_models(recipe: Recipe, models: Sequence[str], output: str | None, options: RunRecipe) -> list[Following]:
    """The work on each model; what does not depend on the models, and has an output, is done now."""
    _check_stream(recipe, models)
    fixed = {each.number for each in recipe.steps if not _depends(recipe, each)}
    goals = {number: goal for number, goal in _own_goals(recipe, output, options).items() if number in fixed}
    made: dict[int, str] = {}
    if goals and not options.dry_run:
        done = replace(options, report=None, progress=None, jobs=1, cluster=None)
        do_all([Following(recipe.path, recipe, goals)], done)
    made = {number: goal.path for number, goal in goals.items()}
    found: dict[NamedModel, dict[int, Goal]] = {}
    for step in recipe.steps:
        where = output if step.number == len(recipe.steps) - 1 and step.output is None else step.output
        is_kept = step.output is not None or step.number == len(recipe.steps) - 1
        if is_kept and step.number not in made:
            ending = ending_of(recipe, Made(step.number))
            how: dict[str, Any] = {"force": options.force, "dry_run": options.dry_run, "shard": options.shard}
            for model, goal in goals_of(models, where, _suffix(recipe, step), ending, **how):
                found.setdefault(model, {})[step.number] = goal
    if len(found) > 1 and any(goal.path == "-" for each in found.values() for goal in each.values()):
        raise Usage(f"{len(found)} models, but - is a single one")
    for model, each in found.items():
        _refuse_clashes(recipe, model.path, [*each.values()])
    return [Following(model.path, recipe, each, made, options.dry_run, model.size) for model, each in found.items()]


def _own_goals(recipe: Recipe, output: str | None, options: RunRecipe) -> dict[int, Goal]:
    """Where the results of a recipe go that takes no models."""
    goals = {}
    for step in recipe.steps:
        is_last = step.number == len(recipe.steps) - 1
        if is_last or step.output is not None:
            stem = os.path.basename(stem_and_ending(recipe.path)[0]) if is_last else _suffix(recipe, step)
            name = stem + (ending_of(recipe, Made(step.number)) or "")
            where = output if is_last and step.output is None else step.output
            goals[step.number] = goal_of(where, name, ".", name, force=options.force, dry_run=options.dry_run)
    _refuse_clashes(recipe, "", [*goals.values()])
    return goals


def _suffix(recipe: Recipe, step: Step) -> str:
    stem = os.path.basename(stem_and_ending(recipe.path)[0])
    return stem if step.number == len(recipe.steps) - 1 else step.name or step.operation


def ending_of(recipe: Recipe, one: Reference) -> str | None:
    """Returns the extension of a model; None for that of the model which is put through the recipe."""
    if isinstance(one, Model):
        return None
    if isinstance(one, File):
        return stem_and_ending(one.path)[1]
    step = recipe.steps[one.step]
    if step.operation == "convert":
        return "" if step.given.get("unzipped") else EXTENSIONS[str(step.given.get("to", "keras"))][0]
    if step.operation in REGISTRY and transform(step.operation).of_initial:
        return ending_of(recipe, step.others["initial"])
    return ending_of(recipe, step.of[-1])


def _depends(recipe: Recipe, step: Step) -> bool:
    """Returns whether a step's result depends on the model that is put through the recipe."""
    return any(
        isinstance(each, Model) or (isinstance(each, Made) and _depends(recipe, recipe.steps[each.step]))
        for each in step.reads
    )


def _check_stream(recipe: Recipe, models: Sequence[str]) -> None:
    """Refuse a model from standard input for a step that reads another result as through a pipe."""
    if "-" not in models:
        return
    for step in recipe.steps:
        reads = sum(isinstance(each, Model) for each in step.reads)
        if reads and reads + len(recipe.piped(step)) > 1:
            told = (
                f"{recipe.at(step)}: {step.operation} reads the model and {counted(1, 'other result')} as through pipes"
            )
            raise Usage(f"{told}, and can read one in this way: name the model's file")


def _refuse_clashes(recipe: Recipe, model: str, goals: Sequence[Goal]) -> None:
    """Refuse results with one name, and a result that is an input."""
    inputs = [each.path for step in recipe.steps for each in step.reads if isinstance(each, File)]
    for number, goal in enumerate(goals):
        if goal.path == "-" or goal.refused:
            continue
        if any(one_place(goal.path, each.path) for each in goals[:number]):
            raise Usage(f"two steps would write {goal.path}", recipe.path)
        if any(one_place(goal.path, each) for each in (*inputs, model)):
            raise Usage(f"would write {goal.path}, which it reads as well", recipe.path)
