"""Training that goes on after a conversion: the same losses and weights as if the old Keras had gone on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wtool

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("plain_recurrence")]
keras = pytest.importorskip("keras")
tf_keras = pytest.importorskip("tf_keras")

BATCHES, BATCH = 3, 8
LOSS = "sparse_categorical_crossentropy"


def convolutions() -> Any:
    layers = tf_keras.layers
    return tf_keras.Sequential(
        [
            layers.Conv2D(4, 3, activation="relu", input_shape=(8, 8, 3), kernel_regularizer="l2"),
            layers.BatchNormalization(),
            layers.DepthwiseConv2D(3, activation="relu6"),
            layers.BatchNormalization(momentum=0.9, scale=False),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, activation="softmax"),
        ]
    )


def sequences() -> Any:
    layers = tf_keras.layers
    inputs = tf_keras.Input((3, 5))
    hidden = layers.Bidirectional(layers.LSTM(4, return_sequences=True, recurrent_activation="hard_sigmoid"))(inputs)
    hidden = layers.GRU(4, reset_after=False)(layers.LayerNormalization()(hidden))
    return tf_keras.Model(inputs, layers.Dense(3, activation="softmax")(hidden))


def unsorted_axes() -> Any:
    layers = tf_keras.layers
    inputs = tf_keras.Input((4, 5, 6))
    hidden = layers.LayerNormalization(axis=[3, 1])(layers.LayerNormalization(axis=(-1, -2))(inputs))
    return tf_keras.Model(inputs, layers.Dense(3, activation="softmax")(layers.Flatten()(hidden)))


def residual() -> Any:
    layers = tf_keras.layers
    inputs = tf_keras.Input((12,), name="in/put")
    hidden = layers.Dense(12, activation="tanh", name="block/dense")(inputs)
    inner = tf_keras.Sequential([layers.Dense(12, activation="swish"), layers.Dense(12)], name="inner")
    outputs = layers.Dense(3, activation="softmax")(inner(hidden) * 0.5 + hidden)
    return tf_keras.Model(inputs, outputs)


def frozen() -> Any:
    model = residual()
    model.get_layer("inner").layers[0].trainable = False
    return model


def of_layers(layers: Any) -> Any:
    """Returns a class of layers with variables of its own, in one of the Kerases."""

    class Own(layers.Layer):  # type: ignore[misc]
        def build(self, shape: Any) -> None:
            self.w = self.add_weight(name="w", shape=(shape[-1], 4), initializer="glorot_uniform")
            self.count = self.add_weight(name="count", shape=(2,), initializer="zeros", trainable=False)
            self.b = self.add_weight(name="b", shape=(4,), initializer="zeros")

        def call(self, x: Any) -> Any:
            return x @ self.w + self.b

    return Own


OWN = tf_keras.utils.register_keras_serializable("Tests")(of_layers(tf_keras.layers))
keras.saving.register_keras_serializable("Tests")(of_layers(keras.layers))


def custom() -> Any:
    layers = tf_keras.layers
    return tf_keras.Sequential([layers.Dense(5, input_shape=(7,)), OWN(), layers.Dense(3, activation="softmax")])


OPTIMIZERS: dict[str, Callable[[], Any]] = {
    "Adam": lambda: tf_keras.optimizers.Adam(0.01, clipnorm=1.0),
    "AdamW": lambda: tf_keras.optimizers.AdamW(
        tf_keras.optimizers.schedules.CosineDecay(0.01, 20), weight_decay=0.01, amsgrad=True
    ),
    "SGD": lambda: tf_keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True),
    "RMSprop": lambda: tf_keras.optimizers.RMSprop(0.01, momentum=0.5, centered=True),
    "old Adam": lambda: tf_keras.optimizers.legacy.Adam(0.01, decay=0.1),
    "old SGD": lambda: tf_keras.optimizers.legacy.SGD(0.05, momentum=0.9),
}
CASES = [
    (convolutions, "Adam", "h5"), (convolutions, "RMSprop", "keras"), (sequences, "old SGD", "h5"),
    (residual, "AdamW", "keras"), (residual, "old Adam", "h5"), (frozen, "SGD", "keras"),
    (custom, "Adam", "h5"), (custom, "SGD", "keras"), (unsorted_axes, "Adam", "h5"),
]  # fmt: skip


def fit(model: Any, seed: int) -> list[float]:
    """Returns the losses of one epoch, batch by batch."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(BATCHES, BATCH, *model.input_shape[1:])).astype("float32")
    y = rng.integers(0, 3, (BATCHES, BATCH))
    losses = []
    for images, labels in zip(x, y, strict=True):
        model.reset_metrics()  # train_on_batch gives the mean since the last reset
        losses.append(float(model.train_on_batch(images, labels, return_dict=True)["loss"]))
    return losses


@pytest.mark.parametrize(("make", "optimizer", "ending"), CASES)
def test_an_epoch_more_has_equal_losses(make: Callable[[], Any], optimizer: str, ending: str, tmp_path: Path) -> None:
    tf_keras.utils.set_random_seed(3)
    model = make()
    model.compile(OPTIMIZERS[optimizer](), LOSS, run_eagerly=True)
    fit(model, 0)
    old = tmp_path / f"old.{ending}"
    model.save(old)
    (done,) = wtool.convert(old, output=tmp_path / "new.keras")
    assert not [note for note in done.notes if "optimizer" in note]
    new = keras.models.load_model(tmp_path / "new.keras")
    assert int(new.optimizer.iterations) == BATCHES
    new.compile(new.optimizer, LOSS, run_eagerly=True)  # graphs for three batches take longer to make than to run
    assert fit(new, 1) == pytest.approx(fit(model, 1), rel=1e-5)
    for variable, expected in zip(new.weights, model.get_weights(), strict=True):
        if "moving_variance" not in variable.path:  # the fused kernel of Keras 2 divides by n - 1, Keras 3 by n
            np.testing.assert_allclose(variable.numpy(), expected.reshape(variable.shape), rtol=1e-4, atol=1e-6)
