"""Shrunk models in Keras: they predict what the old models predict without the channels, worked out by hand.

The channels that go are those of the lowest scores, which NumPy calculates from hand-written lists of weights and axes;
in the old model they are silenced in hand-written lists of the weights that read them. One chain is computed in NumPy.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wtool
from tests.models import Array

pytestmark = pytest.mark.tensorflow
keras = pytest.importorskip("keras")
L = keras.layers
REFERENCE = Path(__file__).parents[1] / "transforms"

Axis = tuple[str, int, int, int]
"""A weight that has channels: its path, the axis, the position of the first channel, and how many blocks of the group's
channels lie behind one another from there (the gates of a recurrent layer)."""


@pytest.fixture(autouse=True)
def quiet() -> Any:
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


def path_of(variable: Any) -> str:
    """The path of a variable of Keras 3, or of Keras 2."""
    return str(getattr(variable, "path", variable.name).removesuffix(":0"))


def scattered(model: Any, seed: int = 0) -> Any:
    """A model none of whose weights are what they start from."""
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        values = rng.normal(size=variable.shape) * 0.3
        positive = "variance" in path_of(variable) or "gamma" in path_of(variable)
        variable.assign(np.abs(values) + 0.7 if positive else values)
    return model


def at(path: str, axis: int, start: int = 0, blocks: int = 1) -> Axis:
    return path, axis, start, blocks


def weights_of(path: Path) -> dict[str, Array]:
    with wtool.open_checkpoint(path) as checkpoint:
        found = {each.path: checkpoint.read(each) for each in checkpoint.weights}
    return {path.replace("depth/depthwise_kernel", "depth/kernel"): each for path, each in found.items()}  # of Keras 2


def positions(axis: Axis, channels: Array, size: int) -> Array:
    return np.concatenate([axis[2] + block * size + channels for block in range(axis[3])])


def lasting(weights: Mapping[str, Array], members: Sequence[Axis], size: int, count: int) -> Array:
    """The channels of the highest scores by `l2`: the mean over weights of their sums of squares."""
    total = np.zeros(size)
    for member in members:
        rows = np.moveaxis(weights[member[0]].astype(float), member[1], 0)
        own = rows[positions(member, np.arange(size), size)].reshape(member[3], size, -1)
        total += (own**2).sum(axis=(0, 2))
    return np.sort(np.argsort(total)[size - count :])


def silenced(model: Any, readers: Sequence[Axis], gone: Array, size: int) -> None:
    """Puts zeros where the weights of a model read channels."""
    named = {path_of(variable): variable for variable in model.weights}
    for reader in readers:
        variable = named[reader[0]]
        rows = np.moveaxis(np.array(variable), reader[1], 0)
        rows[positions(reader, gone, size)] = 0
        variable.assign(np.moveaxis(rows, 0, reader[1]))


def chain(k: Any) -> Any:
    inputs = k.Input((6, 6, 3))
    x = k.layers.Conv2D(8, 3, name="c1", activation="relu")(inputs)
    x = k.layers.MaxPooling2D()(x)
    x = k.layers.Flatten()(x)
    return k.Model(inputs, k.layers.Dense(4, name="out")(k.layers.Dense(10, name="d1", activation="tanh")(x)))


def residual(k: Any) -> Any:
    """The model of Torch-Pruning's reference: two convolutions are added up, a third one stands behind."""
    inputs = k.Input((8, 8, 3))
    x = k.layers.ReLU()(
        k.layers.BatchNormalization(name="b1")(k.layers.Conv2D(8, 3, padding="same", name="c1")(inputs))
    )
    y = k.layers.ReLU()(k.layers.BatchNormalization(name="b2")(k.layers.Conv2D(8, 3, padding="same", name="c2")(x)))
    z = k.layers.ReLU()(
        k.layers.BatchNormalization(name="b3")(k.layers.Conv2D(12, 3, name="c3")(k.layers.Add()([x, y])))
    )
    return k.Model(inputs, k.layers.Dense(5, name="f")(k.layers.GlobalAveragePooling2D()(z)))


def dense_block(k: Any) -> Any:
    inputs = k.Input((6, 6, 2))
    one = k.layers.Conv2D(4, 3, padding="same", name="c1")(inputs)
    two = k.layers.Conv2D(6, 3, padding="same", name="c2")(k.layers.Concatenate()([inputs, one]))
    all_of_them = k.layers.BatchNormalization(name="b")(k.layers.Concatenate()([inputs, one, two]))
    return k.Model(inputs, k.layers.Conv2D(3, 1, name="out")(k.layers.ReLU()(all_of_them)))


def depthwise_block(k: Any) -> Any:
    """As in MobileNetV2 and EfficientNet: expanded, depthwise, projected, dropped as a whole, and added up."""
    inputs = k.Input((6, 6, 3))
    x = k.layers.Conv2D(4, 1, name="stem")(inputs)
    y = k.layers.ReLU(6.0)(k.layers.BatchNormalization(name="b1")(k.layers.Conv2D(12, 1, name="expand")(x)))
    y = k.layers.ReLU(6.0)(
        k.layers.BatchNormalization(name="b2")(k.layers.DepthwiseConv2D(3, padding="same", name="depth")(y))
    )
    y = k.layers.Dropout(0.2, noise_shape=(None, 1, 1, 1))(k.layers.Conv2D(4, 1, name="project")(y))
    return k.Model(inputs, k.layers.Conv2D(2, 1, name="out")(k.layers.Add()([x, y])))


def attention(k: Any) -> Any:
    inputs = k.Input((5, 6))
    x = k.layers.MultiHeadAttention(4, 3, name="mha")(inputs, inputs)
    return k.Model(inputs, k.layers.Dense(2, name="out")(k.layers.Add()([inputs, x])))


def recurrent(k: Any) -> Any:
    inputs = k.Input((4, 3))
    x = k.layers.LSTM(6, return_sequences=True, name="lstm")(inputs)
    return k.Model(inputs, k.layers.Dense(2, name="out")(k.layers.GRU(4, name="gru")(x)))


class Case:
    """A model, and for each group the weights that tell, those that read its channels, and how many there are."""

    def __init__(self, make: Callable[[Any], Any], **groups: tuple[int, Sequence[Axis], Sequence[Axis]]) -> None:
        self.make, self.groups = make, groups


CASES = {
    "chain": Case(
        chain,
        c1=(8, [at("c1/kernel", 3), at("d1/kernel", 0, 0, 4)], [at("d1/kernel", 0, 0, 4)]),
        d1=(10, [at("d1/kernel", 1), at("out/kernel", 0)], [at("out/kernel", 0)]),
    ),
    "residual": Case(
        residual,
        c1=(
            8,
            [
                *(at("c1/kernel", 3), at("c2/kernel", 3), at("c2/kernel", 2), at("c3/kernel", 2)),
                *(at("b1/gamma", 0), at("b2/gamma", 0)),
            ],
            [at("c2/kernel", 2), at("c3/kernel", 2)],
        ),
        c3=(12, [at("c3/kernel", 3), at("b3/gamma", 0), at("f/kernel", 0)], [at("f/kernel", 0)]),
    ),
    "dense block": Case(
        dense_block,
        c1=(
            4,
            [at("c1/kernel", 3), at("c2/kernel", 2, 2), at("b/gamma", 0, 2), at("out/kernel", 2, 2)],
            [at("c2/kernel", 2, 2), at("out/kernel", 2, 2)],
        ),
        c2=(6, [at("c2/kernel", 3), at("b/gamma", 0, 6), at("out/kernel", 2, 6)], [at("out/kernel", 2, 6)]),
    ),
    "depthwise block": Case(
        depthwise_block,
        stem=(
            4,
            [at("stem/kernel", 3), at("expand/kernel", 2), at("project/kernel", 3), at("out/kernel", 2)],
            [at("expand/kernel", 2), at("out/kernel", 2)],
        ),
        expand=(
            12,
            [
                *(at("expand/kernel", 3), at("b1/gamma", 0), at("depth/kernel", 2)),
                *(at("b2/gamma", 0), at("project/kernel", 2)),
            ],
            [at("project/kernel", 2)],
        ),
    ),
    "attention": Case(
        attention,
        **{
            "mha (heads)": (
                4,
                [at(f"mha/{part}/kernel", 1) for part in ("query", "key", "value")]
                + [at("mha/attention_output/kernel", 0)],
                [at("mha/attention_output/kernel", 0)],
            )
        },
    ),
    "recurrent": Case(
        recurrent,
        lstm=(
            6,
            [
                *(at("lstm/lstm_cell/kernel", 1, 0, 4), at("lstm/lstm_cell/recurrent_kernel", 1, 0, 4)),
                *(at("lstm/lstm_cell/recurrent_kernel", 0), at("gru/gru_cell/kernel", 0)),
            ],
            [at("lstm/lstm_cell/recurrent_kernel", 0), at("gru/gru_cell/kernel", 0)],
        ),
        gru=(
            4,
            [
                *(at("gru/gru_cell/kernel", 1, 0, 3), at("gru/gru_cell/recurrent_kernel", 1, 0, 3)),
                *(at("gru/gru_cell/recurrent_kernel", 0), at("out/kernel", 0)),
            ],
            [at("gru/gru_cell/recurrent_kernel", 0), at("out/kernel", 0)],
        ),
    ),
}


def inputs_of(model: Any) -> Array:
    return np.random.default_rng(7).normal(size=(3, *model.inputs[0].shape[1:])).astype("float32")


@pytest.mark.parametrize(("package", "suffix"), [("keras", ".keras"), ("keras", ".h5"), ("tf_keras", ".h5")])
@pytest.mark.parametrize("name", CASES)
def test_the_shrunk_model_predicts_without_the_channels(name: str, package: str, suffix: str, tmp_path: Path) -> None:
    case, its_keras = CASES[name], pytest.importorskip(package)
    model = scattered(case.make(its_keras))
    model.save(tmp_path / f"old{suffix}")
    (result,) = wtool.shrink(tmp_path / f"old{suffix}", sparsity=0.5, output=tmp_path / f"new{suffix}")
    assert result.channels == {group: (size, size // 2) for group, (size, *_) in case.groups.items()}
    weights = weights_of(tmp_path / f"old{suffix}")
    for size, members, readers in case.groups.values():
        kept = lasting(weights, members, size, size // 2)
        silenced(model, readers, np.setdiff1d(np.arange(size), kept), size)
    new = its_keras.models.load_model(tmp_path / f"new{suffix}")
    assert new.count_params() < model.count_params()
    assert result.parameters == (model.count_params(), new.count_params())
    assert [each.name for each in new.layers] == [each.name for each in model.layers]
    inputs = inputs_of(model)
    expected = np.asarray(model(inputs))
    assert np.abs(expected).max() > 1e-2
    np.testing.assert_allclose(np.asarray(new(inputs)), expected, atol=2e-6 * max(1.0, np.abs(expected).max()))


def test_a_chain_in_numpy(tmp_path: Path) -> None:
    model = scattered(
        keras.Sequential(
            [keras.Input((6,)), L.Dense(8, name="a", activation="relu"), L.Dense(4, name="b"), L.Dense(2, name="c")]
        )
    )
    model.save(tmp_path / "old.keras")
    wtool.shrink(tmp_path / "old.keras", sparsity=0.5, criterion="l1", output=tmp_path / "new.keras")
    w = weights_of(tmp_path / "old.keras")
    first = np.argsort(abs(w["a/kernel"]).sum(axis=0) + abs(w["b/kernel"]).sum(axis=1))[4:]
    second = np.argsort(abs(w["b/kernel"]).sum(axis=0) + abs(w["c/kernel"]).sum(axis=1))[2:]
    inputs = inputs_of(model)
    hidden = np.maximum(inputs @ w["a/kernel"][:, first] + w["a/bias"][first], 0)
    hidden = hidden @ w["b/kernel"][np.ix_(first, second)] + w["b/bias"][second]
    expected = hidden @ w["c/kernel"][second] + w["c/bias"]
    found = np.asarray(keras.models.load_model(tmp_path / "new.keras")(inputs))
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("scope", ["layer", "global"])
def test_the_channels_that_stay_are_those_of_torch_pruning(scope: str, tmp_path: Path) -> None:
    """From the same weights: its scores, its groups, and as many channels as it keeps."""
    reference = json.loads((REFERENCE / "torch_pruning.json").read_text())
    theirs = dict(np.load(REFERENCE / "torch_pruning.npz"))
    model = residual(keras)
    for layer in ("c1", "c2", "c3", "f"):
        kernel = theirs[f"{layer}.weight"]
        kernel = np.transpose(kernel, (2, 3, 1, 0)) if kernel.ndim == 4 else kernel.T
        model.get_layer(layer).set_weights([kernel, theirs[f"{layer}.bias"]])
    for layer in ("b1", "b2", "b3"):
        model.get_layer(layer).gamma.assign(theirs[f"{layer}.weight"])
    model.save(tmp_path / "old.keras")
    wtool.shrink(tmp_path / "old.keras", sparsity=0.5, scope=scope, output=tmp_path / "new.keras")
    made = weights_of(tmp_path / "new.keras")
    for layer, (count, *_) in reference[f"after .5 global={scope == 'global'}"].items():
        name = layer.removesuffix(".weight")
        assert made[f"{name}/kernel"].shape[-1] == count
        if name != "f":
            scores = np.asarray(reference[f"MagL2 {name}"])
            kept = np.sort(np.argsort(scores)[len(scores) - count :])
            assert np.array_equal(made[f"{name}/bias"], theirs[f"{name}.bias"][kept])


def test_the_optimizer_goes_along(tmp_path: Path) -> None:
    """A model that was shrunk trains on as it is: the state of each weight went with it."""
    model = scattered(chain(keras))
    model.compile("adam", "mse")
    data = inputs_of(model), np.ones((3, 4), "float32")
    model.fit(*data, epochs=2, verbose=0)
    model.save(tmp_path / "old.keras")
    wtool.shrink(tmp_path / "old.keras", sparsity=0.5, output=tmp_path / "new.keras")
    new = keras.models.load_model(tmp_path / "new.keras")
    assert int(new.optimizer.iterations) == 2
    shapes = [tuple(each.shape) for each in new.trainable_variables for _ in range(2)]
    assert sorted(shapes) == sorted(tuple(each.shape) for each in new.optimizer.variables[2:])
    before = new.evaluate(*data, verbose=0)
    new.fit(*data, epochs=5, verbose=0)
    assert new.evaluate(*data, verbose=0) < before


def test_verified_with_its_speed(tmp_path: Path) -> None:
    scattered(residual(keras)).save(tmp_path / "old.keras")
    (result,) = wtool.shrink(tmp_path / "old.keras", sparsity=0.5, output=tmp_path / "new.keras", verify=True)
    old, new = (keras.models.load_model(tmp_path / f"{name}.keras") for name in ("old", "new"))
    assert result.difference is not None
    assert result.difference[0] > 0
    assert result.seconds is not None
    assert all(0 < each < 5 for each in result.seconds)
    assert not result.notes
    assert new.count_params() < old.count_params()


def test_the_initial_checkpoint_as_the_shrunk_one(tmp_path: Path) -> None:
    """A lottery ticket of channels: the initial weights of those that stayed after training."""
    model = scattered(residual(keras))
    model.save(tmp_path / "init.keras")
    trained = scattered(model, seed=3)
    trained.save(tmp_path / "trained.keras")
    wtool.shrink(tmp_path / "trained.keras", sparsity=0.5, output=tmp_path / "half.keras")
    wtool.shrink(tmp_path / "init.keras", like=tmp_path / "half.keras", output=tmp_path / "ticket.keras")
    members = CASES["residual"].groups["c1"][1]
    kept = lasting(weights_of(tmp_path / "trained.keras"), members, 8, 4)
    first = keras.models.load_model(tmp_path / "ticket.keras").get_layer("c1").get_weights()[0]
    assert np.array_equal(first, weights_of(tmp_path / "init.keras")["c1/kernel"][..., kept])
