"""Swaps of what is inside wrappers: done, with the same predictions, or told by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wtool
from tests.models import Array

pytestmark = pytest.mark.tensorflow
keras = pytest.importorskip("keras")
own = pytest.importorskip("wtool.layers")
swaps = pytest.importorskip("tests.graphs.test_swap")
L = keras.layers
RELU = {"activation": "relu"}


@keras.saving.register_keras_serializable("tests")
class Twice(L.Wrapper):  # type: ignore[misc]
    """An author's own wrapper."""

    def call(self, x: Any) -> Any:
        """What is inside, times two."""
        return 2 * self.layer(x)

    def compute_output_shape(self, shape: Any) -> Any:
        """That of what is inside."""
        return self.layer.compute_output_shape(shape)


DONE: dict[str, tuple[tuple[int, ...], Callable[[], list[Any]], list[str]]] = {
    "spectral dense": ((5,), lambda: [L.SpectralNormalization(L.Dense(4, **RELU)), L.Dense(2)], ["LKReLU"]),
    "spectral convolution": (
        (6, 6, 3),
        lambda: [L.SpectralNormalization(L.Conv2D(4, 3, activation="selu")), L.Conv2D(2, 1)],
        ["LKSELU"],
    ),
    "spectral and another": (
        (6, 6, 3),
        lambda: [
            L.SpectralNormalization(L.Conv2D(4, 3, **RELU)), L.SpectralNormalization(L.Conv2D(4, 3)), L.ReLU(),
            L.Flatten(), L.Dense(1),
        ],
        ["LKReLU", "LKReLU"],
    ),
    "spectral first": (
        (3, 6, 6),
        lambda: [
            L.SpectralNormalization(L.Conv2DTranspose(4, 3, data_format="channels_first", **RELU)), L.Flatten(),
            L.Dense(1),
        ],
        ["LKReLU"],
    ),
    "each step": ((4, 5), lambda: [L.TimeDistributed(L.Dense(4, **RELU)), L.LSTM(3)], ["LKReLU"]),
    "each image": ((3, 6, 6, 2), lambda: [L.TimeDistributed(L.Conv2D(4, 3, **RELU)), L.ConvLSTM2D(2, 2)], ["LKReLU"]),
    "activation of each step": (
        (4, 5),
        lambda: [L.Dense(4), L.TimeDistributed(L.Activation("silu")), L.TimeDistributed(L.ReLU(6.0)), L.LSTM(3)],
        ["LKSwish", "Linked"],
    ),
    "leaky at each step": ((4, 5), lambda: [L.Dense(4), L.TimeDistributed(L.LeakyReLU(0.2)), L.GRU(3)], ["Linked"]),
    "spectral at each step": (
        (4, 5), lambda: [L.TimeDistributed(L.SpectralNormalization(L.Dense(4, **RELU))), L.LSTM(3)], ["LKReLU"]
    ),
}  # fmt: skip


def model_of(shape: tuple[int, ...], layers: list[Any]) -> Any:
    return swaps.scattered(keras.Sequential([keras.Input(shape), *layers]))


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("name", DONE)
def test_activations_inside_wrappers_are_linked(name: str, suffix: str, tmp_path: Path) -> None:
    shape, layers, variants = DONE[name]
    if "first" in name and not _can_do_channels_first():
        pytest.skip("TensorFlow on this machine has no convolutions with channels first")
    model = model_of(shape, layers())
    new, result, path = swaps.swapped(model, tmp_path, suffix)
    became = [text.rpartition(" ")[2] for text in result.layers.values() if " becomes " in text]
    assert sorted(became) == sorted(variants)
    assert result.same
    swaps.assert_same(model, new)
    alone = any(word in name for word in ("another", "activation", "leaky"))
    swaps.assert_back(tmp_path / f"old{suffix}", path, alike=not alone)


def _can_do_channels_first() -> bool:
    try:
        L.Conv2DTranspose(1, 1, data_format="channels_first")(np.ones((1, 1, 2, 2), "float32"))
    except Exception:  # whatever a backend says
        return False
    return True


def inner() -> Any:
    return keras.Sequential([keras.Input((6, 6, 3)), L.Conv2D(4, 3, name="conv", **RELU), L.Flatten()], name="cnn")


PASSED: dict[str, tuple[tuple[int, ...], Callable[[], list[Any]], list[str]]] = {
    "a model": ((2, 6, 6, 3), lambda: [L.TimeDistributed(inner(), name="steps"), L.LSTM(4), L.Dense(2)],
                ["steps/cnn/conv (Conv2D)", "lstm"]),
    "both ways": ((4, 5), lambda: [L.Bidirectional(L.LSTM(3, name="inner"), name="both"), L.Dense(2)],
                  ["both/forward_inner (LSTM)", "both/backward_inner (LSTM)"]),
    "cells": ((4, 5), lambda: [L.RNN(L.StackedRNNCells([L.GRUCell(3, name="one"), L.LSTMCell(2)], name="cells"),
                                     name="loop"), L.Dense(2)], ["loop/cells/one (GRUCell)"]),
    "an author's own": ((5,), lambda: [Twice(L.Dense(4, **RELU, name="inner"), name="own"), L.Dense(2)],
                        ["own/inner (Dense)"]),
    "own in another": ((4, 5), lambda: [L.TimeDistributed(Twice(L.Dense(4, **RELU, name="inner")), name="steps"),
                                        L.LSTM(2, activation="linear"), L.Dense(2)], ["inner (Dense)"]),
    "slopes at each step": ((4, 5), lambda: [L.Dense(4), L.TimeDistributed(L.PReLU(name="slopes"), name="steps"),
                                             L.GRU(3, activation=None), L.Dense(2)], ["steps/slopes (PReLU)"]),
}  # fmt: skip


@pytest.mark.parametrize("name", PASSED)
def test_what_is_passed_by_is_told(name: str, tmp_path: Path) -> None:
    shape, layers, names = PASSED[name]
    model = model_of(shape, layers())
    model.save(tmp_path / "m.keras")
    with pytest.raises(wtool.Usage) as caught:  # nothing else is there to be swapped
        wtool.swap(tmp_path / "m.keras", to="linked")
    assert all(each in str(caught.value) for each in names), caught.value
    assert "swap does not reach" in str(caught.value)
    more = keras.Sequential([keras.Input(shape), *model.layers[:-1], L.Dense(3, name="hidden", **RELU), L.Dense(2)])
    new, result, _ = swaps.swapped(swaps.scattered(more), tmp_path)
    assert list(result.layers) == ["hidden"]
    (note,) = (each for each in result.notes if "does not reach" in each)
    assert all(each in note for each in names)
    swaps.assert_same(more, new)
    _, result, _ = swaps.swapped(more, tmp_path, layers=["hidden"])
    assert not any("does not reach" in each for each in result.notes)


def test_operations_that_are_activations_are_told(tmp_path: Path) -> None:
    inputs = keras.Input((5,))
    x = keras.ops.relu(L.Dense(4, name="first", **RELU)(inputs))
    model = swaps.scattered(keras.Model(inputs, L.Dense(2)(keras.ops.leaky_relu(x))))
    new, result, _ = swaps.swapped(model, tmp_path)
    (note,) = (each for each in result.notes if "does not reach" in each)
    assert "(Relu)" in note
    assert "(LeakyRelu)" in note
    swaps.assert_same(model, new)


def test_patterns_for_what_is_inside_say_so(tmp_path: Path) -> None:
    model_of((2, 6, 6, 3), [L.TimeDistributed(inner(), name="steps"), L.LSTM(4), L.Dense(2)]).save(tmp_path / "m.keras")
    with pytest.raises(wtool.Usage, match=r"is inside steps \(TimeDistributed\), where swap changes nothing"):
        wtool.swap(tmp_path / "m.keras", to="linked", layers=["steps/cnn/conv"])


def test_rotation_inside_wrappers_is_done_or_told(tmp_path: Path) -> None:
    kernel = L.Dense(4, activation="tanh", name="inner")
    model = model_of((5,), [L.SpectralNormalization(kernel, name="norm"), L.Dense(2)])
    new, result, path = swaps.swapped(model, tmp_path, to="autorot", xmin_lim=0, xmax_lim=1)
    assert type(new.layers[0].layer) is own.AutoRotDense
    weights: list[Array] = [np.asarray(each, np.float64) for each in (kernel.kernel, kernel.bias)]
    rho = 2.0 / (np.abs(2.0 * weights[0].sum(axis=0) + weights[1]) + 1e-5)
    assert result.rho["norm"] == pytest.approx((rho.min(), np.median(rho), rho.max()), rel=1e-5)
    x = np.random.default_rng(0).random((3, 5))
    hidden = np.tanh(rho * (x @ weights[0] + weights[1]))
    expected = hidden @ np.asarray(model.layers[1].kernel) + np.asarray(model.layers[1].bias)
    assert np.asarray(new(x.astype("float32"))) == pytest.approx(expected, abs=1e-4)
    swaps.assert_back(tmp_path / "old.keras", path)
    cnn = keras.Sequential([keras.Input((5,)), L.Dense(4, activation="tanh", name="deep")], name="cnn")
    model = model_of((3, 5), [L.TimeDistributed(cnn, name="steps"), L.LSTM(3), L.Dense(2)])
    _, result, _ = swaps.swapped(model, tmp_path, to="autorot", xmin_lim=0, xmax_lim=1)
    assert any("steps/cnn/deep (Dense)" in note for note in result.notes)


def test_layers_of_wtool_that_are_not_reached_are_told(tmp_path: Path) -> None:
    cnn = keras.Sequential([keras.Input((5,)), L.Dense(4), own.LKReLU(name="deep")], name="cnn")
    model = model_of((3, 5), [L.TimeDistributed(cnn, name="steps"), L.LSTM(3), L.Dense(2)])
    model.save(tmp_path / "m.keras")
    with pytest.raises(wtool.Usage, match=r"swap does not reach steps/cnn/deep \(LKReLU\)"):
        wtool.swap(tmp_path / "m.keras", to="plain")


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_the_shape_behind_a_lambda_is_the_stored_one(suffix: str, tmp_path: Path) -> None:
    first = L.Lambda(lambda x: x[:, 1:-1] / 2, output_shape=(6, 8, 3))
    model = model_of((8, 8, 3), [first, L.Conv2D(4, 3, **RELU), L.Flatten(), L.Dense(2)])
    model.save(tmp_path / f"m{suffix}")
    wtool.swap(tmp_path / f"m{suffix}", to="linked", output=tmp_path / f"new{suffix}")
    new = keras.models.load_model(tmp_path / f"new{suffix}", safe_mode=False, compile=False)
    assert new.layers[-1].kernel.shape == (4 * 6 * 4 * 2, 2)
    swaps.assert_same(model, new)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_arctan_is_known(suffix: str, tmp_path: Path) -> None:
    """Its range, its L, and that it is nobody else's function."""
    rotated = own.AutoRotDense(4, 0, 1, "auto", activation="arctan")
    model = model_of((5,), [rotated, L.Dense(3, activation=own.arctan, name="second"), L.Dense(2)])
    new, result, _ = swaps.swapped(model, tmp_path, suffix, to="autorot", layers=["second"])
    assert wtool.check(tmp_path / f"old{suffix}").findings == ()
    assert new.layers[1].level == 7.0
    assert (new.layers[1].xmin_lim, new.layers[1].xmax_lim) == pytest.approx((-np.pi / 2, np.pi / 2))
    linked, result, _ = swaps.swapped(model, tmp_path, suffix)
    assert result.same
    swaps.assert_same(model, linked)
