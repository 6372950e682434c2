"""The recurrent layers of Keras 2 that ran on cuDNN alone become LSTM and GRU, with their arrays laid out anew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wtool.schema.upgrade.context import Context, Place
from wtool.schema.upgrade.upgraded import ArrayChange

_GATES = {"CuDNNLSTM": 4, "CuDNNGRU": 3}
_IMPLIED = {"activation": "tanh", "recurrent_activation": "sigmoid", "use_bias": True}


def from_cudnn(kind: str, settings: Mapping[str, Any], place: Place, context: Context) -> tuple[str, Mapping[str, Any]]:
    """Returns the class and the settings that stand for a layer; all layers but those of cuDNN stay as they are.

    Args:
        kind: usual name of the class.
        settings: of the layer.
        place: of the layer.
        context: notes what is done, and how the arrays are computed.
    """
    gates = _GATES.get(kind)
    if gates is None:
        return kind, settings
    new = kind.removeprefix("CuDNN")
    cell = f"{place.path}/{new.lower()}_cell"
    functions = {
        "kernel": "cudnn_kernel",
        "recurrent_kernel": "cudnn_recurrent_kernel",
        "bias": f"cudnn_bias_{new.lower()}",
    }
    for name, function in functions.items():
        path = f"{cell}/{name}"
        arguments = {} if name == "bias" else {"gates": gates}
        context.arrays[path] = ArrayChange(path, (f"{place.path}/{name}",), function, arguments)
    context.change(place, "cuDNN", f"it is {new}, and its kernels and biases are laid out as {new} has them")
    return new, {**settings, **_IMPLIED, **({"reset_after": True} if new == "GRU" else {})}
