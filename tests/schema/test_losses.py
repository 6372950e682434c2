"""Which values of losses and metrics are better, against Keras's own metrics."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from wtool.errors import Usage
from wtool.schema.losses import SHORT, as_asked_for, mode_of

ASKED = {"num_classes": 2, "target_class_ids": [0], "normalizer": [1.0], "fn": lambda true, predicted: true}


@pytest.mark.parametrize(
    ("metric", "mode"),
    [
        ("loss", "min"),
        ("val_loss", "min"),
        ("val_acc", "max"),
        ("out_auc_1", "max"),
        ("head/val_mean_squared_error", "min"),
        ("val_MeanIoU", "max"),
        ("first_sparse_categorical_crossentropy_2", "min"),
        *((short, "min") for short in SHORT),
    ],
)
def test_the_better_value_is_told_by_the_name(metric: str, mode: str) -> None:
    assert mode_of(metric) == mode


@pytest.mark.parametrize("metric", ["score", "epoch", "glossary", "black", "", "time_per_step"])
def test_a_name_that_tells_nothing_is_refused(metric: str) -> None:
    with pytest.raises(Usage, match="say --mode max or --mode min"):
        mode_of(metric)


@pytest.mark.tensorflow
def test_as_keras_has_it() -> None:
    metrics = pytest.importorskip("keras.src.metrics")
    told = {}
    for kind in metrics.ALL_OBJECTS:
        parameters = inspect.signature(kind.__init__).parameters.values()
        asked = {each.name: ASKED.get(each.name, 0.5) for each in parameters if each.default is each.empty}
        made = kind(**{name: value for name, value in asked.items() if name not in ("self", "kwargs", "args")})
        direction = getattr(made, "_direction", None)
        if direction is not None:
            told[made.name] = {"up": "max", "down": "min"}[direction]
    assert {name: mode_of(name) for name in told} == told
    assert len(told) > 30


def wrapped(name: str, fn: str) -> dict[str, Any]:
    return {"class_name": "MeanMetricWrapper", "config": {"name": name, "dtype": "float32", "fn": fn}}


@pytest.mark.parametrize(
    ("stored", "asked"),
    [
        ([[wrapped("accuracy", "sparse_categorical_accuracy")]], ["accuracy"]),
        ([wrapped("acc", "binary_accuracy"), "mae"], ["acc", "mae"]),
        ([["mae"], ["mse"]], [["mae"], ["mse"]]),
        ([wrapped("accuracy", "top_k_categorical_accuracy")], [wrapped("accuracy", "top_k_categorical_accuracy")]),
        ([wrapped("mine", "binary_accuracy")], [wrapped("mine", "binary_accuracy")]),
        ([{"class_name": "MeanMetricWrapper", "config": []}], [{"class_name": "MeanMetricWrapper", "config": []}]),
        (None, None),
    ],
)
def test_a_metric_is_called_as_its_author_asked_for_it(stored: Any, asked: Any) -> None:
    """`mlp.h5` of TensorFlow 2.13 has the first form, and `mlp.keras` of the same model its name."""
    assert as_asked_for(stored) == asked
