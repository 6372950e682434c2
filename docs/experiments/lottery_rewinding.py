"""Weights rewound, the learning rate rewound, and fine-tuning, after one-shot pruning of a small ResNet; four minutes.

    python docs/experiments/lottery_rewinding.py FOLDER [--quick] [--latex]

Scikit-learn's digits; SGD whose learning rate falls at a half and at three quarters of the epochs. Prints the table
"Rewinding" of docs/experiments/lottery.md. What is in FOLDER already is not done again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import keras
from experiment import Table, run
from keras import layers
from lottery_runs import Splits

BATCH_SIZE = 60
STEPS = 24
"""Batches in an epoch."""


@dataclass(frozen=True)
class Settings:
    splits: int = 2
    epochs: int = 12
    rewind_to: tuple[int, ...] = (0, 3, 6)
    sparsity: float = 0.95


def resnet(epochs: int, inputs: int) -> keras.Model:
    """Three residual blocks of 16 and 32 filters with batch normalisation, for images of 8 x 8 pixels."""
    pixels = keras.Input((8, 8, inputs // 64))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(16, 3, padding="same", use_bias=False)(pixels)))
    for filters, strides in ((16, 1), (32, 2), (32, 1)):
        way = layers.Conv2D(filters, 3, strides, padding="same", use_bias=False)(x)
        way = layers.ReLU()(layers.BatchNormalization()(way))
        way = layers.BatchNormalization()(layers.Conv2D(filters, 3, padding="same", use_bias=False)(way))
        if strides > 1:
            x = layers.Conv2D(filters, 1, strides, use_bias=False)(x)
        x = layers.ReLU()(layers.Add()([x, way]))
    model = keras.Model(pixels, layers.Dense(10, "softmax")(layers.GlobalAveragePooling2D()(x)))
    falls = [STEPS * epochs // 2, STEPS * epochs * 3 // 4]
    rate = keras.optimizers.schedules.PiecewiseConstantDecay(falls, [0.1, 0.01, 0.001])
    loss = "sparse_categorical_crossentropy"
    model.compile(keras.optimizers.SGD(rate, momentum=0.9), loss, metrics=["accuracy"])
    return model


def tables(folder: Path, settings: Settings) -> Iterator[Table]:
    splits = Splits(folder, "digits", settings.splits, partial(resnet, settings.epochs), images=True)
    how = {"epochs": settings.epochs, "sparsity": settings.sparsity, "batch_size": BATCH_SIZE, "scope": "global"}
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
