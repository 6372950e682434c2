"""Models of many bytes, written as Keras writes them, without Keras.

python -m tests.remote.large PATH LAYERS UNITS
"""

from __future__ import annotations

import io
import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np


def dense_model(path: Path, layers: int, units: int = 1280) -> Path:
    """Writes a `.keras` model of dense layers whose values differ. Returns its path.

    Args:
        path: of the model.
        layers: how many.
        units: inputs and units of each layer, whose kernel has 4 units^2 bytes: 6.55 MB if nothing else is said.
    """
    data = io.BytesIO()
    with h5py.File(data, "w") as file:
        for number in range(layers):
            group = file.create_group(f"layers/{_name(number)}/vars")
            group.attrs["name"] = _name(number)
            group["0"] = np.random.default_rng(number).random((units, units), np.float32) - 0.5
            group["1"] = np.zeros(units, np.float32)
        file.create_group("vars").attrs["name"] = "wide"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.15.1", "date_saved": "2026-11-20@21:14:12"}))
        archive.writestr("config.json", json.dumps(_configuration(layers, units)))
        archive.writestr("model.weights.h5", data.getbuffer())
    return path


def _name(number: int) -> str:
    return f"dense_{number}" if number else "dense"


def _configuration(layers: int, units: int) -> dict[str, Any]:
    inputs = {"batch_shape": [None, units], "dtype": "float32", "sparse": False, "ragged": False, "name": "inputs"}
    found = [_entry("InputLayer", inputs)]
    for number in range(layers):
        settings = {"name": _name(number), "units": units, "activation": "relu", "use_bias": True, "trainable": True}
        found.append({**_entry("Dense", settings), "build_config": {"input_shape": [None, units]}})
    config = {"name": "wide", "trainable": True, "dtype": "float32", "layers": found}
    return {**_entry("Sequential", config), "module": "keras", "build_config": {"input_shape": [None, units]}}


def _entry(class_name: str, config: dict[str, Any]) -> dict[str, Any]:
    return {"module": "keras.layers", "class_name": class_name, "config": config, "registered_name": None}


if __name__ == "__main__":
    dense_model(Path(sys.argv[1]), *map(int, sys.argv[2:]))
