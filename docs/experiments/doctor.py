"""What `wtool average --doctor` says of pairs of trained models, and how good their averages are; five minutes.

    python docs/experiments/doctor.py [FOLDER]

Scikit-learn's digits; two networks, a dense one (two layers of 128) and a convolutional one with batch normalisation.
The two models of each pair are trained for 15 epochs from the same model (which was trained for five epochs before), or
from the same initial values, or from others. Models and averages are kept under FOLDER, by default build/doctor. Before
a model with batch normalisation predicts, its statistics are made those of the training images. Prints the table of
docs/reference/average.md.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
from digits import data
from keras import layers

import wtool

ROOT = Path(__file__).resolve().parents[2]
BEFORE, EPOCHS = 5, 15
SHARED = ("five epochs", "initial values", "nothing")
COLUMNS = ("network", "learning rate", "shared", "cosine", "verdict", "models", "average")


def dense() -> keras.Model:
    return keras.Sequential([keras.Input((64,)), *(layers.Dense(128, "relu") for _ in range(2)), layers.Dense(10)])


def convolutional() -> keras.Model:
    def block(filters: int, strides: int) -> list[keras.Layer]:
        return [
            layers.Conv2D(filters, 3, strides=strides, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
        ]

    middle = [*block(16, 1), *block(32, 2), *block(32, 1), layers.GlobalAveragePooling2D()]
    return keras.Sequential([keras.Input((64,)), layers.Reshape((8, 8, 1)), *middle, layers.Dense(10)])


def trained(model: keras.Model, rate: float, epochs: int, seed: int, x: np.ndarray, y: np.ndarray) -> keras.Model:
    keras.utils.set_random_seed(seed)
    model.compile(keras.optimizers.Adam(rate), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(x, y, batch_size=32, epochs=epochs, verbose=0)
    return model


def pair(make: Callable[[], keras.Model], rate: float, shared: str, x: np.ndarray, y: np.ndarray) -> list[keras.Model]:
    """Two trained models, and what they share."""
    found = []
    for seed in (1, 2):
        keras.utils.set_random_seed(0 if shared != "nothing" else seed)
        model = make()
        if shared == "five epochs":
            trained(model, rate, BEFORE, 0, x, y)
        found.append(trained(model, rate, EPOCHS, seed + 10, x, y))
    return found


def accuracy(model: keras.Model, x: np.ndarray, y: np.ndarray) -> float:
    return float((model.predict(x, verbose=0).argmax(1) == y).mean())


def with_new_statistics(model: keras.Model, x: np.ndarray) -> keras.Model:
    """The model with statistics of batch normalisation that are those of these images."""
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = 0.0
    model(x, training=True)
    return model


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    x, held, y, held_y = data()
    rows = [COLUMNS, ("---",) * len(COLUMNS)]
    for name, make in (("dense", dense), ("convolutional", convolutional)):
        for rate in (0.001, 0.01):
            for shared in SHARED:
                models = pair(make, rate, shared, x, y)
                paths = [folder / f"{name}-{rate}-{shared.split()[0]}-{number}.keras" for number in (1, 2)]
                for model, path in zip(models, paths, strict=True):
                    with_new_statistics(model, x).save(path)
                output = folder / "average.keras"
                done = wtool.average(paths, doctor=True, output=output, force=True)
                mean = with_new_statistics(keras.models.load_model(output), x)
                cosines = [each.cosine for each in done.diagnosis.kernels]
                numbers = [100 * accuracy(model, held, held_y) for model in (*models, mean)]
                verdict = done.diagnosis.verdict[0].split(":")[0].split(",")[0].split(" (")[0]
                told = f"{min(cosines):.2f} to {max(cosines):.2f}", verdict
                rows.append((name, str(rate), shared, *told, "{:.1f}, {:.1f}".format(*numbers), f"{numbers[2]:.1f}"))
                print("\n".join(f"| {' | '.join(row)} |" for row in rows[-1:]), flush=True)
    print("\n".join(f"| {' | '.join(row)} |" for row in rows))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else ROOT / "build" / "doctor")
