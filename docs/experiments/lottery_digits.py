"""Rewound tickets against the dense network and randomly re-initialised ones; four minutes.

    python docs/experiments/lottery_digits.py FOLDER [--quick] [--latex]

Prints the table of lottery.md. What is in FOLDER already is not done again. `--quick` takes one trial and few epochs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from digits import parts
from experiment import Table, run, told, with_error

import wtool
from wtool.training.lottery.summaries import Spread, last_epochs

BATCH_SIZE = 60
ROUNDS = {0.8: 3, 0.95: 5}
METRIC = "val_accuracy"
COLUMNS = ("pruned", "weights left", "dense", "rewound", "random", "random, rewound ones' masks")


@dataclass(frozen=True)
class Settings:
    trials: int = 5
    epochs: int = 20


def tables(folder: Path, settings: Settings) -> Iterator[Table]:
    os.chdir(folder)
    if not os.path.exists("init.keras"):
        make_data_and_model()

    def rows() -> Iterator[tuple[str, ...]]:
        for sparsity, rounds in ROUNDS.items():
            done = wtool.lottery(
                "init.keras",
                data="digits.npz",
                out=f"run-{sparsity}",
                epochs=settings.epochs,
                batch_size=BATCH_SIZE,
                sparsity=sparsity,
                rounds=rounds,
                arms=["rewind", "randomize"],
                same_sign=False,
                trials=settings.trials,
                seed=1,
                report=lambda done: print(done.last, file=sys.stderr),
            )
            found = {(each.arm, each.round): each for each in last_epochs(done.summary)}
            for number in range(1, rounds + 1):
                three = [found["dense", 0], found["rewind", number], found["randomize", number]]
                cells = [of_trials(each.metrics[METRIC], settings.trials) for each in three]
                last = controls(f"run-{sparsity}", rounds, settings) if number == rounds else ""
                yield f"{three[1].sparsity:.1%}", f"{three[1].remaining:.1%}", *cells, last

    yield Table(COLUMNS, rows(), words=0)


def of_trials(metric: Spread, trials: int) -> str:
    """The mean of a metric and its standard error."""
    return told(metric.mean, None if metric.std is None else metric.std / trials**0.5, 2)


def make_data_and_model() -> None:
    """The digits, a fifth of them for testing, and LeNet-300-100, the fully connected network of the paper."""
    train, test = parts(0.2)
    np.savez("digits.npz", x_train=train.x, y_train=train.y, x_test=test.x, y_test=test.y)
    keras.utils.set_random_seed(1)
    layers = [keras.layers.Dense(300, "relu"), keras.layers.Dense(100, "relu"), keras.layers.Dense(10, "softmax")]
    model = keras.Sequential([keras.Input((64,)), *layers])
    model.compile(keras.optimizers.Adam(1.2e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.save("init.keras")


def controls(run: str, rounds: int, settings: Settings) -> str:
    """The paper's control, in the last round: new weights under the masks that the rewound tickets have."""
    scores = []
    for trial in range(1, settings.trials + 1):
        folder, ticket = f"{run}/trial-{trial}", f"{run}-control-{trial}.keras"
        mask, initial = f"{folder}/rewind/round-{rounds}/pruned.keras", f"{folder}/initial.keras"
        wtool.randomize(mask, initial=initial, same_sign=False, seed=trial, output=ticket)
        trained = f"{run}-control-{trial}-trained.keras"
        how = {"epochs": settings.epochs, "batch_size": BATCH_SIZE, "seed": trial}
        wtool.resume(ticket, data="digits.npz", output=trained, **how)
        scores.append(wtool.evaluate(trained, data="digits.npz")[0].metrics["accuracy"])
    return with_error(scores, 2)


if __name__ == "__main__":
    run(tables, Settings(), quick=Settings(trials=1, epochs=1))
