"""What `wtool average --doctor` says of pairs of trained models, and how good their averages are; five minutes.

    python docs/experiments/doctor.py FOLDER [--quick] [--latex]

Scikit-learn's digits; two networks, a dense one (two layers of 128) and a convolutional one with batch normalisation.
The two models of each pair are trained for 15 epochs from the same model (which was trained for five epochs before), or
from the same initial values, or from others. Models and averages are kept under FOLDER. Before a model with batch
normalisation predicts, its statistics are made those of the training images. Prints the table of
docs/reference/average.md. `--quick` trains dense networks for an epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import keras
from digits import Samples, parts
from experiment import Table, run
from keras import layers
from learning import accuracy, trained, with_new_statistics

import wtool

SHARED = ("five epochs", "initial values", "nothing")
COLUMNS = ("network", "learning rate", "shared", "cosine", "verdict", "models", "average")


@dataclass(frozen=True)
class Settings:
    epochs_before: int = 5
    epochs: int = 15
    rates: tuple[float, ...] = (0.001, 0.01)
    networks: int = 2


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


NETWORKS = {"dense": dense, "convolutional": convolutional}


def pair(
    make: Callable[[], keras.Model], rate: float, shared: str, settings: Settings, train: Samples
) -> list[keras.Model]:
    """Two trained models, and what they share."""
    found = []
    for seed in (1, 2):
        keras.utils.set_random_seed(0 if shared != "nothing" else seed)
        model = make()
        if shared == "five epochs":
            trained(model, rate, settings.epochs_before, 0, train)
        found.append(trained(model, rate, settings.epochs, seed + 10, train))
    return found


def tables(folder: Path, settings: Settings) -> Iterator[Table]:
    train, test = parts(0.3)

    def rows() -> Iterator[tuple[str, ...]]:
        for name, make in list(NETWORKS.items())[: settings.networks]:
            for rate in settings.rates:
                for shared in SHARED:
                    models = pair(make, rate, shared, settings, train)
                    paths = [folder / f"{name}-{rate}-{shared.split()[0]}-{number}.keras" for number in (1, 2)]
                    for model, path in zip(models, paths, strict=True):
                        with_new_statistics(model, train.x).save(path)
                    output = folder / "average.keras"
                    done = wtool.average(paths, doctor=True, output=output, force=True)
                    mean = with_new_statistics(keras.models.load_model(output), train.x)
                    cosines = [each.cosine for each in done.diagnosis.kernels]
                    numbers = [f"{100 * accuracy(model, test):.1f}" for model in (*models, mean)]
                    verdict = done.diagnosis.verdict[0].split(":")[0].split(",")[0].split(" (")[0]
                    told = f"{min(cosines):.2f} to {max(cosines):.2f}", verdict
                    yield name, str(rate), shared, *told, ", ".join(numbers[:2]), numbers[2]

    yield Table(COLUMNS, rows(), words=5)


if __name__ == "__main__":
    run(tables, Settings(), quick=Settings(epochs_before=1, epochs=1, rates=(0.001,), networks=1))
