"""The optimizer of a converted model: the same state under the same names, in the order of Keras 3."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import wtool
from tests.models import ZOO
from wtool.checkpoint.optimizer.composed import product_of_momenta

TRAINED = [
    "k2.2.4/nested_frozen.h5",
    "k2.3.1/rnn.h5",
    "tf2.3/mlp.h5",
    "tf2.10/mlp.h5",
    "tf2.13/mha.keras",
    "tf2.13/mlp.keras",
]
"""Models beside which their own Keras stored the weights of its optimizer, in its own order."""

OLD = ["k2.2.4/mlp.h5", "k2.3.1/mlp.h5", "tf2.3/mlp.h5", "tf2.3/mixed_f16.h5", "tf2.10/rnn.h5", "tf2.13/mha.keras"]


def state(path: Path) -> dict[tuple[str, str | None], np.ndarray[Any, Any]]:
    """Name of a slot and path of its weight -> values, for all that the optimizer of a model keeps."""
    with wtool.open_checkpoint(str(path)) as checkpoint:
        return {(each.slot.name, each.slot.weight): checkpoint.read(each) for each in checkpoint.slots if each.slot}


@pytest.mark.parametrize("name", [name for name in OLD if (ZOO / name).exists()])
def test_the_state_of_an_optimizer_is_kept(name: str, tmp_path: Path) -> None:
    wtool.convert(ZOO / name, output=tmp_path / "new.keras")
    old, new = state(ZOO / name), state(tmp_path / "new.keras")
    assert old
    scaling = {"step_counter", "dynamic_scale"} if "mixed" in name else set()
    named = {} if "slot0" not in {slot for slot, _ in old} else {"slot0": "momentum", "slot1": "velocity"}
    assert {name for name, _ in set(new) - {(named.get(slot, slot), weight) for slot, weight in old}} == {
        "learning_rate",
        *scaling,
    }
    for (slot, weight), values in old.items():
        assert (new[named.get(slot, slot), weight] == values).all()


@pytest.mark.tensorflow
@pytest.mark.parametrize("name", [name for name in TRAINED if (ZOO / name).exists()])
def test_keras_3_has_the_slots_that_the_old_keras_stored(name: str, tmp_path: Path) -> None:
    keras = pytest.importorskip("keras")
    wtool.convert(ZOO / name, output=tmp_path / "new.keras")
    with np.load((ZOO / name).with_suffix(".npz")) as told:
        old = [told[key] for key in sorted(told.files) if key.startswith("o")]
    model = keras.models.load_model(tmp_path / "new.keras")
    step, _, *slots = [np.array(each) for each in model.optimizer.variables]
    count = len(model.trainable_variables)
    kinds = len(slots) // count
    if "tf2.13" in name:
        wanted = old[1:]
    else:  # all slots of one kind stand together
        wanted = [old[1 + kind * count + weight] for weight in range(count) for kind in range(kinds)]
    assert step == old[0] > 0
    for found, value in zip(slots, wanted, strict=True):
        assert found.shape == value.shape
        assert (found == value).all()


def test_nadam_s_product_of_momenta() -> None:
    assert product_of_momenta(0.9, 0) == 1.0
    assert product_of_momenta(0.9, 2) == pytest.approx(0.9 * (1 - 0.48) * 0.9 * (1 - 0.5 * 0.9216))
    assert product_of_momenta(0.9, 2**60) < 1e-300


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_slots_go_wherever_the_values_of_their_weights_go(kind: str, tmp_path: Path) -> None:
    """Of kernels that were cuDNN's: a slot that equals its weight still does, but for the biases that are added."""
    random, gates = np.random.default_rng(0), {"LSTM": 4, "GRU": 3}[kind]
    shapes = {"kernel": (3, 2 * gates), "recurrent_kernel": (2, 2 * gates), "bias": (4 * gates,)}
    weights = {name: random.normal(size=shape).astype("float32") for name, shape in shapes.items()}
    old_h5(tmp_path / "old.h5", f"CuDNN{kind}", weights)
    (done,) = wtool.convert(tmp_path / "old.h5", output=tmp_path / "new.keras")
    assert any("half as far" in note for note in done.notes) == (kind == "LSTM")
    slots = state(tmp_path / "new.keras")
    with wtool.open_checkpoint(str(tmp_path / "new.keras")) as made:
        for tensor in made.weights:
            values = made.read(tensor)
            is_sum = kind == "LSTM" and tensor.role == "bias"
            np.testing.assert_array_equal(slots["momentum", tensor.path], values / 2 if is_sum else values)
    assert slots["iteration", None] == 7


def old_h5(path: Path, class_name: str, weights: dict[str, np.ndarray[Any, Any]]) -> None:
    """A model of Keras 2.2 with one layer, whose optimizer has the weights themselves as momenta."""
    layer = {"name": "r", "units": 2, "batch_input_shape": [None, 4, 3], "dtype": "float32"}
    model = {"name": "s", "layers": [{"class_name": class_name, "config": layer}]}
    training = {"optimizer_config": {"class_name": "SGD", "config": {"lr": 0.1, "momentum": 0.9}}, "loss": "mse"}
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = "2.2.4"
        file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": model})
        file.attrs["training_config"] = json.dumps(training)
        group = file.create_group("model_weights")
        group.attrs.update({"layer_names": [b"r"], "keras_version": b"2.2.4", "backend": b"tensorflow"})
        own = group.create_group("r")
        own.attrs["weight_names"] = [f"r/{name}:0".encode() for name in weights]
        state = file.create_group("optimizer_weights")
        names = ["SGD/iterations:0", *(f"training/SGD/Variable_{number}:0" for number in range(len(weights)))]
        state.attrs["weight_names"] = [name.encode() for name in names]
        state[names[0]] = np.int64(7)
        for name, slot in zip(weights, names[1:], strict=True):
            own[f"r/{name}:0"] = state[slot] = weights[name]


def test_state_that_a_file_would_not_tell_apart_is_left_out(tmp_path: Path) -> None:
    model = ZOO / "tf2.10" / "custom_layer.h5"
    (done,) = wtool.convert(model, output=tmp_path / "new.keras", attribute=["ss=inner_dense,a,b"])
    told = "the optimizer's state is left out: layers of the user's own classes hide whose it is"
    assert told in done.notes
    assert not state(tmp_path / "new.keras")
    (done,) = wtool.convert(model, output=tmp_path / "new.h5")
    assert told not in done.notes
    old, new = state(model), state(tmp_path / "new.h5")
    assert all((new[key] == value).all() for key, value in old.items())
