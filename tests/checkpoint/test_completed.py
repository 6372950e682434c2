"""Weights alone, read along the architecture of their model."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import pytest

from tests.models import ZOO
from wtool.checkpoint.completed import with_architecture
from wtool.checkpoint.opener import open_checkpoint
from wtool.errors import Usage


def architecture(path: Path) -> Any:
    """What `to_json` would write of a saved model."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return json.loads(archive.read("config.json"))
    with h5py.File(path) as file:
        return {**json.loads(file.attrs["model_config"]), "keras_version": "2.10.0", "backend": "tensorflow"}


@pytest.mark.parametrize(
    ("weights", "model"),
    [
        ("k3.15.1/mlp.weights.h5", "k3.15.1/mlp.keras"),
        ("tf2.13/mlp.weights.h5", "tf2.13/mlp.keras"),
        ("tf2.10/mlp_weights_only.h5", "tf2.10/mlp.h5"),
        ("k3.12.4/sharded.weights.json", "k3.12.4/sharded_full.keras"),
    ],
)
def test_the_tensors_are_those_of_the_model(weights: str, model: str) -> None:
    if not (ZOO / model).exists():
        pytest.skip(f"{model} is not here")
    with open_checkpoint(str(ZOO / weights)) as alone, open_checkpoint(str(ZOO / model)) as whole:
        found = with_architecture(alone, architecture(ZOO / model))
        assert [each.path for each in found.weights] == [each.path for each in whole.weights]
        assert [each.layer_class for each in found.weights] == [each.layer_class for each in whole.weights]
        for one, other in zip(found.weights, whole.weights, strict=True):
            assert (found.read(one) == whole.read(other)).all()


def test_a_whole_model_has_an_architecture_of_its_own() -> None:
    model = ZOO / "tf2.10" / "mlp.h5"
    with open_checkpoint(str(model)) as whole, pytest.raises(Usage, match="a whole model already"):
        with_architecture(whole, architecture(model))
