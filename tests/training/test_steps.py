"""Epochs of so many batches, and weights of classes, against Keras's own `fit`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wtool

pytestmark = pytest.mark.tensorflow
keras = pytest.importorskip("keras")
samples = pytest.importorskip("wtool.training.data.samples")

RANDOM = np.random.default_rng(5)
X = RANDOM.normal(size=(60, 6)).astype(np.float32)
Y = RANDOM.integers(0, 3, 60)
HOW: dict[str, Any] = {"data": "noise.npz", "batch_size": 10, "seed": 1}
"""Six batches are all samples."""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    keras.utils.set_random_seed(4)
    made = keras.Sequential([keras.Input((6,)), keras.layers.Dense(8, activation="relu"), keras.layers.Dense(3)])
    made.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    made.save("init.keras")
    np.savez("noise.npz", x=X, y=Y)
    return tmp_path


def load(path: Path | str) -> Any:
    return keras.models.load_model(path)


def assert_same(one: Any, other: Any) -> None:
    pairs = zip((*one.weights, *one.optimizer.variables), (*other.weights, *other.optimizer.variables), strict=True)
    assert all(np.array_equal(left, right) for left, right in pairs)


@pytest.mark.parametrize("weights", ["1=5,0=.5", {0: 0.5, 1: 5}])
def test_weights_of_classes_are_those_of_keras(weights: Any, here: Path) -> None:
    plain = load("init.keras")
    plain.fit(X, Y, epochs=2, batch_size=10, shuffle=False, verbose=0, class_weight={0: 0.5, 1: 5.0})
    done = wtool.resume("init.keras", epochs=2, output="out.keras", shuffle=False, class_weight=weights, **HOW)
    assert_same(load("out.keras"), plain)
    assert wtool.inspect("out.keras")["lineage"][-1]["parameters"]["class_weight"] == {"0": 0.5, "1": 5.0}
    assert wtool.resume("init.keras", epochs=2, output="out.keras", shuffle=False, class_weight=weights, **HOW).skipped
    assert set(done.metrics) == {"loss"}


def test_weights_of_classes_and_of_samples_do_not_go_together(here: Path) -> None:
    np.savez("noise.npz", x=X, y=Y, sample_weight=np.ones(60, np.float32))
    with pytest.raises(wtool.WtoolError, match=r"Keras cannot train it with this data .*class_weight"):
        wtool.resume("init.keras", epochs=1, output="out.keras", class_weight="0=2", **HOW)


def test_epochs_of_three_batches_are_those_of_keras(here: Path) -> None:
    plain = load("init.keras")
    plain.fit(X, Y, epochs=4, steps_per_epoch=3, batch_size=10, shuffle=False, verbose=0)
    wtool.resume("init.keras", epochs=4, output="out.keras", shuffle=False, steps_per_epoch=3, **HOW)
    assert_same(load("out.keras"), plain)


@pytest.mark.parametrize("steps", [4, 15])
def test_samples_come_again_in_another_order_when_all_were_read(steps: int, here: Path) -> None:
    """Two epochs of 4 batches read all samples once and a third of them again; 15 are two and a half times all."""
    plain = load("init.keras")
    order = np.concatenate([samples.order(1, turn, 60) for turn in range(5)])[: 2 * steps * 10]
    plain.fit(X[order], Y[order], epochs=1, batch_size=10, shuffle=False, verbose=0)
    wtool.resume("init.keras", epochs=1, output="one.keras", steps_per_epoch=steps, **HOW)
    done = wtool.resume("one.keras", epochs=1, output="two.keras", steps_per_epoch=steps, **HOW)
    assert_same(load("two.keras"), plain)
    assert done.epochs == 2


SOURCES = """
import itertools
import keras
import numpy as np
import tensorflow as tf
x, y = (np.load("noise.npz")[name] for name in "xy")
def endless(): return tf.data.Dataset.from_tensor_slices((x, y)).batch(10).repeat()
def once(): return tf.data.Dataset.from_tensor_slices((x, y)).batch(10)
def generated(): return ((x[at:at + 10], y[at:at + 10]) for at in itertools.cycle(range(0, 60, 10)))
class Own(keras.utils.PyDataset):
    def __len__(self): return 6
    def __getitem__(self, at): return x[10 * at:10 * at + 10], y[10 * at:10 * at + 10]
def own(): return Own()
"""


@pytest.mark.parametrize("source", ["endless", "once", "generated"])
def test_datasets_go_on_and_may_be_endless(source: str, here: Path) -> None:
    Path(f"sources_{source}.py").write_text(SOURCES)
    how = {"data": f"sources_{source}:{source}", "seed": 1, "steps_per_epoch": 4}
    read = np.arange(40) if source == "generated" else np.arange(160) % 60
    order = np.tile(read, 4)[:160]
    plain = load("init.keras")
    plain.fit(X[order], Y[order], epochs=1, batch_size=10, shuffle=False, verbose=0)
    wtool.resume("init.keras", epochs=3, output="three.keras", **how)
    wtool.resume("three.keras", epochs=1, output="four.keras", **how)
    assert_same(load("four.keras"), plain)


def test_other_data_has_no_such_epochs(here: Path) -> None:
    Path("sources_own.py").write_text(SOURCES)
    with pytest.raises(wtool.Usage, match="--steps-per-epoch needs data that can be had from its middle on"):
        wtool.resume("init.keras", data="sources_own:own", epochs=1, output="out.keras", steps_per_epoch=2)
    with pytest.raises(wtool.Usage, match="a dataset that never ends has no epochs; --steps-per-epoch N makes some"):
        wtool.resume("init.keras", data="sources_own:endless", epochs=1, output="out.keras")
    assert not os.path.exists("out.keras")
