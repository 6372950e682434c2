"""What a model's configuration would have Keras run, import or fetch. It is read as data: nothing is resolved.

Keras resolves names by importing the module that the file names, unless they are its own or registered; Lambda layers
carry marshalled bytecode, TorchModuleWrapper a pickle, TFSMLayer the path of a graph. `safe_mode` stops some of it in
some versions: CVE-2024-3660, 2025-1550, 2025-8747, 2025-9905, 2025-9906, 2025-49655, 2026-1462. So whatever is not
known to be a part of models is told. The names that are known are made from Keras's own tables (`keras_names`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from wtool.schema.keras2_json import is_marked, with_decoded_marks
from wtool.schema.keras_names import CLASSES, FUNCTIONS, SHORT
from wtool.schema.unsafe_entries import entry_parts
from wtool.schema.unsafe_place import PlacedValue, UnsafePart, is_address, is_path_out, quoted

_CALLED = (
    "activation",
    "recurrent_activation",
    "loss",
    "metrics",
    "weighted_metrics",
    "fn",
    "optimizer",
    "inner_optimizer",
)
_MADE = re.compile(r".*_(initializer|regularizer|constraint|quantizer)$")
_FILES = ("vocabulary", "vocabulary_file", "filepath", "file_path", "origin", "idf_weights", "asset", "fname")
_DTYPE = re.compile(r"[\w/.-]*")
_KNOWN = {name.lower().replace("_", "") for name in (*CLASSES, *FUNCTIONS, *SHORT)}


def unsafe_parts(config: Any, where: str = "") -> Iterator[UnsafePart]:
    """Yields all unsafe parts of a configuration, nested however deep.

    Args:
        config: parsed JSON: `config.json`, `model_config` or `training_config`.
        where: put in front of the paths of the parts.
    """
    marks: list[Any] = []
    told = set()
    for found in _walked(config, where, marks):
        told.add(hash(found))
        yield found
    if marks:
        yield from (found for found in _walked(with_decoded_marks(config), where, []) if hash(found) not in told)


def _walked(config: Any, where: str, marks: list[Any]) -> Iterator[UnsafePart]:
    """Yields the unsafe parts of a configuration as it stands.

    Args:
        config: parsed JSON.
        where: put in front of the paths of the parts.
        marks: gets the objects that the JSON reader of Keras 2 would turn into other values.
    """
    waiting = [PlacedValue(config, where, None)]
    while waiting:
        place = waiting.pop()
        value = place.value
        if isinstance(value, Mapping):
            if is_marked(value):
                marks.append(value)
            yield from entry_parts(place)
            waiting += [_below(child, str(name), place) for name, child in reversed(list(value.items()))]
            yield from (place.unsafe("refers", f"the address {quoted(name)}") for name in value if is_address(name))
        elif isinstance(value, list):
            waiting += [_below(child, number, place) for number, child in reversed(list(enumerate(value)))]
        elif isinstance(value, str):
            yield from _text(place)


def _below(value: Any, key: str | int, above: PlacedValue) -> PlacedValue:
    """Returns a place inside another. Lists and plain dictionaries pass on the setting that they stand in."""
    slot = above.slot
    if isinstance(key, str) and ("class_name" in above.value or not slot or key in _CALLED):
        slot = key if key in (*_CALLED, *_FILES, "dtype", "constants") or _MADE.match(key) else ""
    return PlacedValue(value, key, above, slot)


def _text(place: PlacedValue) -> Iterator[UnsafePart]:
    value, slot = place.value, place.slot
    if slot in _FILES:
        if isinstance(place.key, str):  # a list is words, not files
            what = "address" if is_address(value) else "file"
            yield place.unsafe("refers", f"the {what} {quoted(value)}")
    elif is_address(value):
        yield place.unsafe("refers", f"the address {quoted(value)}")
    elif slot == "constants":
        if is_path_out(value):
            yield place.unsafe("refers", f"the file {quoted(value)}")
    elif slot == "dtype":
        if not _DTYPE.fullmatch(value):
            yield place.unsafe("imports", f"{quoted(value)}, which is not Keras's")
    elif slot and value[:200].lower().replace("_", "") not in _KNOWN:
        yield place.unsafe("imports", f"{quoted(value)}, which is not Keras's")
