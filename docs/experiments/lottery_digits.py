"""Rewound tickets against the dense network and randomly re-initialised ones: `python lottery_digits.py FOLDER`.

Prints the table of lottery.md, as Markdown. What is in FOLDER already is not done again.
"""

from __future__ import annotations

import os
import statistics
import sys

import keras
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import wtool
from wtool.training.lottery.summaries import last_epochs

TRIALS, EPOCHS, BATCH_SIZE = 5, 20, 60
ROUNDS = {0.8: 3, 0.95: 5}
METRIC = "val_accuracy"


def main(folder: str) -> None:
    os.makedirs(folder, exist_ok=True)
    os.chdir(folder)
    if not os.path.exists("init.keras"):
        make_data_and_model()
    print(
        "| pruned | weights left | dense | rewound | random | random, rewound ones' masks |\n|---|---|---|---|---|---|"
    )
    for sparsity, rounds in ROUNDS.items():
        done = wtool.lottery(
            "init.keras",
            data="digits.npz",
            out=f"run-{sparsity}",
            epochs=EPOCHS,
            batch_size=BATCH_SIZE,
            sparsity=sparsity,
            rounds=rounds,
            arms=["rewind", "randomize"],
            same_sign=False,
            trials=TRIALS,
            seed=1,
            report=lambda done: print(done.last, file=sys.stderr),
        )
        found = {(each.arm, each.round): each for each in last_epochs(done.summary)}
        for number in range(1, rounds + 1):
            three = [found["dense", 0], found["rewind", number], found["randomize", number]]
            cells = [told(each.metrics[METRIC].mean, each.metrics[METRIC].std) for each in three]
            last = controls(f"run-{sparsity}", rounds) if number == rounds else ""
            print("|", " | ".join([f"{three[1].sparsity:.1%}", f"{three[1].remaining:.1%}", *cells, last]), "|")


def make_data_and_model() -> None:
    """The digits, a fifth of them for testing, and LeNet-300-100, the fully connected network of the paper."""
    x, y = load_digits(return_X_y=True)
    parts = train_test_split((x / 16).astype(np.float32), y, test_size=0.2, stratify=y, random_state=0)
    np.savez("digits.npz", **dict(zip(("x_train", "x_test", "y_train", "y_test"), parts, strict=True)))
    keras.utils.set_random_seed(1)
    layers = [keras.layers.Dense(300, "relu"), keras.layers.Dense(100, "relu"), keras.layers.Dense(10, "softmax")]
    model = keras.Sequential([keras.Input((64,)), *layers])
    model.compile(keras.optimizers.Adam(1.2e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.save("init.keras")


def controls(run: str, rounds: int) -> str:
    """The paper's control, in the last round: new weights under the masks that the rewound tickets have."""
    scores = []
    for trial in range(1, TRIALS + 1):
        folder, ticket = f"{run}/trial-{trial}", f"{run}-control-{trial}.keras"
        mask, initial = f"{folder}/rewind/round-{rounds}/pruned.keras", f"{folder}/initial.keras"
        wtool.randomize(mask, initial=initial, same_sign=False, seed=trial, output=ticket)
        trained = f"{run}-control-{trial}-trained.keras"
        wtool.resume(ticket, data="digits.npz", epochs=EPOCHS, batch_size=BATCH_SIZE, seed=trial, output=trained)
        scores.append(wtool.evaluate(trained, data="digits.npz")[0].metrics["accuracy"])
    return told(statistics.fmean(scores), statistics.stdev(scores))


def told(mean: float, deviation: float | None) -> str:
    """A mean and its standard error."""
    return f"{mean:.2%} ± {(deviation or 0.0) / TRIALS**0.5:.2%}"


if __name__ == "__main__":
    main(sys.argv[1])
