"""Averages of networks with different initial values, before and after `wtool align`; five minutes.

    python docs/experiments/alignment.py [FOLDER]

Scikit-learn's digits. The two models of each pair are trained for 30 epochs from different initial values; one is
aligned to the other, and the mean of both is taken before and after. Before a model with batch normalisation predicts,
its statistics are made those of the training images. Models and averages are kept under FOLDER, by default
build/alignment. Prints the table of docs/reference/align.md: accuracies on the test images, mean over the pairs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
from digits import data
from doctor import accuracy, trained, with_new_statistics
from keras import layers

import wtool

ROOT = Path(__file__).resolve().parents[2]
EPOCHS, PAIRS, RESTARTS = 30, 3, 5
COLUMNS = ("network", "channels moved", "cosine before", "after", "models", "average before", "after")


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


def measured(name: str, seed: int, folder: Path) -> tuple[float, ...]:
    """Share of channels that moved, cosines, mean accuracy of two models, accuracies of their averages; in percent."""
    x, held, y, held_y = data()
    paths = [folder / f"{name.replace(' ', '-')}-{seed}-{number}.keras" for number in (1, 2)]
    models = []
    for number, path in enumerate(paths):
        keras.utils.set_random_seed(10 * seed + number)
        model = trained(NETWORKS[name](), 0.001, EPOCHS, 10 * seed + number + 5, x, y)
        model.save(path)
        models.append(with_new_statistics(model, x))
    aligned, mean = folder / "aligned.keras", folder / "mean.keras"
    (done,) = wtool.align(paths[0], to=paths[1], seed=seed, restarts=RESTARTS, output=aligned, force=True)
    scores = [np.mean([accuracy(model, held, held_y) for model in models])]
    for first in (paths[0], aligned):
        wtool.average([first, paths[1]], output=mean, force=True)
        scores.append(accuracy(with_new_statistics(keras.models.load_model(mean), x), held, held_y))
    groups = done.groups.values()
    moved = sum(each.moved for each in groups) / sum(each.channels for each in groups)
    return (100 * moved, *done.similarity, *(100 * each for each in scores))


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    print(f"| {' | '.join(COLUMNS)} |\n|{' --- |' * len(COLUMNS)}", flush=True)
    for name in NETWORKS:
        moved, before, after, *scores = np.mean([measured(name, seed, folder) for seed in range(PAIRS)], axis=0)
        cells = (name, f"{moved:.0f} %", f"{before:.2f}", f"{after:.2f}", *(f"{each:.1f}" for each in scores))
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else ROOT / "build" / "alignment")
