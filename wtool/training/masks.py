"""Which zeros of a model are masks, as its lineage tells."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from wtool.errors import Usage
from wtool.files.lineage import Record
from wtool.training.variables import chosen

MASKING = frozenset({"prune", "rewind", "jitter", "randomize", "reshuffle", "constant", "rewind-schedule"})
"""Operations after which zeros are a mask."""

MASKS, ALL = "masks", "all"
"""Which zeros were held, in lineages: those of masks, or all of kernels."""


def masked_variables(model: Any, lineage: Sequence[Record]) -> dict[str, Any]:
    """Path -> Keras variable, of those whose zeros are masks, as a lineage tells.

    Not of those that a swap gave new zeros after that: these are there to be trained.
    """
    found: dict[str, Any] = {}
    for record in lineage:
        if record.get("operation") == "swap":
            new = _globs(record.get("new"))
            found = {path: variable for path, variable in found.items() if path not in new}
            continue
        parameters = record.get("parameters")
        if not isinstance(parameters, dict) or parameters.get("set_value", 0) != 0:
            continue
        if record.get("operation") not in MASKING and parameters.get("hold_zeros") != ALL:
            continue
        include, exclude = (_globs(parameters.get(name)) for name in ("include", "exclude"))
        kinds = (parameters.get("weights") is not False, parameters.get("biases") is True)
        with suppress(Usage):  # layers may have got other names since
            found |= chosen(model, include, exclude, *kinds)
    return found


def _globs(value: Any) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []
