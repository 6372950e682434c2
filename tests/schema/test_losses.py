"""Which values of losses and metrics are better, against Keras's own metrics."""

from __future__ import annotations

import inspect

import pytest

from wtool.errors import Usage
from wtool.schema.losses import SHORT, mode_of

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
