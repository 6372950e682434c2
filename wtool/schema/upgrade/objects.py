"""What stands in the settings of layers beside numbers: dtypes, initializers, regularizers, constraints."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from wtool.schema.upgrade.context import Context, Place

Entry = dict[str, Any]

_SEED = ("seed",)
FAMILIES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "initializers": {
        "Zeros": (), "Ones": (), "Constant": ("value",), "Identity": ("gain",), "Orthogonal": ("gain", "seed"),
        "RandomNormal": ("mean", "stddev", "seed"), "RandomUniform": ("minval", "maxval", "seed"),
        "TruncatedNormal": ("mean", "stddev", "seed"), "VarianceScaling": ("scale", "mode", "distribution", "seed"),
        "GlorotNormal": _SEED, "GlorotUniform": _SEED, "HeNormal": _SEED, "HeUniform": _SEED, "LecunNormal": _SEED,
        "LecunUniform": _SEED,
    },
    "regularizers": {"L1": ("l1",), "L2": ("l2",), "L1L2": ("l1", "l2"), "OrthogonalRegularizer": ("factor", "mode")},
    "constraints": {
        "MaxNorm": ("max_value", "axis"), "MinMaxNorm": ("min_value", "max_value", "rate", "axis"), "NonNeg": (),
        "UnitNorm": ("axis",),
    },
}  # fmt: skip
"""Kind of a part of a layer -> class, called alike in Keras 2 and 3 -> the settings that Keras 3 takes."""

_GONE = ("RadialConstraint",)
_DTYPE = re.compile(r"(mixed_)?(b?float16|float32|float64|u?int(8|16|32|64)|bool|string|complex(64|128))")


def family_of(setting: str) -> str | None:
    """Returns the kind of part that a setting is: `kernel_initializer` -> `initializers`; None for other settings."""
    family = f"{setting.rpartition('_')[2]}s"
    return family if family in FAMILIES else None


def upgraded_part(value: Any, family: str, place: Place, context: Context) -> Any:
    """Returns an initializer, a regularizer or a constraint as Keras 3 writes it.

    Args:
        value: of the setting in the old model: an entry, a name, or None.
        family: kind of the part, a key of `FAMILIES`.
        place: of the layer whose part it is.
        context: notes what is done.
    """
    if isinstance(value, str):
        package, _, name = value.rpartition(">")
        return custom_part(name, value, {}, place, context) if package else value
    if isinstance(value, Mapping) and "class_name" not in value and isinstance(value.get("name"), str):
        value = _of_keras1(value)
    if not isinstance(value, Mapping) or not isinstance(value.get("class_name"), str):
        return value
    class_name, config = value["class_name"], value.get("config")
    settings = config if isinstance(config, Mapping) else {}
    plain = re.sub(r"V[12]$", "", class_name)
    if plain in _GONE:
        context.refuse(place, "no such layer", f"Keras 3 has no {plain}; name another entry by --replace")
        return None
    if plain not in FAMILIES[family]:
        return custom_part(plain.rpartition(">")[2], registered_name(value), settings, place, context)
    kept = {key: settings[key] for key in FAMILIES[family][plain] if key in settings}
    if plain == "VarianceScaling" and kept.get("distribution") == "normal":
        kept["distribution"] = "truncated_normal"  # which it meant
    return {"module": f"keras.{family}", "class_name": plain, "config": kept, "registered_name": None}


def _of_keras1(value: Mapping[str, Any]) -> Entry:
    """Returns the entry of a part that Keras 1 wrote: its name beside its settings."""
    name = {"WeightRegularizer": "L1L2"}.get(value["name"], value["name"])
    return {"class_name": name, "config": {"max_value" if key == "m" else key: each for key, each in value.items()}}


def registered_name(entry: Mapping[str, Any]) -> str:
    """Returns the name under which an author registered the class of an entry."""
    told = entry.get("registered_name")
    return told if isinstance(told, str) and told else str(entry.get("class_name"))


def custom_part(name: str, registered: str, settings: Mapping[str, Any], place: Place, context: Context) -> Entry:
    """Returns the entry of a part whose class is its author's, and notes that the class has to be registered."""
    registered = context.registered(registered, place)
    return {"module": None, "class_name": name, "config": dict(settings), "registered_name": registered}


def upgraded_dtype(value: Any, place: Place, context: Context) -> str | None:
    """Returns a dtype, or the name of a dtype policy; the model's own dtype where the layer does not name one.

    Args:
        value: of the setting `dtype` in the old model: a name, a policy's entry, or None.
        place: of the layer.
        context: notes what is done.
    """
    if isinstance(value, Mapping):
        config = value.get("config")
        value = config.get("name") if isinstance(config, Mapping) else None
    if value in (None, "infer", "_infer"):
        return context.floatx
    if isinstance(value, str) and _DTYPE.fullmatch(value):
        return value
    context.refuse(place, "unknown setting", f"the layer's dtype is {value!r:.60}, which Keras 3 does not have")
    return None
