"""Make the checkpoints that the benchmark averages: once, under build/bench/.

    python tests/bench/make_models.py build/bench

`resnet50/` holds 20 checkpoints of ResNet50 (about 100 MB each) and `wide/` ten of stacked Dense layers (about four
times as large). Every checkpoint is the same model plus small noise of its own. Needs the `train` extra.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

SETS = {"resnet50": 20, "wide": 10}


def build(name: str) -> Any:
    import keras

    keras.utils.set_random_seed(0)
    if name == "resnet50":
        return keras.applications.ResNet50(weights=None)
    inputs = keras.Input((4096,))
    outputs = inputs
    for _ in range(6):
        outputs = keras.layers.Dense(4096, activation="relu")(outputs)
    return keras.Model(inputs, outputs, name="wide")


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
        print(f"{path}  {path.stat().st_size / 1e6:.0f} MB", flush=True)


if __name__ == "__main__":
    for name, count in SETS.items():
        make(Path(sys.argv[1]), name, count)
