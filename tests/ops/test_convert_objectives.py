"""Losses and metrics of converted models: Keras 3 reports what Keras 2 reported, under the same names."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
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
loss, metric = keras2.losses, keras2.metrics

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(16, 5)).astype("float32")
BITS = (RANDOM.random((16, 3)) < 0.5).astype("float32")
NUMBERS = RANDOM.integers(0, 3, 16)
CLASSES = np.eye(3, dtype="float32")[NUMBERS]

SINGLE: list[tuple[Any, str | None, dict[str, Any]]] = [
    (BITS, "sigmoid", {"loss": "bce", "metrics": ["accuracy", "mse", "MAE", "binary_crossentropy"]}),
    (BITS, "sigmoid", {"loss": "mse", "metrics": [metric.AUC(num_thresholds=20), metric.Recall([0.2, 0.5], name="r")]}),
    (
        BITS,
        None,
        {"loss": loss.BinaryCrossentropy(from_logits=True, label_smoothing=0.1), "weighted_metrics": ["mae"]},
    ),
    (CLASSES, "softmax", {"loss": "categorical_crossentropy", "metrics": ["acc", metric.TopKCategoricalAccuracy(2)]}),
    (CLASSES, "softmax", {"loss": "kld", "metrics": ["categorical_hinge", "logcosh", "poisson", metric.F1Score()]}),
    (NUMBERS, "softmax", {"loss": loss.SparseCategoricalCrossentropy(), "metrics": ["accuracy"]}),
    (BITS, None, {"loss": loss.Huber(delta=0.5), "metrics": [metric.RootMeanSquaredError(), "cosine_similarity"]}),
    (BITS, None, {"loss": loss.mean_squared_error, "metrics": [loss.mean_absolute_error, "msle", "mape"]}),
    (BITS, "sigmoid", {"loss": "huber_loss", "metrics": [metric.BinaryIoU([1], 0.5)]}),
    (CLASSES, "softmax", {"loss": loss.CategoricalFocalCrossentropy(0.3), "metrics": [metric.PrecisionAtRecall(0.5)]}),
    (BITS, "sigmoid", {"loss": loss.BinaryFocalCrossentropy(gamma=1.5), "metrics": [loss.binary_focal_crossentropy]}),
    (BITS, None, {"loss": loss.MeanSquaredError(reduction="sum")}),
]
DOUBLE: list[dict[str, Any]] = [
    {"loss": {"a": "mse", "b": "mae"}, "metrics": {"a": ["mae", "accuracy"]}, "loss_weights": {"a": 1, "b": 0.5}},
    {"loss": "mse", "metrics": ["mae", "mse"]},
    {"loss": ["mse", None], "metrics": [["mae"], []]},
    {
        "loss": ["mse", "mae"],
        "loss_weights": [1.0, 2.0],
        "metrics": [["mae"], ["mse"]],
        "weighted_metrics": [[], "mse"],
    },
    {"loss": {"a": "mse"}, "metrics": {"b": "mae"}},
]


def with_one_output(number: int) -> tuple[Any, Any]:
    """A compiled model of Keras 2, and its targets."""
    targets, activation, how = SINGLE[number]
    layers = keras2.layers
    model = keras2.Sequential([layers.Input((5,), name="i"), layers.Dense(3, activation, name="a")])
    model.compile("sgd", **how)
    return model, targets


def with_two_outputs(number: int) -> tuple[Any, Any]:
    """A compiled model of Keras 2, and its targets."""
    inputs = keras2.Input((5,), name="i")
    model = keras2.Model(inputs, [keras2.layers.Dense(3, name=each)(inputs) for each in "ab"])
    model.compile("sgd", **DOUBLE[number])
    return model, [BITS, CLASSES]


@dataclass(frozen=True)
class Reported:
    """What a model of Keras 2 reports.

    Attributes:
        folder: with the model's files, one for each ending.
        targets: of the model.
        values: the reported ones, by the names that Keras 3 is to report.
    """

    folder: Path
    targets: Any
    values: dict[str, float]


def reported(model: Any, targets: Any, folder: Path) -> Reported:
    """Train a model for a step, and save it."""
    model.run_eagerly = True
    model.train_on_batch(X, targets)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in ("old.h5", "old.keras"):
            model.save(folder / name)
    values = model.evaluate(X, targets, verbose=0, return_dict=True)
    if any(part is None for part in _parts(model.loss)):
        values.pop("a_loss")  # Keras 3 does not report the only loss twice
    return Reported(folder, targets, values)


Known = Callable[[Callable[[int], tuple[Any, Any]], int], Reported]


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Known:
    """Gives what a model of Keras 2 reports; each model is made once."""
    return cache(lambda make, number: reported(*make(number), tmp_path_factory.mktemp("saved")))


def assert_reports_alike(before: Reported, name: str, path: Path) -> None:
    """Hold the reports of a model of Keras 2 against those of the converted model, which Keras loads in safe mode."""
    wtool.convert(before.folder / name, output=path)
    new = keras.models.load_model(path)
    new.run_eagerly = True
    after = new.evaluate(X, before.targets, verbose=0, return_dict=True)
    assert set(before.values) == set(after)
    for metric_name, value in before.values.items():
        np.testing.assert_allclose(after[metric_name], value, rtol=1e-4, atol=1e-6, err_msg=metric_name)


def _parts(losses: Any) -> list[Any]:
    if isinstance(losses, Mapping):
        return [losses.get(name) for name in "ab"]
    return losses if isinstance(losses, list) else [losses]


@pytest.mark.parametrize(("name", "ending"), [("old.h5", "keras"), ("old.keras", "keras"), ("old.h5", "h5")])
@pytest.mark.parametrize("number", range(len(SINGLE)))
def test_a_model_with_one_output_reports_alike(
    number: int, name: str, ending: str, known: Known, tmp_path: Path
) -> None:
    assert_reports_alike(known(with_one_output, number), name, tmp_path / f"new.{ending}")


@pytest.mark.parametrize(("name", "ending"), [("old.h5", "keras"), ("old.keras", "keras")])
@pytest.mark.parametrize("number", range(len(DOUBLE)), ids=map(str, DOUBLE))
def test_a_model_with_two_outputs_reports_alike(
    number: int, name: str, ending: str, known: Known, tmp_path: Path
) -> None:
    assert_reports_alike(known(with_two_outputs, number), name, tmp_path / f"new.{ending}")


def test_functions_of_the_user_s_own_are_registered_and_work(tmp_path: Path) -> None:
    import tensorflow as tf

    def mine(targets: Any, outputs: Any) -> Any:
        return tf.reduce_mean(tf.abs(targets - outputs), -1)

    model = keras2.Sequential([keras2.layers.Input((5,), name="i"), keras2.layers.Dense(3, name="a")])
    model.compile("sgd", mine, metrics=[mine], run_eagerly=True)
    model.train_on_batch(X, BITS)
    model.save(tmp_path / "old.h5")
    (done,) = wtool.convert(tmp_path / "old.h5", output=tmp_path / "new.keras")
    assert [note.split(" before")[0] for note in done.notes] == ["register the loss mine", "register the metric mine"]
    assert not keras.models.load_model(tmp_path / "new.keras", compile=False).compiled
    new = keras.models.load_model(tmp_path / "new.keras", custom_objects={"mine": mine})
    before, after = (each.evaluate(X, BITS, verbose=0) for each in (model, new))
    np.testing.assert_allclose(before, after, rtol=1e-5)
