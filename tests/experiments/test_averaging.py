"""The experiments on averaging and overfitting: their data, and what they hold wtool against."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from tests.experiments.scripts import FOLDER

pytest.importorskip("tensorflow")
pytest.importorskip("sklearn")

pytestmark = [pytest.mark.slow, pytest.mark.tensorflow]


@pytest.fixture
def averaging(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FOLDER))
    import averaging

    return averaging


def test_batches_are_in_another_order_in_each_epoch(averaging: ModuleType) -> None:
    from digits import Samples

    batches = averaging.shuffled(Samples(np.arange(12.0)[:, None], np.arange(12)), 4, seed=3)
    epochs = [np.concatenate([np.asarray(y) for _, y in batches]) for _ in range(3)]
    assert all(sorted(epoch) == list(range(12)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    again = averaging.shuffled(Samples(np.arange(12.0)[:, None], np.arange(12)), 4, seed=3)
    assert np.array_equal(np.concatenate([np.asarray(y) for _, y in again]), epochs[0])


def test_the_tutorials_split(averaging: ModuleType) -> None:
    """The values of scikit-learn, of which the first hundred are trained on; other splits have the same points."""
    from sklearn.datasets import make_blobs

    x, y = make_blobs(n_samples=1100, centers=3, n_features=2, cluster_std=2, random_state=2)
    train, test = averaging.three_blobs(0, 1)
    assert np.array_equal(train.x, x[:100].astype(np.float32))
    assert np.array_equal(test.y, y[100:])
    train, test = averaging.three_blobs(1, 1)
    assert len(train.y) == 100
    assert sorted(map(tuple, np.concatenate([train.x, test.x]))) == sorted(map(tuple, x.astype(np.float32)))


def test_a_fifth_of_the_labels_is_wrong(averaging: ModuleType) -> None:
    noisy, test = averaging.noisy_digits(2, 1)
    clean, same = averaging.parts(0.5, seed=2)
    assert np.array_equal(noisy.x, clean.x)
    assert np.array_equal(test.y, same.y)
    assert 0.12 < np.mean(noisy.y != clean.y) < 0.24  # a tenth of the random classes are right


def test_another_average_is_refused(averaging: ModuleType) -> None:
    members = [[np.full((2, 3), value, np.float32)] for value in (1, 4)]
    averaging.refuse_another_average("linear", [np.full((2, 3), 2, np.float32)], members)
    with pytest.raises(AssertionError, match="the linear average of 2 models is not the tutorial's"):
        averaging.refuse_another_average("linear", [np.full((2, 3), 3, np.float32)], members)


def test_the_ensemble_and_single_models_are_those_of_evaluate(averaging: ModuleType, tmp_path: Path) -> None:
    import wtool

    settings = averaging.Settings(blob_epochs=4, members=3)
    found = averaging.measured(averaging.tasks(settings)["blobs, SGD"], 0, 1, tmp_path / "run", 3)
    paths = [tmp_path / "run" / f"ckpt-{number}.keras" for number in (4, 3, 2)]
    _, test = averaging.three_blobs(0, 1)
    np.savez(tmp_path / "test.npz", x=test.x, y=test.y)
    told = [each.metrics["accuracy"] for each in wtool.evaluate(paths, data=tmp_path / "test.npz", ensemble=True)]
    np.testing.assert_allclose(told, [*found["one model"], found["ensemble"][-1]], atol=1e-6)
    average = wtool.evaluate(tmp_path / "run" / "linear-3.keras", data=tmp_path / "test.npz")
    np.testing.assert_allclose(average[0].metrics["accuracy"], found["linear"][-1], atol=1e-6)


def test_callbacks_are_held_against_the_definitions(averaging: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    import overfitting

    overfitting.refuse_another_callback()
    monkeypatch.setattr(overfitting, "Pruning", overfitting.NeuroPlast)
    with pytest.raises(AssertionError, match="a callback does not do"):
        overfitting.refuse_another_callback()
