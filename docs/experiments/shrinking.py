"""Accuracy without half of the channels, by criterion, on digits: `python shrinking.py FOLDER [--quick]`.

Prints the table of shrinking.md, as Markdown. What is in FOLDER already is not done again. `--quick` takes one seed and
two criteria.
"""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import wtool

SEEDS, EPOCHS, MORE_EPOCHS, BATCH_SIZE = 5, 15, 3, 32
TRAIN, TEST = "train.npz", "test.npz"
CRITERIA: dict[str, dict[str, Any]] = {
    "`l2`": {"criterion": "l2"},
    "`l1`": {"criterion": "l1"},
    "`l1 --members producer`": {"criterion": "l1", "members": "producer"},
    "`bn-scale`": {"criterion": "bn-scale"},
    "`fpgm`": {"criterion": "fpgm"},
    "`lamp`": {"criterion": "lamp"},
    "`random`": {"criterion": "random"},
}


def main(folder: str, quick: bool) -> None:
    os.makedirs(folder, exist_ok=True)
    os.chdir(folder)
    seeds, criteria = range(1 if quick else SEEDS), list(CRITERIA)[: 2 if quick else None]
    if not os.path.exists(TEST):
        make_data()
    for seed in seeds:
        once(f"dense-{seed}.keras", lambda path, seed=seed: train_dense(path, seed))
        once(f"dense-{seed}-more.keras", lambda path, seed=seed: train_on(f"dense-{seed}.keras", path, seed))
    print("| criterion | scope | parameters left | accuracy at once | three epochs later |\n|---|---|---:|---:|---:|")
    dense = [[accuracy(f"dense-{seed}{more}.keras") for seed in seeds] for more in ("", "-more")]
    print(f"| dense | | 100% | {told(dense[0])} | {told(dense[1])} |", flush=True)
    for name in criteria:
        for scope in ("layer", "global"):
            left, at_once, later = zip(*(shrunk(name, scope, seed) for seed in seeds), strict=True)
            print(f"| {name} | {scope} | {statistics.fmean(left):.0%} | {told(at_once)} | {told(later)} |", flush=True)


def shrunk(name: str, scope: str, seed: int) -> tuple[float, float, float]:
    """Share of the parameters that are left in a shrunk network, its test accuracy, and that after more training."""
    path = f"{name.strip('`').replace(' --members ', '-')}-{scope}-{seed}.keras"
    more = path.replace(".keras", "-more.keras")
    how = {**CRITERIA[name], "scope": scope, "seed": seed if name == "`random`" else None}
    once(path, lambda output: wtool.shrink(f"dense-{seed}.keras", sparsity=0.5, output=output, **how))
    once(more, lambda output: train_on(path, output, seed))
    left = parameters(path) / parameters(f"dense-{seed}.keras")
    return left, accuracy(path), accuracy(more)


def once(path: str, make: Callable[[str], object]) -> None:
    if not os.path.exists(path):
        print(path, file=sys.stderr)
        make(path)


def make_data() -> None:
    """The digits: three fifths of them to train on, the others to judge by."""
    x, y = load_digits(return_X_y=True)
    x = (x.reshape(-1, 8, 8, 1) / 16).astype(np.float32)
    x, x_test, y, y_test = train_test_split(x, y, test_size=0.4, stratify=y, random_state=0)
    np.savez(TRAIN, x=x, y=y)
    np.savez(TEST, x=x_test, y=y_test)


def train_dense(path: str, seed: int) -> None:
    """Trains a residual network with batch normalisation, from initial weights of its own."""
    keras.utils.set_random_seed(seed)
    image = keras.Input((8, 8, 1))
    x = keras.layers.ReLU()(normalised(image, 16))
    x = keras.layers.ReLU()(normalised(x, 32, strides=2))
    for _ in range(2):
        inner = normalised(keras.layers.ReLU()(normalised(x, 32)), 32)
        x = keras.layers.ReLU()(keras.layers.Add()([x, inner]))
    model = keras.Model(image, keras.layers.Dense(10)(keras.layers.GlobalAveragePooling2D()(x)))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-3), loss, metrics=["accuracy"])
    with np.load(TRAIN) as data:
        model.fit(data["x"], data["y"], batch_size=BATCH_SIZE, epochs=EPOCHS, verbose=0)
    model.save(path)


def normalised(x: Any, filters: int, strides: int = 1) -> Any:
    convolution = keras.layers.Conv2D(filters, 3, strides=strides, padding="same", use_bias=False)
    return keras.layers.BatchNormalization(momentum=0.9)(convolution(x))


def train_on(path: str, output: str, seed: int) -> None:
    wtool.resume(path, data=TRAIN, epochs=MORE_EPOCHS, batch_size=BATCH_SIZE, seed=seed, output=output)


def accuracy(path: str) -> float:
    with np.load(TEST) as data:
        predicted = keras.models.load_model(path)(data["x"])
        return float(np.mean(keras.ops.convert_to_numpy(predicted).argmax(1) == data["y"]))


def parameters(path: str) -> int:
    return int(keras.models.load_model(path, compile=False).count_params())


def told(found: Sequence[float]) -> str:
    """A mean and its standard error."""
    deviation = statistics.stdev(found) if len(found) > 1 else 0.0
    return f"{statistics.fmean(found):.1%} ± {deviation / len(found) ** 0.5:.1%}"


if __name__ == "__main__":
    main(sys.argv[1], "--quick" in sys.argv[2:])
