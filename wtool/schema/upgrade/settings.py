"""The settings of a single layer of Keras's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from wtool.schema.keras2_json import with_decoded_marks
from wtool.schema.upgrade.activations import ACTIVATIONS, upgraded_activation
from wtool.schema.upgrade.context import Context, Place
from wtool.schema.upgrade.objects import family_of, upgraded_dtype, upgraded_part
from wtool.schema.upgrade.rules import PLAIN, Rule
from wtool.schema.upgrade.special import SPECIAL

Upgrade = Callable[[Any, Place, Context], dict[str, Any]]

_BY_CLASS: dict[str, tuple[Rule, ...]] = {
    name: tuple(rule for rule in PLAIN if name in rule.classes) for rule in PLAIN for name in rule.classes
}
_FOR_ALL = tuple(rule for rule in PLAIN if not rule.classes)


def upgraded_settings(
    kind: str, settings: Mapping[str, Any], place: Place, context: Context, upgraded_entry: Upgrade
) -> dict[str, Any]:
    """Returns the settings of a layer of Keras's own as Keras 3 takes them.

    Args:
        kind: usual name of the class.
        settings: of the layer in the old model.
        place: of the layer.
        context: notes what is done.
        upgraded_entry: upgrades the entry of a layer.
    """
    new: dict[str, Any] = {key: _number(with_decoded_marks(value)) for key, value in settings.items()}
    new["dtype"] = upgraded_dtype(new.get("dtype"), place, context)
    special = SPECIAL.get(kind, ())
    for rule in special:
        rule(new, place, context)
    plain_rules(kind, new, place, context)
    for key in [key for key in new if family_of(key)]:
        new[key] = upgraded_part(new[key], str(family_of(key)), place, context)
    for key in ACTIVATIONS:
        if key in new:
            new[key] = upgraded_activation(key, new[key], new["dtype"], place, context, upgraded_entry)
    return new


def plain_rules(kind: str, settings: dict[str, Any], place: Place, context: Context) -> None:
    """Drop and rename settings of a layer in place, as the table says."""
    for rule in (*_BY_CLASS.get(kind, ()), *_FOR_ALL):
        gone = [key for key in rule.drops if key in settings]
        for key in gone:
            del settings[key]
        if gone and rule.classes:
            context.change(place, rule.name, f"{' and '.join(gone)}: Keras 3 has no such setting")
        for old, new in rule.renames:
            if old in settings:
                settings[new] = settings.pop(old)
                context.change(place, rule.name, f"{old} is called {new}")


def _number(value: Any) -> Any:
    """Returns a setting; of a NumPy number, which an old Keras wrote as an object, its value."""
    if isinstance(value, Mapping) and set(value) == {"type", "value"}:
        return value["value"]
    return value
