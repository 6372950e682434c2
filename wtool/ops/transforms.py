"""The operations on single models, as functions of files: made of their dataclasses.

`wtool/ops/signatures.pyi` has their signatures for type checkers and editors; `make docs` writes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from wtool.ops.functions import function_of, given_of
from wtool.run.batch import check_verifying, check_words, do_all, fresh_seed, tasks_of, transform_all, words_of
from wtool.run.options import Batch, Common, Initial, groups_of, needs_initial, shared_by
from wtool.run.transform import Transformed
from wtool.transforms.change import Transform
from wtool.transforms.registry import REGISTRY, transform
from wtool.words import Models

if TYPE_CHECKING:
    from wtool.ops.converted import Converted
    from wtool.ops.signatures import *  # noqa: F403
    from wtool.ops.swap import Swapping
    from wtool.ops.swapped import Swapped


def transform_function(kind: type[Transform]) -> Callable[..., list[Transformed]]:
    """Makes the public function of a transform."""

    def do(models: Models, given: Mapping[str, Any]) -> list[Transformed]:
        shared = shared_by(kind)
        operation = kind(**given_of(kind, given))
        initial = Initial(**given_of(Initial, given)).initial
        return transform_all(operation, models, initial, shared(**given_of(shared, given)))

    required = ("initial",) if needs_initial(kind) else ()
    return function_of(kind, kind.name, groups_of(kind), Transformed, do, required=required)


def swapping(given: Mapping[str, Any]) -> Swapping:
    """Returns what plans a swap with these arguments."""
    from wtool.graphs.swap import Swap, Verification
    from wtool.ops.swap import Swapping

    options = Common(**given_of(Common, given))
    return Swapping(
        Swap(**given_of(Swap, given)),
        optimizer=options.optimizer,
        seed=fresh_seed() if options.seed is None else options.seed,
        seed_is_given=options.seed is not None,
        force=options.force or options.in_place,
        verify=Verification(**given_of(Verification, given)).verify,
    )


def _swap(models: Models, given: Mapping[str, Any]) -> list[Swapped]:
    words = words_of(models)
    options = Common(**given_of(Common, given))
    check_words(words, options)
    planner = swapping(given)
    tasks = tasks_of(planner, words, "swap", options)
    if planner.verify:
        check_verifying(tasks, options)
    return do_all(tasks, options)


def _convert(models: Models, given: Mapping[str, Any]) -> list[Converted]:
    from wtool.ops.convert import convert
    from wtool.ops.convert_options import Convert

    return convert(words_of(models), Convert(**given_of(Convert, given)), Batch(**given_of(Batch, given)))


def _swap_function() -> Callable[..., list[Swapped]]:
    from wtool.graphs.swap import Swap, Verification
    from wtool.ops.swapped import Swapped

    return function_of(Swap, "swap", (Swap, Verification, Common), Swapped, _swap)


def _convert_function() -> Callable[..., list[Converted]]:
    from wtool.ops.convert_options import Convert
    from wtool.ops.converted import Converted

    return function_of(Convert, "convert", (Convert, Batch), Converted, _convert)


OTHERS = {"swap": _swap_function, "convert": _convert_function}


def __getattr__(name: str) -> Callable[..., Any]:
    """Make a function when it is first asked for: most who need one need no other."""
    if name not in REGISTRY and name not in OTHERS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    made = transform_function(transform(name)) if name in REGISTRY else OTHERS[name]()
    globals()[name] = made
    return made
