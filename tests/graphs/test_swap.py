"""Swapped models against the models that they were: what Keras computes with both, before and after training."""

from __future__ import annotations

import itertools
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import wtool
from tests.cli.test_cli import run
from tests.models import Array
from tests.real_models import Saved, saved_files
from wtool.schema.layers import ROTATING

pytestmark = pytest.mark.tensorflow
keras = pytest.importorskip("keras")
wtool_layers = pytest.importorskip("wtool.layers")
load = pytest.importorskip("wtool.training.loading.load").load
L = keras.layers
WHOLE = [each for each in saved_files() if not each.only_weights]


@pytest.fixture(autouse=True)
def quiet() -> Any:
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


def scattered(model: Any, seed: int = 0) -> Any:
    """A model none of whose weights are what they start from: biases and statistics, too."""
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        if "seed" in variable.path:
            continue
        values = rng.normal(size=variable.shape) * 0.3
        positive = "variance" in variable.path or "gamma" in variable.path
        variable.assign(np.abs(values) + 0.7 if positive else values)
    return model


def example(model: Any, seed: int = 1) -> list[Array]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=[3, *(size or 6 for size in each.shape[1:])]).astype("float32") for each in model.inputs]


def predicted(model: Any, inputs: list[Array]) -> list[Array]:
    found = model(inputs if len(inputs) > 1 else inputs[0], training=False)
    return [keras.ops.convert_to_numpy(each).astype(np.float64) for each in keras.tree.flatten(found)]


def assert_same(one: Any, other: Any, tolerance: float = 1e-5) -> None:
    inputs = example(one)
    for expected, found in zip(predicted(one, inputs), predicted(other, inputs), strict=True):
        assert np.abs(expected).max() > 1e-3
        assert found == pytest.approx(expected, abs=tolerance * max(1.0, np.abs(expected).max()))


def swapped(model: Any, folder: Path, suffix: str = ".keras", **options: Any) -> tuple[Any, wtool.Swapped, Path]:
    """A model saved, swapped and loaded again."""
    old, new = folder / f"old{suffix}", folder / f"new{suffix}"
    model.save(old)
    (result,) = wtool.swap(old, **{"to": "linked", "output": new, "force": True, **options})
    return keras.models.load_model(new, compile=suffix == ".keras"), result, new


def assert_back(old: Path, new: Path, alike: bool = True) -> None:
    """`--to plain` gives the original again: every tensor, to the bit, in the same order, and the same settings.

    But for layers whose only sense is an activation (not `alike`): they come back as `Activation`.
    """
    back = new.with_name(f"back{new.suffix}")
    wtool.swap(new, to="plain", output=back, force=True)
    with wtool.open_checkpoint(str(old)) as one, wtool.open_checkpoint(str(back)) as other:
        assert [each.path for each in one.tensors] == [each.path for each in other.tensors]
        for mine, theirs in zip(one.tensors, other.tensors, strict=True):
            assert one.read(mine).tobytes() == other.read(theirs).tobytes(), mine.path
        assert settings(one.config) == settings(other.config) or not alike
        if not alike:
            models = [keras.models.load_model(each, compile=False) for each in (old, back)]
            assert_same(*models)


def settings(value: Any) -> Any:
    """A configuration without what Keras may say or not."""
    if isinstance(value, dict):
        unsaid = ("build_config", "shared_object_id", "registered_name", "module")
        return {name: settings(each) for name, each in value.items() if name not in unsaid}
    return [settings(each) for each in value] if isinstance(value, list) else value


# --- what stands behind an activation ---


def image(x: Any, *layers: Any) -> Any:
    for layer in layers:
        x = layer(x)
    return x


BEHIND: dict[str, tuple[tuple[int, ...], Callable[[Any], Any]]] = {
    "dense": ((5,), lambda x: L.Dense(3)(x)),
    "dense of steps": ((4, 5), lambda x: L.Dense(3)(x)),
    "conv1d": ((6, 5), lambda x: L.Conv1D(3, 2)(x)),
    "conv2d": ((6, 6, 4), lambda x: L.Conv2D(3, 2, padding="same")(x)),
    "conv3d": ((4, 4, 4, 2), lambda x: L.Conv3D(3, 2)(x)),
    "conv1d transpose": ((6, 5), lambda x: L.Conv1DTranspose(3, 2)(x)),
    "conv2d transpose": ((5, 5, 4), lambda x: L.Conv2DTranspose(3, 2, strides=2)(x)),
    "grouped": ((6, 6, 4), lambda x: L.Conv2D(4, 2, groups=2)(x)),
    "depthwise": ((6, 6, 4), lambda x: L.Conv2D(3, 1)(L.DepthwiseConv2D(3, depth_multiplier=2)(x))),
    "depthwise 1d": ((6, 4), lambda x: L.Conv1D(3, 1)(L.DepthwiseConv1D(3, activation="tanh")(x))),
    "separable": ((6, 6, 4), lambda x: L.SeparableConv2D(3, 2, depth_multiplier=2)(x)),
    "separable 1d": ((6, 4), lambda x: L.SeparableConv1D(3, 2)(x)),
    "flatten": ((4, 4, 3), lambda x: L.Dense(2)(L.Flatten()(x))),
    "reshape": ((4, 6), lambda x: L.Dense(2)(L.Flatten()(L.Reshape((2, 2, 6))(x)))),
    "reshape open": ((4, 6), lambda x: L.Dense(2)(L.Reshape((-1,))(x))),
    "reshape mixing": ((4, 6), lambda x: L.Dense(2)(L.Flatten()(L.Dense(4)(L.Reshape((6, 4))(x))))),
    "permute": ((4, 6), lambda x: L.Dense(2)(L.Flatten()(L.Permute((2, 1))(x)))),
    "permute and conv": ((4, 6), lambda x: L.Conv1D(2, 2)(L.Permute((2, 1))(x))),
    "repeat": ((5,), lambda x: L.LSTM(3)(L.RepeatVector(4)(x))),
    "pooling": ((8, 8, 4), lambda x: L.Conv2D(2, 1)(L.AveragePooling2D(2)(L.MaxPooling2D(2)(x)))),
    "global": ((6, 6, 4), lambda x: L.Dense(2)(L.GlobalAveragePooling2D()(x))),
    "global kept": ((6, 6, 4), lambda x: L.Conv2D(2, 1)(L.GlobalMaxPooling2D(keepdims=True)(x))),
    "padding": ((6, 6, 4), lambda x: L.Conv2D(2, 3)(L.Cropping2D(1)(L.ZeroPadding2D(((1, 2), (0, 1)))(x)))),
    "upsampling": ((3, 3, 4), lambda x: L.Dense(2)(L.Flatten()(L.UpSampling2D((2, 1))(x)))),
    "dropout": ((6, 6, 4), lambda x: L.Conv2D(2, 1)(L.SpatialDropout2D(0.2)(L.Dropout(0.2)(L.GaussianNoise(1.0)(x))))),
    "batch norm": ((6, 6, 4), lambda x: L.Conv2D(2, 1)(L.BatchNormalization()(x))),
    "batch norm unscaled": ((5,), lambda x: L.Dense(2)(L.BatchNormalization(scale=False, center=False)(x))),
    "layer norm": ((5,), lambda x: L.Dense(2)(L.LayerNormalization()(x))),
    "group norm": ((6, 6, 4), lambda x: L.Conv2D(2, 1)(L.GroupNormalization(2)(x))),
    "unit norm": ((4, 5), lambda x: L.Dense(2)(L.UnitNormalization()(x))),
    "softmax": ((4, 5), lambda x: L.Dense(2)(L.Softmax()(x))),
    "softmax of steps": ((4, 5), lambda x: L.Dense(2)(L.Softmax(axis=1)(x))),
    "prelu": ((6, 6, 4), lambda x: L.Conv2D(2, 1)(L.PReLU(shared_axes=[1, 2])(x))),
    "rescaling": ((5,), lambda x: L.Dense(2)(L.Rescaling(2.0, 1.0)(x))),
    "rescaling each": ((5,), lambda x: L.Dense(2)(L.Rescaling([1.0, 2.0, 3.0, 4.0, 5.0])(x))),
    "lstm": ((4, 5), lambda x: L.LSTM(3)(x)),
    "gru": ((4, 5), lambda x: L.GRU(3, return_sequences=True)(x)),
    "rnn": ((4, 5), lambda x: L.SimpleRNN(3)(x)),
    "state": ((3,), lambda x: L.SimpleRNN(3)(L.RepeatVector(2)(x), initial_state=x)),
    "cells": ((4, 5), lambda x: L.RNN(L.GRUCell(3))(x)),
    "stacked cells": ((4, 5), lambda x: L.RNN(L.StackedRNNCells([L.GRUCell(3), L.LSTMCell(2)]))(x)),
    "bidirectional": ((4, 5), lambda x: L.Bidirectional(L.LSTM(3))(x)),
    "conv lstm": ((3, 6, 6, 2), lambda x: L.ConvLSTM2D(3, 2)(x)),
    "attention": ((4, 6), lambda x: L.MultiHeadAttention(2, 3)(x, x)),
    "attention of three": ((4, 6), lambda x: L.MultiHeadAttention(2, 3)(x, L.Dense(5)(x), key=x)),
    "attention named": ((4, 6), lambda x: L.MultiHeadAttention(2, 3)(query=L.Dense(4)(x), value=x)),
    "grouped attention": ((4, 6), lambda x: L.GroupQueryAttention(4, 4, 2)(x, x)),
    "dot attention": ((4, 6), lambda x: L.Dense(2)(L.Attention()([x, x]))),
    "einsum": ((4, 6), lambda x: L.EinsumDense("abc,cd->abd", output_shape=(None, 3))(x)),
    "einsum of steps": ((4, 6), lambda x: L.Dense(2)(L.EinsumDense("abc,bd->adc", output_shape=(3, 6))(x))),
    "einsum of both": ((4, 6), lambda x: L.Dense(2)(L.EinsumDense("abc,cd->abcd", output_shape=(4, 6, 2))(x))),
    "each step": ((4, 5), lambda x: L.TimeDistributed(L.Dense(3))(x)),
    "each step and more": ((4, 5), lambda x: L.Dense(2)(L.ReLU()(L.TimeDistributed(L.Dense(3, activation="relu"))(x)))),
    "einsum of a sum": ((4, 6), lambda x: L.Dense(2)(L.EinsumDense("abc,bd->ad", output_shape=3)(x))),
    "permute and relu": ((4, 6), lambda x: L.Dense(2)(L.Flatten()(L.Softmax(axis=1)(L.Permute((2, 1))(x))))),
    "each image": ((3, 6, 6, 2), lambda x: L.TimeDistributed(L.Conv2D(3, 2))(x)),
    "add": ((5,), lambda x: L.Dense(2)(L.Add()([x, L.Dense(5)(x)]))),
    "add of alike": ((5,), lambda x: L.Dense(2)(L.Add()([x, L.Dropout(0.1)(x)]))),
    "multiply by one": ((6, 6, 4), lambda x: L.Conv2D(2, 1)(L.Multiply()([x, L.Conv2D(1, 1)(x)]))),
    "subtract": ((5,), lambda x: L.Dense(2)(L.Subtract()([L.Dense(5)(x), x]))),
    "concatenate": ((5,), lambda x: L.Dense(2)(L.Concatenate()([L.Dense(3)(x), x, L.Dense(2)(x)]))),
    "concatenate rows": ((6, 6, 4), lambda x: L.Conv2D(2, 1)(L.Concatenate(axis=1)([x, L.Dropout(0.1)(x)]))),
    "concatenate other rows": ((6, 6, 4), lambda x: L.Conv2D(2, 1)(L.Concatenate(axis=1)([x, L.Conv2D(4, 1)(x)]))),
    "dot": ((5,), lambda x: L.Dot(1)([x, x])),
    "operation": ((5,), lambda x: L.Dense(2)(x * 2.0 + L.Dense(5)(x))),
    "slice": ((5,), lambda x: L.Dense(2)(x[:, 1:4])),
    "spectral": ((5,), lambda x: L.SpectralNormalization(L.Dense(3))(x)),
    "masking": ((4, 5), lambda x: L.LSTM(3)(L.Masking()(x))),
    "resizing": ((6, 6, 4), lambda x: L.Conv2D(2, 1)(L.Resizing(3, 3)(x))),
    "twice": ((5,), lambda x: L.Dense(2)(L.ReLU()(L.LeakyReLU()(x)))),
    "deep": ((8, 8, 3), lambda x: L.Dense(2)(L.GlobalMaxPooling2D()(L.DepthwiseConv2D(3, activation="relu")(
        L.BatchNormalization()(L.DepthwiseConv2D(3, activation="selu")(x)))))),
}  # fmt: skip


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("name", BEHIND)
def test_what_is_behind_a_linked_layer_computes_the_same(name: str, suffix: str, tmp_path: Path) -> None:
    shape, behind = BEHIND[name]
    if suffix == ".h5" and name in ("operation", "slice", "grouped attention", "dot attention", "masking"):
        pytest.skip("Keras does not load it from .h5")
    inputs = keras.Input(shape)
    model = scattered(keras.Model(inputs, behind(L.Activation("relu", name="hidden")(inputs))))
    new, result, path = swapped(model, tmp_path, suffix, layers=["hidden"])
    assert any("LKReLU" in text for text in result.layers.values())
    assert any(type(layer).__name__ == "LKReLU" for layer in new.layers)
    assert_same(model, new)
    assert_back(tmp_path / f"old{suffix}", path)


@pytest.mark.parametrize("name", BEHIND)
def test_new_weights_of_inputs_are_zero_and_old_ones_as_they_were(name: str, tmp_path: Path) -> None:
    """With any other filling than zero, the old half has to be the only one that counts at first."""
    shape, behind = BEHIND[name]
    inputs = keras.Input(shape)
    model = scattered(keras.Model(inputs, behind(L.Activation("relu", name="hidden")(inputs))))
    _, result, path = swapped(model, tmp_path, layers=["hidden"])
    with wtool.open_checkpoint(str(tmp_path / "old.keras")) as old, wtool.open_checkpoint(str(path)) as new:
        for tensor in new.weights:
            before = next((each for each in old.weights if each.path == tensor.path), None)
            if before is None or before.shape == tensor.shape:
                continue
            one, other = old.read(before), new.read(tensor)
            assert np.isin(one, other).all()
            assert other.size > one.size
    assert result.same


# --- activations ---

ACTIVATIONS: dict[str, tuple[Callable[[], Any], str]] = {
    "relu": (lambda: L.Activation("relu"), "LKReLU"),
    "selu": (lambda: L.Activation("selu"), "LKSELU"),
    "silu": (lambda: L.Activation("silu"), "LKSwish"),
    "tanh": (lambda: L.Activation("tanh"), "Linked"),
    "gelu": (lambda: L.Activation("gelu"), "Linked"),
    "ReLU": (lambda: L.ReLU(), "LKReLU"),
    "ReLU6": (lambda: L.ReLU(6.0), "Linked"),
    "ReLU3": (lambda: L.ReLU(3.0, 0.1, 0.2), "Linked"),
    "LeakyReLU": (lambda: L.LeakyReLU(0.15), "Linked"),
    "ELU": (lambda: L.ELU(), "Linked"),
    "ELU2": (lambda: L.ELU(2.0), "Linked"),
    "PReLU": (lambda: L.PReLU(), "LKPReLU"),
    "PReLU shared": (lambda: L.PReLU(shared_axes=[1]), "LKPReLU"),
    "dense": (lambda: L.Dense(4, activation="relu"), "LKReLU"),
    "dense softplus": (lambda: L.Dense(4, activation="softplus"), "Linked"),
    "conv": (lambda: L.Conv1D(4, 1, activation="silu"), "LKSwish"),
    "each step": (lambda: L.TimeDistributed(L.Dense(4, activation="elu")), "Linked"),
}


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_can_be_linked(name: str, suffix: str, tmp_path: Path) -> None:
    make, variant = ACTIVATIONS[name]
    inputs = keras.Input((5, 3))
    model = scattered(keras.Model(inputs, L.Dense(2)(L.Flatten()(make()(inputs)))))
    new, result, path = swapped(model, tmp_path, suffix)
    assert variant in {type(layer).__name__ for layer in new.layers}
    assert result.same
    assert_same(model, new)
    assert_back(tmp_path / f"old{suffix}", path, alike=name not in ("ReLU", "ReLU6", "ELU"))


def chain(*layers: Any) -> Any:
    return scattered(keras.Sequential([keras.Input((5,)), *layers]))


def test_the_output_layer_stays_unless_it_is_named(tmp_path: Path) -> None:
    model = chain(L.Dense(4, activation="relu", name="a"), L.Dense(3, activation="relu", name="b"), L.Dropout(0.1))
    _, result, _ = swapped(model, tmp_path)
    assert "a" in result.layers
    assert "b" not in result.layers
    new, result, _ = swapped(model, tmp_path, layers=["b"])
    assert set(result.layers) == {"b", "dropout_project"} or "b" in result.layers
    assert new.output_shape == model.output_shape
    assert_same(model, new)
    with pytest.raises(wtool.Usage, match="output layer"):
        swapped(model, tmp_path, layers=["b*"])


def test_one_variant_takes_only_its_own_activation(tmp_path: Path) -> None:
    model = chain(L.Dense(4, activation="relu"), L.Dense(4, activation="selu"), L.Dense(3))
    new, result, _ = swapped(model, tmp_path, to="LKSELU")
    assert [text for text in result.layers.values() if "becomes" in text] == ["selu becomes LKSELU"]
    assert_same(model, new)
    new, _, _ = swapped(model, tmp_path, to="Linked")
    assert [type(layer).__name__ for layer in new.layers].count("Linked") == 2
    assert_same(model, new)
    with pytest.raises(wtool.Usage, match="becomes LKSwish"):
        swapped(model, tmp_path, to="LKSwish")


@pytest.mark.parametrize("fill", ["initializer", "mirror"])
def test_other_fillings_are_not_the_same_function_and_say_so(fill: str, tmp_path: Path) -> None:
    model = chain(L.Dense(40, activation="relu", name="a"), L.Dense(30, name="b"))
    new, result, path = swapped(model, tmp_path, fill=fill, seed=3)
    assert not result.same
    assert any(fill in note for note in result.notes)
    kernel, old = (np.asarray(each.get_layer("b").kernel) for each in (new, model))
    assert np.array_equal(kernel[:40], old)
    if fill == "mirror":
        assert np.array_equal(kernel[40:], -old)
    else:  # Glorot's limit for 80 inputs and 30 outputs
        limit = np.sqrt(6 / 110)
        assert np.abs(kernel[40:]).max() <= limit
        assert kernel[40:].std() == pytest.approx(limit / np.sqrt(3), rel=0.1)
        assert swapped(model, tmp_path, fill=fill, seed=3)[1].seed == 3
        again = np.asarray(keras.models.load_model(path).get_layer("b").kernel)
        assert np.array_equal(again, kernel)
    with pytest.raises(wtool.WtoolError, match=r"are not zero.*--force drops them"):
        wtool.swap(path, to="plain", output=tmp_path / "plain.keras")
    (forced,) = wtool.swap(path, to="plain", output=tmp_path / "plain.keras", force=True)
    assert not forced.same
    with pytest.raises(wtool.WtoolError, match="exists already"):  # the result of another swap, and not skipped
        wtool.swap(path, to="plain", output=tmp_path / "plain.keras")
    assert_same(model, keras.models.load_model(tmp_path / "plain.keras"))


# --- graphs ---


def residual() -> Any:
    inputs = keras.Input((8, 8, 3))
    x = L.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    for _ in range(2):
        y = L.Conv2D(4, 3, padding="same", use_bias=False)(x)
        y = L.ReLU()(L.BatchNormalization()(y))
        y = L.BatchNormalization()(L.Conv2D(4, 3, padding="same")(y))
        x = L.Activation("relu")(L.Add()([x, y]))
    return keras.Model(inputs, L.Dense(2)(L.GlobalAveragePooling2D()(x)))


def shared() -> Any:
    layer, head = L.Dense(5, activation="relu"), L.Dense(4)
    one, two = keras.Input((6,)), keras.Input((6,))
    a, b = layer(one), layer(two)
    return keras.Model([one, two], L.Dense(2)(L.Concatenate()([head(a), head(b)])))


def shared_differently() -> Any:
    head = L.Dense(4, activation="tanh")
    one, two = keras.Input((6,)), keras.Input((5,))
    return keras.Model([one, two], L.Dense(2)(L.Add()([head(L.Dense(5, activation="relu")(one)), head(two)])))


def nested() -> Any:
    inner_in = keras.Input((5,))
    inner = keras.Model(inner_in, L.Dense(4, activation="relu")(L.BatchNormalization()(inner_in)), name="inner")
    block = keras.Sequential([keras.Input((4,)), L.Dense(6, activation="selu"), L.Dropout(0.1)], name="block")
    inputs = keras.Input((3,))
    x = L.Dense(5, activation="relu")(inputs)
    x = block(inner(x))
    return keras.Model(inputs, L.Dense(2)(L.Add()([x, L.Dense(6)(inputs)])))


def nested_twice() -> Any:
    block = keras.Sequential([keras.Input((4,)), L.Dense(4, activation="relu"), L.LayerNormalization()], name="block")
    inputs = keras.Input((4,))
    x = block(L.Activation("tanh")(inputs))
    return keras.Model(inputs, [L.Dense(2)(block(x)), L.Dense(3)(x)])


def frozen() -> Any:
    model = nested()
    model.get_layer("inner").trainable = False
    return model


def many_outputs() -> Any:
    inputs = keras.Input((4,))
    x = L.Dense(4, activation="relu")(inputs)
    return keras.Model(inputs, {"x": L.Dense(3)(x), "y": L.Dense(2)(x)})


def reordered() -> Any:
    """A linked layer makes one branch deeper: Keras has the layers in another order then."""
    inputs = keras.Input((5,))
    a, b = L.Dense(5, activation="relu")(inputs), L.Dense(5)(inputs)
    return keras.Model(inputs, L.Dense(2)(L.Concatenate()([b, a])))


def slopes() -> Any:
    """New slopes, then a new projection, with no weight between them."""
    inputs = keras.Input((5,))
    x = L.Dense(4)(inputs)
    for _ in range(2):
        x = L.Add()([L.PReLU()(L.Dense(4)(x)), x])
    return keras.Model(inputs, L.Dense(2)(x))


def attention() -> Any:
    """Its weights are in another order in files than in the optimizer."""
    inputs = keras.Input((4, 6))
    x = L.Dense(6, activation="relu")(inputs)
    x = L.Concatenate()([L.Dense(3)(x), L.MultiHeadAttention(2, 3)(x, x), L.Dense(2, activation="selu")(inputs)])
    return keras.Model(inputs, L.Dense(2)(x))


GRAPHS: dict[str, Callable[[], Any]] = {
    each.__name__: each
    for each in (
        residual,
        shared,
        shared_differently,
        nested,
        nested_twice,
        frozen,
        many_outputs,
        reordered,
        slopes,
        attention,
    )
}


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("name", GRAPHS)
def test_graphs(name: str, suffix: str, tmp_path: Path) -> None:
    """Swapped, trained on, saved, loaded: with the optimizer's state as it was for weights that stayed."""
    model = scattered(GRAPHS[name]())
    if name == "many_outputs" and suffix == ".h5":
        pytest.skip("Keras does not save dictionaries of outputs in .h5")
    model.compile(keras.optimizers.Adam(0.01), loss="mean_squared_error")
    inputs = example(model)
    targets = keras.tree.map_structure(lambda each: np.zeros((3, *each.shape[1:]), "float32"), model.output)
    x = inputs if len(inputs) > 1 else inputs[0]
    model.fit(x, targets, epochs=2, verbose=0)
    new, _, path = swapped(model, tmp_path, suffix)
    assert_same(model, new)
    assert_back(tmp_path / f"old{suffix}", path, alike=name != "residual")
    if suffix == ".h5":  # Keras itself does not give the optimizer of these files its state back
        new = load(str(path)).model
    assert int(new.optimizer.iterations.numpy()) == int(model.optimizer.iterations.numpy())
    assert_optimizer_followed(model, new)
    losses = new.fit(x, targets, epochs=8, verbose=0).history["loss"]
    assert min(losses[1:]) < losses[0]
    new.save(tmp_path / "trained.keras")
    assert_same(new, keras.models.load_model(tmp_path / "trained.keras"))
    wtool.swap(tmp_path / "trained.keras", to="plain", output=tmp_path / "plain.keras", force=True)
    assert_optimizer_lost_nothing(new, keras.models.load_model(tmp_path / "plain.keras"))


def assert_optimizer_followed(model: Any, new: Any) -> None:
    """Old momenta stay, new ones are zero; second moments of new positions are those of their counterparts."""
    slots = dict(zip([own_path(each) for each in model.trainable_variables], pairs(model), strict=True))
    for variable, (momentum, velocity) in zip(new.trainable_variables, pairs(new), strict=True):
        assert momentum.shape == velocity.shape == tuple(variable.shape)
        if own_path(variable) not in slots:
            assert not momentum.any()
            assert (velocity > 0).any()
            continue
        old_momentum, old_velocity = slots[own_path(variable)]
        assert sorted(momentum[momentum != 0]) == sorted(old_momentum[old_momentum != 0])
        assert set(velocity.ravel()) == set(old_velocity.ravel())


def assert_optimizer_lost_nothing(new: Any, plain: Any) -> None:
    """Every slot of the plain model is that of the same weight before, but for positions that are gone."""
    slots = dict(zip([own_path(each) for each in new.trainable_variables], pairs(new), strict=True))
    assert int(new.optimizer.iterations.numpy()) == int(plain.optimizer.iterations.numpy())
    for variable, found in zip(plain.trainable_variables, pairs(plain), strict=True):
        for mine, theirs in zip(found, slots[own_path(variable)], strict=True):
            assert mine.shape == tuple(variable.shape)
            assert np.isin(mine, theirs).all()
            assert mine.any() or not theirs.any()


def own_path(variable: Any) -> str:
    """Layer and name; Keras says of layers inside models now where they are, now not."""
    return "/".join(variable.path.split("/")[-2:])


def pairs(model: Any) -> list[tuple[Array, Array]]:
    values = [np.asarray(each) for each in model.optimizer.variables[2:]]
    return list(itertools.pairwise(values))[::2]


def test_the_projection_of_a_residual_network(tmp_path: Path) -> None:
    model = scattered(residual())
    new, result, _ = swapped(model, tmp_path)
    projections = [layer for layer in new.layers if layer.name.endswith("_project")]
    assert len(projections) == 2
    for layer in projections:
        kernel = np.asarray(layer.kernel)
        assert kernel.shape == (1, 1, 8, 4)
        assert np.array_equal(kernel[0, 0], np.concatenate([np.eye(4), np.zeros((4, 4))]))
        assert not layer.use_bias
    assert sum("not all of its inputs are changed alike" in text for text in result.layers.values()) == 2


def test_flattened_channels_interleave(tmp_path: Path) -> None:
    """Row 2 * 3 * pixel + channel of the new kernel is row 3 * pixel + channel of the old one."""
    inputs = keras.Input((2, 2, 3))
    model = scattered(keras.Model(inputs, L.Dense(2, name="d")(L.Flatten()(L.ReLU()(inputs)))))
    new, _, _ = swapped(model, tmp_path)
    old, kernel = np.asarray(model.get_layer("d").kernel), np.asarray(new.get_layer("d").kernel)
    assert kernel.shape == (24, 2)
    for pixel in range(4):
        assert np.array_equal(kernel[6 * pixel : 6 * pixel + 3], old[3 * pixel : 3 * pixel + 3])
        assert not kernel[6 * pixel + 3 : 6 * pixel + 6].any()


def resnet(**options: Any) -> Any:
    """ResNet50's blocks, eight of its sixteen, with an eighth of its channels."""
    module = keras.src.applications.resnet

    def stacks(x: Any) -> Any:
        for number in range(4):
            x = module.stack_residual_blocks_v1(x, 8 * 2**number, 2, stride1=min(number, 1) + 1, name=f"stack{number}")
        return x

    return module.ResNet(stacks, False, True, **options)


APPLICATIONS: dict[str, Callable[..., Any]] = {
    "MobileNetV2": lambda **options: keras.applications.MobileNetV2(alpha=0.35, **options),
    "ResNet50": resnet,
    "DenseNet121": lambda **options: keras.src.applications.densenet.DenseNet([2, 4, 3, 3], **options),
    "EfficientNetB0": lambda **options: keras.src.applications.efficientnet.EfficientNet(0.5, 0.5, 64, **options),
}
"""The architectures of Keras's applications, with fewer and narrower blocks: but for MobileNetV2, which is as deep."""


@pytest.mark.slow
@pytest.mark.parametrize("name", APPLICATIONS)
def test_applications(name: str, tmp_path: Path) -> None:
    model = APPLICATIONS[name](weights=None, input_shape=(64, 64, 3), classes=7)
    model.compile("adam", "categorical_crossentropy")
    model.optimizer.build(model.trainable_variables)
    for number, variable in enumerate(model.optimizer.variables):
        variable.assign(np.full(variable.shape, number + 1, str(variable.dtype)))
    linkable = sum(
        isinstance(layer, (L.ReLU, L.Activation)) or getattr(layer, "activation", None) is keras.activations.relu
        or getattr(layer, "activation", None) in (keras.activations.silu, keras.activations.sigmoid)
        for layer in model.layers
    )  # fmt: skip
    new, result, _ = swapped(model, tmp_path)
    count = sum(type(layer).__name__.startswith(("LK", "Linked")) for layer in new.layers)
    assert count == linkable == sum("becomes" in text for text in result.layers.values())
    assert_same(model, new)
    assert_optimizer_followed(model, new)


def can_swap(path: Path, output: Path) -> bool:
    """Whether there is anything to swap; it is done then."""
    try:
        wtool.swap(path, to="linked", output=output)
    except wtool.WtoolError as error:
        if any(word in error.message for word in ("no hidden layer", "author's code", "is not known")):
            return False
        raise
    return True


@pytest.mark.parametrize("saved", [each for each in WHOLE if not each.keras2], ids=str)
def test_real_models(saved: Saved, tmp_path: Path) -> None:
    output = tmp_path / f"new{saved.path.suffix}"
    if not can_swap(saved.path, output):
        return
    try:
        old = keras.models.load_model(saved.path, compile=False)
    except Exception:  # some versions cannot load their own files
        if saved.path.suffix == ".keras" and "int4" not in saved.model:
            raise
        return
    tolerance = 1e-5 if all("float32" in str(each.dtype) for each in old.weights) else 0.02
    assert_same(old, keras.models.load_model(output, compile=False), tolerance)
    assert_back(saved.path, output)


@pytest.mark.parametrize("saved", [each for each in WHOLE if each.keras2], ids=str)
def test_real_models_of_keras_2(saved: Saved, tmp_path: Path) -> None:
    """Keras 3 loads few of them; where it does, the swapped one computes the same. All come back."""
    output = tmp_path / f"new{saved.path.suffix}"
    if not can_swap(saved.path, output):
        return
    assert_back(saved.path, output)
    try:
        old = keras.models.load_model(saved.path, compile=False)
    except Exception:
        return
    assert_same(old, keras.models.load_model(output, compile=False))


# --- rotation ---


def test_limits_come_from_the_activation_before(tmp_path: Path) -> None:
    model = chain(
        L.Dense(4, activation="sigmoid", name="a"), L.Dense(4, activation="tanh", name="b"),
        L.Dropout(0.1), L.Dense(3, activation="tanh", name="c"), L.Dense(2, name="out"),
    )  # fmt: skip
    new, result, _ = swapped(model, tmp_path, to="autorot", layers=["b", "c"])
    b, c = new.get_layer("b"), new.get_layer("c")
    assert (b.xmin_lim, b.xmax_lim, b.L, b.AutoRot) == (0.0, 1.0, "auto", True)
    assert (c.xmin_lim, c.xmax_lim) == (-1.0, 1.0)
    assert type(c).__name__ == "AutoRotDense"
    for layer, limit in ((b, 2.0), (c, 3.0)):
        kernel, bias = (np.asarray(each, np.float64) for each in layer.get_weights())
        rho = 2.0 / (abs(limit * kernel.sum(axis=0) + bias) + 1e-5)
        assert result.rho[layer.name] == pytest.approx((rho.min(), np.median(rho), rho.max()), rel=1e-6)
    assert not result.same
    with pytest.raises(wtool.Usage, match=r"limits of the inputs of a \(Dense\) are not known"):
        swapped(model, tmp_path, to="autorot")
    new, result, _ = swapped(model, tmp_path, to="autorot", xmin_lim=-2.0, xmax_lim=2.0)
    assert (new.get_layer("a").xmin_lim, new.get_layer("b").xmin_lim) == (-2.0, 0.0)
    assert "out" not in result.layers


def rotating(name: str) -> Any:
    images, steps = keras.Input((8, 8, 2)), keras.Input((6, 3))
    rank = {"Conv1D": (6, 3), "Conv3D": (4, 4, 4, 2)}.get(name.removesuffix("Transpose"))
    if name in ("SimpleRNN", "LSTM", "GRU"):
        return keras.Model(steps, L.Dense(2)(getattr(L, name)(4)(steps)))
    if name == "Dense":
        return keras.Model(steps, L.Dense(2)(L.Dense(4, activation="tanh")(steps)))
    inputs = images if "2D" in name else steps if rank is None else keras.Input(rank)
    first = (3,) if name.startswith("Depthwise") else (4, 3)
    layer = getattr(L, name)(*first, activation="sigmoid", padding="same")
    return keras.Model(inputs, L.Dense(2)(L.Flatten()(layer(inputs))))


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("name", ROTATING)
def test_every_rotating_layer(name: str, suffix: str, tmp_path: Path) -> None:
    """Switched off the function is the same; switched on the layer has the same weights; `plain` gives the old file."""
    model = scattered(rotating(name))
    limits = {"xmin_lim": -1.0, "xmax_lim": 1.0, "to": f"AutoRot{name}"}
    off, result, path = swapped(model, tmp_path, suffix, auto_rot=False, **limits)
    assert result.same
    assert f"AutoRot{name}" in {type(layer).__name__ for layer in off.layers}
    assert_same(model, off)
    assert_back(tmp_path / f"old{suffix}", path)
    on, result, _ = swapped(model, tmp_path, suffix, **limits)
    assert not result.same
    assert all(np.array_equal(one, other) for one, other in zip(model.get_weights(), on.get_weights(), strict=True))
    assert not np.allclose(predicted(model, example(model))[0], predicted(on, example(model))[0])
    (low, middle, high) = next(iter(result.rho.values()))
    assert 0 < low <= middle <= high


def test_reported_rho_is_that_of_the_layers(tmp_path: Path) -> None:
    """For 'valid' convolutions and recurrent layers rho is the same everywhere: measured by what the layer gives."""
    inputs = keras.Input((8, 8, 2))
    conv = L.Conv2D(4, 3, activation="tanh")
    model = scattered(keras.Model(inputs, L.Dense(2)(L.Flatten()(conv(inputs)))))
    on, result, _ = swapped(model, tmp_path, to="autorot", xmin_lim=0.0, xmax_lim=1.0)
    layer = next(each for each in on.layers if type(each).__name__ == "AutoRotConv2D")
    x = np.random.default_rng(0).uniform(size=(2, 8, 8, 2)).astype("float32") * 0.05
    plain = np.arctanh(np.asarray(conv(x), np.float64))
    rho = np.median(np.arctanh(np.asarray(layer(x), np.float64)) / plain, axis=(0, 1, 2))
    assert result.rho[layer.name] == pytest.approx((rho.min(), np.median(rho), rho.max()), rel=1e-3)


def test_rotation_inside_wrappers(tmp_path: Path) -> None:
    inputs = keras.Input((4, 3))
    x = L.TimeDistributed(L.Dense(4, activation="tanh"), name="each")(inputs)
    model = scattered(keras.Model(inputs, L.Dense(2)(L.Bidirectional(L.LSTM(3), name="both")(x))))
    off, result, path = swapped(model, tmp_path, to="autorot", xmin_lim=0, xmax_lim=1, auto_rot=False)
    assert set(result.rho) == {"each", "both"}
    assert type(off.get_layer("each").layer).__name__ == "AutoRotDense"
    assert type(off.get_layer("both").forward_layer).__name__ == "AutoRotLSTM"
    assert (off.get_layer("both").forward_layer.xmin_lim, off.get_layer("each").layer.xmin_lim) == (-1.0, 0.0)
    assert_same(model, off)
    assert_back(tmp_path / "old.keras", path)


def test_unknown_levels_are_an_error_that_names_the_layer(tmp_path: Path) -> None:
    model = chain(L.Dense(4, activation="relu", name="a"), L.Dense(3))
    limits = {"to": "autorot", "xmin_lim": 0.0, "xmax_lim": 1.0}
    with pytest.raises(wtool.Usage, match="no L is known for relu, the activation of a "):
        swapped(model, tmp_path, **limits)
    new, _, _ = swapped(model, tmp_path, L=3.0, **limits)
    assert new.get_layer("a").L == 3.0
    behind = chain(L.Dense(4, name="a"), L.Activation("tanh"), L.Dense(3))
    new, _, _ = swapped(behind, tmp_path, **limits)
    assert new.get_layer("a").L == 2.0


# --- files ---


def test_groups_of_siblings_are_numbered_anew(tmp_path: Path) -> None:
    """A file that keeps old numbers loads without error, with the wrong weights."""
    model = chain(*(L.Dense(5, activation="tanh", name=f"d{number}") for number in range(5)), L.Dense(5))
    new, _, path = swapped(model, tmp_path, to="AutoRotDense", layers=["d1", "d3"], auto_rot=False)
    assert_same(model, new)
    with wtool.open_checkpoint(str(path)) as checkpoint:
        stored = {tensor.path: tensor.stored for tensor in checkpoint.weights}
    assert stored["d1/kernel"] == "layers/auto_rot_dense/vars/0"
    assert stored["d3/kernel"] == "layers/auto_rot_dense_1/vars/0"
    assert stored["d4/kernel"] == "layers/dense_2/vars/0"


def test_other_commands_work_on_swapped_models(tmp_path: Path) -> None:
    model = chain(L.Dense(40, activation="relu", name="a"), L.PReLU(name="p"), L.Dense(30, name="b"))
    _, _, path = swapped(model, tmp_path)
    assert wtool.check(path).findings == ()
    names = {tensor["path"]: tensor["shape"] for tensor in wtool.inspect(path)["tensors"]}
    assert names["p/alpha"] == names["p/linked_alpha"] == [80]
    assert names["b/kernel"] == [160, 30]
    (pruned,) = wtool.prune(path, sparsity=0.9, output=tmp_path / "pruned.keras")
    assert pruned.zeros == round(0.9 * 5 * 40) + round(0.9 * 160 * 30)
    wtool.average([path, tmp_path / "pruned.keras"], output=tmp_path / "average.keras")
    keras.models.load_model(tmp_path / "average.keras")
    (again,) = wtool.swap(tmp_path / "average.keras", to="plain", output=tmp_path / "plain.keras")
    assert again.same
    with wtool.open_checkpoint(str(tmp_path / "plain.keras")) as checkpoint:
        assert [record.operation for record in checkpoint.lineage] == ["swap", "prune", "average", "swap"]


def test_assets_go_with_their_layers(tmp_path: Path) -> None:
    words = keras.Input((), dtype="string")
    x = L.Embedding(8, 4)(L.StringLookup(vocabulary=["a", "b", "c"])(words))
    x = L.Dense(3, activation="relu")(x)
    model = keras.Model(words, L.Dense(2)(x))
    new, _, _ = swapped(model, tmp_path)
    sample = keras.ops.convert_to_tensor(["a", "c", "z"]) if keras.backend.backend() == "tensorflow" else None
    assert np.allclose(np.asarray(model(sample)), np.asarray(new(sample)), atol=1e-6)


def test_bfloat16_and_float16(tmp_path: Path) -> None:
    for dtype in ("float16", "bfloat16", "mixed_float16", "float64"):
        with_dtype = [L.Dense(6, activation="relu", dtype=dtype), L.Dense(4, dtype=dtype)]
        model = scattered(keras.Sequential([keras.Input((5,)), *with_dtype]))
        new, _, path = swapped(model, tmp_path)
        assert {str(each.dtype) for each in new.weights} == {str(each.dtype) for each in model.weights}
        assert_same(model, new, 0.02)
        assert_back(tmp_path / "old.keras", path)


def test_optimizer_modes(tmp_path: Path) -> None:
    model = chain(L.Dense(4, activation="relu"), L.Dense(3))
    model.compile("adam", "mean_squared_error")
    model.fit(np.ones((2, 5)), np.ones((2, 3)), verbose=0)
    assert any("momentum" in key for key in swapped(model, tmp_path)[1].tensors) is False
    new, _, _ = swapped(model, tmp_path, optimizer="drop")
    assert int(new.optimizer.iterations.numpy()) == 0
    new, _, _ = swapped(model, tmp_path, optimizer="reset")
    assert len(new.optimizer.variables) == len(model.optimizer.variables)
    assert all(not np.asarray(each).any() for each in new.optimizer.variables[2:])


def test_slots_that_cannot_be_widened_are_left_out_with_a_word(tmp_path: Path) -> None:
    model = chain(L.Dense(4, activation="relu"), L.Dense(3))
    model.compile(keras.optimizers.Adafactor(), "mean_squared_error")
    model.fit(np.ones((2, 5)), np.ones((2, 3)), verbose=0)
    new, result, _ = swapped(model, tmp_path)
    assert any("optimizer's state is left out" in note for note in result.notes)
    assert_same(model, new)


def test_verify(tmp_path: Path) -> None:
    model = chain(L.Dense(4, activation="relu"), L.Dense(3))
    _, result, _ = swapped(model, tmp_path, verify=True)
    assert result.difference is not None
    assert result.difference[0] <= 1e-6 < result.difference[1]
    _, result, _ = swapped(model, tmp_path, verify=True, fill="mirror")
    assert result.difference is not None
    assert result.difference[0] > 1e-3
    with pytest.raises(wtool.Usage, match="verifying needs"):
        swapped(model, tmp_path, verify=True, dry_run=True)


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
def test_verifying_shows_nothing_of_tensorflow(jobs: int, tmp_path: Path) -> None:
    """Its libraries write past Python, so only a process that has not silenced them before shows it."""
    models = [tmp_path / name for name in ("a.keras", "b.keras")]
    for path in models:
        chain(L.Dense(4, activation="relu"), L.Dense(3)).save(path)
    words = ["swap", *models, "--to", "linked", "--verify", "-o", f"{tmp_path}/out/", "-j", jobs, "-q"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    command = [sys.executable, "-m", "wtool", *map(str, words)]
    done = subprocess.run(command, capture_output=True, env=environment, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")


def test_the_growth_is_told(tmp_path: Path) -> None:

    model = chain(L.Dense(4, activation="relu"), L.Dense(3))
    new, result, path = swapped(model, tmp_path)
    assert result.parameters == (model.count_params(), new.count_params())
    told = run("swap", tmp_path / "old.keras", "--to", "linked", "-f", "-o", path).stderr.decode()
    assert f": 1 layer swapped; {model.count_params()} to {new.count_params()} parameters; the model computes" in told
    keras.Sequential([keras.Input((800,)), L.Dense(1500, activation="relu"), L.Dense(900)]).save(tmp_path / "m.keras")
    assert "; 2.6 to 3.9 million parameters; " in run("swap", tmp_path / "m.keras", "--to", "linked").stderr.decode()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"bogus": 1}, "swap has no option bogus; its options are L, auto_rot, .*, xmin_lim"),
        ({"layer": ["a"]}, "no option layer; did you mean layers"),
        ({"dryrun": True, "jobz": 2}, "no option dryrun, jobz; did you mean dry_run, jobs"),
        ({"include": ["a"]}, "no option include"),
    ],
)
def test_unknown_options_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(TypeError, match=words):
        wtool.swap("m.keras", to="linked", **options)


def test_a_dry_run_tells_all_and_writes_nothing(tmp_path: Path) -> None:
    model = chain(L.Dense(4, activation="relu", name="a"), L.Dense(3, name="b"))
    model.save(tmp_path / "m.keras")
    (result,) = wtool.swap(tmp_path / "m.keras", to="linked", dry_run=True)
    assert result.output is None
    assert result.layers == {"a": "relu becomes LKReLU"}
    assert {path: each.text for path, each in result.tensors.items()} == {"b/kernel": "4x3 becomes 8x3"}
    assert [each.name for each in tmp_path.iterdir()] == ["m.keras"]


def test_the_same_swap_again_is_skipped(tmp_path: Path) -> None:
    chain(L.Dense(4, activation="relu"), L.Dense(3)).save(tmp_path / "m.keras")
    (first,) = wtool.swap(tmp_path / "m.keras", to="linked")
    assert first.output == str(tmp_path / "m-swap.keras")
    before = Path(first.output).read_bytes()
    (second,) = wtool.swap(tmp_path / "m.keras", to="linked")
    assert second.skipped
    told = json.loads(run("swap", tmp_path / "m.keras", "--to", "linked", "--json").stdout)
    assert (told["skipped"], told["parameters"], told["same"], told["notes"]) == (True, None, None, [])
    with pytest.raises(wtool.WtoolError, match="exists already"):
        wtool.swap(tmp_path / "m.keras", to="Linked")
    (third,) = wtool.swap(tmp_path / "m.keras", to="linked", force=True)
    assert not third.skipped
    assert Path(first.output).read_bytes() == before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"to": "linked", "layers": ["nothing*"]}, "no layer has a path like"),
        ({"to": "plain"}, "nothing that becomes plain"),
        ({"to": "linked", "L": 2.0}, "of Auto-Rotating layers only"),
        ({"to": "autorot", "xmin_lim": 1.0}, "go together"),
        ({"to": "autorot", "xmin_lim": 1.0, "xmax_lim": 0.0}, "the smaller one first"),
        ({"to": "autorot", "L": -1.0}, "above 0"),
        ({"to": "cubist"}, "no variant"),
        ({"to": "linked", "fill": "salt"}, "no fill"),
        ({"to": "linked", "layers": "a"}, "not a single text"),
    ],
)
def test_words_that_make_no_sense(options: dict[str, Any], words: str, tmp_path: Path) -> None:
    chain(L.Dense(4, activation="relu"), L.Dense(3)).save(tmp_path / "m.keras")
    with pytest.raises(wtool.Usage, match=words):
        wtool.swap(tmp_path / "m.keras", **options)
    assert len(list(tmp_path.iterdir())) == 1


def test_files_of_weights_are_refused(tmp_path: Path) -> None:
    chain(L.Dense(4, activation="relu"), L.Dense(3)).save_weights(tmp_path / "m.weights.h5")
    with pytest.raises(wtool.Refused, match="whole model"):
        wtool.swap(tmp_path / "m.weights.h5", to="linked")


def test_pipes_and_json(tmp_path: Path) -> None:

    model = chain(L.Dense(4, activation="relu"), L.Dense(3))
    model.save(tmp_path / "m.keras")
    made = run("swap", "-", "--to", "linked", "-o", "-", stdin=(tmp_path / "m.keras").read_bytes())
    assert made.returncode == 0, made.stderr
    (tmp_path / "n.keras").write_bytes(made.stdout)
    assert_same(model, keras.models.load_model(tmp_path / "n.keras"))
    told = run("swap", tmp_path / "m.keras", "--to", "autorot", "--xmin-lim", 0, "--xmax-lim", 1, "--L", 2, "--json")
    found = json.loads(told.stdout)
    assert found["layers"]
    assert found["rho"]
    assert b"rho of" in told.stderr


def test_an_activation_goes_back_only_into_layers_that_end_in_one(tmp_path: Path) -> None:
    """Names alone do not tell where a linked layer comes from."""
    inputs = keras.Input((4, 3))
    for producer in (
        L.LSTM(4, activation="linear", name="r", return_sequences=True),
        keras.Sequential([keras.Input((4, 3)), L.Dense(4)], name="r"),
        L.BatchNormalization(name="r"),
        L.Rescaling(2.0, name="r"),
    ):
        linked = wtool_layers.LKReLU(name="r_linked")(producer(inputs))
        head = L.Dense(2, name="d")
        model = scattered(keras.Model(inputs, head(linked)))
        kernel, bias = head.get_weights()
        kernel[len(kernel) // 2 :] = 0
        head.set_weights([kernel, bias])
        plain, result, _ = swapped(model, tmp_path, to="plain")
        assert result.same
        assert_same(model, plain)


def test_names_with_slashes(tmp_path: Path) -> None:
    """`a/b` is not inside `a`."""

    def dense(name: str, source: str, units: int, activation: str = "linear") -> dict[str, Any]:
        config = {"name": name, "units": units, "activation": activation, "use_bias": False}
        return {"class_name": "Dense", "config": config, "name": name, "inbound_nodes": [[[source, 0, 0, {}]]]}

    start = {"class_name": "InputLayer", "config": {"batch_input_shape": [None, 4], "name": "x"}, "name": "x"}
    layers = [{**start, "inbound_nodes": []}, dense("p", "x", 4, "relu"), dense("a", "p", 4), dense("a/b", "a", 3)]
    config = {"name": "m", "layers": layers, "input_layers": [["x", 0, 0]], "output_layers": [["a/b", 0, 0]]}
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file.attrs["keras_version"] = "2.2.4"
        file.attrs["model_config"] = json.dumps({"class_name": "Model", "config": config})
        weights = file.create_group("model_weights")
        weights.attrs["layer_names"] = [b"x", b"p", b"a", b"a/b"]
        for name, size in (("x", 0), ("p", 4), ("a", 4), ("a/b", 3)):
            group = weights.require_group(name)
            group.attrs["weight_names"] = [f"{name}/kernel:0".encode()] if size else np.zeros(0)
            if size:
                group[f"{name}/kernel:0"] = np.ones((4, size), "float32")
    (done,) = wtool.swap(tmp_path / "m.h5", to="linked", dry_run=True)
    assert {path: each.text for path, each in done.tensors.items()} == {"a/kernel": "4x4 becomes 8x4"}


def test_dropout_with_a_shape_of_its_own_trains_on(tmp_path: Path) -> None:
    inputs = keras.Input((3, 4))
    x = L.Dropout(0.5, noise_shape=(None, 1, 4))(L.Activation("relu")(inputs))
    new, _, _ = swapped(scattered(keras.Model(inputs, L.Dense(2)(x))), tmp_path)
    new(np.ones((2, 3, 4), "float32"), training=True)


def test_activity_regularizers_are_told_of(tmp_path: Path) -> None:
    model = chain(L.Dense(4, activation="relu", activity_regularizer="l2", name="a"), L.Dense(3))
    assert any("activity regularizer of a" in note for note in swapped(model, tmp_path)[1].notes)


def test_low_rank_layers(tmp_path: Path) -> None:
    """Keras merges LoRA's factors when it saves a .keras file, and stores them in .h5."""
    for suffix in (".keras", ".h5"):
        model = chain(L.Dense(4, activation="relu"), L.Dense(6, name="low", activation="tanh"), L.Dense(3))
        model.get_layer("low").enable_lora(2)
        new, _, _ = swapped(model, tmp_path, suffix)
        assert_same(model, new)
        limits = {"to": "AutoRotDense", "layers": ["low"], "xmin_lim": 0, "xmax_lim": 1, "auto_rot": False}
        assert_same(model, swapped(model, tmp_path, suffix, **limits)[0])


def test_custom_layers_give_no_limits(tmp_path: Path) -> None:
    class Odd(keras.layers.Layer):
        def __init__(self, activation: str = "tanh", **options: Any) -> None:
            super().__init__(**options)
            self.activation = activation

        def call(self, x: Any) -> Any:
            return 100 * x

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "activation": self.activation}

    chain(Odd(), L.Dense(4, activation="tanh", name="a"), L.Dense(3)).save(tmp_path / "m.keras")
    with pytest.raises(wtool.Usage, match="limits of the inputs of a"):
        wtool.swap(tmp_path / "m.keras", to="autorot")


def test_verify_with_inputs_by_name(tmp_path: Path) -> None:
    one, two = keras.Input((3,), name="one"), keras.Input((3,), name="two")
    x = L.Dense(4, activation="relu")(L.Concatenate()([one, two]))
    model = scattered(keras.Model({"b": two, "a": one}, L.Dense(2)(x)))
    model.save(tmp_path / "m.keras")
    (done,) = wtool.swap(tmp_path / "m.keras", to="linked", verify=True)
    assert done.difference is not None
    assert done.difference[0] < 1e-6 < done.difference[1]


@pytest.mark.parametrize("number", [1, 2])
def test_a_result_that_keras_does_not_load_is_an_error(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that was swapped, but that Keras did not load before either, has only a note."""
    model = chain(L.Dense(4, activation="relu"), L.Dense(3))
    model.save(tmp_path / "m.keras")
    load, asked = keras.models.load_model, []

    def broken(*words: Any, **more: Any) -> Any:
        asked.append(words)
        if len(asked) == number:
            raise ValueError("a layer of another kind")
        return load(*words, **more)

    monkeypatch.setattr(keras.models, "load_model", broken)
    if number == 2:
        with pytest.raises(wtool.WtoolError, match=r"did not verify: Keras does not load m-swap\.keras"):
            wtool.swap(tmp_path / "m.keras", to="linked", verify=True)
        return
    (done,) = wtool.swap(tmp_path / "m.keras", to="linked", verify=True)
    assert done.difference is None
    assert any("not verified: Keras does not load m.keras" in note for note in done.notes)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_limits_are_finite(value: float, tmp_path: Path) -> None:
    chain(L.Dense(4, activation="tanh"), L.Dense(3)).save(tmp_path / "m.keras")
    with pytest.raises(wtool.Usage, match="finite"):
        wtool.swap(tmp_path / "m.keras", to="autorot", xmin_lim=0.0, xmax_lim=1.0, L=value)


def test_everything_swapped_to_everything_comes_back(tmp_path: Path) -> None:
    """Projections that were made Auto-Rotating in between are taken out as well."""
    model = scattered(residual())
    _, _, path = swapped(model, tmp_path)
    wtool.swap(path, to="autorot", L=1.0, xmin_lim=0.0, xmax_lim=1.0, auto_rot=False, output=path, force=True)
    assert_same(model, keras.models.load_model(path))
    assert_back(tmp_path / "old.keras", path, alike=False)


def test_new_zeros_are_nobodys_mask(tmp_path: Path) -> None:
    """A model that was pruned, swapped and resumed trains its new halves; kernels without one keep their mask."""
    layers = [L.Dense(8, activation="tanh", name="a"), L.Dense(6, activation="relu", name="b"), L.Dense(3, name="c")]
    model = chain(*layers)
    model.compile("adam", "mean_squared_error")
    model.save(tmp_path / "m.keras")
    wtool.prune(tmp_path / "m.keras", sparsity=0.5, output=tmp_path / "p.keras")
    wtool.swap(tmp_path / "p.keras", to="LKReLU", output=tmp_path / "s.keras")
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "d.npz", x=rng.normal(size=(32, 5)), y=rng.normal(size=(32, 3)))
    done = wtool.resume(tmp_path / "s.keras", data=tmp_path / "d.npz", epochs=2, output=tmp_path / "r.keras", seed=1)
    assert done.held == 20 + 24
    new = keras.models.load_model(tmp_path / "r.keras")
    assert np.asarray(new.get_layer("c").kernel)[6:].all()
    assert np.count_nonzero(np.asarray(new.get_layer("b").kernel) == 0) == 24
