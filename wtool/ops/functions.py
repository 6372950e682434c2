"""Public functions made of options: with signatures that tell every option, and docstrings that say what each is."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from functools import reduce
from inspect import Parameter, Signature
from operator import or_
from textwrap import TextWrapper, indent
from types import NoneType
from typing import Any, TypeVar

from wtool.option import Description, arguments_of, checked, described, options_of, types_of
from wtool.option_types import alternatives
from wtool.run.options import refuse_unknown
from wtool.words import Models

Done = TypeVar("Done")

_HANGING = TextWrapper(100, initial_indent="    ", subsequent_indent="        ")


@dataclass(frozen=True)
class First:
    """The first argument of a public function, which says on what the operation works.

    Attributes:
        name: of the argument.
        kind: its type.
        told: what the docstring says of it.
        failed: when the function raises a `WtoolError`.
        is_each: whether the function returns a list of results, one for each model.
    """

    name: str
    kind: Any
    told: str
    failed: str = "the model failed"
    is_each: bool = False


MODELS = First(
    "models",
    Models,
    "files, folders (searched for models), patterns, or `-` for standard input.",
    "the model failed; `wtool.SomeFailed` if several were given",
    is_each=True,
)


def function_of(
    kind: type,
    name: str,
    groups: Sequence[type],
    result: type,
    do: Callable[[Any, Mapping[str, Any]], Done],
    first: First = MODELS,
    required: Sequence[str] = (),
) -> Callable[..., Done]:
    """Makes the public function of an operation.

    Args:
        kind: the dataclass of the operation, whose docstring describes it.
        name: of the function.
        groups: dataclasses whose fields are the function's arguments, in this order.
        result: the type of a result.
        do: does the operation, with the value of the first argument and the other arguments that were given.
        first: the first argument.
        required: names of fields that have a default but are required arguments.

    Returns:
        a function whose signature, type hints and docstring have every argument. For an argument that does not exist,
        the function raises a TypeError that suggests the nearest name.
    """
    arguments = [each for group in groups for each in parameters_of(group, required)]
    place = Parameter(first.name, Parameter.POSITIONAL_OR_KEYWORD, annotation=first.kind)
    returned: Any = list[result] if first.is_each else result  # type: ignore[valid-type]
    signature = Signature([place, *arguments], return_annotation=returned)
    names = [each.name for each in arguments]

    def function(*places: Any, **given: Any) -> Done:
        refuse_unknown(name, {*given} - {first.name}, names)
        try:
            found = signature.bind(*places, **given).arguments
        except TypeError as error:
            verb = "is" if str(error).startswith("missing") else "got"
            raise TypeError(f"{name}() {verb} {error}") from None
        return do(checked(first.name, first.kind, found.pop(first.name)), found)

    function.__name__ = function.__qualname__ = name
    function.__module__ = "wtool"
    function.__signature__ = signature  # type: ignore[attr-defined]
    function.__annotations__ = {each.name: each.annotation for each in signature.parameters.values()}
    function.__annotations__["return"] = signature.return_annotation
    function.__doc__ = docstring(described(kind), groups, result, first)
    return function


def parameters_of(group: type, required: Sequence[str] = ()) -> list[Parameter]:
    """Returns the fields of a dataclass as keyword-only parameters; those in `required` have no default."""
    found = []
    for each in fields(group):
        kind, default = types_of(group)[each.name], each.default
        if each.name in required:
            kind, default = reduce(or_, (one for one in alternatives(kind) if one is not NoneType)), MISSING
        default = Parameter.empty if default is MISSING else default
        found.append(Parameter(each.name, Parameter.KEYWORD_ONLY, default=default, annotation=kind))
    return found


def given_of(group: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """Returns those of the given arguments that are fields of a dataclass."""
    return {each.name: given[each.name] for each in fields(group) if each.name in given}


def docstring(description: Description, groups: Sequence[type], result: type, first: First) -> str:
    """Returns the docstring of a function: the operation, every argument, the result, the errors and examples."""
    told = [_told(each.name, group) for group in groups for each in fields(group)]
    paragraphs = [
        description.summary,
        *map(in_python, description.prose),
        "Args:\n" + "\n".join(map(_HANGING.fill, [f"{first.name}: {first.told}", *told])),
        f"Returns:\n    one `wtool.{result.__name__}`{' for each model' if first.is_each else ''}.",
        "Raises:\n"
        f"    WtoolError: {first.failed}.\n"
        "    Usage: arguments that are wrong or do not go together, or patterns that match nothing.\n"
        "    TypeError: arguments that do not exist.",
        *(["Example:\n" + indent("\n".join(description.calls), "    ")] if description.calls else []),
        *([description.source] if description.source else []),
    ]
    return "\n\n".join(paragraphs) + "\n"


def _told(name: str, group: type) -> str:
    """Returns the line of an argument, with the letter that help texts use for its value, and its choices."""
    if name in arguments_of(group):
        return f"{name}: {arguments_of(group)[name]}"
    each = options_of(group)[name]
    letter = f" ({each.metavar})" if each.metavar and len(each.metavar) == 1 and each.metavar != name else ""
    words = f" One of {', '.join(each.choices)}." if each.choices and not each.help.startswith(each.choices[0]) else ""
    return f"{name}{letter}: {in_python(each.help)}{words}"


def in_python(text: str) -> str:
    """Returns a help text with the Python names of options: `--min-value` becomes `min_value`."""
    return re.sub(r"--([a-z][a-z-]*)", lambda found: f"`{found[1].replace('-', '_')}`", text)
