"""Activations: the names that both Kerases know, the one that they mean differently, and those of other authors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from wtool.schema.upgrade.context import Context, Place

KEPT = frozenset((
    "celu", "elu", "exponential", "gelu", "glu", "hard_shrink", "hard_silu", "hard_swish", "hard_tanh", "leaky_relu",
    "linear", "log_sigmoid", "log_softmax", "mish", "relu", "relu6", "selu", "sigmoid", "silu", "soft_shrink",
    "softmax", "softplus", "softsign", "sparse_plus", "sparsemax", "squareplus", "swish", "tanh", "tanh_shrink",
    "threshold",
))  # fmt: skip
"""Names that Keras 3 resolves, and that mean in Keras 2 what they mean in Keras 3."""

ALIASES = {"softmax_v2": "softmax", "log_softmax_v2": "log_softmax"}
"""What TensorFlow calls its functions -> what Keras 3 calls them."""

ACTIVATIONS = ("activation", "recurrent_activation")
"""Settings that name an activation."""


def hard_sigmoid(dtype: str | None) -> dict[str, Any]:
    """Returns the `hard_sigmoid` of Keras 2 as a model of Keras 3.

    Keras 2 means clip(0.2 x + 0.5, 0, 1), and Keras 3 clip(x / 6 + 0.5, 0, 1). A model can stand wherever an activation
    does: Keras 3 saves objects as activations, and loads them from 3.10 on. Weights before the activation could be
    multiplied by 1.2 instead, but not those of a state that goes through further kernels, and regularizers, constraints
    and the optimizer's state would then mean something else.

    Args:
        dtype: of the layer whose activation it is.
    """
    layers = (
        ("Rescaling", {"name": "rescaling", "dtype": dtype, "scale": 0.2, "offset": 0.5}),
        ("ReLU", {"name": "clipping", "dtype": dtype, "max_value": 1.0}),
    )
    entries = [
        {"module": "keras.layers", "class_name": name, "config": config, "registered_name": None}
        for name, config in layers
    ]
    config = {"name": "hard_sigmoid", "trainable": True, "dtype": dtype, "layers": entries}
    return {"module": "keras", "class_name": "Sequential", "config": config, "registered_name": None}


def upgraded_activation(
    setting: str,
    value: Any,
    dtype: str | None,
    place: Place,
    context: Context,
    upgraded_entry: Callable[[Any, Place, Context], dict[str, Any]],
) -> Any:
    """Returns an activation as Keras 3 writes it.

    Args:
        setting: `activation` or `recurrent_activation`.
        value: of the setting in the old model: a name, the entry of a layer or a function, or None.
        dtype: of the layer whose activation it is.
        place: of the layer.
        context: notes what is done.
        upgraded_entry: upgrades the entry of a layer.
    """
    if isinstance(value, Mapping):
        class_name, config = value.get("class_name"), value.get("config")
        if class_name == "function" and isinstance(config, str):
            value = value.get("registered_name") if value.get("registered_name") not in (None, "function") else config
        elif class_name in ("__lambda__", None):
            context.refuse(place, "callable setting", "the layer's activation is code; name another entry by --replace")
            return None
        else:
            return upgraded_entry(value, place.inner("activation", str(class_name)), context)
    if value is None:
        return "linear"
    if not isinstance(value, str):
        context.refuse(place, "unknown setting", f"the layer's activation is {value!r:.60}, which is no name")
        return None
    value = ALIASES.get(value, value)
    if value == "hard_sigmoid":
        context.change(
            place,
            "hard_sigmoid",
            f"its {setting} is written out as clip(0.2 x + 0.5, 0, 1); hard_sigmoid is another in Keras 3 "
            "(needs Keras 3.10 or newer)",
        )
        if dtype == "float64":
            context.note(
                f"{place.path} computes hard_sigmoid in Keras 3 by numbers that are rounded to float32, also in "
                "float64: its results differ by about 1e-8"
            )
        return hard_sigmoid(dtype)
    if value in KEPT:
        return value
    return _function(value, place, context)


def _function(name: str, place: Place, context: Context) -> dict[str, Any]:
    """Returns the entry of a function that is its author's."""
    registered = context.registered(name, place)
    return {"module": "builtins", "class_name": "function", "config": registered, "registered_name": "function"}
