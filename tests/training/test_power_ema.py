"""Power-function averages during `fit`: against NumPy, and against the same training without them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wtool
from tests.models import Array

pytestmark = pytest.mark.tensorflow
keras = pytest.importorskip("keras")
callbacks = pytest.importorskip("wtool.callbacks")

RNG = np.random.default_rng(6)
X = RNG.normal(size=(40, 4)).astype(np.float32)
Y = RNG.normal(size=(40, 2)).astype(np.float32)
STEPS = 10  # of an epoch of 40 samples in batches of 4


def model(**compiled: Any) -> Any:
    keras.utils.set_random_seed(2)
    dense = keras.layers.Dense
    layers = [keras.Input((4,)), dense(6, activation="tanh", name="first"), keras.layers.BatchNormalization(name="bn")]
    made = keras.Sequential([*layers, keras.layers.Dropout(0.2, seed=1), dense(2, name="last")])
    made.compile(keras.optimizers.Adam(0.03), "mse", **compiled)
    return made


def fit(made: Any, *used: Any, epochs: int = 3, first: int = 0) -> None:
    made.fit(X, Y, batch_size=4, epochs=epochs, initial_epoch=first, shuffle=False, verbose=0, callbacks=list(used))


class Keep(keras.callbacks.Callback):  # type: ignore[misc,name-defined]
    """Keeps the weights of every step."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[list[Array]] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.steps.append([np.asarray(each).astype(np.float64) for each in self.model.trainable_variables])

    def averages(self, sigma_rel: float, step: int) -> list[Array]:
        """The averages at a step: step u counts (u/t)^(g+1) - ((u-1)/t)^(g+1)."""
        square = sigma_rel**-2
        power = max(np.roots([1, 7, 16 - square, 12 - square]).real) + 1
        shares = np.diff((np.arange(step + 1) / step) ** power)
        columns = zip(*self.steps[:step], strict=True)
        return [np.tensordot(shares, np.stack(column), 1) for column in columns]


def trained(path: Path | str) -> list[Array]:
    """The trained variables of a snapshot, in Keras's order; loaded by Keras."""
    return [np.asarray(each) for each in keras.models.load_model(path, compile=False).trainable_variables]


def near(found: list[Array], expected: list[Array]) -> bool:
    """Whether values are those of float64, rounded once; a rounding may be the other way where it is nearly a tie."""
    return all(
        np.allclose(some, other, rtol=1.3e-7, atol=1e-9) and some.dtype == np.float32
        for some, other in zip(found, expected, strict=True)
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Keep, Any]:
    """A training of 30 steps with snapshots of two widths at every tenth, and of a third one in another folder."""
    folder, keep, made = tmp_path_factory.mktemp("run"), Keep(), model()
    third = callbacks.PowerEMA(folder / "third", sigma_rel=0.15)
    fit(made, keep, callbacks.PowerEMA(folder / "snaps", every=5), third)
    return folder, keep, made


def test_training_is_not_changed(run: tuple[Path, Keep, Any]) -> None:
    """Weights, statistics, and the state of the optimizer, to the bit."""
    plain = model()
    fit(plain)
    for one, other in (
        (plain.variables, run[2].variables),
        (plain.optimizer.variables, run[2].optimizer.variables),
    ):
        assert all(np.array_equal(np.asarray(a), np.asarray(b)) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("step", [5, 10, 30])
@pytest.mark.parametrize("width", [0.05, 0.1])
def test_snapshots_are_the_averages_of_all_steps(width: float, step: int, run: tuple[Path, Keep, Any]) -> None:
    folder, keep, made = run
    path = folder / "snaps" / f"ema-{step:07d}-{width}.keras"
    assert near(trained(path), keep.averages(width, step))
    lineage = wtool.inspect(path)["lineage"]
    assert [each["operation"] for each in lineage] == ["power-ema"]
    assert lineage[0]["parameters"]["step"] == step
    assert lineage[0]["parameters"]["sigma_rel"] == width
    if step == 30:
        found = keras.models.load_model(path, compile=False).get_layer("bn").non_trainable_variables
        statistics = made.get_layer("bn").non_trainable_variables
        assert all(np.array_equal(np.asarray(a), np.asarray(b)) for a, b in zip(found, statistics, strict=True))


def test_there_is_a_snapshot_of_each_width_at_each_fifth_step(run: tuple[Path, Keep, Any]) -> None:
    names = sorted(each.name for each in (run[0] / "snaps").iterdir())
    assert names == [f"ema-{step:07d}-{width}.keras" for step in range(5, 31, 5) for width in (0.05, 0.1)]
    assert len(list((run[0] / "third").iterdir())) == 3
    with wtool.open_checkpoint(str(run[0] / "snaps" / names[0])) as checkpoint:
        assert not checkpoint.slots


def test_an_average_made_afterwards_is_near_the_one_that_was_tracked(
    run: tuple[Path, Keep, Any], tmp_path: Path
) -> None:
    folder, keep, _ = run
    (done,) = wtool.ema(folder / "snaps", sigma_rel=0.15, output=tmp_path / "out.keras")
    tracked, made = trained(folder / "third" / "ema-0000030-0.15.keras"), trained(tmp_path / "out.keras")
    assert near(tracked, keep.averages(0.15, 30))
    first = keep.averages(0.05, 30)
    apart, own = (
        np.sqrt(sum(((a - b) ** 2).sum() for a, b in zip(tracked, others, strict=True))) for others in (made, first)
    )
    assert done.error is not None
    assert 0 < apart < done.error * own


def test_an_average_that_was_tracked_is_given_to_the_bit(run: tuple[Path, Keep, Any], tmp_path: Path) -> None:
    wtool.ema(run[0] / "snaps", sigma_rel=0.1, output=tmp_path / "out.keras")
    found, own = trained(tmp_path / "out.keras"), trained(run[0] / "snaps" / "ema-0000030-0.1.keras")
    assert [each.tobytes() for each in found] == [each.tobytes() for each in own]


def test_several_steps_in_one_execution(tmp_path: Path) -> None:
    """The averages are updated every three steps, with the weights of that step; the last execution has one step."""
    made, keep = model(steps_per_execution=3), Keep()
    fit(made, keep, callbacks.PowerEMA(tmp_path, sigma_rel=0.1), epochs=1)
    ends = [3, 6, 9, 10]
    assert len(keep.steps) == len(ends)
    power = 6.937203937601809 + 1
    shares = np.diff((np.array([0, *ends]) / 10) ** power)
    expected = [np.tensordot(shares, np.stack(column), 1) for column in zip(*keep.steps, strict=True)]
    assert near(trained(tmp_path / "ema-0000010-0.1.keras"), expected)


def test_snapshots_of_weights_alone(tmp_path: Path) -> None:
    made, keep = model(), Keep()
    fit(made, keep, callbacks.PowerEMA(tmp_path, sigma_rel=0.1, ending=".weights.h5"), epochs=1)
    (path,) = tmp_path.iterdir()
    other = model()
    other.load_weights(path)
    assert near([np.asarray(each) for each in other.trainable_variables], keep.averages(0.1, 10))
    (done,) = wtool.ema(path, sigma_rel=0.1, output=tmp_path / "out.weights.h5")
    assert done.error == 0


def test_frozen_weights_are_not_tracked(tmp_path: Path) -> None:
    made = model()
    made.get_layer("first").trainable = False
    made.compile("sgd", "mse")
    tracking = callbacks.PowerEMA(tmp_path)
    fit(made, tracking, epochs=1)
    assert {*tracking.averages[0.05]} == {"bn/gamma", "bn/beta", "last/kernel", "last/bias"}


def test_the_weights_come_back_where_saving_fails(tmp_path: Path) -> None:
    made = model()
    tracking = callbacks.PowerEMA(tmp_path / "snaps")

    class Full(keras.callbacks.Callback):  # type: ignore[misc,name-defined]
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.own = [np.asarray(each) for each in self.model.get_weights()]
            (tmp_path / "snaps" / "ema-0000010-0.1.keras").write_text("in the way")

    full = Full()
    with pytest.raises(wtool.WtoolError, match="exists"):
        fit(made, full, tracking)
    assert all(np.array_equal(a, b) for a, b in zip(made.get_weights(), full.own, strict=True))


# A training that goes on


@pytest.fixture(scope="module")
def half(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model after two epochs, and its snapshots."""
    folder, made = tmp_path_factory.mktemp("half"), model()
    fit(made, callbacks.PowerEMA(folder / "snaps"), epochs=2)
    made.save(folder / "model.keras")
    return folder


def test_tracking_goes_on(half: Path, tmp_path: Path) -> None:
    shutil.copytree(half / "snaps", tmp_path / "snaps")
    whole, resumed = model(), keras.models.load_model(half / "model.keras")
    keep, rest = Keep(), Keep()
    fit(whole, keep, epochs=2)
    fit(resumed, rest, callbacks.PowerEMA(tmp_path / "snaps"), first=2)
    keep.steps += rest.steps
    for width in (0.05, 0.1):
        found = trained(tmp_path / "snaps" / f"ema-0000030-{width}.keras")
        for one, other in zip(found, keep.averages(width, 30), strict=True):
            np.testing.assert_allclose(one, other, rtol=3e-7, atol=1e-8)
    (done,) = wtool.ema(tmp_path / "snaps", sigma_rel=0.12, dry_run=True)
    assert len(done.inputs) == 6


def test_tracking_goes_on_where_the_loss_is_scaled(tmp_path: Path) -> None:
    made, keep = model(), Keep()
    made.compile(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1), initial_scale=2.0), "mse")
    fit(made, keep, callbacks.PowerEMA(tmp_path, sigma_rel=0.1), epochs=1)
    fit(made, keep, callbacks.PowerEMA(tmp_path, sigma_rel=0.1), epochs=1)
    for one, other in zip(trained(tmp_path / "ema-0000020-0.1.keras"), keep.averages(0.1, 20), strict=True):
        np.testing.assert_allclose(one, other, rtol=3e-7, atol=1e-8)


def test_one_callback_goes_on_in_the_next_fit(tmp_path: Path) -> None:
    made, keep, tracking = model(), Keep(), callbacks.PowerEMA(tmp_path, sigma_rel=0.1)
    fit(made, keep, tracking, epochs=1)
    fit(made, keep, tracking, epochs=1)
    assert near(trained(tmp_path / "ema-0000020-0.1.keras"), keep.averages(0.1, 20))


@pytest.mark.parametrize(
    ("tracking", "words"),
    [
        (lambda folder: callbacks.PowerEMA(folder), "when the optimizer had done 20 steps, the model's has done 0"),
        (lambda folder: callbacks.PowerEMA(folder, sigma_rel=0.07), "have other relative widths than"),
    ],
    ids=["another step", "another width"],
)
def test_snapshots_of_another_training_are_refused(tracking: Callable[[Path], Any], words: str, half: Path) -> None:
    made = model() if "done 0" in words else keras.models.load_model(half / "model.keras")
    with pytest.raises(wtool.Usage, match=words):
        fit(made, tracking(half / "snaps"))
    assert len(list((half / "snaps").iterdir())) == 4


@pytest.mark.parametrize(
    "options",
    [
        {"sigma_rel": ()},
        {"sigma_rel": (0.05, 0.31)},
        {"sigma_rel": 0},
        {"every": 0},
        {"ending": ".h5"},
    ],
    ids=str,
)
def test_misuse_is_told(options: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(wtool.Usage):
        callbacks.PowerEMA(tmp_path, **options)
