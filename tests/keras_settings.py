"""The settings that layers of Keras 3 take and demand: makes `wtool/schema/keras_settings.py` of the installed Keras.

`python -m tests.keras_settings` writes the table anew.
"""

from __future__ import annotations

import inspect
import textwrap
from pathlib import Path
from typing import Any

import keras

from wtool.schema.layers import entry_of

FILE = Path(__file__).parents[1] / "wtool" / "schema" / "keras_settings.py"

COMMON, OFTEN = ("dtype", "name"), ("activity_regularizer", "trainable")
"""The settings of all layers, and those of most."""

CODE = frozenset(
    "FlaxLayer JaxLayer Lambda Layer InputLayer Pipeline TFSMLayer TorchModuleWrapper Wrapper".split()  # noqa: SIM905
)
"""Bases, and layers that hold code, models or whole pipelines."""

SAMPLES: dict[str, Any] = {
    "activation": "relu", "axes": 1, "dims": (1,), "equation": "ab,bc->ac", "factor": 1, "filters": 2,
    "head_dim": 2, "height": 4, "height_factor": 0.5, "input_dim": 5, "kernel_size": 2, "key_dim": 2,
    "max_number": 2, "n": 2, "num_bins": 3, "num_heads": 2, "num_key_value_heads": 2, "num_query_heads": 2,
    "output_dim": 2, "output_shape": (2,), "output_size": 1, "pool_size": 2, "rate": 0.5, "scale": 2.0,
    "stddev": 0.5, "target_shape": (-1,), "units": 2, "width": 4, "width_factor": 0.5,
}  # fmt: skip
"""Values of settings that some layers demand."""

CHOICES: dict[str, dict[str, Any]] = {
    "CategoryEncoding": {"num_tokens": 4},
    "Discretization": {"bin_boundaries": [0.0, 1.0]},
}
"""Class -> settings without which it cannot be made, although each of them may be left out for others."""


def layers_of_keras() -> dict[str, Any]:
    """Usual name -> class, of all public layers that have settings of their own."""
    found = {}
    for name in dir(keras.layers):
        each = getattr(keras.layers, name)
        if inspect.isclass(each) and issubclass(each, keras.layers.Layer) and name not in CODE:
            entry = entry_of(name)
            found[name if entry is None else entry.name] = each
    return found


def made(layer: Any) -> Any:
    """An instance of a class of layers."""
    demanded = {name: _sample(layer, name) for name in _parameters(layer) if _is_demanded(layer, name)}
    return layer(**demanded | CHOICES.get(layer.__name__, {}))


def settings_of(layer: Any) -> str:
    """A layer's settings of its own, in order; those that Keras demands of an entry end in `!`."""
    config = made(layer).get_config()
    left_out = (*COMMON, *OFTEN) if _takes_often(layer) else COMMON
    names = [name for name in dict.fromkeys([*_parameters(layer), *config]) if name not in left_out]
    return " ".join(name + "!" * _is_missed(layer, config, name) for name in names)


def without_often() -> list[str]:
    """The layers that do not take all settings that most layers take."""
    return sorted(name for name, layer in layers_of_keras().items() if not _takes_often(layer))


def _takes_often(layer: Any) -> bool:
    config = made(layer).get_config()
    try:
        layer.from_config({**config, "trainable": True, "activity_regularizer": None})
    except (KeyError, TypeError):
        return False
    return True


def _is_missed(layer: Any, config: dict[str, Any], name: str) -> bool:
    """Whether Keras loads no entry without a setting."""
    if name in CHOICES.get(layer.__name__, {}):
        return False
    try:
        layer.from_config({key: value for key, value in config.items() if key != name})
    except (KeyError, TypeError):
        return True
    return False


def _parameters(layer: Any) -> dict[str, Any]:
    _, *parameters = inspect.signature(layer.__init__).parameters.values()
    return {each.name: each for each in parameters if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)}


def _is_demanded(layer: Any, name: str) -> bool:
    parameter = _parameters(layer)[name]
    return parameter.default is parameter.empty


def _sample(layer: Any, name: str) -> Any:
    if name in ("layer", "cell", "cells"):
        inner = {"layer": keras.layers.Dense, "cell": keras.layers.GRUCell, "cells": keras.layers.GRUCell}[name](2)
        return keras.layers.GRU(2) if layer.__name__ == "Bidirectional" else [inner] if name == "cells" else inner
    return SAMPLES[name]


def main() -> None:
    """Write the table."""
    lines = []
    for name, layer in sorted(layers_of_keras().items()):
        text = textwrap.wrap(settings_of(layer), 108, break_on_hyphens=False) or [""]
        body = "\n".join(f'        "{line}{" " * (line is not text[-1])}"' for line in text)
        lines.append(
            f'    "{name}": (\n{body}\n    ),'
            if len(text) > 1 or len(name + text[0]) > 108
            else f'    "{name}": "{text[0]}",'
        )
    FILE.write_text(
        '"""The settings that layers of Keras 3 take; made by `python -m tests.keras_settings`."""\n\n'
        f"from __future__ import annotations\n\nCOMMON = {COMMON}\n"
        f'"""Settings of all layers."""\n\nOFTEN = {OFTEN}\n'
        '"""Settings of all layers but those in `WITHOUT_OFTEN`."""\n\n'
        f"WITHOUT_OFTEN = {tuple(without_often())}\n\nSETTINGS = {{\n".replace("'", '"')
        + "\n".join(lines)
        + "\n}\n"
        '"""Class of a layer -> its further settings; Keras loads no entry without those that end in `!`."""\n'
    )


if __name__ == "__main__":
    main()
