"""A soup: the mean of models that were chosen by their scores on held-out data.

`wtool/ops/signatures.pyi` has the function's signature for type checkers and editors; `make docs` writes it. Keras and
NumPy are imported when the function is called.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from wtool.errors import Usage
from wtool.io.addresses import text_of
from wtool.ops.functions import First, function_of
from wtool.training.soups.options import OPERATION, Soup, Souped
from wtool.words import Models

if TYPE_CHECKING:
    from wtool.ops.signatures import soup as soup

MODELS = First(
    "models",
    Models,
    "files, folders (searched for models), or patterns: whole models of one architecture.",
    "a model is missing or damaged, models do not match, no score is a number, or the output exists",
)


def check_soup(models: Sequence[str], options: Soup) -> tuple[list[str], list[str]]:
    """Check the options of a soup, before Keras is imported; returns the models, in their order, and notes.

    Raises:
        WtoolError: data or a model is missing, or the log holds something else.
        Usage: options do not go together.
    """
    from wtool.ops.average_inputs import inputs_but
    from wtool.ops.average_order import ordered
    from wtool.training.data.arrays import held_out_is_test
    from wtool.training.data.words import check_data
    from wtool.training.known_names import check_names
    from wtool.training.soups.log import check_log

    check_data(options.data)
    check_names(options)
    if options.recalibrate is not None:
        check_data(options.recalibrate, labelled=False)
    if options.log is not None:
        check_log(text_of(options.log))
    if "-" in models:
        raise Usage("a soup reads its models several times, and standard input can be read only once")
    named, passed_by = inputs_but(options.output, list(models), OPERATION)
    paths = ordered(named, options.order, "equal", matters=False).paths  # the notes are about which model is the newest
    _check_files(paths, options)
    is_test = held_out_is_test(options.data)
    told = ["models are chosen by the test part of the data, whose score says nothing of new data from now on"]
    return paths, [*passed_by, *(told if is_test else [])]


def _check_files(paths: Sequence[str], options: Soup) -> None:
    """Refuse models that cannot be opened or are of weights alone, and an output that cannot be written."""
    from contextlib import ExitStack

    from wtool.checkpoint.opener import Opener
    from wtool.io.places import Target, check_target
    from wtool.run.result_names import goal_of_several
    from wtool.training.checks import refuse_weights_only

    output = None if options.output is None else text_of(options.output)
    with Opener() as opener, ExitStack() as stack:
        for path in reversed(paths):
            checkpoint = opener.open(path, stack)
            refuse_weights_only(checkpoint)
            if path == paths[-1]:
                goal = goal_of_several(output, OPERATION, checkpoint, force=options.force, dry_run=options.dry_run)
                if not (goal.makes_folder or goal.dry_run):
                    check_target(Target(goal.path, force=True))  # what is there already may be an earlier soup


def _soup(models: Models, given: Mapping[str, Any]) -> Souped:
    from wtool.run.batch import words_of

    options = Soup(**given)
    names, notes = check_soup(words_of(models), options)
    from wtool.training.soups.soup import make_soup

    return make_soup(names, options, notes)


globals()["soup"] = function_of(Soup, "soup", (Soup,), Souped, _soup, MODELS)
