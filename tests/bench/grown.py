"""Models of any number of layers, made without Keras: it would take hours for a hundred thousand.

python grown.py OUT LAYERS UNITS
"""

from __future__ import annotations

import io
import json
import sys
import zipfile
from pathlib import Path

import h5py
import numpy as np


def grown(out: Path, layers: int, units: int, seed: int = 0) -> None:
    """Write a `.keras` archive of a row of Dense layers, as Keras 3 lays it out."""
    dense = {"units": units, "activation": "relu", "use_bias": True}
    entries = [
        {
            "module": "keras.layers",
            "class_name": "Dense",
            "config": {"name": name_of(number, "dense"), "trainable": True, "dtype": "float32", **dense},
            "registered_name": None,
            "build_config": {"input_shape": [None, units]},
        }
        for number in range(layers)
    ]
    start = {
        "module": "keras.layers",
        "class_name": "InputLayer",
        "config": {"batch_shape": [None, units], "dtype": "float32", "sparse": False, "name": "input_layer"},
        "registered_name": None,
    }
    config = {
        "module": "keras",
        "class_name": "Sequential",
        "config": {"name": "row", "trainable": True, "dtype": "float32", "layers": [start, *entries]},
        "registered_name": None,
        "build_config": {"input_shape": [None, units]},
    }
    rng = np.random.default_rng(seed)
    weights = io.BytesIO()
    with h5py.File(weights, "w", libver="earliest") as file:
        for number in range(layers):
            group = file.create_group(f"layers/{name_of(number, 'dense')}/vars")
            group["0"] = rng.standard_normal((units, units), dtype=np.float32)
            group["1"] = np.zeros(units, np.float32)
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.15.1", "date_saved": "2026-01-01@00:00:00"}))
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", weights.getvalue())


def name_of(number: int, name: str) -> str:
    return f"{name}_{number}" if number else name


if __name__ == "__main__":
    grown(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
