"""Optimizers saved by Keras up to 2.0.5, which sorted a model's weights by name before it trained them."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

import wtool

NAMES = [f"dense_{number}" for number in range(1, 12)]  # "dense_10" sorts before "dense_2"
ADAM = {"lr": 0.001, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8, "decay": 0.0}


def write(path: Path, version: str, order: list[int]) -> None:
    """Eleven equal Dense layers; each moment holds the number of the layer whose it is."""
    first = {"batch_input_shape": [None, 2], "dtype": "float32"}
    layers = [
        {"class_name": "Dense", "config": {"name": name, "trainable": True, "units": 2, "use_bias": False, **first}}
        for name in NAMES
    ]
    with h5py.File(path, "w", libver="earliest") as file:
        file.attrs["keras_version"] = version
        file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": layers})
        optimizer = {"class_name": "Adam", "config": ADAM}
        file.attrs["training_config"] = json.dumps({"optimizer_config": optimizer, "loss": "mse", "metrics": []})
        weights = file.create_group("model_weights")
        weights.attrs["layer_names"] = np.array(NAMES, "S")
        for number, name in enumerate(NAMES, 1):
            group = weights.create_group(name)
            group.attrs["weight_names"] = np.array([f"{name}/kernel:0"], "S")
            group[f"{name}/kernel:0"] = np.full((2, 2), number, "f4")
        slots = file.create_group("optimizer_weights")
        values = [np.float32(3), *(np.full((2, 2), number, "f4") for number in order + order)]
        slots.attrs["weight_names"] = np.array([f"Variable_{number}:0" for number in range(len(values))], "S")
        for number, value in enumerate(values):
            slots[f"Variable_{number}:0"] = value


BY_NAME = [NAMES.index(name) + 1 for name in sorted(NAMES)]


@pytest.mark.parametrize(
    ("version", "order"),
    [
        ("2.0.0", BY_NAME),
        ("2.0.5", BY_NAME),
        ("2.0.8-tf", BY_NAME),  # TensorFlow 1.4
        ("2.0.6", sorted(BY_NAME)),
        ("2.1.0", sorted(BY_NAME)),
        ("2.2.4-tf", sorted(BY_NAME)),
    ],
)
def test_slots_belong_to_the_weights_that_they_were_kept_for(tmp_path: Path, version: str, order: list[int]) -> None:
    write(tmp_path / "m.h5", version, order)
    with wtool.open_checkpoint(tmp_path / "m.h5") as checkpoint:
        found = [(t.slot.weight, checkpoint.read(t)[0, 0]) for t in checkpoint.slots if t.slot and t.slot.weight]
    assert found == [(f"dense_{number}/kernel", number) for number in order + order]
