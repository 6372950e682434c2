"""What the user puts in the place of a layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wtool.schema.layers import class_of
from wtool.schema.upgrade.context import Context, Place
from wtool.schema.upgrade.objects import upgraded_dtype

DEMANDED = {"Rescaling": {"offset": 0.0}}
"""Class of a layer -> settings with a default value that Keras nevertheless demands of an entry."""


def replacement_of(settings: Mapping[str, Any], place: Place, context: Context) -> dict[str, Any] | None:
    """Returns the entry that the user puts in the place of a layer; None where the user says nothing of the layer.

    The new layer is called as the old one, and has its dtype unless the user names another.

    Args:
        settings: of the old layer.
        place: of the layer; the user names it by its path, or by its name alone.
        context: notes what is done.
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
    if "registered_name" in wish or kind is None:
        registered = context.registered(str(wish.get("registered_name") or class_name), place)
        plain = class_name.rpartition(">")[2]
        return {"module": wish.get("module"), "class_name": plain, "config": config, "registered_name": registered}
    whole = DEMANDED.get(kind, {}) | config
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
