"""Layers of Keras 1, and kernels of the Theano backend: settings get their new names, and arrays their new layout.

Sources: keras/legacy/interfaces.py of Keras 2.2 for the names; `preprocess_weights_for_loading` of
tf_keras/src/saving/legacy/hdf5_format.py for the arrays, and keras/engine/saving.py of Keras 2.2 for Theano's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wtool.schema.layers import is_of_keras1
from wtool.schema.upgrade.context import Context, Place
from wtool.schema.upgrade.upgraded import ArrayChange

_KERNEL = {
    "init": "kernel_initializer", "W_regularizer": "kernel_regularizer", "b_regularizer": "bias_regularizer",
    "W_constraint": "kernel_constraint", "b_constraint": "bias_constraint", "bias": "use_bias",
}  # fmt: skip
_SPACE = {"dim_ordering": "data_format", "border_mode": "padding"}
_CONVOLUTION = {**_KERNEL, **_SPACE, "nb_filter": "filters", "subsample": "strides", "atrous_rate": "dilation_rate"}
_RECURRENT = {
    **_KERNEL, "output_dim": "units", "inner_init": "recurrent_initializer", "U_regularizer": "recurrent_regularizer",
    "inner_activation": "recurrent_activation", "dropout_W": "dropout", "dropout_U": "recurrent_dropout",
}  # fmt: skip
_EMBEDDING = {
    "init": "embeddings_initializer", "W_regularizer": "embeddings_regularizer",
    "W_constraint": "embeddings_constraint",
}  # fmt: skip
_POOLING = {**_SPACE, "pool_length": "pool_size", "stride": "strides"}
_DROPOUT = {**_SPACE, "p": "rate"}
NAMES: Mapping[str, Mapping[str, str]] = {
    "Dense": {**_KERNEL, "output_dim": "units"},
    "Conv1D": {**_CONVOLUTION, "filter_length": "kernel_size", "subsample_length": "strides"},
    **dict.fromkeys(("Conv2D", "Conv3D", "Conv2DTranspose"), _CONVOLUTION),
    **dict.fromkeys(("SimpleRNN", "LSTM", "GRU"), _RECURRENT),
    "Embedding": _EMBEDDING,
    **dict.fromkeys(("MaxPooling1D", "AveragePooling1D"), _POOLING),
    **dict.fromkeys(
        ("MaxPooling2D", "AveragePooling2D", "MaxPooling3D", "AveragePooling3D", "ZeroPadding2D", "ZeroPadding3D",
         "Cropping2D", "Cropping3D", "UpSampling2D", "UpSampling3D", "GlobalMaxPooling2D", "GlobalAveragePooling2D"),
        _SPACE,
    ),
    "InputLayer": {"input_dtype": "dtype"},
    "UpSampling1D": {"length": "size"},
    **dict.fromkeys(
        ("Dropout", "GaussianDropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D"), _DROPOUT
    ),
    "GaussianNoise": {"sigma": "stddev"},
    "PReLU": {"init": "alpha_initializer"},
    "BatchNormalization": {"gamma_init": "gamma_initializer", "beta_init": "beta_initializer"},
}  # fmt: skip
"""Class of a layer -> setting of Keras 1 -> what Keras 2 and 3 call the setting."""

_WINDOWS = (("nb_row", "nb_col"), ("kernel_dim1", "kernel_dim2", "kernel_dim3"))
_VALUES = {"tf": "channels_last", "th": "channels_first"}
_GONE = ("consume_less", "forget_bias_init", "mode", "dropout")
_GATES = {"LSTM": "ifco", "GRU": "zrh"}
_AXES = {
    ("Conv2D", True): (2, 3, 1, 0), ("Conv3D", True): (2, 3, 4, 1, 0), ("Conv2DTranspose", False): (0, 1, 3, 2),
    ("Conv2DTranspose", True): (2, 3, 0, 1),
}  # fmt: skip
"""Class and whether the channels are first -> where the axes of a kernel stand in Keras 1."""

TURNED = ("Conv1D", "Conv2D", "Conv3D", "Conv2DTranspose", "ConvLSTM2D")
"""Layers whose kernels Theano turned round before it used them."""


def renamed_settings(kind: str, settings: Mapping[str, Any], place: Place, context: Context) -> Mapping[str, Any]:
    """Returns a layer's settings under the names of Keras 2; those of Keras 2 stay as they are.

    Args:
        kind: usual name of the class.
        settings: of the layer.
        place: of the layer.
        context: notes what is done.
    """
    names = NAMES.get(kind, {})
    if not any(name in settings for name in names):
        return settings
    if settings.get("mode") == 1 or (kind == "Embedding" and settings.get("dropout")):
        context.refuse(place, "unknown setting", "it works on samples one by one, or drops words, as in Keras 1 only")
    new = {names.get(key, key): value for key, value in settings.items()}
    for window in _WINDOWS:
        if all(name in new for name in window):
            new["kernel_size"] = [new.pop(name) for name in window]
    if "data_format" in new:
        new["data_format"] = _VALUES.get(str(new["data_format"]), new["data_format"])
    if kind in ("LSTM", "GRU", "SimpleRNN"):
        new["implementation"] = new.pop("consume_less", None)
        new["unit_forget_bias"] = new.pop("forget_bias_init", "one") in ("one", "ones")
    gone = _GONE if kind == "Embedding" else (*_GONE, "input_dim")
    for key in [key for key in gone if key in new and key not in names.values()]:
        del new[key]
    if kind != "LSTM":
        new.pop("unit_forget_bias", None)
    context.change(place, "old names", "its settings have the names of Keras 1, and get those of today")
    return new


def relaid_arrays(kind: str, settings: Mapping[str, Any], place: Place, context: Context) -> None:
    """Note how the arrays of a layer are computed from those that Keras 1, or the Theano backend, stored.

    Args:
        kind: usual name of the class.
        settings: of the layer, as they were.
        place: of the layer.
        context: knows the shapes, and notes the arrays.
    """
    if kind in _GATES and is_of_keras1(settings):
        _join(kind, place, context)
        return
    first = settings.get("data_format", settings.get("dim_ordering")) in ("channels_first", "th")
    path = f"{place.path}/kernel"
    shape = context.shapes.get(path, ())
    arguments: dict[str, Any] = {}
    if kind == "Conv1D" and len(shape) == 4:
        arguments = {"axes": (2, 3, 1, 0)} if shape[1] != 1 else {}
        arguments["drop"] = 1
    elif context.version is None or context.version.startswith("1"):
        axes = _AXES.get((kind, first))
        arguments = {"axes": axes} if axes is not None and len(shape) == len(axes) else {}
    if context.backend == "theano" and kind in TURNED:
        arguments["turned"] = True
    if not arguments:
        return
    cell = "conv_lstm_cell/" if kind == "ConvLSTM2D" else ""
    for name in ("kernel", "recurrent_kernel") if cell else ("kernel",):
        _note(f"{place.path}/{cell}{name}", (f"{place.path}/{cell}{name}",), "relaid", arguments, context)
    context.change(place, "old arrays", "its kernel is laid out anew, as Keras 3 wants it")


def _join(kind: str, place: Place, context: Context) -> None:
    """Note that the arrays of the gates stand side by side in one array."""
    for name, old in (("kernel", "W"), ("recurrent_kernel", "U"), ("bias", "b")):
        reads = tuple(f"{place.path}/{old}_{gate}" for gate in _GATES[kind])
        _note(f"{place.path}/{kind.lower()}_cell/{name}", reads, "joined", {}, context)
    context.change(place, "old arrays", "the arrays of its gates are put side by side")


def _note(path: str, reads: tuple[str, ...], function: str, arguments: Mapping[str, Any], context: Context) -> None:
    context.arrays[path] = ArrayChange(path, reads, function, arguments)
