"""Public functions made of options: with signatures that tell every option, and docstrings that say what each is."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass, replace
from functools import reduce
from inspect import Parameter, Signature
from keyword import iskeyword
from operator import or_
from textwrap import TextWrapper, indent
from types import NoneType
from typing import Any, TypeVar

from wtool.argument_names import argument_of, for_reader
from wtool.errors import Usage, explained
from wtool.option import Description, arguments_of, checked, described, options_of, types_of
from wtool.option_types import alternatives, is_list
from wtool.run.options import refuse_unknown
from wtool.values import dataclass
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


@dataclass(frozen=True)
class Arguments:
    """What the arguments of a public function are made of.

    Attributes:
        groups: dataclasses whose fields the arguments are.
        required: names of fields that have a default but are required arguments.
    """

    groups: tuple[type, ...]
    required: tuple[str, ...]


ARGUMENTS: dict[str, Arguments] = {}
"""Name of a public function that was made -> its arguments."""


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
    aliases = {alias: field for group in groups for alias, field in aliases_of(group).items()}

    def function(*places: Any, **given: Any) -> Done:
        refuse_unknown(name, {*given} - {first.name}, names)
        given = _without_aliases(given, aliases)
        try:
            found = signature.bind(*places, **given).arguments
        except TypeError as error:
            verb = "is" if str(error).startswith("missing") else "got"
            raise TypeError(f"{name}() {verb} {error}") from None
        if callable(found.get("report")):
            found["report"] = _reporting(found["report"])
        try:
            done = do(checked(first.name, first.kind, found.pop(first.name)), found)
        except ModuleNotFoundError as error:
            raise explained(error) from error
        told: Done = _for_reader(done)
        return told

    function.__name__ = function.__qualname__ = name
    function.__module__ = "wtool"
    function.__signature__ = signature  # type: ignore[attr-defined]
    function.__annotations__ = {each.name: each.annotation for each in signature.parameters.values()}
    function.__annotations__["return"] = signature.return_annotation
    function.__doc__ = docstring(described(kind), groups, result, first)
    ARGUMENTS[name] = Arguments(tuple(groups), tuple(required))
    return function


def parameters_of(group: type, required: Sequence[str] = ()) -> list[Parameter]:
    """Returns the fields of a dataclass as keyword-only parameters; those in `required` have no default."""
    found = []
    for each in fields(group):
        kind, default = types_of(group)[each.name], each.default
        if each.name in required:
            kind, default = reduce(or_, (one for one in alternatives(kind) if one is not NoneType)), MISSING
        default = Parameter.empty if default is MISSING else default
        for name in (each.name, *(alias for alias, field in aliases_of(group).items() if field == each.name)):
            found.append(Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=kind))
    return found


def aliases_of(group: type) -> dict[str, str]:
    """Returns further names of a dataclass's fields: the names of single values on the command line, such as `exp`."""
    words = {word: name for name, each in options_of(group).items() for word in each.words}
    return {
        word: name
        for word, name in words.items()
        if not iskeyword(word) and not any(map(is_list, alternatives(types_of(group)[name])))
    }


def _without_aliases(given: Mapping[str, Any], aliases: Mapping[str, str]) -> dict[str, Any]:
    """Returns arguments under the names of fields.

    Raises:
        Usage: an argument is given under both of its names.
    """
    found = {name: value for name, value in given.items() if name not in aliases}
    for alias, name in aliases.items():
        if given.get(alias) is not None:
            if given.get(name) is not None:
                raise Usage(f"{name} and {alias} are two names of one argument; give one")
            found[name] = given[alias]
    return found


def _reporting(report: Callable[[Any], None]) -> Callable[[Any], None]:
    return lambda result: report(_for_reader(result))


def _for_reader(done: Any) -> Any:
    """Returns results whose notes name options as whoever runs this process does."""
    if isinstance(done, list):
        return [_for_reader(each) for each in done]
    notes = getattr(done, "notes", None)
    if not notes or not is_dataclass(done) or isinstance(done, type):
        return done
    return replace(done, notes=tuple(map(for_reader, notes)))


def given_of(group: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """Returns those of the given arguments that are fields of a dataclass."""
    return {each.name: given[each.name] for each in fields(group) if each.name in given}


def docstring(description: Description, groups: Sequence[type], result: type, first: First) -> str:
    """Returns the docstring of a function: the operation, every argument, the result, the errors and examples."""
    told = [line for group in groups for each in fields(group) for line in _lines(each.name, group)]
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


def _lines(name: str, group: type) -> list[str]:
    """Returns the line of an argument, and those of its further names."""
    others = [alias for alias, field in aliases_of(group).items() if field == name]
    return [_told(name, group), *(f"{alias}: the same as `{name}`." for alias in others)]


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
    return _MARKED.sub(lambda found: f"`{_marked(found[1] or found[0])}`", text)


_MARKED = re.compile(r"`([^`]*)`|--[a-z][a-z-]*")


def _marked(text: str) -> str:
    """Returns what stands between backticks: of an option the argument, and all else as it is."""
    option = re.fullmatch(r"--([a-z][a-z-]*)( .*)?", text)
    return text if option is None else f"{argument_of(option[1])}{(option[2] or '').replace(' ', '=')}"
