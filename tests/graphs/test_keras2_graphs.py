"""Graphs of Keras 2 with TensorFlow's operations in them: tf_keras writes them, and computes with what a swap makes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import wtool
from tests.models import Array
from wtool.checkpoint.opener import open_checkpoint
from wtool.errors import Refused
from wtool.schema.graph import read
from wtool.schema.layers import output_shape
from wtool.schema.shapes import shapes_of

pytestmark = pytest.mark.tensorflow
tf = pytest.importorskip("tensorflow")
keras2 = pytest.importorskip("tf_keras")
L = keras2.layers


class Linked(L.Layer):  # type: ignore[misc]
    """What wtool's LKReLU and Linked do, for Keras 2, which cannot have them."""

    def __init__(self, activation: str = "relu", axis: int = -1, **options: Any) -> None:
        super().__init__(**options)
        self.function, self.axis = keras2.activations.get(activation), axis

    def call(self, x: Any) -> Any:
        """Both halves."""
        return tf.concat([self.function(x), self.function(-x)], self.axis)


OWN = {"wtool>LKReLU": Linked, "wtool>Linked": Linked}

Behind = tuple[tuple[int, ...], Callable[[Any], Any], bool]

OPERATIONS: dict[str, Behind] = {
    # shape of an example, what stands behind a hidden relu, whether the doubled channels pass
    "reduce_max": ((5, 4), lambda x: tf.reduce_max(x, axis=1), True),
    "reduce_mean kept": ((5, 4), lambda x: tf.reduce_mean(x, axis=[1], keepdims=True), True),
    "reduce_sum of channels": ((5, 4), lambda x: tf.reduce_sum(x, axis=-1), False),
    "reduce_sum": ((5, 6, 4), lambda x: tf.reduce_sum(x, axis=[1, -2]), True),
    "reduce of all": ((5, 4), lambda x: tf.reshape(tf.reduce_mean(x, axis=[1, 2]), [-1, 1]), False),
    "relu": ((5,), tf.nn.relu, True),
    "leaky_relu": ((5,), lambda x: tf.nn.leaky_relu(x, alpha=0.3), True),
    "sigmoid": ((5,), tf.sigmoid, True),
    "softmax": ((5,), tf.nn.softmax, False),
    "exp": ((5,), lambda x: tf.exp(-x), False),
    "sqrt": ((5,), tf.sqrt, False),
    "add a number": ((5,), lambda x: x + 2.0, True),
    "number first": ((5,), lambda x: 2.0 - x, True),
    "add numbers": ((5,), lambda x: x + np.arange(5, dtype="float32"), False),
    "multiply": ((5,), lambda x: 0.5 * x, True),
    "negative": ((5,), lambda x: -x, True),
    "divide": ((5,), lambda x: x / 4.0, True),
    "divide a number": ((5,), lambda x: 4.0 / (x + 1.0), False),
    "power": ((5,), lambda x: x**2.0, False),
    "square": ((5,), tf.square, True),
    "clip": ((5,), lambda x: tf.clip_by_value(x, 0.1, 0.5), True),
    "maximum": ((5,), lambda x: tf.maximum(x, 0.2), True),
    "add itself": ((5,), lambda x: x + tf.nn.relu(x), True),
    "add another": ((5,), lambda x: x + L.Dense(5)(x), False),
    "gate": ((6, 6, 4), lambda x: x * tf.reduce_mean(x, axis=[1, 2], keepdims=True), True),
    "divide itself": ((5,), lambda x: x / (1.0 + tf.abs(x)), False),
    "broadcast": ((5, 4), lambda x: x + tf.reduce_max(x, axis=0), False),
    "concat": ((5,), lambda x: tf.concat([L.Dense(3)(x), x], axis=-1), True),
    "concat rows": ((5, 4), lambda x: tf.concat([x, x * 2.0], axis=1), True),
    "stack": ((5,), lambda x: tf.stack([x, x], axis=1), False),
    "expand": ((5, 4), lambda x: tf.reduce_max(tf.expand_dims(x, 1), axis=2), True),
    "expand last": ((5,), lambda x: tf.reduce_max(tf.expand_dims(x, -1), axis=-1), True),
    "squeeze": ((1, 4), lambda x: tf.squeeze(x, axis=1), True),
    "transpose": ((5, 4), lambda x: tf.reduce_max(tf.transpose(x, [0, 2, 1]), axis=2), True),
    "transpose to Dense": ((5, 4), lambda x: tf.transpose(x, [0, 2, 1]), False),
    "reshape": ((5, 4), lambda x: tf.reshape(x, [-1, 20]), False),
    "reshape by a tensor": ((5, 4), lambda x: tf.reshape(x, [tf.shape(x)[0], 20]), False),
    "slice of rows": ((5, 4), lambda x: x[:, 1:4], True),
    "slice of one row": ((5, 4), lambda x: x[:, 2], True),
    "slice with a new axis": ((5, 4), lambda x: x[:, tf.newaxis, ::2], True),
    "slice of channels": ((5, 4), lambda x: x[..., 1:3], False),
    "slice after an ellipsis": ((5, 6, 4), lambda x: x[:, ..., 1, :], True),
    "one channel": ((5, 4), lambda x: x[..., 0], False),
    "cast": ((5,), lambda x: tf.cast(x, "float32") * 1.0, True),
    "matmul": ((5, 4), lambda x: tf.matmul(x, x, transpose_b=True), False),
    "split": ((6,), lambda x: tf.split(x, 2, axis=-1)[1], False),
    "resize": ((4, 4, 3), lambda x: tf.image.resize(x, [3, 5]), False),
    "pad": ((5, 4), lambda x: tf.pad(x, [[0, 0], [1, 1], [0, 0]]), False),
    "where": ((5,), lambda x: tf.where(x > 0.3, x, 0.0), False),
    "attention": ((5, 4), lambda x: L.MultiHeadAttention(2, 3)(x, L.Dense(4)(x), key=x), True),
}


def hidden(shape: tuple[int, ...]) -> tuple[Any, Any]:
    inputs = keras2.Input(shape)
    return inputs, L.Activation("relu", name="hidden")(L.Dense(shape[-1], name="before")(inputs))


def saved(model: Any, path: Path) -> Path:
    """A model all of whose weights are random, in a file."""
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(size=each.shape) * 0.5 for each in model.get_weights()])
    model.save(path, save_format="h5")
    return path


def example(model: Any) -> Array:
    return np.random.default_rng(1).normal(size=(3, *model.input_shape[1:])).astype("float32")


def assert_same(model: Any, path: Path) -> None:
    new = keras2.models.load_model(path, custom_objects=OWN, compile=False)
    x = example(model)
    for expected, found in zip(tf.nest.flatten(model(x)), tf.nest.flatten(new(x)), strict=True):
        assert np.abs(expected).max() > 1e-3
        assert np.asarray(found) == pytest.approx(
            np.asarray(expected), abs=1e-4 * max(1.0, float(np.abs(expected).max()))
        )


@pytest.mark.parametrize("name", OPERATIONS)
def test_what_is_behind_a_linked_layer_computes_the_same(name: str, tmp_path: Path) -> None:
    shape, behind, passes = OPERATIONS[name]
    inputs, x = hidden(shape)
    model = keras2.Model(inputs, L.Dense(2, name="after")(behind(x)))
    path = saved(model, tmp_path / "m.h5")
    (done,) = wtool.swap(path, to="linked", layers=["hidden"], output=tmp_path / "new.h5")
    assert_same(model, tmp_path / "new.h5")
    assert done.layers["hidden"] == "relu becomes LKReLU"
    assert (len(done.layers) == 1) == passes, done.layers
    wtool.swap(tmp_path / "new.h5", to="plain", output=tmp_path / "back.h5")
    assert_same(model, tmp_path / "back.h5")


@pytest.mark.parametrize("name", OPERATIONS)
def test_shapes_are_those_of_keras_2(name: str, tmp_path: Path) -> None:
    shape, behind, _ = OPERATIONS[name]
    inputs, x = hidden(shape)
    model = keras2.Model(inputs, L.Dense(2)(behind(x)))
    with open_checkpoint(str(saved(model, tmp_path / "m.h5"))) as checkpoint:
        found = shapes_of(read(json.loads(json.dumps(checkpoint.config))))
    for layer in model.layers:
        shape = found.get((layer.name, 0, 0))
        expected = layer.output_shape if not isinstance(layer.output_shape, list) else layer.output_shape[0]
        if shape is not None:
            assert len(shape) == len(expected)
            assert all(one in (None, other) for one, other in zip(shape, expected, strict=True)), layer.name


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_command_reads_them(name: str, tmp_path: Path) -> None:
    shape, behind, _ = OPERATIONS[name]
    inputs, x = hidden(shape)
    model = keras2.Model(inputs, L.Dense(2, name="after")(behind(x)))
    path = saved(model, tmp_path / "m.h5")
    assert not wtool.inspect(path)["notes"]
    (done,) = wtool.prune(path, sparsity=0.5)
    assert done.selected == sum(weight.shape.num_elements() for weight in model.weights if "kernel" in weight.name)
    (turned,) = wtool.swap(
        path, to="autorot", xmin_lim=0, xmax_lim=1, L=2, output=tmp_path / "turned.h5", layers=["before"]
    )
    assert list(turned.layers) == ["before"]


def test_tensors_as_arguments_are_pointed_elsewhere(tmp_path: Path) -> None:
    """Every place counts: lists of tensors repeat the arguments beside each of them."""
    inputs, x = hidden((5,))
    y = L.Dense(5, activation="relu", name="other")(x)
    outputs = [tf.where(x > 0.1, x, y), tf.add(y, x), tf.subtract(2.0, x) * y, tf.concat([x, y, x], axis=-1)]
    model = keras2.Model(inputs, [*outputs, L.Concatenate()([x, y]), L.Add()([x, y])])
    path = saved(model, tmp_path / "m.h5")
    for layers in ([], ["hidden"], ["other"]):
        wtool.swap(path, to="linked", layers=layers or ["hidden", "other"], output=tmp_path / "new.h5", force=True)
        assert_same(model, tmp_path / "new.h5")


class Structured(L.Layer):  # type: ignore[misc]
    """Takes a dictionary of a tensor and a list of two."""

    def call(self, given: Any, scale: Any = None) -> Any:
        """Their sum, each in a part of its own."""
        return (given["a"] + 2 * given["b"][0] - given["b"][1]) * (1.0 if scale is None else scale)


def test_structures_of_tensors_are_read(tmp_path: Path) -> None:
    inputs, x = hidden((5,))
    y = L.Dense(5, name="other")(x)
    z = Structured(name="own")({"a": x, "b": [y, tf.nn.relu(y)]}, scale=tf.sigmoid(y))
    model = keras2.Model(inputs, L.Dense(2)(z))
    path = saved(model, tmp_path / "m.h5")
    wtool.swap(path, to="linked", layers=["hidden"], output=tmp_path / "new.h5")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(OWN, "Structured", Structured)
        assert_same(model, tmp_path / "new.h5")


@pytest.mark.parametrize("odd", ["a", 7, [["a", 0]], [3, 0, 0], [["before", "x", 0, {}]], [None]])
def test_what_is_no_reference_is_refused(odd: Any, tmp_path: Path) -> None:
    inputs, x = hidden((5,))
    path = saved(keras2.Model(inputs, L.Dense(2, name="after")(x)), tmp_path / "m.h5")
    with h5py.File(path, "a") as file:
        config = json.loads(file.attrs["model_config"])
        config["config"]["layers"][-1]["inbound_nodes"] = [odd]
        file.attrs["model_config"] = json.dumps(config)
    with pytest.raises(Refused, match="no reference to a tensor"):
        wtool.swap(path, to="linked", layers=["hidden"])


LAMBDAS: dict[str, tuple[Callable[[Any], Any], dict[str, Any]]] = {
    "told": (lambda x: x / 127.5 - 1.0, {"output_shape": (8, 8, 3)}),
    "told by a list": (lambda x: x[:, 1:-1], {"output_shape": [6, 8, 3]}),
    "untold": (lambda x: x / 127.5 - 1.0, {}),
}


@pytest.mark.parametrize("layers", [[], ["conv"], ["wide"]], ids=str)
@pytest.mark.parametrize("name", LAMBDAS)
def test_the_shape_behind_a_lambda_is_the_stored_one(name: str, layers: list[str], tmp_path: Path) -> None:
    """Where none is stored, the classes behind it tell at least the rank: a Conv2D's channels are its filters."""
    function, told = LAMBDAS[name]
    model = keras2.Sequential(
        [
            L.Lambda(function, input_shape=(8, 8, 3), **told),
            L.Conv2D(4, 3, activation="relu", name="conv"),
            L.MaxPooling2D(),
            L.Flatten(),
            L.Dense(5, activation="elu", name="wide"),
            L.Dense(1),
        ]
    )
    path = saved(model, tmp_path / "m.h5")
    (done,) = wtool.swap(path, to="linked", layers=layers, output=tmp_path / "new.h5")
    assert {path for path, text in done.layers.items() if "becomes" in text} == set(layers or ["conv", "wide"])
    projected = [text for text in done.layers.values() if text.startswith("new")]
    assert len(projected) == (name == "untold" and layers != ["wide"])  # Flatten needs the whole shape
    assert_same(model, tmp_path / "new.h5")


def test_a_single_number_is_a_shape_and_a_function_is_none() -> None:
    given = [(None, 4)]
    assert output_shape("Lambda", {"output_shape": 3, "output_shape_type": "raw"}, given) == (None, 3)
    assert output_shape("Lambda", {"output_shape": [2, None]}, [None]) == (None, 2, None)
    for told in (None, "f", {"class_name": "__lambda__"}, [[1], 2]):
        assert output_shape("Lambda", {"output_shape": told}, given) is None
    assert output_shape("Lambda", {"output_shape": ["code", None, None], "output_shape_type": "lambda"}, given) is None
    assert output_shape("Lambda", {"output_shape": [3], "output_shape_type": "function"}, given) is None


def test_a_result_that_no_keras_opens_is_told(tmp_path: Path) -> None:
    keras = pytest.importorskip("keras")
    pytest.importorskip("wtool.layers")
    inputs, x = hidden((5,))
    path = saved(keras2.Model(inputs, L.Dense(2)(tf.square(x))), tmp_path / "m.h5")
    for to, more in (("linked", {}), ("autorot", {"xmin_lim": 0, "xmax_lim": 1, "L": 2})):
        (done,) = wtool.swap(path, to=to, output=tmp_path / "new.h5", force=True, **more)
        (note,) = (each for each in done.notes if each.startswith("no Keras opens the result"))
        assert "(TFOpLambda) is of Keras 2, wtool's layers are of Keras 3" in note
        for opens in (keras.models.load_model, keras2.models.load_model):
            with pytest.raises((TypeError, ValueError)):
                opens(tmp_path / "new.h5", compile=False)
    (back,) = wtool.swap(tmp_path / "new.h5", to="plain", output=tmp_path / "back.h5", force=True)
    assert not any("Keras" in note for note in back.notes)
    keras2.models.load_model(tmp_path / "back.h5")
    inputs, x = hidden((5,))
    path = saved(keras2.Model(inputs, L.Dense(2)(x)), tmp_path / "m.h5")
    (done,) = wtool.swap(path, to="linked", output=tmp_path / "new.h5", force=True)
    assert any("only Keras 3 has wtool's layers" in note for note in done.notes)
    assert keras.models.load_model(tmp_path / "new.h5", compile=False).count_params() == done.parameters[1]
