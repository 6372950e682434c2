"""Writes `docs/reference/schemas/`: a JSON schema of what `--json` of each command prints (`make docs`).

The schemas follow from the dataclasses of results, and from the tables here for `wtool inspect`, whose result is a
dictionary.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from inspect import cleandoc
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypedDict, Union, get_args, get_origin, get_type_hints, is_typeddict

import wtool
from wtool.cli.json_lines import keys_of
from wtool.transforms.registry import REGISTRY

FOLDER = Path(__file__).parents[1] / "docs" / "reference" / "schemas"

Described = TypedDict(
    "Described",
    {
        "path": str, "role": str, "layer": str, "class": str | None, "trainable": bool | None, "shape": list[int],
        "dtype": str, "bytes": int, "zeros": int | None, "sum": float, "mean": float, "std": float, "min": float,
        "max": float,
    },
)  # fmt: skip
DescribedLayer = TypedDict("DescribedLayer", {"name": str, "class": str | None})


class Slots(TypedDict):
    path: str | None
    slot: str
    shape: list[int]
    dtype: str


Lost = TypedDict("Lost", {"class": str | None, "step": int | None, "lost": Any, "slots": list[Slots]})


class Dead(TypedDict):
    channels_of: list[str]
    channels: int
    dead: int


class Inspected(TypedDict):
    """What `wtool inspect` tells of a model."""

    path: str
    format: str
    keras_version: str | None
    parameters: int
    bytes: int
    layers: list[DescribedLayer]
    tensors: list[Described]
    dead: list[Dead]
    optimizer: Lost | None
    lineage: list[dict[str, Any]]
    notes: list[str]


LayerCost = TypedDict(
    "LayerCost",
    {
        "name": str, "class": str, "calls": int, "output": list[int | None] | None, "parameters": int,
        "multiply_adds": int | None, "activations": int | None, "unknown": str | None,
    },
)  # fmt: skip


class Costs(TypedDict):
    """What `wtool inspect --cost` tells of a model."""

    path: str
    format: str
    keras_version: str | None
    inputs: list[list[int | None] | None]
    parameters: int
    multiply_adds: int | None
    activations: int | None
    layers: list[LayerCost]
    notes: list[str]


RESULTS: dict[str, Any] = {
    **dict.fromkeys(sorted(REGISTRY), wtool.Transformed),
    "align": wtool.Aligned,
    "average": wtool.Averaged,
    "check": wtool.Checked,
    "convert": wtool.Converted,
    "diff": wtool.Diff,
    "diff-patch": wtool.PatchMade,
    "ema": wtool.MovingAverage,
    "evaluate": wtool.Evaluated,
    "history": wtool.History,
    "index": wtool.Indexed,
    "inspect": Inspected,
    "inspect-cost": Costs,
    "lottery": wtool.Lottery,
    "merge": wtool.Merged,
    "pack": wtool.Packed,
    "patch": wtool.Patched,
    "plot": wtool.Plotted,
    "recalibrate": wtool.Recalibrated,
    "replay": wtool.Replayed,
    "report": wtool.Reported,
    "resume": wtool.Resumed,
    "run": wtool.RecipeRun,
    "shrink": wtool.Shrunk,
    "soup": wtool.Souped,
    "swap": wtool.Swapped,
}
"""A command, with `-cost` and `-patch` for these options -> what it prints of each model, or of all together."""

NAMES_MODEL = {"inspect": "path", "inspect-cost": "path", "diff": None, "diff-patch": None, "average": None,
               "merge": None, "soup": None, "lottery": None, "resume": None, "index": None,
               "plot": None, "report": None}  # fmt: skip
"""A command -> the key with a model that failed: `model` by default, None where a failure prints no JSON."""

REFUSED = {"convert": {"refused": "changes"}}
"""Further keys of a model that failed, which are like those of a result."""


def schema_of(name: str) -> dict[str, Any]:
    """Returns the schema of the objects that a command prints."""
    definitions: dict[str, Any] = {}
    result = _schema(RESULTS[name], definitions)
    key = NAMES_MODEL.get(name, "model")
    shapes = [result]
    if key is not None:
        own = definitions[RESULTS[name].__name__]["properties"]
        more = {each: own[like] for each, like in REFUSED.get(name, {}).items()}
        failed = {"type": "object", "description": "A model that failed, and why."}
        failed |= {"properties": {key: {"type": "string"}, "error": {"type": "string"}, **more}}
        failed |= {"required": [key, "error"], "additionalProperties": False}
        definitions["Failed"] = failed
        shapes.append({"$ref": "#/$defs/Failed"})
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"wtool {name.replace('-', ' --')} --json",
        **({"anyOf": shapes} if len(shapes) > 1 else result),
        "$defs": dict(sorted(definitions.items())),
    }


def _schema(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    """Returns the schema of a type; those of dataclasses are put into the definitions."""
    if is_dataclass(kind) or is_typeddict(kind):
        if kind.__name__ not in definitions:
            definitions[kind.__name__] = {}  # a type may hold itself
            definitions[kind.__name__] = _object(kind, definitions)
        return {"$ref": f"#/$defs/{kind.__name__}"}
    origin, of = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        shapes = [_schema(one, definitions) for one in of]
        return {"anyOf": list({json.dumps(each): each for each in shapes}.values())}
    if origin is Literal:
        return {"enum": list(of)}
    if origin in (dict, Mapping) or (isinstance(origin, type) and issubclass(origin, Mapping)):
        return {"type": "object", "additionalProperties": _schema(of[1], definitions)}
    if origin is tuple and Ellipsis not in of:
        shapes = [_schema(one, definitions) for one in of]
        return {"type": "array", "prefixItems": shapes, "minItems": len(of), "maxItems": len(of)}
    if origin in (tuple, list) or (isinstance(origin, type) and issubclass(origin, Sequence)):
        return {"type": "array", "items": _schema(of[0], definitions)}
    return dict(_PLAIN[kind])


_PLAIN: dict[Any, dict[str, Any]] = {
    Any: {},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": ["number", "null"]},  # null stands for NaN and infinity
    str: {"type": "string"},
    NoneType: {"type": "null"},
}


def _object(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    hints = get_type_hints(kind)
    keys = keys_of(kind) if is_dataclass(kind) else {name: name for name in hints}
    told = _attributes(kind.__doc__ or "")
    properties = {}
    for key, name in keys.items():
        attribute = hints.get(name) or get_type_hints(getattr(kind, name).fget)["return"]
        text = {"description": told[name]} if name in told else {}
        properties[key] = {**_schema(attribute, definitions), **text}
    summary = cleandoc(kind.__doc__ or "").partition("\n\n")[0].replace("\n", " ")
    return {
        "type": "object",
        **({"description": summary} if is_dataclass(kind) or kind in (Inspected, Costs) else {}),
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _attributes(text: str) -> dict[str, str]:
    """Returns what a docstring says of each attribute."""
    section = cleandoc(text).partition("Attributes:\n")[2].partition("\n\n")[0]
    found = re.findall(r"^    (\w[\w, ]*): (.*(?:\n {8}.*)*)", section, re.MULTILINE)
    return {
        name: re.sub(r"\s+", " ", told).replace("None", "null") for names, told in found for name in names.split(", ")
    }


def texts() -> dict[Path, str]:
    """Returns the text of each file of schemas."""
    return {FOLDER / f"{name}.json": json.dumps(schema_of(name), indent=1) + "\n" for name in RESULTS}


def main() -> None:
    """Write the schemas."""
    FOLDER.mkdir(exist_ok=True)
    for path, text in texts().items():
        path.write_text(text)


if __name__ == "__main__":
    main()
