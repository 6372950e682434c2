"""What the classes of layers are called: in configurations, and in the names of groups of files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from wtool.errors import Refused
from wtool.schema.layers.table import TABLE, entry_of

OWN_FUNCTION = "wtool>arctan"
"""The activation that wtool registers, as files call it."""

ORIGINALS = {
    "arpkeras": frozenset(("AutoRotDense", "AutoRotConv1D", "AutoRotConv2D", "AutoRotConv3D")),
    "linked_neurons": frozenset(("LKReLU", "LKSELU", "LKSwish", "LKPReLU")),
}
"""Package -> its layers. Files name them without a package; the layers of wtool with these names take their place."""


def built_in(class_name: str) -> str | None:
    """The usual name of a built-in class of any Keras version, or of a layer of another package; else None.

    The latter have their package in front: `wtool>LKPReLU`, and `tfmot>PruneLowMagnitude` of TensorFlow's toolkit for
    pruning.
    """
    entry = entry_of(class_name)
    return None if entry is None else entry.name


def original(class_name: Any, module: Any, registered: Any) -> str | None:
    """The package that a layer is of, where it is one of the original Auto-Rotating and linked layers; else None.

    Args:
        class_name, module, registered: what the configuration calls it; files of Keras 2 have the class's name only.
    """
    package = next((package for package, names in ORIGINALS.items() if str(class_name) in names), None)
    home = module.partition(".")[0].lower() if isinstance(module, str) else None
    return package if home in (None, package) and registered in (None, class_name) else None


def class_and_settings(entry: Any, what: str) -> tuple[str, Mapping[str, Any]]:
    """Returns the class's name and the settings in a layer's entry of a configuration.

    Args:
        entry: parsed JSON.
        what: whose entry it is, for messages.

    Raises:
        Refused: the entry is no layer's.
    """
    if not isinstance(entry, Mapping):
        raise Refused(f"the configuration of {what} is {entry!r:.60}, not an object")
    class_name, settings = entry.get("class_name"), entry.get("config")
    if not isinstance(class_name, str) or not class_name:
        raise Refused(f"the configuration of {what} does not say its class")
    if class_name in ("CompositeTensor", "TypeSpec"):
        raise Refused(f"the configuration of {what} is a {class_name}, not a layer")
    if isinstance(settings, list):
        return class_name, {"layers": settings}
    if isinstance(settings, str):
        return class_name, {}  # functions: {"class_name": "function", "config": "name"}
    if not isinstance(settings, Mapping):
        raise Refused(f"the configuration of {what} ({class_name}) has no settings")
    return class_name, settings


def class_of(entry: Mapping[str, Any]) -> str | None:
    """Returns the usual name of the class of a layer's entry; None if it is nobody's that is known.

    A class is known if it is one of Keras's, of `wtool.layers`, or tfmot's wrapper.

    Raises:
        Refused: the entry is no layer's.
    """
    class_name, settings = class_and_settings(entry, "a layer")
    plain = class_name.rpartition(">")[2]
    if plain == "PruneLowMagnitude" and "pruning_schedule" in settings:
        return "tfmot>PruneLowMagnitude"
    own = f"wtool>{plain}"
    if own in (class_name, entry.get("registered_name")) and built_in(own) is not None:
        return own
    if original_of(entry) is not None:
        return own
    return built_in(plain) if _by_keras(entry, class_name) else None


def original_of(entry: Mapping[str, Any]) -> str | None:
    """The package of one of the original Auto-Rotating and linked layers, for which wtool's own stand in."""
    return original(entry.get("class_name"), entry.get("module"), entry.get("registered_name"))


def _by_keras(entry: Mapping[str, Any], class_name: str) -> bool:
    """Whether the class is Keras's own and not one that an author registered under the same name."""
    module = entry.get("module", "keras")
    package = class_name.rpartition(">")[0]
    return package in ("", "keras") and isinstance(module, str) and module.split(".")[0] in ("keras", "tf_keras")


@cache
def snake_case(class_name: str) -> str:
    """A class's name as Keras writes it in files: `Conv2DTranspose` -> `conv2d_transpose`.

    Source: keras/src/utils/naming.py, to_snake_case.
    """
    entry = TABLE.get(class_name)
    name = entry.python_name if entry is not None else ""
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name or re.sub(r"\W+", "", class_name))
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


@cache
def _snakes() -> dict[str, str]:
    return {snake_case(name.rpartition(">")[2]): name for name in TABLE}


def class_of_group(group: str) -> str | None:
    """The built-in class that a group's name tells: `conv2d_1` -> `Conv2D`; None if it tells none."""
    return _snakes().get(re.sub(r"_\d+$", "", group)) or _snakes().get(group)
