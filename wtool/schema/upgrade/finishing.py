"""What has to be done to an entry as a whole once its settings are those of Keras 3: class of Keras 2 -> function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from wtool.schema.upgrade.context import Context, Place
from wtool.schema.upgrade.masks import layers_within

Entry = dict[str, Any]

STANDS_FOR = {"ThresholdedReLU": "ReLU", "SyncBatchNormalization": "BatchNormalization"}
"""Class of Keras 2 -> class of Keras 3 that computes the same with other settings."""


def written(class_name: str, settings: Mapping[str, Any], module: str = "keras.layers") -> Entry:
    """Returns the entry of a class of Keras's own."""
    return {"module": module, "class_name": class_name, "config": dict(settings), "registered_name": None}


def finished(kind: str, settings: Mapping[str, Any], place: Place, context: Context) -> Entry:
    """Returns the entry of a layer whose settings are those of Keras 3.

    Args:
        kind: class of the layer in Keras 2.
        settings: as Keras 3 takes them.
        place: of the layer.
        context: notes what is done.
    """
    entry = written(STANDS_FOR.get(kind, kind), settings)
    finish = _FINISHES.get(kind)
    return entry if finish is None else finish(entry, place, context)


def _attention(entry: Entry, place: Place, context: Context) -> Entry:
    """Keras 2 kept the shapes that a MultiHeadAttention was built for among its settings."""
    shapes = {f"{name}_shape": entry["config"].pop(f"{name}_shape", None) for name in ("query", "value", "key")}
    if entry["config"].get("dtype") == "float64":
        context.note(
            f"MultiHeadAttention {place.path} of Keras 3 rounds the scale of its scores to float32, also in float64: "
            "its results differ by about 1e-8"
        )
    if all(isinstance(shape, list) for shape in shapes.values()):
        entry["build_config"] = {"shapes_dict": shapes}
        context.change(place, "shapes of attention", "the shapes of query, key and value move to build_config")
    return entry


def _crop(entry: Entry, place: Place, context: Context) -> Entry:
    """A RandomCrop of Keras 2 resizes where it does not train; one of Keras 3 (up to 3.15) gives images as they are.

    Where it trains, images have the size already, and Resizing leaves them as they are.
    """
    crop = entry["config"]
    sizes = {key: crop.get(key) for key in ("height", "width")}
    resizing = {"name": "resizing", "dtype": crop.get("dtype"), **sizes, "crop_to_aspect_ratio": True}
    layers = [written("RandomCrop", {**crop, "name": "random_crop"}), written("Resizing", resizing)]
    context.change(place, "random crop", "it is followed by Resizing, since RandomCrop alone crops in training only")
    return written("Sequential", {"name": crop.get("name"), "trainable": True, "layers": layers}, "keras")


def _each_step(entry: Entry, place: Place, context: Context) -> Entry:
    """Keras 2 gave all steps to the layer inside at once, as one batch; Keras 3 gives it one step after the other."""
    if any(each.get("class_name") == "BatchNormalization" for each in layers_within(entry["config"].get("layer"))):
        context.note(
            f"BatchNormalization inside {place.path} takes the mean of each step apart when Keras 3 trains it, and of "
            "all steps together in Keras 2; what it predicts is the same"
        )
    return entry


_FINISHES: Mapping[str, Callable[[Entry, Place, Context], Entry]] = {
    "MultiHeadAttention": _attention,
    "RandomCrop": _crop,
    "TimeDistributed": _each_step,
}
