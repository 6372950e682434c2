"""Early stopping, learning rates that fall and the best model, against Keras's own callbacks in one whole run."""

from __future__ import annotations

import inspect
import json
import os
import signal
import zipfile
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wtool

pytestmark = pytest.mark.tensorflow
keras = pytest.importorskip("keras")
monitor_options = pytest.importorskip("wtool.training.monitor_options")
monitors = pytest.importorskip("wtool.training.fitting.monitors")

RANDOM = np.random.default_rng(3)
X = RANDOM.normal(size=(120, 6)).astype(np.float32)
Y = RANDOM.integers(0, 3, 120)
"""Noise, so that validation becomes worse after a few epochs."""

HOW: dict[str, Any] = {"data": "noise.npz", "validation_split": 0.25, "batch_size": 30, "shuffle": False, "seed": 1}
WORDS = {"early_stopping": "monitor=val_loss,patience=4", "reduce_lr": "monitor=val_loss,factor=.5,patience=2"}


def model(rate: float = 0.05) -> Any:
    keras.utils.set_random_seed(4)
    made = keras.Sequential(
        [keras.Input((6,)), keras.layers.Dense(24, activation="relu", name="hidden"), keras.layers.Dense(3, name="out")]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    made.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"])
    return made


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    model().save("init.keras")
    np.savez("noise.npz", x=X, y=Y)
    return tmp_path


def load(path: Path | str) -> Any:
    return keras.models.load_model(path)


def state(model: Any) -> list[Any]:
    return [np.asarray(each).copy() for each in (*model.weights, *model.optimizer.variables)]


def assert_same(one: Any, other: Any) -> None:
    for left, right in zip(state(one), state(other), strict=True):
        assert np.array_equal(left, right)


def content(path: Path | str) -> dict[str, Any]:
    """Returns what is in a `.keras` file, but for the time when Keras saved the model, and what depends on the time."""
    with zipfile.ZipFile(path) as archive:
        found: dict[str, Any] = {name: archive.read(name) for name in archive.namelist()}
    metadata = json.loads(found.pop("metadata.json"))
    record = metadata["wtool_lineage"][-1]
    return {**found, "record": {name: value for name, value in record.items() if name != "result"}}


def plain(epochs: int, *more: Any) -> tuple[Any, Any]:
    """Returns the model after Keras's own training with its own callbacks, and the history."""
    made = load("init.keras")
    callbacks = [
        keras.callbacks.EarlyStopping("val_loss", patience=4),
        keras.callbacks.ReduceLROnPlateau("val_loss", factor=0.5, patience=2),
        *more,
    ]
    told = made.fit(
        X, Y, validation_split=0.25, epochs=epochs, batch_size=30, shuffle=False, verbose=0, callbacks=callbacks
    )
    return made, told.history


def test_training_ends_where_it_ends_in_keras_and_a_finished_one_is_skipped(here: Path) -> None:
    best = keras.callbacks.ModelCheckpoint("plain.keras", "val_loss", save_best_only=True)
    made, history = plain(30, best)
    count = len(history["loss"])
    assert 4 < count < 30
    done = wtool.resume(
        "init.keras", epochs=30, output="out.keras", checkpoints="run", save_best="val_loss", **WORDS, **HOW
    )
    assert done.epochs == count
    best_epoch = int(np.argmin(history["val_loss"])) + 1
    ended = f"--early-stopping ended training after epoch {count}: val_loss was best in epoch {best_epoch}"
    assert done.notes == (ended,)
    assert done.metrics["learning_rate"] == history["learning_rate"][-1] < 0.05
    assert_same(load("out.keras"), made)
    assert_same(load("run/best.keras"), load("plain.keras"))
    record = wtool.inspect("run/best.keras")["lineage"][-1]
    assert record["epoch"] == best_epoch == record["callbacks"]["save_best"]["best_epoch"]
    again = wtool.resume(
        "init.keras", epochs=30, output="out.keras", checkpoints="run", save_best="val_loss", **WORDS, **HOW
    )
    assert (again.skipped, again.epochs) == (True, count)
    before = content("out.keras")
    os.unlink("out.keras")
    wtool.resume("init.keras", epochs=30, output="out.keras", checkpoints="run", save_best="val_loss", **WORDS, **HOW)
    assert content("out.keras") == before


def killed_after(epoch: int) -> Any:
    """Returns a report that ends the process's training behind an epoch, as a kill would."""

    def report(told: Any) -> None:
        if told.number == epoch:
            raise KeyboardInterrupt

    return report


def test_a_killed_run_goes_on_to_the_same_files(here: Path) -> None:
    words = {"epochs": 30, "save_best": "monitor=val_accuracy,mode=max", **WORDS, **HOW}
    wtool.resume("init.keras", output="whole.keras", checkpoints="whole", **words)
    for epoch in (2, 5):
        with pytest.raises(KeyboardInterrupt):
            wtool.resume("init.keras", output="out.keras", checkpoints="run", report=killed_after(epoch), **words)
    wtool.resume("init.keras", output="out.keras", checkpoints="run", **words)
    assert content("out.keras") == content("whole.keras")
    assert sorted(os.listdir("run")) == sorted(os.listdir("whole"))
    for name in os.listdir("run"):
        assert content(f"run/{name}") == content(f"whole/{name}")


def test_legs_are_one_training(here: Path) -> None:
    made, history = plain(30)
    words = {"save_best": "val_loss", "checkpoints": "run", **WORDS, **HOW}
    wtool.resume("init.keras", epochs=3, output="three.keras", **words)
    done = wtool.resume("three.keras", epochs=27, output="last.keras", **words)
    assert done.epochs == len(history["loss"])
    assert_same(load("last.keras"), made)
    assert wtool.inspect("run/best.keras")["lineage"][-1]["epoch"] == int(np.argmin(history["val_loss"])) + 1
    later = wtool.resume("last.keras", epochs=25, output="later.keras", early_stopping="patience=4", **HOW)
    assert later.epochs == done.epochs + 4  # patience begins anew, and the best value stays
    averaged = wtool.average(["run"], output="average.keras")
    assert len(averaged.inputs) == done.epochs
    assert averaged.notes[0] == "run/best.keras is the best of the checkpoints beside it, not another input"
    with pytest.raises(wtool.WtoolError, match=r"best\.keras: exists already, and is of another training"):
        wtool.resume("init.keras", epochs=1, output="x.keras", **{**words, "seed": 2, "save_every": 9})


def test_a_transform_in_between_makes_the_best_value_one_of_another_model(here: Path) -> None:
    done = wtool.resume("init.keras", epochs=30, output="out.keras", **WORDS, **HOW)
    wtool.prune("out.keras", sparsity=0.9, output="pruned.keras")
    wtool.resume("pruned.keras", epochs=2, output="last.keras", early_stopping="patience=9", **HOW)
    told = wtool.inspect("last.keras")["lineage"][-1]["callbacks"]["early_stopping"]
    assert told["best_epoch"] >= done.epochs
    assert told["wait"] <= 1


@pytest.mark.parametrize("monitor", ["loss", "val_loss"])
def test_a_signal_in_the_middle_of_an_epoch(monitor: str, here: Path) -> None:
    """The loss of the rest of an epoch is not that of the epoch, so that epoch is finished where it is watched."""
    words = {"epochs": 6, "reduce_lr": {"monitor": monitor, "factor": 0.5, "patience": 1, "min_delta": 0.05}, **HOW}
    wtool.resume("init.keras", output="whole.keras", **words)

    class Press(keras.callbacks.Callback):  # type: ignore[misc,name-defined]
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if int(self.model.optimizer.iterations) == 8:
                signal.raise_signal(signal.SIGINT)

    running = pytest.importorskip("wtool.training.training_run")
    with pytest.MonkeyPatch.context() as patch:
        real = running.fit
        patch.setattr(
            running, "fit", lambda *given, callbacks, **more: real(*given, callbacks=[*callbacks, Press()], **more)
        )
        assert wtool.resume("init.keras", output="out.keras", **words).signal == signal.SIGINT
    record = wtool.inspect("out.keras")["lineage"][-1]
    assert (record["epoch"], record.get("batch")) == ((3, None) if monitor == "loss" else (2, 2))
    wtool.resume("init.keras", output="out.keras", **words)
    assert content("out.keras") == content("whole.keras")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            {"early_stopping": "patience=2", "validation_split": None},
            "--early-stopping watches val_loss: name --validat",
        ),
        (
            {"early_stopping": "val_acc"},
            "--early-stopping watches val_acc, and the training has only accuracy, loss, val",
        ),
        ({"save_best": "val_loss"}, r"--save-best METRIC needs a folder, --checkpoints"),
        ({"reduce_lr": "factor=2"}, "a factor of 2.0 is not between 0 and 1"),
        ({"reduce_lr": {"factr": 0.5}}, "--reduce-lr has no word 'factr'; did you mean factor"),
        ({"early_stopping": "mode=best"}, "'best' is no mode; choose auto, min, max"),
        ({"early_stopping": "patience=-1"}, "a patience of -1 is not a number of epochs"),
    ],
)
def test_what_cannot_be_watched_is_told(words: dict[str, Any], told: str, here: Path) -> None:
    with pytest.raises(wtool.Usage, match=told):
        wtool.resume("init.keras", epochs=2, output="out.keras", **{**HOW, **words})
    assert not os.path.exists("out.keras")


def test_a_schedule_cannot_be_reduced(here: Path) -> None:
    model(keras.optimizers.schedules.CosineDecay(0.01, 60)).save("init.keras")
    with pytest.raises(wtool.Usage, match="the learning rate follows a schedule and cannot be set"):
        wtool.resume("init.keras", epochs=2, output="out.keras", reduce_lr="patience=1", **HOW)


def test_settings_are_the_parameters_of_keras() -> None:
    left_out = {"verbose", "restore_best_weights", "kwargs", "self"}
    for kind, own in (
        (keras.callbacks.EarlyStopping, monitor_options.EarlyStopping),
        (keras.callbacks.ReduceLROnPlateau, monitor_options.ReduceLR),
    ):
        known = {each.name: each.default for each in inspect.signature(kind).parameters.values()}
        assert {each.name: each.default for each in fields(own)} == {
            name: default for name, default in known.items() if name not in left_out
        }


@pytest.mark.parametrize(
    "state",
    [
        None,
        [],
        {"monitor": "val_loss", "mode": "auto"},
        {"monitor": "loss", "mode": "auto", "best": 1.0, "wait": 0, "best_epoch": 0, "stopped_epoch": 0},
        {"monitor": "val_loss", "mode": "auto", "best": [], "wait": 0, "best_epoch": 0, "stopped_epoch": 0},
        {"monitor": "val_loss", "mode": "auto", "best": 1.0, "wait": True, "best_epoch": 0, "stopped_epoch": 0},
        {"monitor": "val_loss", "mode": "auto", "best": 1.0, "wait": -1, "best_epoch": 0, "stopped_epoch": 0},
    ],
)
def test_states_of_strangers_are_not_taken(state: Any) -> None:
    (callback,) = monitors.watching([monitor_options.EarlyStopping()], None, pytest.fail)
    before = callback.state()
    assert not callback.restore(state)
    assert callback.state() == before


@pytest.mark.parametrize("best", [None, 0.1, np.inf, -np.inf])
def test_states_are_kept(best: float | None) -> None:
    one, other = (monitors.watching([monitor_options.EarlyStopping()], None, pytest.fail)[0] for _ in range(2))
    one.best, one.wait = best, 3
    assert other.restore(one.state())
    assert (other.best, other.wait) == (best, 3)
