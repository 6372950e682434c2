"""What the experiments have in common: scikit-learn's digits, and a training run for each of several seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

SEEDS, EPOCHS, BATCH = 5, 20, 64


def data() -> Any:
    """Training and test images, 64 pixels between 0 and 1, then their classes."""
    digits = load_digits()
    pixels = (digits.data / 16).astype("float32")
    return train_test_split(pixels, digits.target, test_size=0.3, stratify=digits.target, random_state=0)


def accuracies(make: Callable[[], keras.Model], also: Callable[[Any], None] = lambda held: None) -> list[float]:
    """Accuracy on the test images after training, for each seed; `also` is called with these images after each run.

    `make` makes the model; it is compiled once, and each run starts with the weights of a new one.
    """
    x, held, y, held_y = data()
    model = make()
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.optimizer.build(model.trainable_variables)
    start = [variable.numpy() for variable in model.optimizer.variables]
    found = []
    for seed in range(SEEDS):
        keras.utils.set_random_seed(seed)
        model.set_weights(make().get_weights())
        for variable, value in zip(model.optimizer.variables, start, strict=True):
            variable.assign(value)
        model.fit(x, y, batch_size=BATCH, epochs=EPOCHS, verbose=0)
        found.append(float(np.mean(model.predict(held, verbose=0).argmax(1) == held_y)))
        also(held)
    return found


def shown(found: Sequence[float]) -> str:
    """Mean and standard deviation, in percent."""
    return f"{100 * np.mean(found):.1f} ± {100 * np.std(found, ddof=1):.1f}"
