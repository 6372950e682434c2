"""Training of live models, as several experiments do it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
import numpy as np
from digits import Samples


def trained(model: keras.Model, rate: float, epochs: int, seed: int, data: Samples) -> keras.Model:
    """Trains a model, whose outputs are logits, with Adam in batches of 32, and returns it."""
    keras.utils.set_random_seed(seed)
    model.compile(keras.optimizers.Adam(rate), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(data.x, data.y, batch_size=32, epochs=epochs, verbose=0)
    return model


def accuracy(model: keras.Model, data: Samples) -> float:
    """The share of the samples whose class has the largest output."""
    return float((model.predict(data.x, verbose=0).argmax(1) == data.y).mean())


def with_new_statistics(model: keras.Model, x: np.ndarray) -> keras.Model:
    """Makes the statistics of batch normalisation those of these images, and returns the model."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    model(x, training=True)
    return model


def scores(
    make: Callable[[], keras.Model],
    seeds: int,
    epochs: int,
    data: Sequence[Samples],
    also: Callable[[], None] = lambda: None,
) -> list[float]:
    """The accuracy on test samples of networks of one architecture, after training with Adam in batches of 64.

    The first model is compiled once, and each run starts with the weights of a new one.

    Args:
        make: makes a model whose outputs are logits.
        seeds: the number of runs.
        data: what is trained on, and what is tested with.
        also: called after each run.
    """
    train, test = data
    model = make()
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.optimizer.build(model.trainable_variables)
    start = [variable.numpy() for variable in model.optimizer.variables]
    found = []
    for seed in range(seeds):
        keras.utils.set_random_seed(seed)
        model.set_weights(make().get_weights())
        for variable, value in zip(model.optimizer.variables, start, strict=True):
            variable.assign(value)
        model.fit(train.x, train.y, batch_size=64, epochs=epochs, verbose=0)
        found.append(accuracy(model, test))
        also()
    return found
