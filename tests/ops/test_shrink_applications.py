"""Known architectures at half of their channels: stock Keras loads them, trains them on, and predicts."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wtool

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]
keras = pytest.importorskip("keras")
L = keras.layers


@pytest.fixture(autouse=True)
def quiet() -> Any:
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


def application(name: str) -> Callable[[], Any]:
    return lambda: getattr(keras.applications, name)(weights=None, input_shape=(32, 32, 3), classes=4)


def transformer_encoder() -> Any:
    inputs = keras.Input((6,), dtype="int32")
    x = L.Embedding(20, 16)(inputs)
    for _ in range(2):
        attended = L.MultiHeadAttention(4, 4)(x, x)
        x = L.LayerNormalization()(L.Add()([x, L.Dropout(0.1)(attended)]))
        x = L.LayerNormalization()(L.Add()([x, L.Dense(16)(L.Dense(32, activation="gelu")(x))]))
    return keras.Model(inputs, L.Dense(4)(L.GlobalAveragePooling1D()(x)))


def stacked_lstm() -> Any:
    inputs = keras.Input((6, 5))
    x = L.Bidirectional(L.LSTM(12, return_sequences=True))(inputs)
    x = L.LSTM(10, return_sequences=True)(x)
    return keras.Model(inputs, L.Dense(4)(L.LSTM(8)(x)))


MODELS: dict[str, tuple[Callable[[], Any], float]] = {
    **{name: (application(name), 0.55) for name in ("MobileNetV2", "ResNet50", "DenseNet121", "EfficientNetB0")},
    "transformer encoder": (transformer_encoder, 0.55),
    "stacked LSTM": (stacked_lstm, 0.4),
}
"""Models, and the largest share of their parameters that half of the channels have."""


@pytest.mark.parametrize("name", MODELS)
def test_half_of_the_channels(name: str, tmp_path: Path) -> None:
    make, most = MODELS[name]
    model = make()
    model.save(tmp_path / "old.keras")
    (result,) = wtool.shrink(tmp_path / "old.keras", sparsity=0.5, output=tmp_path / "new.keras")
    new = keras.models.load_model(tmp_path / "new.keras")
    assert result.parameters == (model.count_params(), new.count_params())
    assert new.count_params() < most * model.count_params()
    assert list(result.stays.values()) == ["the model's output has them"]
    rng = np.random.default_rng(0)
    shape = (2, *new.inputs[0].shape[1:])
    inputs = rng.integers(0, 20, shape) if "int" in new.inputs[0].dtype else rng.normal(size=shape).astype("float32")
    assert np.isfinite(new(inputs)).all()
    new.compile(keras.optimizers.SGD(1e-3), "mse", run_eagerly=True)
    assert np.isfinite(new.train_on_batch(inputs, np.ones((2, 4), "float32")))
