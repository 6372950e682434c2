"""Models of Keras 2 that were trained, converted and trained on: both Kerases go on alike, with the same optimizer."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wtool

pytestmark = pytest.mark.tensorflow
keras = pytest.importorskip("keras")
keras2 = pytest.importorskip("tf_keras")

new, old, schedules = keras2.optimizers, keras2.optimizers.legacy, keras2.optimizers.schedules
scaling = keras2.mixed_precision.LossScaleOptimizer

OPTIMIZERS: dict[str, Callable[[], Any]] = {
    "adam": lambda: new.Adam(0.01),
    "amsgrad": lambda: new.Adam(0.01, amsgrad=True),
    "adamw": lambda: new.AdamW(0.01, weight_decay=0.1),
    "sgd": lambda: new.SGD(0.05, weight_decay=0.01),
    "nesterov": lambda: new.SGD(0.05, momentum=0.9, nesterov=True),
    "rmsprop": lambda: new.RMSprop(0.01),
    "centered": lambda: new.RMSprop(0.01, centered=True, momentum=0.5),
    "adagrad": lambda: new.Adagrad(0.1),
    "adadelta": lambda: new.Adadelta(1.0),
    "adamax": lambda: new.Adamax(0.01),
    "adafactor": lambda: new.Adafactor(0.01),
    "ftrl": lambda: new.Ftrl(0.1, l1_regularization_strength=0.01, l2_shrinkage_regularization_strength=0.01, beta=0.1),
    "lion": lambda: new.Lion(0.01),
    "averages": lambda: new.Adam(0.01, use_ema=True, ema_overwrite_frequency=2),
    "clipnorm": lambda: new.Adam(0.01, clipnorm=0.1),
    "global_clipnorm": lambda: new.SGD(0.1, global_clipnorm=0.1),
    "clipvalue": lambda: new.SGD(0.1, clipvalue=0.01),
    "exponential": lambda: new.Adam(schedules.ExponentialDecay(0.01, 2, 0.9, staircase=True)),
    "inverse": lambda: new.SGD(schedules.InverseTimeDecay(0.1, 2, 0.5), momentum=0.9),
    "piecewise": lambda: new.SGD(schedules.PiecewiseConstantDecay([3, 4], [0.1, 0.05, 0.01])),
    "polynomial": lambda: new.SGD(schedules.PolynomialDecay(0.1, 20)),
    "cosine": lambda: new.SGD(schedules.CosineDecay(0.05, 20, warmup_target=0.1, warmup_steps=4)),
    "restarts": lambda: new.SGD(schedules.CosineDecayRestarts(0.05, 4)),
    "scaled": lambda: scaling(new.Adam(0.01)),
    "growing scale": lambda: scaling(
        new.Adam(schedules.ExponentialDecay(0.01, 2, 0.5)), initial_scale=8.0, dynamic_growth_steps=3
    ),
    "fixed scale": lambda: scaling(new.Adam(0.01), dynamic=False, initial_scale=8.0),
}
LEGACY: dict[str, Callable[[], Any]] = {
    "adam": lambda: old.Adam(0.01, clipnorm=0.1),
    "amsgrad": lambda: old.Adam(0.01, amsgrad=True),
    "decay": lambda: old.Adam(0.01, decay=0.1),
    "nesterov": lambda: old.SGD(0.05, momentum=0.9, nesterov=True, decay=0.01),
    "schedule": lambda: old.SGD(schedules.ExponentialDecay(0.01, 3, 0.9)),
    "centered": lambda: old.RMSprop(0.01, centered=True, momentum=0.5),
    "adagrad": lambda: old.Adagrad(0.1),
    "adadelta": lambda: old.Adadelta(1.0),
    "adamax": lambda: old.Adamax(0.01),
    "ftrl": lambda: old.Ftrl(0.1, l1_regularization_strength=0.01, l2_shrinkage_regularization_strength=0.01, beta=0.1),
    "scaled": lambda: scaling(old.Adam(0.01, decay=0.1)),
}
STEPS = 3
"""Steps of an epoch: with what changes after two or four of them, files and training begin in the midst."""


def data() -> tuple[Any, Any]:
    random = np.random.default_rng(0)
    return random.normal(size=(8 * STEPS, 5)).astype("float32"), random.normal(size=(8 * STEPS, 2)).astype("float32")


def trained(optimizer: Any, epochs: int = 2) -> Any:
    """A small model of Keras 2, trained for some epochs. Steps run one by one, which is faster than tracing."""
    keras2.utils.set_random_seed(1)
    layers = keras2.layers
    model = keras2.Sequential([
        layers.Input((5,), name="i"), layers.Dense(3, "tanh", name="a"), layers.BatchNormalization(name="bn"),
        layers.Dense(2, name="b"),
    ])  # fmt: skip
    model.compile(optimizer, "mse", metrics=["mae"], run_eagerly=True)
    fitted(model, epochs)
    return model


def fitted(model: Any, epochs: int = 1) -> dict[str, list[float]]:
    """What a model reports of each step of the epochs that it is trained. `fit` would trace how batches are made."""
    x, y = data()
    model.run_eagerly = True
    history: dict[str, list[float]] = {"loss": [], "mae": []}
    for start in list(range(0, len(x), 8)) * epochs:
        model.reset_metrics()  # a report is the mean since then
        reports = model.train_on_batch(x[start : start + 8], y[start : start + 8], return_dict=True)
        for name, values in history.items():
            values.append(float(reports[name]))
    return history


def saved(model: Any, path: Path) -> Path:
    """The file of a model of Keras 2, which warns of `.h5` files."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save(path)
    return path


def converted(model: Any, path: Path, result: str = "new.keras") -> tuple[Any, wtool.Converted]:
    """A model of Keras 2, saved, converted and loaded by Keras 3."""
    return loaded(saved(model, path), result)


def loaded(path: Path, result: str) -> tuple[Any, wtool.Converted]:
    """A file of Keras 2, converted and loaded by Keras 3, which has nothing to complain about."""
    (done,) = wtool.convert(path, output=path.parent / result)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Skipping variable loading")
        return keras.models.load_model(path.parent / result), done


@dataclass(frozen=True)
class Trained:
    """What one more epoch made of a model.

    Attributes:
        steps: number of steps that the optimizer had made before.
        history: what the model reports of each step.
        weights: after the epoch.
    """

    steps: int
    history: dict[str, list[float]]
    weights: list[Any]


def trained_on(model: Any) -> Trained:
    """Train a model of either Keras for an epoch more."""
    steps = int(model.optimizer.iterations)
    return Trained(steps, fitted(model), model.get_weights())


def assert_same_training(first: Trained, second: Trained, tolerance: float = 1e-5) -> None:
    assert first.steps == second.steps > 0
    for name in ("loss", "mae"):
        np.testing.assert_allclose(first.history[name], second.history[name], rtol=tolerance, atol=tolerance)
    for before, after in zip(first.weights, second.weights, strict=True):
        np.testing.assert_allclose(before, after, rtol=tolerance, atol=tolerance)


def assert_goes_on_alike(model: Any, upgraded: Any, tolerance: float = 1e-5) -> None:
    assert_same_training(trained_on(model), trained_on(upgraded), tolerance)
    assert int(upgraded.optimizer.iterations) == int(model.optimizer.iterations)


ENDINGS = ("h5", "keras")


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Trained]]:
    """Gives by the name of an optimizer, the files of a trained model of Keras 2, and how that model goes on."""

    @cache
    def known_by(name: str) -> tuple[Path, Trained]:
        folder, model = tmp_path_factory.mktemp("trained"), trained(OPTIMIZERS[name](), epochs=1)
        for ending in ENDINGS:
            saved(model, folder / f"old.{ending}")
        return folder, trained_on(model)

    return known_by


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_goes_on_alike(name: str, ending: str, known: Callable[[str], tuple[Path, Trained]]) -> None:
    folder, before = known(name)
    upgraded, done = loaded(folder / f"old.{ending}", f"new-{ending}.keras")
    assert all("dynamic scale of the loss" in note for note in done.notes)
    assert len(done.notes) == (name in ("scaled", "growing scale"))
    assert_same_training(before, trained_on(upgraded))
    assert int(upgraded.optimizer.iterations) == before.steps + STEPS


@pytest.mark.parametrize("name", LEGACY)
def test_training_with_a_legacy_optimizer_goes_on_alike(name: str, tmp_path: Path) -> None:
    model = trained(LEGACY[name](), epochs=1)
    upgraded, done = converted(model, tmp_path / "old.h5")
    assert all("epsilon" in note or "dynamic scale of the loss" in note for note in done.notes)
    assert_goes_on_alike(model, upgraded)


def test_an_optimizer_that_differs_in_keras_3_is_told(tmp_path: Path) -> None:
    model = trained(old.RMSprop(0.01))
    upgraded, done = converted(model, tmp_path / "old.h5")
    assert done.notes == (
        "the optimizer RMSprop of Keras 3 adds epsilon to the mean of squares, under the root: its steps differ a "
        "little from the old ones",
    )
    assert_goes_on_alike(model, upgraded, tolerance=1e-3)


def test_nadam_goes_on_with_the_product_of_its_momenta(tmp_path: Path) -> None:
    model = trained(new.Nadam(0.01), epochs=3)
    upgraded, done = converted(model, tmp_path / "old.h5")
    assert ["Nadam's product of momenta" in note for note in done.notes] == [True]
    product = np.float64(1)
    for step in range(1, 3 * STEPS + 1):
        product *= 0.9 * (1 - 0.5 * 0.96**step)
    assert float(upgraded.optimizer._u_product) == pytest.approx(product, rel=1e-6)
    assert_goes_on_alike(model, upgraded)


def test_graphs_of_keras_2_multiply_nadam_s_momenta_for_each_weight(tmp_path: Path) -> None:
    model = trained(new.Nadam(0.01), epochs=1)
    model.compile(model.optimizer, "mse", metrics=["mae"])
    x, y = data()
    model.fit(x, y, 8, verbose=0, shuffle=False)
    upgraded, done = converted(model, tmp_path / "graph.h5", "of-graph.keras")
    assert len(done.notes) == 1
    assert float(model.optimizer._u_product) < 1e-4 < float(upgraded.optimizer._u_product)
    assert_goes_on_alike(model, upgraded, tolerance=1e-2)
    model.optimizer.iterations.assign(40)  # by then the product is nearly zero
    assert converted(model, tmp_path / "later.h5", "later.keras")[1].notes == ()


def test_mixed_precision_goes_on_with_a_scaled_loss(tmp_path: Path) -> None:
    keras2.mixed_precision.set_global_policy("mixed_float16")
    try:
        model = trained(new.Adam(0.01))
    finally:
        keras2.mixed_precision.set_global_policy("float32")
    upgraded, _ = converted(model, tmp_path / "old.keras")
    assert type(upgraded.optimizer).__name__ == "LossScaleOptimizer"
    assert_goes_on_alike(model, upgraded, tolerance=2e-3)


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_dynamic_scale_of_the_loss_starts_anew_with_a_note(ending: str, tmp_path: Path) -> None:
    """No file of Keras 2 has that scale, which changes no loss here; tf_keras loads no state at all from the `.h5`."""
    model = trained(OPTIMIZERS["growing scale"](), epochs=1)
    upgraded, done = converted(model, tmp_path / f"old.{ending}")
    assert float(model.optimizer.loss_scale) > 8.0 == float(upgraded.optimizer.dynamic_scale)
    assert [note for note in done.notes if "dynamic scale of the loss" in note and "starts anew from 8," in note]
    assert_goes_on_alike(model, upgraded)


def test_weights_of_frozen_layers_have_no_state(tmp_path: Path) -> None:
    model = trained(new.Adam(0.01), epochs=1)
    model.get_layer("a").trainable = False
    model.compile(new.Adam(0.01), "mse", metrics=["mae"], run_eagerly=True)
    fitted(model)
    upgraded, _ = converted(model, tmp_path / "old.h5")
    assert_goes_on_alike(model, upgraded)


def test_state_of_other_weights_than_those_trained_is_left_out(tmp_path: Path) -> None:
    model = trained(new.Adam(0.01), epochs=1)
    model.get_layer("a").trainable = False
    model.compile(new.Adam(0.01), "mse", metrics=["mae"], run_eagerly=True)
    fitted(model)
    model.get_layer("a").trainable = True
    model.save(tmp_path / "old.h5")
    (done,) = wtool.convert(tmp_path / "old.h5", output=tmp_path / "new.keras")
    assert done.notes == (
        "the optimizer's state is left out: it has no slots for a/kernel, a/bias, which the model trains",
    )
    with wtool.open_checkpoint(str(tmp_path / "new.keras")) as made:
        assert made.slots == ()


@pytest.mark.parametrize("name", ["legacy", "untrained"])
def test_a_file_without_the_state_of_its_optimizer_is_told(name: str, tmp_path: Path) -> None:
    if name == "legacy":
        model = trained(old.Adam(0.01), epochs=1)
    else:
        model = keras2.Sequential([keras2.layers.Dense(2, input_shape=(3,))])
        model.compile(new.Adam(0.01), "mse")
    model.save(tmp_path / "old.keras")
    (done,) = wtool.convert(tmp_path / "old.keras", output=tmp_path / "new.keras")
    (note,) = done.notes
    assert note.startswith("the file stores no state of its optimizer, which starts anew")
