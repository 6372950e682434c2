"""The models of tf_keras.applications with random weights, saved, converted, and loaded by Keras 3.

    python -m tests.converted_applications [NAME...]   all of them (an hour), or some; writes docs/reference/convert.md

A small one is a test (ops/test_converted_applications.py).
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import wtool
from tests.converted import PAGE, SINGLE, assert_nothing_to_convert, farthest
from tests.models import Array

BEGIN, END = (
    "<!-- made by tests/converted_applications.py: begin -->",
    "<!-- made by tests/converted_applications.py: end -->",
)
SIZE = 96
"""Height and width of the images: far less than usual, since what a layer computes does not depend on it."""


ARCHIVES = ("ConvNeXt", "InceptionResNet")
"""Beginnings of the names of applications with layers of their own, whose module an `.h5` does not tell."""


NORMALIZING = ("EfficientNetV2", "ResNetRS")
"""Beginnings of the names of applications with constants in Normalization, which Keras 3 rounds to single precision."""


@dataclass(frozen=True)
class Trial:
    """What the conversion of an application came to.

    Attributes:
        name: of the application.
        layers: how many it has.
        difference: of the outputs, divided by the largest.
    """

    name: str
    layers: int
    difference: float


def names() -> list[str]:
    """Returns the name of every application that tf_keras has."""
    import tf_keras

    return [name for name in dir(tf_keras.applications) if name[0].isupper()]


def made(name: str, dtype: str, **settings: Any) -> Any:
    """Returns an application in tf_keras, with random weights."""
    import tf_keras

    tf_keras.utils.set_random_seed(1)
    tf_keras.backend.set_floatx(dtype)
    tf_keras.mixed_precision.set_global_policy(dtype)  # which counts more, once anybody has set a policy
    given = {"weights": None, "input_shape": (SIZE, SIZE, 3), "classes": 10, "classifier_activation": None, **settings}
    try:
        model = getattr(tf_keras.applications, name)(**given)
    finally:
        tf_keras.backend.set_floatx("float32")
        tf_keras.mixed_precision.set_global_policy("float32")
    model.set_weights([_off(weight.numpy()) for weight in model.weights])
    _calibrate(model)
    return model


def _calibrate(model: Any) -> None:
    """Give each BatchNormalization the mean and the variance of its inputs, so that no signal dies on its way."""
    norms = [layer for layer in model.layers if hasattr(layer, "momentum")]
    usual = [layer.momentum for layer in norms]
    for layer in norms:
        layer.momentum = 0.0
    model(images(model, 8), training=True)
    for layer, momentum in zip(norms, usual, strict=True):
        layer.momentum = momentum


def images(model: Any, count: int) -> Array:
    """Returns random images for a model, of 4x4 squares: white noise would be averaged away."""
    height, width = model.input_shape[1:3]
    squares = np.random.default_rng(count).normal(size=(count, 4, 4, 3)).astype(model.dtype)
    return squares.repeat(height // 4, 1).repeat(width // 4, 2)


def _off(values: Array) -> Array:
    """Returns values a little off their initial ones, so that no layer is without effect."""
    if not np.issubdtype(values.dtype, np.floating):
        return values
    noise = np.random.default_rng(values.size).standard_normal(values.shape).astype(values.dtype)
    return values + 0.1 * noise * max(float(values.std()), 0.1)


def tried(name: str, folder: Path, **settings: Any) -> Trial:
    """Save an application, convert it, and compare what both Kerases compute.

    In some models the rounding errors of hundreds of layers come to more than 1e-5: those run in double precision.

    Raises:
        AssertionError: the outputs differ.
    """
    trial = tried_as("float32", name, folder, **settings)
    if trial.difference > SINGLE:
        exact = {"include_preprocessing": False} if name.startswith(NORMALIZING) else {}
        trial = tried_as("float64", name, folder, **settings, **exact)
    assert trial.difference <= SINGLE, f"{name}: the outputs differ by {trial.difference}"
    return trial


def tried_as(dtype: str, name: str, folder: Path, **settings: Any) -> Trial:
    """Compare what both Kerases compute in a precision."""
    import keras

    model = made(name, dtype, **settings)
    old = folder / f"old.{'keras' if name.startswith(ARCHIVES) else 'h5'}"
    model.save(old)
    given = images(model, 2)
    expected = np.asarray(model(given, training=False))
    assert np.abs(expected[0] - expected[1]).max() > 1e-3 * np.abs(expected).max(), f"{name}: images make no difference"
    layers = len(model.layers)
    del model
    keras.backend.clear_session()
    wtool.convert(old, output=folder / "new.keras", force=True)
    assert_nothing_to_convert(folder / "new.keras")
    new = keras.models.load_model(folder / "new.keras", safe_mode=True)
    difference = farthest([np.asarray(new(given, training=False))], [expected])
    return Trial(name, layers, difference)


def table(trials: Sequence[Trial]) -> str:
    """Returns a line for each family of applications."""
    families: dict[str, list[Trial]] = {}
    for trial in trials:
        families.setdefault(family(trial.name), []).append(trial)
    rows = [["applications", "models", "layers", "largest difference"], ["---", "---", "---:", "---:"]]
    for name, each in families.items():
        sizes = [trial.name.removeprefix(name) for trial in each]
        layers = _range([trial.layers for trial in each])
        rows.append([name, ", ".join(filter(None, sizes)), layers, f"{max(trial.difference for trial in each):.1e}"])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def family(name: str) -> str:
    """Returns the name without the size: `ResNetRS` of `ResNetRS50`."""
    return re.sub(r"(B\d|(?<=V2)[SML]|XLarge|Large|Mobile|Small|Base|Tiny|(?<=\D)\d{2,3})$", "", name)


def _range(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def main() -> None:
    found = []
    for name in sys.argv[1:] or names():
        with tempfile.TemporaryDirectory() as folder:
            found.append(tried(name, Path(folder)))
        print(found[-1], file=sys.stderr, flush=True)
    page = PAGE.read_text()
    before, _, rest = page.partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n\n{table(found)}\n\n{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    main()
