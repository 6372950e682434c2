"""Results as JSON, an object on a line: the one form that `--json` of every command has.

`docs/reference/json.md` describes it, and `docs/reference/schemas/` has a schema for each command.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import click

from wtool.io.json_text import without_nan


def print_json(result: Any) -> None:
    """Prints a result on a line of standard output; null stands for NaN and infinity.

    Args:
        result: a dataclass's instance, or a dictionary.
    """
    click.echo(json.dumps(without_nan(json_of(result)), allow_nan=False, default=str))


def json_of(value: Any) -> Any:
    """Returns a value with dictionaries for dataclasses, and lists for tuples."""
    if is_dataclass(value) and not isinstance(value, type):
        return {key: json_of(getattr(value, name)) for key, name in keys_of(type(value)).items()}
    if isinstance(value, Mapping):
        return {str(key): json_of(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_of(item) for item in value]
    return value


def keys_of(kind: type) -> dict[str, str]:
    """Returns each key of the object that a dataclass becomes, and the name of the attribute with its value.

    The keys are the names of the fields, and of the properties that the dataclass lists in `TOLD`; `class_name`
    becomes `class`, which no attribute of Python can be called.
    """
    names = [each.name for each in fields(kind)] + list(getattr(kind, "TOLD", ()))
    return {"class" if name == "class_name" else name: name for name in names}
