"""Rules that look at the value of a setting: class of the layer -> what has to be done to its settings, in place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from wtool.schema.upgrade.context import Context, Place
from wtool.schema.upgrade.rules import LOOKUPS, RECURRENT
from wtool.schema.upgrade.upgraded import ArrayChange

Settings = dict[str, Any]
SpecialRule = Callable[[Settings, Place, Context], None]


def _one_axis(settings: Settings, place: Place, context: Context) -> None:
    axis = settings.get("axis")
    if isinstance(axis, list) and len(axis) == 1:
        settings["axis"] = axis[0]
        context.change(place, "one axis", f"axis is {axis[0]!r:.20}, no longer a list")


def _layer_axes(settings: Settings, place: Place, context: Context) -> None:
    """Keras 2 kept a LayerNormalization's numbers in the order of its axes; Keras 3 sorts the axes first.

    Both reshape these numbers, without a transpose, to the sizes of the input's axes in their own order.
    """
    _one_axis(settings, place, context)
    axes = settings.get("axis")
    if not isinstance(axes, list) or not all(type(axis) is int for axis in axes):
        return
    if min(axes, default=0) < 0 <= max(axes, default=0):
        context.refuse(
            place, "unknown setting", f"its axes {axes!r:.40} are counted from both ends; Keras 3 sorts them"
        )
    elif axes != sorted(axes):
        settings["axis"] = sorted(axes)
        context.change(place, "sorted axes", f"axis is {settings['axis']!r:.40}, as Keras 3 sorts it")
        for name in ("gamma", "beta"):
            path = f"{place.path}/{name}"
            shape = context.shapes.get(path, ())
            sizes = [size for _, size in sorted(zip(axes, shape, strict=False))]
            if len(shape) == len(axes) and sizes != list(shape):
                context.arrays[path] = ArrayChange(path, (path,), "reshaped", {"shape": sizes})


def _batch_axis(settings: Settings, place: Place, context: Context) -> None:
    _one_axis(settings, place, context)
    if isinstance(settings.get("axis"), list):
        context.refuse(place, "unknown setting", f"it normalizes axes {settings['axis']!r:.40}; Keras 3 takes one axis")
    if settings.get("dtype") in ("float16", "bfloat16"):
        settings["dtype"] = f"mixed_{settings['dtype']}"
        context.change(place, "statistics", f"dtype is {settings['dtype']}: its numbers are float32, as in Keras 2")
    if settings.get("virtual_batch_size") or settings.get("adjustment"):
        context.refuse(place, "virtual batches", "it divides batches into virtual ones, which Keras 3 cannot do")


def _recurrent(settings: Settings, place: Place, context: Context) -> None:
    if settings.pop("time_major", False):
        context.refuse(place, "time first", "time is its first axis (time_major), which Keras 3 does not have")
    if settings.pop("num_constants", None):
        context.refuse(place, "constants", "it takes constants beside its input, which Keras 3 does not have")


def _reset_gate(settings: Settings, place: Place, context: Context) -> None:
    if settings.get("reset_after") is None:
        settings["reset_after"] = False
        context.change(place, "reset gate", "reset_after is false, which Keras 2 meant where it was not written")


def _bins(settings: Settings, place: Place, context: Context) -> None:
    if settings.get("bin_boundaries") is None and "bins" in settings:
        settings["bin_boundaries"] = settings.pop("bins")  # of TensorFlow 2.3 and 2.4
    if settings.get("bin_boundaries") is None:
        context.refuse(
            place, "learned bins",
            "its bins were learned by adapt(), and the file holds a summary of the data; name its boundaries by "
            f"--replace '{place.path}=Discretization:bin_boundaries=[...]'",
        )  # fmt: skip
    settings.pop("num_bins", None)  # follows from the boundaries
    settings.pop("trainable", None)
    if str(settings.get("dtype")).startswith(("int", "uint")):
        settings["dtype"] = context.floatx
        context.change(place, "bins", f"dtype is {context.floatx}, since Keras 3 casts the input to it")


def _synchronized(settings: Settings, place: Place, context: Context) -> None:
    settings["synchronized"] = True
    context.change(place, "synchronized", "it is BatchNormalization with synchronized = true")


def _robust(settings: Settings, place: Place, context: Context) -> None:
    for key in ("robust_masking", "softmax_robust_masking"):
        if settings.pop(key, False):
            context.refuse(place, "robust masking", f"it has {key}, which Keras 3 does not have")


def _causal(settings: Settings, place: Place, context: Context) -> None:
    if settings.pop("causal", False):
        context.calls[place.path] = {"use_causal_mask": True}
        context.change(place, "causal attention", "causal is an argument of its calls, use_causal_mask")


def _input(settings: Settings, place: Place, context: Context) -> None:
    for key in ("batch_shape", "batch_input_shape"):
        if settings.get(key) is not None:
            settings["batch_shape"] = settings.pop(key)
    settings.pop("trainable", None)
    settings.pop("type_spec", None)
    if settings.pop("ragged", False):
        context.refuse(place, "ragged input", "it takes ragged tensors, which the layers of Keras 3 do not")
    if not isinstance(settings.get("batch_shape"), list):
        context.refuse(place, "no input shape", "it does not say its shape; say it by --input-shape")


def _depthwise(settings: Settings, place: Place, context: Context) -> None:
    context.move(place.path, "depthwise_kernel", "kernel")


INTERPOLATIONS = ("bilinear", "nearest", "bicubic", "lanczos3", "lanczos5", "area")


def _interpolation(settings: Settings, place: Place, context: Context) -> None:
    way = settings.get("interpolation", "bilinear")
    settings["interpolation"] = way.lower() if isinstance(way, str) else way
    if settings["interpolation"] not in INTERPOLATIONS:
        context.refuse(place, "unknown setting", f"its interpolation is {way!r:.40}, which Keras 3 does not have")


_MODES = {"binary": "multi_hot", "tf-idf": "tf_idf"}


def _lookup(settings: Settings, place: Place, context: Context) -> None:
    mode = settings.get("output_mode")
    if isinstance(mode, str) and mode in _MODES:
        settings["output_mode"] = _MODES[mode]
        context.change(place, "old name", f"output_mode {mode} is called {_MODES[mode]}")
    if place.class_name == "CategoryEncoding" and "max_tokens" in settings:
        settings["num_tokens"] = settings.pop("max_tokens")  # of TensorFlow 2.3 and 2.4
        context.change(place, "old name", "max_tokens is called num_tokens")
    size = settings.get("vocabulary_size")
    if "vocabulary_size" in settings and (mode in (None, "int") or not isinstance(size, int)):
        del settings["vocabulary_size"]  # of the others, Keras 3 has to know it before what was learned is loaded
        context.change(place, "size of the vocabulary", "vocabulary_size: an index for each word needs no such setting")
    words, is_given = settings.get("vocabulary"), settings.pop("has_input_vocabulary", False)
    if isinstance(words, str) or (is_given and words is None):
        where = f"in the file {words!r:.80}, which Keras 3 does not open" if words else "in the graph of the SavedModel"
        context.refuse(
            place, "vocabulary elsewhere",
            f"its vocabulary is {where}; --replace '{place.path}=FILE.json' with its entry and a list as vocabulary",
        )  # fmt: skip
    for key in ("standardize", "split"):
        if isinstance(settings.get(key), Mapping):
            context.refuse(place, "callable setting", f"its {key} is code; name another entry by --replace")
    if settings.pop("ragged", False):
        context.refuse(place, "ragged input", "it gives ragged tensors, which the layers of Keras 3 do not take")


SPECIAL: Mapping[str, tuple[SpecialRule, ...]] = {
    "BatchNormalization": (_batch_axis,),
    "SyncBatchNormalization": (_batch_axis, _synchronized),
    "LayerNormalization": (_layer_axes,),
    **dict.fromkeys(("UnitNormalization", "Normalization"), (_one_axis,)),
    "Softmax": (_one_axis, _robust),
    **dict.fromkeys(RECURRENT, (_recurrent,)),
    "GRU": (_recurrent, _reset_gate),
    "GRUCell": (_reset_gate,),
    **dict.fromkeys(("DepthwiseConv1D", "DepthwiseConv2D"), (_depthwise,)),
    "Discretization": (_bins,),
    "MultiHeadAttention": (_robust,),
    **dict.fromkeys(("Attention", "AdditiveAttention"), (_causal,)),
    "InputLayer": (_input,),
    **dict.fromkeys((*LOOKUPS, "CategoryEncoding"), (_lookup,)),
    **dict.fromkeys(("Resizing", "UpSampling2D"), (_interpolation,)),
}  # fmt: skip
"""Class of a layer -> its rules, in order."""
