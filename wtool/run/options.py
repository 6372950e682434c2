"""Options that everything takes that makes one model of one, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import fields
from difflib import get_close_matches
from typing import Any, TypedDict

from wtool.checkpoint.inputs import refuse_two_streams
from wtool.choices import OPTIMIZER_MODES, check_choice
from wtool.errors import Usage
from wtool.run.pipeline import Progress
from wtool.transforms.change import Transform
from wtool.words import Path


class Common(TypedDict, total=False):
    """What everything that makes one model of one can be told.

    Attributes:
        output: a file, a folder for many models (it ends in a slash or exists), or `-` for standard output; default
            `<stem>-<operation><ext>` beside each model.
        seed: of the random numbers; default a fresh one.
        optimizer: `follow` (what was rewritten loses its momentum), `keep`, `reset` or `drop`. Re-initialisations keep
            the initial checkpoint's by default.
        dry_run: do everything but write.
        force: replace existing outputs.
        in_place: the input is the output.
        jobs: models at a time, each in a process of its own.
        fail_fast: stop at the first model that fails.
        progress: called with bytes done and bytes in all.
        report: called with the result of each model, in the order of the models.
    """

    output: Path | None
    seed: int | None
    optimizer: str | None
    dry_run: bool
    force: bool
    in_place: bool
    jobs: int
    fail_fast: bool
    progress: Progress | None
    report: Callable[[Any], None] | None


class Options(Common, total=False):
    """What every transform of single models can be told besides.

    Attributes:
        include, exclude: only tensors with paths like these, and none like those.
        weights, biases: whether kernels (of every kind) and biases are selected: kernels are, biases are not. Other
            variables are where `include` names them.
    """

    include: Sequence[str]
    exclude: Sequence[str]
    weights: bool
    biases: bool


def refuse_unknown(operation: str, options: Mapping[str, Any], *known: Any, own: Collection[str] = ()) -> None:
    """Refuse options that do not exist, as Python itself would, and suggest the ones that were meant.

    Args:
        operation: its name, for the message.
        options: what was given by keyword.
        known: typed dictionaries of the options that exist.
        own: names of the operation's further parameters, to suggest.

    Raises:
        TypeError: an option does not exist.
    """
    exist = {name for kind in known for name in kind.__annotations__}
    unknown = sorted(options.keys() - exist)
    if unknown:
        names = sorted({*exist, *own})
        meant = [near for name in unknown for near in get_close_matches(name, names, n=1)]
        hint = f"; did you mean {', '.join(meant)}?" if meant else f"; its options are {', '.join(names)}"
        raise TypeError(f"{operation} has no option {', '.join(unknown)}{hint}")


def check_options(operation: Transform, words: Sequence[str], initial: str | None, options: Options) -> None:
    """Raise Usage unless the options fit an operation and each other: from Python, words come unchecked."""
    refuse_unknown(operation.name, options, Options, Common, own=[each.name for each in fields(operation)])  # type: ignore[arg-type]
    refuse_two_streams([*words, *([] if initial is None else [initial])])
    for name in ("include", "exclude"):
        globs: Any = options.get(name, ())
        if isinstance(globs, str) or not all(isinstance(each, str) for each in globs):
            raise Usage(f"{name} is a list of texts, not a single text")
    check_common(words, options)
    if operation.reads_initial and initial is None:
        raise Usage(f"this {operation.name} needs an initial checkpoint (--initial)")
    if initial is not None and not operation.reads_initial:
        raise Usage(f"the initial checkpoint plays no part in this {operation.name}")


def check_common(words: Sequence[str], options: Common) -> None:
    """Raise Usage unless the common options fit each other: from Python, words come unchecked."""
    mode = options.get("optimizer")
    if mode is not None:
        check_choice(mode, "optimizer mode", OPTIMIZER_MODES)
    if options.get("in_place") and (options.get("output") is not None or "-" in words):
        raise Usage("in place, the model itself is the output: no other output, and no standard input")
    if options.get("jobs", 1) < 1:
        raise Usage("at least one model at a time (--jobs 1)")
    seed = options.get("seed")
    if seed is not None and not (isinstance(seed, int) and seed >= 0):
        raise Usage("a seed is a whole number from 0 up, and not negative")
