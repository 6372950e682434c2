"""Make the models that the benchmark works on: once, under build/bench/.

    python tests/bench/make_models.py build/bench

`resnet50/` holds 20 checkpoints of ResNet50 (about 100 MB each) and `wide/` ten of stacked Dense layers (about four
times as large); `huge/` one model of 1 GB; `zoo/` 400 of ResNet-20 for CIFAR, 1.3 MB each; `small/` one of 16 KB. Every
one is the same model plus small noise of its own. `rows/` holds 400 of 20 Dense layers, 1 MB each, whose weights are
drawn. `old/` holds ResNet50 and a small model as Keras 2 saves them in `.h5`. Needs the extras `train` and `readers`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

SETS = {"resnet50": 20, "wide": 10, "huge": 1, "zoo": 400, "small": 1}


def build(name: str) -> Any:
    import keras

    keras.utils.set_random_seed(0)
    if name == "resnet50":
        return keras.applications.ResNet50(weights=None)
    if name == "zoo":
        return resnet20()
    if name == "small":
        return keras.Sequential([keras.Input((8,)), *(keras.layers.Dense(8) for _ in range(2))])
    inputs = keras.Input((4096,))
    outputs = inputs
    for _ in range(6 if name == "wide" else 16):
        outputs = keras.layers.Dense(4096, activation="relu")(outputs)
    return keras.Model(inputs, outputs, name=name)


def resnet20() -> Any:
    """He et al. 2015, section 4.2: three stages of three blocks, 270,000 parameters."""
    from keras import layers

    def block(x: Any, filters: int, strides: int) -> Any:
        y = layers.Conv2D(filters, 3, strides, padding="same", use_bias=False)(x)
        y = layers.ReLU()(layers.BatchNormalization()(y))
        y = layers.Conv2D(filters, 3, padding="same", use_bias=False)(y)
        shortcut = layers.Conv2D(filters, 1, strides, use_bias=False)(x) if strides > 1 else x
        return layers.ReLU()(layers.Add()([layers.BatchNormalization()(y), shortcut]))

    import keras

    inputs = keras.Input((32, 32, 3))
    x = layers.Conv2D(16, 3, padding="same", use_bias=False)(inputs)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    for filters, first in ((16, 1), (32, 2), (64, 2)):
        for number in range(3):
            x = block(x, filters, first if number == 0 else 1)
    return keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling2D()(x)), name="resnet20")


def make(folder: Path, name: str, count: int) -> None:
    """Save `count` noisy copies of model `name`; files that are there already are kept."""
    import numpy as np

    paths = [folder / name / f"ckpt-{number}.keras" for number in range(1, count + 1)]
    if all(path.exists() for path in paths):
        return
    (folder / name).mkdir(parents=True, exist_ok=True)
    model = build(name)
    base = model.get_weights()
    for number, path in enumerate(paths, start=1):
        rng = np.random.default_rng(number)
        model.set_weights([w + 0.01 * rng.standard_normal(w.shape, dtype=np.float32) for w in base])
        partial = path.with_name("partial.keras")
        model.save(partial)
        partial.replace(path)
        if number in (1, count):
            print(f"{path}  {path.stat().st_size / 1e6:.1f} MB", flush=True)


def make_old(folder: Path) -> None:
    """Save ResNet50 and a small model with the old Keras; files that are there already are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "small.h5").exists():
        return
    import tf_keras

    tf_keras.utils.set_random_seed(0)
    tf_keras.applications.ResNet50(weights=None).save(folder / "resnet50.h5")
    tf_keras.Sequential([tf_keras.layers.Dense(8, input_shape=(8,))]).save(folder / "small.h5")


def make_rows(folder: Path, count: int) -> None:
    """Write models of 20 Dense layers of 112 units."""
    from grown import grown

    folder.mkdir(parents=True, exist_ok=True)
    for number in range(1, count + 1):
        path = folder / f"ckpt-{number}.keras"
        if not path.exists():
            grown(path.with_name("partial"), 20, 112, number)
            path.with_name("partial").replace(path)


if __name__ == "__main__":
    for name, count in SETS.items():
        make(Path(sys.argv[1]), name, count)
    make_old(Path(sys.argv[1]) / "old")
    make_rows(Path(sys.argv[1]) / "rows", 400)
