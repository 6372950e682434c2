"""Calls that say `training` themselves: a model of Keras 3 runs all its layers as the model itself is run.

Source: `operation_fn` of keras/src/models/functional.py, which puts the model's `training` over that of the call.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from wtool.schema.layers import class_of
from wtool.schema.upgrade.context import Context, Place
from wtool.schema.upgrade.rules import RANDOM

_RATES = ("dropout", "recurrent_dropout", "rate", "stddev")
"""Settings of layers of Keras that draw random numbers in training, unless the setting is 0."""
_ALWAYS = (*RANDOM, "SpectralNormalization")


def kept_training(
    kwargs: Mapping[str, Any], entry: Mapping[str, Any], place: Place, context: Context
) -> dict[str, Any]:
    """Returns the arguments of a layer's call; `training` goes where the user replaced the layer.

    A call that Keras 3 would run otherwise is refused, if the model predicts something else by it, and noted, if it is
    only trained otherwise.

    Args:
        kwargs: the arguments of the call by name.
        entry: the new entry of the layer.
        place: of the layer.
        context: takes refusal and note.
    """
    others = {word: value for word, value in kwargs.items() if word != "training"}
    said = kwargs.get("training")
    if said is None or {place.path, place.path.rpartition("/")[2]} & context.replaced:
        return others
    if place.path not in context.trained:
        context.trained[place.path] = next(_trained_otherwise(entry), None)
    inside = context.trained[place.path]
    if inside is None:
        return dict(kwargs)
    what = "it" if inside == entry["config"].get("name") else f"{inside} inside it"
    if said is False or said == 0:
        context.note(
            f"{place.path} is called with training=False, and fit of Keras 3 runs {what} as in training nevertheless; "
            "what it predicts is the same"
        )
    else:
        context.refuse(
            place, "training call",
            f"it is called with training=True, and predict of Keras 3 runs {what} as in inference nevertheless; "
            f"--replace '{place.path}=CLASS:...' names a layer that shall be run so",
        )  # fmt: skip
    return dict(kwargs)


def _trained_otherwise(entry: Any) -> Iterator[str]:
    """Yields the names of layers, of a layer and all inside it, that compute something else when they are trained."""
    if isinstance(entry, list):
        for each in entry:
            yield from _trained_otherwise(each)
    if not isinstance(entry, Mapping) or not isinstance(settings := entry.get("config"), Mapping):
        return
    if _computes_otherwise(entry, settings):
        yield str(settings.get("name"))
    for key in ("layers", "layer", "backward_layer", "cell", "cells"):
        yield from _trained_otherwise(settings.get(key))


def _computes_otherwise(entry: Mapping[str, Any], settings: Mapping[str, Any]) -> bool:
    kind = class_of(entry)
    if kind is None or kind in _ALWAYS:
        return "layers" not in settings  # a layer of another author's may do anything
    if kind == "BatchNormalization":
        return settings.get("trainable") is not False
    return any(settings.get(key) not in (None, 0) for key in _RATES)
