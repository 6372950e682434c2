"""Models of Keras 1: old names of settings, arrays for each gate, kernels with their axes elsewhere."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from tests.models import Array
from wtool.schema.upgrade.model import upgrade
from wtool.schema.upgrade.upgraded import Upgraded, Wishes
from wtool.transforms.relaying import FUNCTIONS

Entry = dict[str, Any]


def entry(class_name: str, **config: Any) -> Entry:
    return {"class_name": class_name, "config": config}


LSTM = entry(
    "LSTM", name="r", output_dim=3, init="glorot_uniform", inner_init="orthogonal", forget_bias_init="one",
    activation="tanh", inner_activation="hard_sigmoid", return_sequences=True, go_backwards=False, stateful=False,
    unroll=False, consume_less="cpu", W_regularizer={"name": "WeightRegularizer", "l1": 0.0, "l2": 0.01},
    U_regularizer=None, b_regularizer=None,
    dropout_W=0.1, dropout_U=0.0, input_dim=4, input_length=None, trainable=True,
    batch_input_shape=[None, 5, 4], input_dtype="float32",
)  # fmt: skip
GRU = entry("GRU", name="g", output_dim=2, inner_activation="sigmoid", activation="tanh", return_sequences=False)
DENSE = entry(
    "Dense", name="d", output_dim=2, init="uniform", bias=False, W_constraint={"name": "MaxNorm", "m": 2, "axis": 0}
)
CONVOLUTION = entry(
    "Convolution2D", name="c", nb_filter=6, nb_row=3, nb_col=2, subsample=[1, 2], border_mode="same", dim_ordering="tf",
    activation="relu", bias=True, batch_input_shape=[None, 7, 6, 4],
)  # fmt: skip
CONVOLUTION_1D = entry(
    "Convolution1D", name="s", nb_filter=6, filter_length=3, subsample_length=1, border_mode="valid", activation="relu",
    bias=True, batch_input_shape=[None, 7, 4],
)  # fmt: skip
AS_IN_KERAS_2 = {
    "r": entry("LSTM", name="r", units=3, recurrent_activation="hard_sigmoid", return_sequences=True),
    "g": entry("GRU", name="g", units=2, recurrent_activation="sigmoid", reset_after=False),
    "d": entry("Dense", name="d", units=2, use_bias=False),
    "c": entry("Conv2D", name="c", filters=6, kernel_size=(3, 2), strides=(1, 2), padding="same", activation="relu"),
    "s": entry("Conv1D", name="s", filters=6, kernel_size=3, activation="relu"),
}


def gates(layer: str, names: str, inputs: int, units: int) -> dict[str, tuple[int, ...]]:
    shapes = {"W": (inputs, units), "U": (units, units), "b": (units,)}
    return {f"{layer}/{kind}_{gate}": shape for gate in names for kind, shape in shapes.items()}


MODELS = [
    ([LSTM, GRU, DENSE], {**gates("r", "icfo", 4, 3), **gates("g", "zrh", 3, 2), "d/kernel": (2, 2)}),
    ([CONVOLUTION], {"c/kernel": (3, 2, 4, 6), "c/bias": (6,)}),
    ([CONVOLUTION_1D], {"s/kernel": (3, 1, 4, 6), "s/bias": (6,)}),
    ([CONVOLUTION_1D], {"s/kernel": (6, 4, 3, 1), "s/bias": (6,)}),
]


def upgraded(layers: list[Entry], shapes: dict[str, tuple[int, ...]], **more: Any) -> Upgraded:
    return upgrade({"class_name": "Sequential", "config": layers}, None, None, shapes, Wishes(), **more)


def new_weights(result: Upgraded, stored: dict[str, Array]) -> list[Array]:
    """The weights of the new model, in its order, which is that of the old one."""
    found, made = [], {path: each for each in result.arrays for path in each.reads}
    for path, values in stored.items():
        rule = made.get(path)
        if rule is None:
            found.append(values)
        elif path == rule.reads[0]:
            found.append(FUNCTIONS[rule.function](*(stored[each] for each in rule.reads), **rule.arguments))
    return found


@pytest.mark.tensorflow
@pytest.mark.parametrize("number", range(len(MODELS)))
def test_models_of_keras_1_compute_what_keras_2_makes_of_them(number: int) -> None:
    keras, tf_keras = pytest.importorskip("keras"), pytest.importorskip("tf_keras")
    hdf5_format = pytest.importorskip("tf_keras.src.saving.legacy.hdf5_format")
    layers, shapes = MODELS[number]
    generator = np.random.default_rng(1)
    stored = {path: generator.normal(size=shape).astype("float32") for path, shape in shapes.items()}
    result = upgraded(layers, shapes)
    assert not result.refused
    new = keras.saving.deserialize_keras_object(json.loads(json.dumps(result.config)), safe_mode=True)
    new.set_weights(new_weights(result, stored))

    shape = layers[0]["config"]["batch_input_shape"][1:]
    old = tf_keras.Sequential([tf_keras.Input(shape)])
    for each in layers:
        told = AS_IN_KERAS_2[each["config"]["name"]]
        old.add(getattr(tf_keras.layers, told["class_name"])(**told["config"]))
        own = [values for path, values in stored.items() if path.startswith(told["config"]["name"] + "/")]
        old.layers[-1].set_weights(hdf5_format.preprocess_weights_for_loading(old.layers[-1], own, "1"))
    values = generator.normal(size=(3, *shape)).astype("float32")
    assert np.asarray(new(values)) == pytest.approx(np.asarray(old(values)), abs=1e-5)


def test_regularizers_and_constraints_of_keras_1() -> None:
    layers = upgraded(*MODELS[0]).config["config"]["layers"]
    assert layers[1]["config"]["kernel_regularizer"]["class_name"] == "L1L2"
    assert layers[1]["config"]["kernel_regularizer"]["config"] == {"l1": 0.0, "l2": 0.01}
    assert layers[3]["config"]["kernel_constraint"]["config"] == {"max_value": 2, "axis": 0}


def test_kernels_of_theano_are_turned_round() -> None:
    (change,) = upgraded(*MODELS[1], backend="theano").arrays
    assert (change.path, change.function, dict(change.arguments)) == ("c/kernel", "relaid", {"turned": True})
    assert not upgraded(*MODELS[1], backend="tensorflow").arrays
