"""The operations that a recipe may have: their words, and which of these name models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from typing import Any

import wtool
from wtool.argument_names import argument_of
from wtool.ops.functions import ARGUMENTS
from wtool.option import Option, options_of, types_of
from wtool.transforms.registry import REGISTRY
from wtool.values import dataclass

OPERATIONS = (
    *(*REGISTRY, "align", "average", "convert", "ema", "merge"),
    *("pack", "patch", "recalibrate", "shrink", "soup", "swap"),
)
"""Operations that make a model."""

TRAINING = ("lottery", "resume")
"""Operations that train: what comes of them depends on more than a recipe says."""

NO_MODEL = (
    *("check", "completion", "diff", "evaluate", "help", "history", "index", "inspect", "plot", "replay"),
    *("report", "run"),
)
"""Commands that make no model."""

MODELS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(REGISTRY, ("initial",)),
    "align": ("to",),
    "convert": ("like",),
    "merge": ("base",),
    "patch": ("source",),
    "shrink": ("like",),
}
"""Operation -> arguments that name a model: a file, an input of the recipe, or a step."""

FILES = {"average": ("log",), "convert": ("architecture", "map"), "patch": ("patch",), "soup": ("log",)}
"""Operation -> arguments that name another file."""

_OF_THE_RUN = "belongs to the command: give --{} to wtool run"
_ASIDE = {
    "cluster": _OF_THE_RUN.format("cluster"),
    "dry_run": _OF_THE_RUN.format("dry-run"),
    "fail_fast": _OF_THE_RUN.format("fail-fast"),
    "force": _OF_THE_RUN.format("force"),
    "jobs": _OF_THE_RUN.format("jobs"),
    "shard": _OF_THE_RUN.format("shard"),
    "of": "stands beside the operation and not among its options",
    "output": "stands beside the operation and not among its options",
    "in_place": "has no meaning here: a step has an output, or hands its result on",
    "verify": "needs the old and the new model as files: run the operation by itself for that",
    "doctor": "makes no difference to a result: run the operation by itself for that",
    "imports": "runs code, which no recipe does: use --import of the command",
    "unsafe": "runs code from models, which no recipe does: use --unsafe of the command",
}
"""Arguments that no step takes -> the reason."""

_OF_PYTHON = {"collect", "diagnosed", "progress", "report"}


def why_not(operation: str) -> str | None:
    """Returns why a command of wtool is no step of a recipe; None for one that may be a step, or is none of wtool's."""
    if operation in TRAINING:
        return f"{operation} trains, which no recipe does: train first, and begin the recipe with what comes of it"
    return f"{operation} makes no model, and a step makes one" if operation in NO_MODEL else None


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument of an operation.

    Attributes:
        name: of the argument.
        kind: its type.
        known: the option that it is; None for an argument of Python alone.
        is_required: whether it has to be given.
    """

    name: str
    kind: Any
    known: Option | None
    is_required: bool

    @property
    def word(self) -> str:
        """The argument as recipes write it: as the command line does, without dashes in front."""
        word = self.known.words[0] if self.known is not None and self.known.words else self.name
        return word.replace("_", "-").rstrip("-")


def groups_of(operation: str) -> tuple[type, ...]:
    """Returns the dataclasses whose fields are the arguments of an operation."""
    getattr(wtool, operation)
    return ARGUMENTS[operation].groups


def arguments_of(operation: str) -> dict[str, Argument]:
    """Returns the arguments that a step with an operation takes, by name."""
    found = {}
    required = ARGUMENTS[operation].required if groups_of(operation) else ()
    for group in groups_of(operation):
        for each in fields(group):
            if each.name not in _ASIDE and each.name not in _OF_PYTHON and each.name not in found:
                found[each.name] = _argument(group, each, each.name in required)
    return found


def _argument(group: type, field: Field[Any], is_required: bool) -> Argument:
    is_required = is_required or (field.default is MISSING and field.default_factory is MISSING)
    return Argument(field.name, types_of(group)[field.name], options_of(group).get(field.name), is_required)


def words_of(arguments: Mapping[str, Argument]) -> dict[str, str]:
    """Returns all words of arguments: word, with `_` between its parts -> name of the argument."""
    found = {}
    for name, each in arguments.items():
        words = each.known.words if each.known is not None else ()
        for word in (name, each.word, *words):
            found[word.replace("-", "_")] = name
    return found


def aside(word: str) -> str | None:
    """Returns why no step takes a word that commands know as an option; None for all others."""
    reason = _ASIDE.get(argument_of(word.replace("_", "-")))
    return None if reason is None else f"{word} {reason}"
