"""Averages of networks with different initial values, before and after `wtool align`; five minutes.

    python docs/experiments/alignment.py FOLDER [--quick] [--latex]

Scikit-learn's digits. The two models of each pair are trained for 30 epochs from different initial values; one is
aligned to the other, and the mean of both is taken before and after. Before a model with batch normalisation predicts,
its statistics are made those of the training images. Models and averages are kept under FOLDER. Prints the table of
docs/reference/align.md: accuracies on the test images, mean over the pairs. `--quick` takes one pair of two networks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from digits import parts
from experiment import Table, run
from keras import layers
from learning import accuracy, trained, with_new_statistics

import wtool

COLUMNS = ("network", "channels moved", "cosine before", "after", "models", "average before", "after")


@dataclass(frozen=True)
class Settings:
    pairs: int = 3
    epochs: int = 30
    restarts: int = 5
    networks: int = 7


def dense(width: int, depth: int = 2) -> keras.Model:
    hidden = (layers.Dense(width, "relu") for _ in range(depth))
    return keras.Sequential([keras.Input((64,)), *hidden, layers.Dense(10)])


def convolutional(width: int, normalised: bool) -> keras.Model:
    def block(filters: int, strides: int) -> list[keras.Layer]:
        middle = [layers.BatchNormalization()] if normalised else []
        return [layers.Conv2D(filters, 3, strides=strides, padding="same"), *middle, layers.ReLU()]

    middle = [*block(width, 1), *block(2 * width, 2), *block(2 * width, 1), layers.GlobalAveragePooling2D()]
    return keras.Sequential([keras.Input((64,)), layers.Reshape((8, 8, 1)), *middle, layers.Dense(10)])


def residual(width: int) -> keras.Model:
    image = keras.Input((64,))
    x = layers.Dense(width, "relu")(image)
    for _ in range(2):
        x = layers.Add()([x, layers.Dense(width)(layers.Dense(width, "relu")(layers.LayerNormalization()(x)))])
    return keras.Model(image, layers.Dense(10)(layers.LayerNormalization()(x)))


NETWORKS: dict[str, Callable[[], keras.Model]] = {
    "dense, 2 x 32": lambda: dense(32),
    "dense, 2 x 256": lambda: dense(256),
    "dense, 4 x 256": lambda: dense(256, 4),
    "convolutional, 16 and 32": lambda: convolutional(16, normalised=False),
    "convolutional, 64 and 128": lambda: convolutional(64, normalised=False),
    "convolutional with batch normalisation, 64 and 128": lambda: convolutional(64, normalised=True),
    "residual, 256": lambda: residual(256),
}


def measured(name: str, seed: int, folder: Path, settings: Settings) -> tuple[float, ...]:
    """Share of channels that moved, cosines, mean accuracy of two models, accuracies of their averages; in percent."""
    train, test = parts(0.3)
    paths = [folder / f"{name.replace(' ', '-')}-{seed}-{number}.keras" for number in (1, 2)]
    models = []
    for number, path in enumerate(paths):
        keras.utils.set_random_seed(10 * seed + number)
        model = trained(NETWORKS[name](), 0.001, settings.epochs, 10 * seed + number + 5, train)
        model.save(path)
        models.append(with_new_statistics(model, train.x))
    aligned, mean = folder / "aligned.keras", folder / "mean.keras"
    (done,) = wtool.align(paths[0], to=paths[1], seed=seed, restarts=settings.restarts, output=aligned, force=True)
    scores = [np.mean([accuracy(model, test) for model in models])]
    for first in (paths[0], aligned):
        wtool.average([first, paths[1]], output=mean, force=True)
        scores.append(accuracy(with_new_statistics(keras.models.load_model(mean), train.x), test))
    groups = done.groups.values()
    moved = sum(each.moved for each in groups) / sum(each.channels for each in groups)
    return (100 * moved, *done.similarity, *(100 * each for each in scores))


def tables(folder: Path, settings: Settings) -> Iterator[Table]:
    def rows() -> Iterator[tuple[str, ...]]:
        for name in list(NETWORKS)[: settings.networks]:
            each = [measured(name, seed, folder, settings) for seed in range(settings.pairs)]
            moved, before, after, *scores = np.mean(each, axis=0)
            yield name, f"{moved:.0f} %", f"{before:.2f}", f"{after:.2f}", *(f"{score:.1f}" for score in scores)

    yield Table(COLUMNS, rows())


if __name__ == "__main__":
    run(tables, Settings(), quick=Settings(pairs=1, epochs=2, restarts=1, networks=2))
