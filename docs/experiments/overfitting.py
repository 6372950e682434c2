"""Stroke, Pruning and NeuroPlast against overfitting: a network that learns wrong labels by heart; two minutes.

    python docs/experiments/overfitting.py FOLDER [--quick] [--latex]

Two hidden layers of 256 learn 200 of the digits, a fifth of them with wrong labels, for 60 epochs with Adam, with and
without a callback that changes weights at the end of each epoch. Each seed has a split, wrong labels and initial values
of its own, the same for all callbacks. Prints the table of docs/experiments/overfitting.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from digits import Samples, parts
from experiment import Table, run, with_error
from shuffling import shuffled

from wtool.callbacks import NeuroPlast, Pruning, Stroke

WRONG = 0.2  # share of the training labels that are drawn at random
BATCH = 25


@dataclass(frozen=True)
class Settings:
    seeds: int = 10
    epochs: int = 60
    samples: int = 200


@dataclass(frozen=True)
class Method:
    """What is done against overfitting.

    Args:
        callbacks: makes the callbacks of a run; takes the number of epochs, and a seed.
        dropout: rate of dropout behind each hidden layer.
        decay: of the weights, in AdamW.
        share: of the epochs after which training stops.
    """

    callbacks: Callable[[int, int], list[Any]] = lambda epochs, seed: []
    dropout: float = 0.0
    decay: float = 0.0
    share: float = 1.0


def ranged(width: float) -> dict[str, float]:
    return {"min_value": -width, "max_value": width}


METHODS = {
    "none": Method(),
    "`Stroke()`": Method(lambda epochs, seed: [Stroke(seed=seed)]),
    "`Stroke(cutoff=50)`": Method(lambda epochs, seed: [Stroke(cutoff=epochs * 5 // 6, seed=seed)]),
    "`Stroke(volatility_ratio=.01)`": Method(lambda epochs, seed: [Stroke(volatility_ratio=0.01, seed=seed)]),
    "`Stroke(volatility_ratio=.2)`": Method(lambda epochs, seed: [Stroke(volatility_ratio=0.2, seed=seed)]),
    "`Pruning()`": Method(lambda epochs, seed: [Pruning()]),
    "`Pruning(min_value=-.1, max_value=.1)`": Method(lambda epochs, seed: [Pruning(**ranged(0.1))]),
    "`Pruning(min_value=-.05, max_value=.05)`": Method(lambda epochs, seed: [Pruning(**ranged(0.05))]),
    "`Pruning(min_value=-.01, max_value=.01)`": Method(lambda epochs, seed: [Pruning(**ranged(0.01))]),
    "`NeuroPlast()`": Method(lambda epochs, seed: [NeuroPlast(seed=seed)]),
    "`NeuroPlast(min_value=-.05, max_value=.05)`": Method(lambda epochs, seed: [NeuroPlast(**ranged(0.05), seed=seed)]),
    "dropout, .5": Method(dropout=0.5),
    "weight decay, .1": Method(decay=0.1),
    "a tenth of the epochs": Method(share=0.1),
}


def network(dropout: float) -> keras.Model:
    layers: list[keras.Layer] = []
    for _ in range(2):
        layers += [keras.layers.Dense(256, "relu"), *([keras.layers.Dropout(dropout)] if dropout else [])]
    return keras.Sequential([keras.Input((64,)), *layers, keras.layers.Dense(10)])


def samples(count: int, seed: int) -> list[Samples]:
    """Training samples, some with classes drawn at random, and half of the digits to test with."""
    pool, test = parts(0.5, seed=seed)
    rng = np.random.default_rng(seed)
    x, y = pool.x[:count], pool.y[:count]
    wrong = np.where(rng.uniform(size=count) < WRONG, rng.integers(0, 10, count), y)
    return [Samples(x, wrong), test]


@dataclass(frozen=True)
class Measured:
    """What came of a run: accuracies on the labels that were trained on and on test samples, and the loss on these."""

    trained: float
    test: float
    loss: float


def measured(method: Method, settings: Settings) -> list[Measured]:
    """Trains with each seed. The model is compiled once."""
    model = network(method.dropout)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = keras.optimizers.AdamW(weight_decay=method.decay) if method.decay else keras.optimizers.Adam()
    model.compile(optimizer, loss, steps_per_execution=settings.samples // BATCH)
    optimizer.build(model.trainable_variables)
    start = [variable.numpy() for variable in optimizer.variables]
    found = []
    for seed in range(settings.seeds):
        train, test = samples(settings.samples, seed)
        keras.utils.set_random_seed(seed)
        model.set_weights(network(0.0).get_weights())
        for variable, value in zip(optimizer.variables, start, strict=True):
            variable.assign(value)
        callbacks = method.callbacks(settings.epochs, seed)
        batches = shuffled(train, BATCH, seed)
        epochs = max(1, round(method.share * settings.epochs))
        model.fit(batches, epochs=epochs, shuffle=False, verbose=0, callbacks=callbacks)
        outputs = [np.asarray(model(each.x, training=False)) for each in (train, test)]
        scores = [float(np.mean(each.argmax(1) == y)) for each, y in zip(outputs, (train.y, test.y), strict=True)]
        found.append(Measured(*scores, float(loss(test.y, outputs[1]))))
    return found


def refuse_another_callback() -> None:
    """Holds the callbacks against the definitions of KeraStroke, on the models that it takes: a kernel and a bias."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(100)])
    kernel, bias = model.get_weights()

    def after(callback: Any) -> np.ndarray:
        model.set_weights([kernel, bias])
        callback.set_model(model)
        callback.on_train_begin()
        callback.on_epoch_end(0)
        return model.get_weights()[0]

    def held(is_right: Any) -> None:
        if not np.all(is_right):
            raise AssertionError("a callback does not do what KeraStroke defines")

    is_small = np.abs(kernel) <= 0.1
    held(after(Pruning(**ranged(0.1))) == np.where(is_small, 0, kernel))
    new = after(NeuroPlast(**ranged(0.1), seed=1))
    held((new != kernel) == is_small)
    held(np.abs(new[is_small]) <= 0.05)
    new = after(Stroke(volatility_ratio=0.2, seed=1))
    held(np.count_nonzero(new != kernel) == round(0.2 * kernel.size))
    held(np.abs(new[new != kernel]) <= 0.05)


def tables(folder: Path, settings: Settings) -> Iterator[Table]:
    refuse_another_callback()
    columns = ("against overfitting", "training labels", "test", "test loss", "points gained", "better in")
    yield Table(columns, rows(settings))


def rows(settings: Settings) -> Iterator[Sequence[str]]:
    """Means over the seeds; gains are those over the run of the same seed without anything."""
    plain = measured(METHODS["none"], settings)
    for name, method in METHODS.items():
        found = plain if name == "none" else measured(method, settings)
        gains = [100 * (one.test - other.test) for one, other in zip(found, plain, strict=True)]
        better = f"{sum(gain > 0 for gain in gains)} of {len(gains)}"
        yield (
            name,
            with_error([each.trained for each in found]),
            with_error([each.test for each in found]),
            with_error([each.loss for each in found], 2, percent=False),
            *(("", "") if name == "none" else (with_error(gains, percent=False), better)),
        )


if __name__ == "__main__":
    run(tables, Settings(), quick=Settings(seeds=2, epochs=6))
