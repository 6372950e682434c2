"""Weights rewound, the learning rate rewound, and fine-tuning, after one-shot pruning; one minute.

    python docs/experiments/lottery_rewinding.py FOLDER [--quick] [--latex]

LeNet-300-100 on scikit-learn's digits, with SGD whose learning rate falls at a half and at three quarters of the
epochs. Prints the table "Rewinding" of docs/experiments/lottery.md. What is in FOLDER already is not done again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import keras
from experiment import Table, run
from lottery_runs import Splits, lenet

BATCH_SIZE = 60
STEPS = 24
"""Batches in an epoch."""


@dataclass(frozen=True)
class Settings:
    splits: int = 2
    epochs: int = 12
    rewind_to: tuple[int, ...] = (0, 3, 6)
    sparsity: float = 0.95


def scheduled(epochs: int, inputs: int) -> keras.Model:
    """LeNet-300-100 with momentum and a learning rate that falls twice."""
    model = lenet(inputs)
    falls = [STEPS * epochs // 2, STEPS * epochs * 3 // 4]
    rate = keras.optimizers.schedules.PiecewiseConstantDecay(falls, [0.1, 0.01, 0.001])
    optimizer = keras.optimizers.SGD(rate, momentum=0.9)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def tables(folder: Path, settings: Settings) -> Iterator[Table]:
    splits = Splits(folder, "digits", settings.splits, partial(scheduled, settings.epochs))
    how = {"epochs": settings.epochs, "sparsity": settings.sparsity, "batch_size": BATCH_SIZE}
    fresh = "randomize,masks=rewind,same_sign=no"
    arms = [f"{start}{late(epoch)}" for start in ("rewind", "none") for epoch in settings.rewind_to]
    found = splits.lottery("rewinding", ["rewind", fresh, *(arm for arm in arms if arm != "rewind")], **how)
    rows = []
    for epoch in settings.rewind_to:
        more = settings.epochs - epoch
        last = f"none,rewind_to={settings.epochs - 1}"  # the optimizer at its last learning rate
        tuned = splits.lottery(f"tuning-{more}", [last], dense="rewinding", epochs_of_tickets=more, **how)
        cells = [found.cell(f"{start}{late(epoch)}", 1) for start in ("rewind", "none")]
        rows.append((str(epoch), str(more), *cells, tuned.cell(last, 1)))
    columns = ("rewound to epoch", "epochs of training", "weights rewound", "learning rate rewound", "fine-tuned")
    left = found.remaining("rewind", 1)
    title = f"Dense {found.cell('dense', 0)}; {left} of the weights; fresh weights, same masks {found.cell(fresh, 1)}"
    yield Table(columns, rows, words=0, title=title)


def late(epoch: int) -> str:
    return f",rewind_to={epoch}" if epoch else ""


if __name__ == "__main__":
    run(tables, Settings(), quick=Settings(splits=1, epochs=2, rewind_to=(1,)))
