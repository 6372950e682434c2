"""New registered names for what is the user's own in a model of Keras 3: classes and functions."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from wtool.schema.layers import class_of
from wtool.schema.upgrade.objectives import placed

FUNCTIONS = ("function", "builtin_function_or_method")
"""What entries of functions have in the place of a class."""

OBJECTIVES = ("loss", "metrics", "weighted_metrics")
"""Settings of a compiled model that hold names and entries of losses and metrics."""


def with_new_names(value: Any, names: Mapping[str, str], found: set[str]) -> Any:
    """Returns a part of a configuration in which the user's own classes and functions have new registered names.

    Args:
        value: parsed JSON.
        names: registered name -> new registered name.
        found: gets the registered names that the part has.
    """
    if isinstance(value, list):
        return [with_new_names(each, names, found) for each in value]
    if not isinstance(value, Mapping):
        return value
    new = {key: with_new_names(each, names, found) for key, each in value.items()}
    old = _own_name(value)
    if old is None or old not in names:
        return new
    found.add(old)
    if value["class_name"] in FUNCTIONS:
        return {**new, "config": names[old]}
    if isinstance(value.get("registered_name"), str):
        return {**new, "class_name": names[old].rpartition(">")[2], "registered_name": names[old]}
    return {**new, "class_name": names[old]}


def training_with_new_names(training: Mapping[str, Any], names: Mapping[str, str], found: set[str]) -> dict[str, Any]:
    """Returns how a model was compiled, with new registered names; losses and metrics may be bare names there.

    Args:
        training: `training_config` of an `.h5` of Keras 3.
        names, found: see `with_new_names`.
    """
    new: dict[str, Any] = with_new_names(training, names, found)
    bare = partial(_renamed, names=names, found=found)
    return {**new, **{kind: placed(new[kind], bare) for kind in OBJECTIVES if kind in new}}


def _renamed(part: Any, names: Mapping[str, str], found: set[str]) -> Any:
    if not isinstance(part, str) or part not in names:
        return part
    found.add(part)
    return names[part]


def _own_name(entry: Mapping[str, Any]) -> str | None:
    """Returns the registered name that an entry tells; None for Keras's own, and for what is no entry."""
    kind, module, registered = (entry.get(key) for key in ("class_name", "module", "registered_name"))
    if not isinstance(kind, str):
        return None
    if kind in FUNCTIONS:
        return entry["config"] if isinstance(entry.get("config"), str) else None
    if isinstance(module, str) and module.partition(".")[0] == "keras":
        return None
    if isinstance(registered, str):
        return registered
    return kind if class_of(entry) is None or ">" in kind else None
