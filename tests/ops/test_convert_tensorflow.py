"""What tf_keras saves as SavedModels and checkpoints becomes models that Keras 3 loads and that compute the same."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wtool
from tests.schema.upgrade.twins import assert_same
from wtool.checkpoint.opener import open_checkpoint

tf = pytest.importorskip("tensorflow")
keras2 = pytest.importorskip("tf_keras")
keras = pytest.importorskip("keras")
L = keras2.layers

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("plain_recurrence")]
FORMS = ("folder", "checkpoint")
"""`model.save(folder)` and `model.save_weights(prefix)`."""


def sequential() -> Any:
    """Layers in a row, with statistics."""
    return keras2.Sequential(
        [
            L.Conv2D(4, 3, activation="relu", input_shape=(8, 8, 3), name="first"),
            L.BatchNormalization(name="norm"),
            L.DepthwiseConv2D(3),
            L.SeparableConv2D(3, 2),
            L.PReLU(),
            L.LayerNormalization(),
            L.Flatten(),
            L.Dense(2),
        ]
    )


def shared() -> Any:
    """A layer that is called twice, and branches whose order is not that of their names."""
    one, other = L.Input((5,), name="z"), L.Input((5,), name="a")
    dense = L.Dense(5, activation="tanh", name="twice")
    left, right = L.Dense(5, name="later")(dense(one)), L.Dense(5, name="earlier")(dense(other))
    return keras2.Model([one, other], L.Dense(1)(L.Concatenate()([left, right])))


def nested() -> Any:
    """Models inside models, one of them frozen."""
    inside = keras2.Sequential([L.Dense(4, input_shape=(3,)), L.BatchNormalization(), L.Dense(4)], name="inside")
    entry = L.Input((3,))
    branch = keras2.Model(entry, L.Add()([L.Dense(4)(entry), inside(entry)]), name="branch")
    frozen = keras2.Sequential([L.Dense(4, input_shape=(4,))], name="frozen")
    frozen.trainable = False
    outer = L.Input((3,))
    return keras2.Model(outer, L.Dense(2)(frozen(branch(outer))))


def both_ways() -> Any:
    """A recurrent layer in each direction, inside a layer for each step."""
    steps = L.Input((6, 4))
    both = L.Bidirectional(
        L.SimpleRNN(3, return_sequences=True),
        backward_layer=L.SimpleRNN(3, return_sequences=True, go_backwards=True, use_bias=False),
    )(steps)
    return keras2.Model(steps, L.TimeDistributed(L.Dense(2))(both))


def cells() -> Any:
    """Cells in a list."""
    steps = L.Input((6, 4))
    return keras2.Model(steps, L.RNN([L.LSTMCell(3), L.GRUCell(2)])(steps))


def gates() -> Any:
    """A recurrent layer as most users have it."""
    return keras2.Sequential([L.LSTM(3, input_shape=(6, 4)), L.Dense(2)])


def attending() -> Any:
    """An attention layer, and embeddings."""
    words = L.Input((5,), dtype="int32")
    found = L.Embedding(7, 6)(words)
    return keras2.Model(words, L.Dense(2)(L.MultiHeadAttention(2, 3)(found, found)))


MODELS = {each.__name__: each for each in (sequential, shared, nested, both_ways, cells, gates, attending)}


def saved(model: Any, form: str, folder: Path, traces: bool = False) -> tuple[Path, dict[str, Any]]:
    """Save a model in a form of TensorFlow's; gives its path, and further words for its conversion.

    With traces, which Keras saves where nothing else is said, each layer is traced eight times: that takes seconds.
    """
    if form == "folder":
        model.save(folder / "saved", save_format="tf", save_traces=traces)
        return folder / "saved", {}
    model.save_weights(str(folder / "ckpt"))
    (folder / "model.json").write_text(model.to_json())
    return folder / "ckpt", {"architecture": folder / "model.json"}


def randomized(model: Any, seed: int = 0) -> Any:
    """The model with random weights: fresh biases and statistics would hide mistakes."""
    generator = np.random.default_rng(seed)
    model.set_weights([generator.uniform(0.1, 1, each.shape).astype(each.dtype) for each in model.get_weights()])
    return model


TRACED = (sequential, nested, gates, attending)


@pytest.fixture(scope="module")
def known() -> Callable[[str], Any]:
    """Gives a model by its name; each is made once."""
    return cache(lambda name: randomized(MODELS[name]()))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", MODELS)
def test_the_converted_model_computes_the_same(
    name: str, form: str, known: Callable[[str], Any], tmp_path: Path
) -> None:
    path, words = saved(known(name), form, tmp_path, MODELS[name] in TRACED)
    wtool.convert(path, output=tmp_path / "new.keras", **words)
    new = keras.models.load_model(tmp_path / "new.keras")
    assert_same(known(name), new)


def test_wtool_and_tensorflow_read_the_same(known: Callable[[str], Any], tmp_path: Path) -> None:
    model = known("nested")
    path, _ = saved(model, "folder", tmp_path)
    reader = tf.train.load_checkpoint(str(path / "variables" / "variables"))
    with open_checkpoint(str(path), foreign=True) as found:
        read = {tensor.stored: found.read(tensor) for tensor in found.weights}
    assert len(read) == len(model.weights)
    assert all((reader.get_tensor(key) == values).all() for key, values in read.items())


OPTIMIZERS: dict[str, Callable[[], Any]] = {
    "Adam": lambda: keras2.optimizers.Adam(0.01, amsgrad=True),
    "SGD": lambda: keras2.optimizers.SGD(0.01, momentum=0.9),
    "RMSprop": lambda: keras2.optimizers.RMSprop(0.01, centered=True, momentum=0.5),
    "older Adam": lambda: keras2.optimizers.legacy.Adam(0.01),
    "older SGD": lambda: keras2.optimizers.legacy.SGD(0.01, momentum=0.9),
    "older RMSprop": lambda: keras2.optimizers.legacy.RMSprop(0.01, centered=True, momentum=0.5),
    "older Adagrad": lambda: keras2.optimizers.legacy.Adagrad(0.01),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_goes_on_as_it_would_have(name: str, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    inputs, targets = generator.normal(size=(16, 3)).astype("f4"), generator.normal(size=(16, 1)).astype("f4")
    model = keras2.Sequential([L.Dense(1, input_shape=(3,))])
    model.compile(OPTIMIZERS[name](), "mse", run_eagerly=True)
    for _ in range(3):
        model.train_on_batch(inputs, targets)
    path, _ = saved(model, "folder", tmp_path)
    wtool.convert(path, output=tmp_path / "new.keras")
    new = keras.models.load_model(tmp_path / "new.keras")
    assert int(new.optimizer.iterations) == 3
    new.compile(new.optimizer, "mse", run_eagerly=True)
    for _ in range(3):
        model.train_on_batch(inputs, targets)
        new.train_on_batch(inputs, targets)
    for one, other in zip(model.get_weights(), new.get_weights(), strict=True):
        assert np.allclose(one, other, rtol=1e-5, atol=1e-6)


def test_a_model_that_trackables_hold(tmp_path: Path) -> None:
    model = randomized(shared())
    manager = tf.train.CheckpointManager(tf.train.Checkpoint(model=model), str(tmp_path / "all"), 1)
    prefix = manager.save()
    (tmp_path / "model.json").write_text(model.to_json())
    wtool.convert(prefix, output=tmp_path / "new.keras", architecture=tmp_path / "model.json")
    new = keras.models.load_model(tmp_path / "new.keras")
    assert_same(model, new)


def doubling(layers: Any) -> Any:
    """A class of layers, in any Keras, that holds a layer of its own and a variable."""

    class Doubling(layers.Layer):  # type: ignore[misc]
        def __init__(self, **settings: Any) -> None:
            super().__init__(**settings)
            self.first = layers.Dense(3, name="one")
            self.then = layers.Dense(3, name="two")

        def build(self, shape: Any) -> None:
            self.scale = self.add_weight(name="scale", shape=(3,), initializer="ones")
            self.first.build(shape)
            self.then.build((None, 3))
            super().build(shape)

        def call(self, inputs: Any) -> Any:
            return self.then(self.first(inputs)) * self.scale

    return Doubling


@pytest.mark.parametrize("form", FORMS)
def test_layers_of_custom_classes_keep_their_values(form: str, tmp_path: Path) -> None:
    entry = L.Input((3,))
    model = randomized(keras2.Model(entry, L.Dense(2)(doubling(L)(name="double")(entry))))
    path, words = saved(model, form, tmp_path)
    wtool.convert(path, output=tmp_path / "new.keras", **words)
    new = keras.models.load_model(tmp_path / "new.keras", custom_objects={"Doubling": doubling(keras.layers)})
    assert_same(model, new)


def containing(layers: Any, kind: str) -> Any:
    """A class of layers, in any Keras, that holds three layers in a container."""

    class Containing(layers.Layer):  # type: ignore[misc]
        def __init__(self, **settings: Any) -> None:
            super().__init__(**settings)
            held = [layers.Dense(3), layers.LayerNormalization(), layers.Dense(3)]
            match kind:
                case "list":
                    self.held = held
                case "tuple":
                    self.held = tuple(held)
                case "dictionary":
                    self.held = {"z": held[0], "norm": held[1]}
                case "like keys":
                    self.held = {"z": held[0], "norm": held[1], "a": held[2]}

        def call(self, inputs: Any) -> Any:
            for held in self.held.values() if isinstance(self.held, dict) else self.held:
                inputs = held(inputs)
            return inputs

        def get_config(self) -> dict[str, Any]:
            return {"dtype": "float32"}

        def build(self, shape: Any) -> None:
            for held in self.held.values() if isinstance(self.held, dict) else self.held:
                held.build((None, 3))
            super().build(shape)

    return Containing


def of_containing(kind: str) -> Any:
    entry = L.Input((3,))
    return randomized(keras2.Model(entry, L.Dense(2)(containing(L, kind)(name="box")(entry))))


def assert_kept(model: Any, path: Path, kind: str, **words: Any) -> None:
    wtool.convert(path, output=path.parent / "new.keras", **words)
    own = {"Containing": containing(keras.layers, kind)}
    assert_same(model, keras.models.load_model(path.parent / "new.keras", custom_objects=own))


@pytest.mark.parametrize("kind", ["list", "tuple", "dictionary"])
def test_layers_in_containers_get_the_names_of_keras_3(kind: str, tmp_path: Path) -> None:
    model = of_containing(kind)
    assert_kept(model, saved(model, "folder", tmp_path)[0], kind)


@pytest.mark.parametrize(("kind", "form"), [("like keys", "folder"), ("list", "checkpoint")])
def test_layers_in_containers_whose_names_nothing_tells_are_asked_for(kind: str, form: str, tmp_path: Path) -> None:
    model = of_containing(kind)
    path, words = saved(model, form, tmp_path)
    with pytest.raises(wtool.Unconvertible) as raised:
        wtool.convert(path, output=tmp_path / "new.keras", **words)
    (reason,) = raised.value.refused
    assert reason.rule == "untold attributes"
    assert "by --attribute 'box=held/" in reason.text
    assert "or save the model as .keras" in reason.text
    assert_kept(model, path, kind, attribute=["box=held/dense,held/layer_normalization,held/dense_1"], **words)


def test_layers_of_another_order_are_told(tmp_path: Path) -> None:
    model = keras2.Sequential([L.Dense(3, input_shape=(3,), name="one"), L.Dense(3, name="two")])
    path, words = saved(model, "checkpoint", tmp_path)
    (right,) = wtool.convert(path, output=tmp_path / "right.keras", **words)
    text = (tmp_path / "model.json").read_text()
    (tmp_path / "model.json").write_text(text.replace('"two"', '"x"').replace('"one"', '"two"').replace('"x"', '"one"'))
    (wrong,) = wtool.convert(path, output=tmp_path / "wrong.keras", **words)
    assert "two gets what the checkpoint calls one" in " ".join(wrong.notes)
    assert not right.notes


def test_verify_runs_the_result_alone(tmp_path: Path) -> None:
    path, words = saved(randomized(nested()), "checkpoint", tmp_path)
    (done,) = wtool.convert(path, output=tmp_path / "new.keras", verify=True, **words)
    assert done.verified == "runs, its outputs are finite"
    assert "the old model was not run: TensorFlow saved it, with a graph that may hold any operation" in done.notes


class Subclassed(keras2.Model):  # type: ignore[misc,name-defined]
    """A model whose code connects its layers."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = L.Dense(2)

    def call(self, inputs: Any) -> Any:
        """One layer."""
        return self.dense(inputs)


def test_subclassed_models_are_refused(tmp_path: Path) -> None:
    model = Subclassed()
    model(np.zeros((1, 3), np.float32))
    model.save(tmp_path / "saved", save_format="tf")
    with pytest.raises(
        wtool.Refused, match=r"of the class 'Subclassed', whose layers only its code connects.*TFSMLayer"
    ):
        wtool.convert(tmp_path / "saved")


def test_what_is_not_of_keras_is_refused(tmp_path: Path) -> None:
    tf.saved_model.save(tf.Module(), str(tmp_path / "saved"))
    with pytest.raises(wtool.Refused, match=r"without metadata of Keras.*TFSMLayer"):
        wtool.convert(tmp_path / "saved")


def test_vocabularies_that_layers_learned_are_refused(tmp_path: Path) -> None:
    lookup = L.StringLookup()
    lookup.adapt(np.array(["a", "b", "a"]))
    model = keras2.Sequential([keras2.Input((2,), dtype="string"), lookup])
    model.save(tmp_path / "saved", save_format="tf")
    with pytest.raises(wtool.WtoolError, match="learned by adapt"):
        wtool.convert(tmp_path / "saved")
