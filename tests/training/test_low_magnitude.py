"""Pruning while training against tfmot's rule, written out in NumPy, and models of several kinds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.models import Array
from tests.training.test_callbacks import deep, fit, values, weights
from wtool.errors import Usage, WtoolError

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("quiet_keras")]
keras = pytest.importorskip("keras")
callbacks = pytest.importorskip("wtool.callbacks")

RNG = np.random.default_rng(8)
INPUTS = RNG.normal(size=(120, 6)).astype("float32")
TARGETS = RNG.normal(size=(120, 5)).astype("float32")
RATE = 0.3


def linear(optimizer: Any = None, **compiled: Any) -> Any:
    keras.utils.set_random_seed(2)
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(5, use_bias=False, name="d")])
    model.compile(optimizer or keras.optimizers.SGD(RATE), "mse", **compiled)
    return model


def trained(model: Any, schedule: Any, steps: int, *others: Any, first: int = 0, epochs: int = 1) -> Array:
    """The kernel after so many steps with four samples each, from a step of the data on."""
    rows = slice(4 * first, 4 * (first + steps))
    used = [callbacks.PruneLowMagnitude(schedule), *others]
    model.fit(INPUTS[rows], TARGETS[rows], batch_size=4, epochs=epochs, shuffle=False, verbose=0, callbacks=used)
    return values(model.get_layer("d").kernel)


def by_hand(kernel: Array, sparsity: Callable[[int], float | None], steps: int) -> tuple[Array, int]:
    """tfmot's rule: at a step with a sparsity the mask is made anew; weights are masked, then all are changed.

    Returns:
        the masked kernel after the steps, and how often a weight came back.
    """
    kernel, kept, back = kernel.astype("float64"), np.ones(kernel.size, bool), 0
    for step in range(steps):
        share = sparsity(step)
        if share is not None:
            lowest = np.argsort(np.abs(kernel).reshape(-1), kind="stable")[: round(share * kernel.size)]
            before, kept = kept, np.ones(kernel.size, bool)
            kept[lowest] = False
            back += np.count_nonzero(kept & ~before)
        kernel = kernel * kept.reshape(kernel.shape)
        x, y = INPUTS[4 * step : 4 * step + 4], TARGETS[4 * step : 4 * step + 4]
        kernel = kernel - RATE * 2 / y.size * x.T @ (x @ kernel - y)
    return kernel * kept.reshape(kernel.shape), back


def decayed(step: int) -> float | None:
    """The sparsity of PolynomialDecay(.2, .8, 3, 23, frequency=5) at its update steps."""
    return 0.8 - 0.6 * (1 - (step - 3) / 20) ** 3 if step in (3, 8, 13, 18, 23) else None


DECAY = {"begin_step": 3, "end_step": 23, "frequency": 5}


HOW = [{}, {"jit_compile": True}, {"jit_compile": False}, {"run_eagerly": True}]


@pytest.mark.parametrize(("how", "counts"), [(how, (5, 27)) for how in HOW] + [({}, (2, 12, 21))])
def test_each_step_is_that_of_tfmot(how: dict[str, Any], counts: tuple[int, ...]) -> None:
    schedule = callbacks.PolynomialDecay(0.2, 0.8, **DECAY)
    for steps in counts:
        model = linear(**how)
        expected, _ = by_hand(values(model.get_layer("d").kernel), decayed, steps)
        found = trained(model, schedule, steps)
        assert np.array_equal(found == 0, expected == 0), steps
        np.testing.assert_allclose(found, expected, atol=2e-6)


def test_weights_come_back_as_in_tfmot() -> None:
    def constant(step: int) -> float | None:
        return 0.5 if step >= 2 and (step - 2) % 4 == 0 else None

    model = linear()
    expected, back = by_hand(values(model.get_layer("d").kernel), constant, 29)
    assert back > 0
    found = trained(model, callbacks.ConstantSparsity(0.5, 2, frequency=4), 29)
    assert np.array_equal(found == 0, expected == 0)
    np.testing.assert_allclose(found, expected, atol=2e-6)


class Sparsity(keras.callbacks.Callback):  # type: ignore[misc,name-defined]
    """Notes how many weights are zero after each batch."""

    def __init__(self) -> None:
        super().__init__()
        self.zeros: list[int] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.zeros.append(int(np.count_nonzero(values(self.model.get_layer("d").kernel) == 0)))


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", "muon"])
def test_zeros_stay_between_updates_and_the_final_sparsity_is_exact(optimizer: str) -> None:
    noted = Sparsity()
    model = linear(optimizer)
    trained(model, callbacks.PolynomialDecay(0.2, 0.8, 0, 20, frequency=10), 30, noted)
    first, second, last = 6, round(30 * (0.8 - 0.6 * 0.5**3)), 24
    assert noted.zeros == [first] * 9 + [second] * 10 + [last] * 11
    assert model.get_layer("d").kernel.constraint is None


def test_a_schedule_goes_on_where_a_saved_model_is_trained_further(tmp_path: Path) -> None:
    schedule = callbacks.PolynomialDecay(0.2, 0.8, **DECAY)
    whole = trained(linear("adam"), schedule, 26)
    model = linear("adam")
    trained(model, schedule, 11)
    model.save(tmp_path / "saved.keras")
    loaded = keras.models.load_model(tmp_path / "saved.keras")
    assert np.array_equal(trained(loaded, schedule, 15, first=11), whole)


def test_checkpoints_are_plain_models_with_zeros(tmp_path: Path) -> None:
    saving = keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}.keras")
    model = linear("adam")
    trained(model, callbacks.ConstantSparsity(0.5, 4, frequency=10), 14, saving, epochs=2)
    for epoch in (1, 2):
        loaded = keras.models.load_model(tmp_path / f"{epoch}.keras")
        assert type(loaded.get_layer("d")) is keras.layers.Dense
        assert np.count_nonzero(values(loaded.get_layer("d").kernel) == 0) == 15
        assert len(loaded.optimizer.variables) == len(model.optimizer.variables)


@pytest.mark.parametrize("count", [4, 7])
def test_several_steps_of_an_execution(count: int) -> None:
    noted = Sparsity()
    schedule = callbacks.PolynomialDecay(0.2, 0.8, 3, 23, frequency=10)
    trained(linear("adam", steps_per_execution=count), schedule, 28, noted)
    ends = range(count, 29, count)
    assert noted.zeros == [
        next((round(30 * schedule.sparsity(step)) for step in (23, 13, 3) if step <= end), 0) for end in ends
    ]


def test_updates_that_are_multiples_of_an_execution_are_those_of_single_steps() -> None:
    schedule = callbacks.PolynomialDecay(0.2, 0.8, 4, 24, frequency=4)
    np.testing.assert_allclose(
        trained(linear(steps_per_execution=4), schedule, 26), trained(linear(), schedule, 26), atol=1e-6
    )


def test_all_kernels_of_a_model_are_pruned() -> None:
    model = deep("adam")
    fit(model, callbacks.PruneLowMagnitude(callbacks.ConstantSparsity(0.5, 0)), epochs=2)
    for name, each in weights(model).items():
        zeros = np.count_nonzero(each == 0)
        assert zeros == round(each.size / 2) if name.endswith("kernel") else zeros < each.size / 2 or "b" in name, name


def test_chosen_kernels_are_pruned() -> None:
    schedule = callbacks.ConstantSparsity(0.5, 0)
    model = deep("adam", recurrent=False)
    fit(model, callbacks.PruneLowMagnitude(schedule, include=["hidden/*"]))
    hidden = values(model.get_layer("hidden").kernel)
    assert np.count_nonzero(hidden == 0) == hidden.size // 2
    assert np.all(values(model.get_layer("out").kernel) != 0)
    with pytest.raises(Usage, match="no tensor that could change"):
        fit(model, callbacks.PruneLowMagnitude(schedule, include=["gone/*"]))


def test_mixed_precision_and_a_constraint_of_the_variable() -> None:
    model = deep("adam", "mixed_float16", keras.constraints.MaxNorm(0.5), recurrent=False)
    kernel = model.get_layer("hidden").kernel
    own = kernel.constraint
    fit(model, callbacks.PruneLowMagnitude(callbacks.ConstantSparsity(0.5, 0, frequency=2)), epochs=2)
    assert kernel.constraint is own
    assert np.count_nonzero(values(kernel) == 0) == kernel.shape[0] * 8 // 2
    assert np.linalg.norm(values(kernel), axis=0).max() <= 0.5 + 1e-4


def test_moving_averages_that_replace_the_weights() -> None:
    found = trained(linear(keras.optimizers.Adam(use_ema=True)), callbacks.ConstantSparsity(0.5, 0, frequency=10), 25)
    assert np.count_nonzero(found == 0) == 15


def test_two_schedules_and_held_zeros_go_together() -> None:
    model = deep("adam", recurrent=False)
    kernel = model.get_layer("hidden").kernel
    held = np.arange(kernel.shape[0] * kernel.shape[1]).reshape(kernel.shape) % 5 == 0
    kernel.assign(np.where(held, 0, values(kernel)))
    hidden = callbacks.PruneLowMagnitude(callbacks.ConstantSparsity(0.5, 2, frequency=2), include=["hidden/*"])
    out = callbacks.PruneLowMagnitude(callbacks.ConstantSparsity(0.25, 0), include=["out/*"])
    fit(model, hidden, callbacks.HoldZeros(), out, epochs=2)
    assert np.count_nonzero(values(kernel) == 0) >= kernel.shape[0] * 4
    assert np.all(values(kernel)[held] == 0)
    assert np.count_nonzero(values(model.get_layer("out").kernel) == 0) == 6
    assert kernel.constraint is None
    assert model.get_layer("out").kernel.constraint is None


def test_nothing_happens_before_pruning_begins() -> None:
    plain = linear("adam")
    plain.fit(INPUTS[:40], TARGETS[:40], batch_size=4, shuffle=False, verbose=0)
    found = trained(linear("adam"), callbacks.ConstantSparsity(0.9, 11), 10)
    np.testing.assert_allclose(found, values(plain.get_layer("d").kernel), rtol=1e-6)


def test_an_optimizer_that_ignores_constraints_is_told() -> None:
    class Stubborn(keras.optimizers.SGD):  # type: ignore[misc,name-defined]
        def apply(self, grads: Any, trainable_variables: Any = None) -> None:
            for gradient, variable in zip(grads, trainable_variables or self._trainable_variables, strict=True):
                variable.assign_sub(0.1 * gradient)
            self._iterations.assign_add(1)

    with pytest.raises(WtoolError, match="did not stay"):
        trained(linear(Stubborn()), callbacks.ConstantSparsity(0.5, 0), 6)
