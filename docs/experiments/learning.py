"""Training of live models, as several experiments do it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import keras
import numpy as np
from digits import Samples, parts


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


@dataclass(frozen=True)
class Fit:
    """What came of a training.

    Args:
        model: with its trained weights, until the next training begins.
        test: the samples that it was not trained on.
        accuracy: on these, after each epoch where epochs were watched, and at the end.
        step: processor time of a training step, in milliseconds.
    """

    model: keras.Model
    test: Samples
    accuracy: Sequence[float]
    step: float


def fits(
    model: keras.Model,
    seeds: int,
    epochs: int,
    initializer: str = "glorot_uniform",
    images: bool = False,
    optimizer: str = "adam",
    batch: int = 64,
    watch: bool = False,
    scale: float = 1.0,
    shift: float = 0.0,
) -> Iterator[Fit]:
    """Trains a model anew for each seed on digits. The seed decides the split too: 30% are for tests.

    The model is compiled once, since to trace a deep network takes longer than to train a small one. Its outputs are
    logits.

    Args:
        model: any; it may be given again, with other arguments.
        seeds: the number of trainings.
        epochs: of each training.
        initializer: of all kernels; recurrent ones are orthogonal, and all else starts as it does in the model.
        images: whether samples have the shape (8, 8, 1) instead of (64,).
        optimizer: with the learning rate that Keras gives it.
        batch: the number of samples of a step.
        watch: whether to look at the test samples after each epoch.
        scale: of the pixels, which lie between 0 and 1.
        shift: added to the scaled pixels.
    """
    if not model.compiled:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(optimizer, loss, metrics=["accuracy"] if watch else None, jit_compile=False)
        model.optimizer.build(model.trainable_variables)
    start = [variable.numpy() for variable in (*model.weights, *model.optimizer.variables)]
    for seed in range(seeds):
        train, test = (Samples(scale * each.x + shift, each.y) for each in parts(0.3, images=images, seed=seed))
        keras.utils.set_random_seed(seed)
        renew(model, start, initializer)
        if seed == 0:
            model.fit(
                train.x[:batch], train.y[:batch], batch_size=batch, verbose=0
            )  # traces the step, whose time is measured
            renew(model, start, initializer)
        begun = time.process_time()
        done = model.fit(
            train.x,
            train.y,
            batch_size=batch,
            epochs=epochs,
            verbose=0,
            validation_data=(test.x, test.y) if watch else None,
            validation_batch_size=len(test.y),
        )
        step = 1000 * (time.process_time() - begun) / (epochs * -(-len(train.y) // batch))
        last = model(test.x, training=False).numpy()
        final = float((last.argmax(1) == test.y).mean()) if np.isfinite(last).all() else 0.1
        yield Fit(model, test, (*done.history.get("val_accuracy", [final])[:-1], final), step)
    renew(model, start, initializer)


def renew(model: keras.Model, start: Sequence[np.ndarray], initializer: str) -> None:
    """Gives a model and its optimizer the values of `start`, but for kernels, which get new ones."""
    makers = {"kernel": initializer, "recurrent_kernel": "orthogonal"}
    for variable, value in zip((*model.weights, *model.optimizer.variables), start, strict=True):
        maker = makers.get(variable.name)
        variable.assign(keras.initializers.get(maker)(variable.shape) if maker else value)
