"""What the user puts in the place of a layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wtool.schema.keras_settings import COMMON, OFTEN, SETTINGS, WITHOUT_OFTEN
from wtool.schema.layers import class_of
from wtool.schema.upgrade.context import Context, Place
from wtool.schema.upgrade.objects import upgraded_dtype

DEMANDED = {"Rescaling": {"offset": 0.0}}
"""Class of a layer -> settings with a default value that Keras nevertheless demands of an entry."""

HOLDING = ("Functional", "InputLayer", "Lambda", "Model", "Pipeline", "Sequential")
"""Classes of Keras 3 that hold layers or code, and whose settings are not in the table."""


def replacement_of(settings: Mapping[str, Any], place: Place, context: Context) -> dict[str, Any] | None:
    """Returns the entry that the user puts in the place of a layer; None where the user says nothing of the layer.

    The new layer is called as the old one, and has its dtype unless the user names another.

    Args:
        settings: of the old layer.
        place: of the layer; the user names it by its path, or by its name alone.
        context: notes what is done, and takes refusals of settings that the class does not take or that are missing.
    """
    name = settings.get("name")
    key = _key(name, place, context)
    if key is None:
        return None
    context.replaced.add(key)
    wish = context.wishes.replacements[key]
    class_name = str(wish.get("class_name"))
    context.change(place, "replaced", f"{class_name} takes its place, as --replace says")
    given = wish.get("config")
    config = {"name": name, "dtype": upgraded_dtype(settings.get("dtype"), place, context)}
    config |= given if isinstance(given, Mapping) else {}
    kind = class_of({"class_name": class_name, "config": config})
    if wish.get("registered_name") or kind is None:
        registered = context.registered(str(wish.get("registered_name") or class_name), place)
        plain = class_name.rpartition(">")[2]
        return {"module": wish.get("module"), "class_name": plain, "config": config, "registered_name": registered}
    whole = DEMANDED.get(kind, {}) | config
    for reason in _misfits(kind, whole):
        context.refuse(place, "unfit replacement", reason)
    return {"module": "keras.layers", "class_name": kind, "config": whole, "registered_name": None}


def is_replaced(name: Any, place: Place, context: Context) -> bool:
    """Whether the user puts something in the place of a layer.

    Args:
        name: of the layer.
        place: of the layer.
        context: has the user's words.
    """
    return _key(name, place, context) is not None


def _key(name: Any, place: Place, context: Context) -> str | None:
    """Returns how the user names a layer: by its path, or by its name alone; None where nothing is said of it."""
    if not place.path:
        return None
    wishes = context.wishes.replacements
    return next((key for key in (place.path, name) if isinstance(key, str) and key in wishes), None)


def _misfits(kind: str, config: Mapping[str, Any]) -> list[str]:
    """Returns why Keras 3 would not make a layer of these settings, in sentences."""
    if kind in HOLDING or ">" in kind:
        return []
    if kind not in SETTINGS:
        return [f"Keras 3 has no layer {kind}, which --replace names"]
    names = SETTINGS[kind].split()
    own = [name.removesuffix("!") for name in names]
    known = {*own, *COMMON, *(() if kind in WITHOUT_OFTEN else OFTEN)}
    foreign = [str(name) for name in config if name not in known]
    missing = [name.removesuffix("!") for name in names if name.endswith("!") and name.removesuffix("!") not in config]
    reasons = []
    if foreign:
        takes = f"settings of {kind} are {', '.join(own)}" if own else f"{kind} has no settings of its own"
        reasons.append(f"--replace gives {kind} {' and '.join(foreign)}, which it has not as a setting; {takes}")
    if missing:
        reasons.append(f"--replace names {kind} without {' and '.join(missing)}, which it cannot do without")
    return reasons
