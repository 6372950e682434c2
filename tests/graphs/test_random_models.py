"""Random models: without channels they compute what they did with channels that do nothing."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import wtool
from tests.graphs.test_dead import found_in
from tests.graphs.test_swap import example, predicted, scattered
from tests.graphs.test_taking_out import some, unread, without
from wtool.dtypes import Array
from wtool.errors import Refused

pytestmark = pytest.mark.tensorflow
keras = pytest.importorskip("keras")
few = settings(max_examples=3, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
seeds = given(seed=st.integers(0, 2**31 - 1))


def drawn(seed: int, path: Path) -> Any:
    """A random model, saved; None where Keras cannot make it, or does not compute the same with what it saved."""
    from tests.graphs.random_models import Random

    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    try:
        model = scattered(Random(seed).model(), seed)
        model.compile("adam", "mse")
        model.save(path)
        loaded = keras.models.load_model(path)
        was, now = predicted(model, words(model)), predicted(loaded, words(model))
    except (ArithmeticError, IndexError, TypeError, ValueError):
        return None
    return model if all(np.allclose(a, b, rtol=1e-5, atol=1e-5) for a, b in zip(was, now, strict=True)) else None


def words(model: Any) -> list[Array]:
    """Inputs of a model: random numbers, or numbers of words."""
    return [np.abs(each).astype(np.int32) % 6 if model.inputs[0].dtype == "int32" else each for each in example(model)]


def zeroed_at_random(model: Any, seed: int) -> None:
    """Set random channels of random weights to zero, and random biases."""
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        if "seed" in variable.path or "moving" in variable.path or not variable.shape:
            continue
        values = variable.numpy()
        for axis in range(max(0, values.ndim - 2), values.ndim):
            if rng.random() < 0.5:
                np.moveaxis(values, axis, 0)[rng.random(values.shape[axis]) < 0.35] = 0
        variable.assign(values)


def assert_same(model: Any, path: Path) -> Any:
    """Hold a model that was saved against a live one, to what rounding errors of the weights make. Returns it."""
    made, inputs = keras.models.load_model(path), words(model)
    for was, now in zip(predicted(model, inputs), predicted(made, inputs), strict=True):
        assert now.shape == was.shape
        assert np.abs(now - was).max() <= 3e-5 * max(1.0, np.abs(was).max())
    return made


def check_dead(seed: int, folder: Path) -> None:
    model = drawn(seed, folder / "model.keras")
    if model is None:
        return
    zeroed_at_random(model, seed)
    model.save(folder / "model.keras")
    wtool.shrink(folder / "model.keras", output=folder / "less.keras")
    assert_same(model, folder / "less.keras")
    assert found_in(folder / "less.keras").kept == {}


def check_sparsity(seed: int, folder: Path) -> None:
    model = drawn(seed, folder / "model.keras")
    if model is None:
        return
    kept, masks = some(folder / "model.keras", seed)
    without(folder / "model.keras", kept, folder / "less.keras")
    inputs = words(model)
    unread(model, folder / "model.keras", masks)
    made = assert_same(model, folder / "less.keras")
    made.train_on_batch(inputs, predicted(made, inputs))


def check_aligned(seed: int, folder: Path) -> None:
    model = drawn(seed, folder / "model.keras")
    if model is None:
        return
    scattered(model, seed + 1).save(folder / "other.keras")
    try:
        wtool.align(folder / "other.keras", to=folder / "model.keras", output=folder / "aligned.keras")
    except Refused as refused:
        if "no hidden channels that may change places" in str(refused):
            return
        raise
    assert_same(model, folder / "aligned.keras")


@few
@seeds
def test_dead_channels_change_nothing(seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        check_dead(seed, Path(folder))


@few
@seeds
def test_channels_that_go_are_as_good_as_unread(seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        check_sparsity(seed, Path(folder))


@few
@seeds
def test_aligned_models_compute_the_same(seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        check_aligned(seed, Path(folder))
