"""The models of keras.applications with random weights, their channels put in a random order, and aligned back.

    python -m tests.aligned_applications [NAME...]   all of `NAMES` (an hour), or some; writes docs/reference/align.md

A small one is a test (ops/test_align_in_keras.py).
"""

from __future__ import annotations

import re
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

import wtool
from tests.converted_applications import NORMALIZING, images
from wtool.ops import aligning
from wtool.transforms.permuting import Channels
from wtool.transforms.weight_matching import Matched

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "align.md"
BEGIN, END = (
    "<!-- made by tests/aligned_applications.py: begin -->",
    "<!-- made by tests/aligned_applications.py: end -->",
)
NAMES = (
    "ConvNeXtTiny",
    "DenseNet121",
    "DenseNet169",
    "EfficientNetB0",
    "EfficientNetB1",
    "EfficientNetB2",
    "EfficientNetV2B0",
    "EfficientNetV2B1",
    "InceptionResNetV2",
    "InceptionV3",
    "MobileNet",
    "MobileNetV2",
    "MobileNetV3Large",
    "MobileNetV3Small",
    "NASNetMobile",
    "ResNet50",
    "ResNet50V2",
    "ResNet101",
    "VGG16",
    "Xception",
)
SIZE = 96
"""Height and width of the images."""

MOST = 1e-5
"""Of the differences between outputs, divided by the largest output."""

COLUMNS = ("application", "groups", "channels", "moved", "difference", "cosine before", "aligned", "seconds")


@dataclass(frozen=True)
class Trial:
    """What came of an application.

    Attributes:
        name: of the application.
        groups, channels, moved: groups of channels that may move, their channels, and how many of them moved.
        difference: of the outputs of the permuted model, divided by the largest.
        before, after: cosine between the weights of the original and of the permuted model, as permuted and aligned.
        seconds: of processor time, for aligning.
    """

    name: str
    groups: int
    channels: int
    moved: int
    difference: float
    before: float
    after: float
    seconds: float


def made(name: str, dtype: str, **settings: Any) -> Any:
    """Returns an application with random weights of every kind, and statistics of its inputs."""
    import keras

    keras.backend.clear_session()
    keras.utils.set_random_seed(1)
    keras.config.set_floatx(dtype)
    keras.config.set_dtype_policy(dtype)
    given = {"weights": None, "input_shape": (SIZE, SIZE, 3), "classes": 10, "classifier_activation": None, **settings}
    model = getattr(keras.applications, name)(**given)
    inputs = [layer.path for layer in model.layers if isinstance(layer, keras.layers.Normalization)]
    model.set_weights(
        [
            np.asarray(weight) if weight.path.startswith(tuple(inputs)) else _off(np.asarray(weight))
            for weight in model.weights
        ]
    )
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    usual = [layer.momentum for layer in norms]
    for layer in norms:
        layer.momentum = 0.0
    model(images(model, 8), training=True)
    for layer, momentum in zip(norms, usual, strict=True):
        layer.momentum = momentum
    return model


def _off(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Returns values a little off their initial ones, so that no two channels are alike."""
    if not np.issubdtype(values.dtype, np.floating):
        return values
    noise = np.random.default_rng(values.size).standard_normal(values.shape).astype(values.dtype)
    return values + 0.1 * noise * max(float(values.std()), 0.1)


def at_random(groups: Sequence[Channels], *_: Any, **__: Any) -> Matched:
    """Returns a random order of the channels of each kind, in place of the best one."""
    random, found = np.random.default_rng(0), []
    for group in groups:
        order = np.arange(len(group.kinds))
        for channels in group.movable:
            order[channels] = random.permutation(channels)
        found.append(order)
    return Matched(tuple(found), 0, 0, 0)


def tried(name: str, folder: Path, **settings: Any) -> Trial:
    """Put the channels of an application in a random order, compare what Keras computes, and align the model back.

    In some models the rounding errors of hundreds of layers come to more than 1e-5: those run in double precision.

    Raises:
        AssertionError: the outputs differ.
    """
    import keras

    try:
        trial = tried_as("float32", name, folder, **settings)
        if trial.difference > MOST:
            exact = {"include_preprocessing": False} if name.startswith(NORMALIZING) else {}
            trial = tried_as("float64", name, folder, **settings, **exact)
    finally:
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy("float32")
    assert trial.difference <= MOST, f"{name}: the outputs differ by {trial.difference}"
    return trial


def tried_as(dtype: str, name: str, folder: Path, **settings: Any) -> Trial:
    """Compare what Keras computes in a precision."""
    import keras

    model = made(name, dtype, **settings)
    old, new = folder / "old.keras", folder / "new.keras"
    model.save(old)
    given = images(model, 2)
    del model
    expected = np.asarray(keras.models.load_model(old)(given, training=False))
    assert np.abs(expected[0] - expected[1]).max() > 1e-3 * np.abs(expected).max(), f"{name}: images make no difference"
    with mock.patch.object(aligning, "weight_matching", at_random):
        (done,) = wtool.align(old, to=old, output=new, force=True)
    permuted = keras.models.load_model(new)
    difference = float(np.abs(np.asarray(permuted(given, training=False)) - expected).max() / np.abs(expected).max())
    begin = time.process_time()
    (back,) = wtool.align(new, to=old, seed=1, dry_run=True)
    seconds = time.process_time() - begin
    assert back.similarity is not None
    groups = done.groups.values()
    sizes = sum(each.channels for each in groups), sum(each.moved for each in groups)
    return Trial(name, len(groups), *sizes, difference, *back.similarity, seconds)


def table(trials: Sequence[Trial]) -> str:
    """Returns the rows of the page."""
    rows = [
        (
            *(each.name, str(each.groups), f"{each.channels:,}", f"{each.moved:,}", f"{each.difference:.1e}"),
            *(f"{each.before:.3f}", f"{each.after:.4f}", f"{each.seconds:.0f}"),
        )
        for each in trials
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in [COLUMNS, ("---",) * len(COLUMNS), *rows])


def main(names: Sequence[str]) -> None:
    """Try applications, and write the table of all of them."""
    trials = []
    for name in names or NAMES:
        with tempfile.TemporaryDirectory() as folder:
            trials.append(tried(name, Path(folder)))
        print(trials[-1], flush=True)
    if not names:
        text = f"{BEGIN}\n\n{table(trials)}\n\n{END}"
        PAGE.write_text(
            re.sub(f"{re.escape(BEGIN)}.*?{re.escape(END)}", lambda _: text, PAGE.read_text(), flags=re.DOTALL)
        )


if __name__ == "__main__":
    main(sys.argv[1:])
