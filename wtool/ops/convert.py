"""A conversion as an operation on models: from words to tasks, and from a file to what is written of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from math import isfinite
from typing import Any

from wtool.checkpoint.completed import with_architecture
from wtool.checkpoint.layouts.registry import EXTENSIONS, format_of
from wtool.checkpoint.lineage import MASKS, Record, last_record
from wtool.checkpoint.masks import moved_masks
from wtool.checkpoint.model import Checkpoint, Tensor, is_old
from wtool.checkpoint.opener import Opener, open_checkpoint
from wtool.errors import Usage, WtoolError
from wtool.io import tree
from wtool.io.addresses import name_of, text_of
from wtool.ops.conversion import WEIGHTS_ALONE, Conversion, Recipe, conversion_of
from wtool.ops.convert_options import Convert
from wtool.ops.convert_words import bytes_of, entry_in, wishes_of
from wtool.ops.converted import Converted
from wtool.ops.filling import Filling, filled_model, filling_of
from wtool.ops.verification import did_not_verify, refuse_difference
from wtool.run.batch import do_all
from wtool.run.changes import Changes, Edited
from wtool.run.derive import Derived
from wtool.run.options import Batch
from wtool.run.plan import Operand, Operation, Plan
from wtool.run.progress import Passes
from wtool.run.results import refuse_pipes
from wtool.run.target import goals_of, is_folder
from wtool.run.task import Task
from wtool.values import dataclass

LIKE = "like"
"""What the lineage calls the model that gets the weights of another file."""


def convert(words: Sequence[str], options: Convert, execution: Batch) -> list[Converted]:
    """Convert models.

    Args:
        words: that name models.
        options: to what they are converted, and how.
        execution: how the work is done.

    Raises:
        SomeFailed: after all others were done, or at once with `fail_fast`; of a single model, the error itself.
        Usage: words that do not go together; nothing was done then.
    """
    output = None if options.output is None else text_of(options.output)
    refuse_pipes([*words, output, options.like], execution.cluster)
    planner = converting(options)
    recipe = planner.recipe
    found = goals_of(
        words,
        output,
        "converted",
        ending="" if recipe.unzipped else EXTENSIONS[recipe.format][0],
        force=execution.force,
        dry_run=execution.dry_run,
        is_free=_is_free,
        foreign=True,
        shard=execution.shard,
    )
    if len(found) > 1 and any(goal.path == "-" for _, goal in found):
        raise Usage(f"{len(found)} models, but - is a single one")
    if options.verify and (execution.dry_run or any("-" in (model.path, goal.path) for model, goal in found)):
        raise Usage("verifying needs the old and the new model as files: no dry run, no pipe")
    tasks = [Task(model.path, replace(goal, is_folder=recipe.unzipped), planner, model.size) for model, goal in found]
    return do_all(tasks, execution)


def converting(options: Convert) -> Converting:
    """Returns what plans a conversion.

    Raises:
        Usage: words that do not go together.
        WtoolError: a file that the words name cannot be read.
    """
    recipe = _recipe(options, None if options.output is None else text_of(options.output))
    architecture, told = (None, None) if options.architecture is None else entry_in(options.architecture)
    filling = filling_of(options)
    if filling is not None and options.verify:
        raise Usage("--verify compares a model with what it was, and --like gives it other weights")
    return Converting(recipe, _parameters(recipe, told, filling), architecture, options.verify, filling)


def _recipe(options: Convert, output: str | None) -> Recipe:
    """Returns how models are converted.

    Raises:
        Usage: words that do not go together.
    """
    named = None if output is None or output == "-" or is_folder(output) else format_of(output)
    if options.to is not None and named not in (None, options.to):
        raise Usage(f"--to {options.to}, but the name of the output is that of the format {named}", str(output))
    kind = options.to or named or "keras"
    size = bytes_of(options.shard_size)
    if size is not None and kind != "weights.json":
        raise Usage("a size of shards is for --to weights.json")
    if options.unzipped and (kind != "keras" or output == "-" or (named is not None)):
        raise Usage("only a .keras model is written as a folder, under a name without an ending")
    return Recipe(kind, wishes_of(options), options.optimizer, size, options.unzipped)


def _parameters(recipe: Recipe, architecture: str | None, filling: Filling | None) -> dict[str, Any]:
    """Returns what the lineage tells of a conversion, without what is not given."""
    wishes = recipe.wishes
    told = {
        "to": recipe.format,
        "optimizer": recipe.optimizer,
        "replace": {layer: dict(entry) for layer, entry in wishes.replacements.items()},
        "rename": dict(wishes.renamed),
        "attribute": {layer: list(names) for layer, names in wishes.attributes.items()},
        "input_shape": None if wishes.input_shape is None else list(wishes.input_shape),
        "architecture": architecture,
        "shard_size": recipe.shard_size,
        "unzipped": recipe.unzipped or None,
        "map": None if filling is None else filling.names_hash,
        "transpose": None if filling is None else list(filling.transposed) or None,
    }
    return {name: value for name, value in told.items() if value not in (None, {})}


def _is_free(model: str, path: str) -> bool:
    """Returns whether a path has no file, or an earlier result of the same model."""
    if not tree.is_named(path):
        return True
    try:
        with open_checkpoint(path) as there:
            last = last_record(there.lineage)
    except WtoolError:
        return False
    made_of = [each.name for each in last.inputs if each.told.get("as") != LIKE]
    return last.operation == "convert" and made_of == [name_of(model)]


@dataclass(frozen=True, slots=True)
class Converting:
    """A conversion of models, and how.

    Attributes:
        recipe: to what, and what the user says.
        parameters: what the lineage tells of it.
        architecture: of weights alone; None where models tell their own.
        verify: run the result with Keras.
        filling: how another model gets the weights; None where the models themselves are converted.
    """

    recipe: Recipe
    parameters: Mapping[str, Any]
    architecture: Mapping[str, Any] | None = None
    verify: bool = False
    filling: Filling | None = None

    def plan(self, model: str, opener: Opener, stack: ExitStack) -> Plan:
        """Open a model, and see what becomes of it.

        Raises:
            Unconvertible: rules cannot keep some layers.
        """
        base = opener.open(model, stack, foreign=True)
        if self.filling is not None:
            return self._filled(base, self.filling, stack)
        if self.architecture is not None:
            base = with_architecture(base, self.architecture)
        conversion = conversion_of(base, self.recipe)
        operations: tuple[Operation, ...] = ()
        if conversion is not None:
            record, operand = Record("convert", self.parameters), Operand(base, {"as": "model"})
            operations = (Operation(record, (operand,), partial(_changes_with_masks, conversion)),)
        return Plan(base, operations, result_format=self.recipe.format)

    def _filled(self, weights: Checkpoint, filling: Filling, stack: ExitStack) -> Plan:
        """Returns the plan for a model that gets the weights of another file; its history is that of the weights."""
        model = stack.enter_context(open_checkpoint(filling.model))
        conversion = filled_model(model, weights, filling, self.recipe)
        operands = (Operand(weights, {"as": "weights"}), Operand(model, {"as": LIKE}))
        operation = Operation(Record("convert", self.parameters), operands, partial(_changes, conversion))
        return Plan(model, (operation,), weights.lineage, result_format=self.recipe.format)

    def told(self, task: Task[Converted], plan: Plan, derived: Derived) -> Converted:
        """What was done to a model; the result is verified now, if that was asked for."""
        if not plan.operations:
            words = self.recipe.wishes.told
            unused = (f"{' and '.join(words)}: of no use where there is nothing to convert",) if words else ()
            return Converted(task.name, None, is_new=False, format=plan.format, notes=unused)
        verified, told = _verified(task.goal.path, plan) if self.verify else (None, ())
        if derived.there is not None:
            return Converted(task.name, task.output, skipped=True, format=plan.format, notes=told, verified=verified)
        changes = derived.change
        assert isinstance(changes, Conversions)
        found = changes.conversion
        notes = (*found.notes, *told)
        return Converted(
            task.name, task.output, format=plan.format, changes=found.changes, notes=notes, verified=verified
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Conversions(Changes):
    """What a conversion makes of a checkpoint; `conversion` is what the rules did."""

    conversion: Conversion


def _verified(output: str, plan: Plan) -> tuple[str | None, tuple[str, ...]]:
    """Returns what running the result came to, in words; or None, and a note why nobody ran it.

    The result stays where it is, whatever running it comes to.

    Raises:
        WtoolError: Keras does not load or run the result, or the result does not compute what the model did.
    """
    if plan.format in WEIGHTS_ALONE:
        return None, ("not verified: weights alone cannot be run",)
    if plan.format == "safetensors":
        return None, ("not verified: Keras does not open safetensors files",)
    from wtool.training.quiet import silent_import, without_advice

    with silent_import():
        from wtool.training.compare import EXAMPLE, Unusable, compared
    try:
        with without_advice(), open_checkpoint(output) as made:
            found = compared(plan.base, made, is_old(plan.base))
    except Unusable as error:
        raise did_not_verify(output, error) from None
    except WtoolError as error:
        return None, (f"not verified: {error.message}",)
    if found.by is None or found.difference is None:
        finite = "finite" if isfinite(found.largest) else "not finite"
        return f"runs, its outputs are {finite}", (f"the old model was not run: {found.why}",)
    refuse_difference(output, plan.base, found.difference, found.largest)
    told = f"largest difference {found.difference:.3g}, of outputs up to {found.largest:.3g}"
    if found.by == EXAMPLE:
        return f"computes what the stored example says ({told})", ()
    return f"computes what {found.by} computed before ({told})", ()


def _changes(conversion: Conversion, edited: Edited, passes: Passes) -> Changes:
    return Conversions(composition=conversion.composition, notes=conversion.notes, conversion=conversion)


def _changes_with_masks(conversion: Conversion, edited: Edited, passes: Passes) -> Changes:
    """The changes of a conversion, which takes recorded masks along to the new names of their tensors."""
    filled = conversion.composition.variables
    taken = {path: each.path for path, each in filled.items() if isinstance(each, Tensor)}
    masks = moved_masks(edited.lineage, edited.base.weights, taken)
    changes = _changes(conversion, edited, passes)
    return replace(changes, notes=(*changes.notes, *masks.notes), more={MASKS: masks.entries} if masks.entries else {})
