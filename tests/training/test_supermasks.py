"""Supermasks: networks that were never trained, under masks, evaluated from the words of the documentation."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wtool
from tests import forkserver
from tests.models import Array

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]
keras = pytest.importorskip("keras")
datasets = pytest.importorskip("sklearn.datasets")

WORDS = """
prune trained.keras --criterion lfss --sparsity .8 --initial init.keras -o mask.keras
rewind mask.keras --initial init.keras -o supermask.keras
constant mask.keras --initial init.keras -o signed.keras
rewind mask.keras --initial init.keras --pruned initial -o frozen.keras
"""


def test_the_accuracy_of_masked_initial_networks_is_numpys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    x, y = datasets.load_digits(return_X_y=True)
    x = (x / 16).astype(np.float32)
    np.savez("digits.npz", x=x, y=y)
    keras.utils.set_random_seed(1)
    layers = [keras.layers.Dense(64, activation="relu", name="hidden"), keras.layers.Dense(10, name="output")]
    model = keras.Sequential([keras.Input((64,)), *layers])
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    model.save("init.keras")
    initial = weights(model)
    model.fit(x, y, epochs=8, verbose=0)
    model.save("trained.keras")
    for line in WORDS.strip().splitlines():
        subprocess.run(forkserver.wtool(*shlex.split(line)), check=True)
    done = wtool.evaluate(["supermask.keras", "signed.keras", "frozen.keras"], data="digits.npz")
    found = {each.model: each.metrics["accuracy"] for each in done}
    kept = [_kept(final, first) for final, first in zip(weights(model), initial, strict=True)]
    deviations = [np.sqrt(2 / sum(each.shape)) for each in initial]  # of Glorot's uniform initializer
    masked = [np.where(mask, first, 0) for mask, first in zip(kept, initial, strict=True)]
    signed = [np.where(m, np.sign(first) * d, 0) for m, first, d in zip(kept, initial, deviations, strict=True)]
    assert found["supermask.keras"] == pytest.approx(accuracy(masked, x, y), abs=1e-3)
    assert found["signed.keras"] == pytest.approx(accuracy(signed, x, y), abs=1e-3)
    assert found["frozen.keras"] == pytest.approx(accuracy(initial, x, y), abs=1e-3)
    assert found["supermask.keras"] > 0.4  # far from chance, .1


def weights(model: Any) -> list[Array]:
    return [keras.ops.convert_to_numpy(layer.kernel) for layer in model.layers]


def _kept(final: Array, initial: Array) -> Array:
    """Large final values of the same sign, the upper fifth of a kernel."""
    scores = np.maximum(0, final * np.sign(initial)).reshape(-1)
    kept = np.ones(scores.size, bool)
    kept[np.argsort(scores, kind="stable")[: round(0.8 * scores.size)]] = False
    return kept.reshape(final.shape)


def accuracy(kernels: list[Array], x: Array, y: Array) -> float:
    """Of a network without biases, which are zero where nothing was trained."""
    first, second = kernels
    return float(np.mean(np.argmax(np.maximum(x @ first, 0) @ second, axis=1) == y))
