"""What half of the channels less, and half of the weights zero, make of the size and the speed of models, on the CPU.

    python shrunk_speed.py FOLDER FIGURES [--smoke]

Each model is made under FOLDER, shrunk by `wtool shrink --sparsity .5`, and pruned by `wtool prune --sparsity .5`.
Stock Keras loads all three, trains a step with the shrunk one, and predicts batches of 8 with all of them in turn.
Milliseconds are of one processor, so that a busy machine makes little difference. The file FIGURES gets JSON: model ->
`dense`, `pruned` or `shrunk` -> `parameters`, `multiply_adds`, `bytes` (of the file, without an optimizer) and `ms`, a
list with one for each turn.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.update(OMP_NUM_THREADS="1", TF_NUM_INTRAOP_THREADS="1", TF_NUM_INTEROP_THREADS="1")

import keras
import numpy as np
from keras import layers

import wtool

TURNS, BATCH, SPARSITY = 9, 8, 0.5
APPLICATIONS = ("MobileNetV2", "ResNet50", "DenseNet121", "EfficientNetB0")


def application(name: str) -> keras.Model:
    return getattr(keras.applications, name)(weights=None, input_shape=(96, 96, 3), classes=10)


def transformer_encoder() -> keras.Model:
    """Four blocks of eight heads, 256 channels wide, for 64 tokens."""
    tokens = keras.Input((64,), dtype="int32")
    x = layers.Embedding(1000, 256)(tokens)
    for _ in range(4):
        x = layers.LayerNormalization()(layers.Add()([x, layers.MultiHeadAttention(8, 32)(x, x)]))
        inner = layers.Dense(256)(layers.Dense(1024, activation="gelu")(x))
        x = layers.LayerNormalization()(layers.Add()([x, inner]))
    return keras.Model(tokens, layers.Dense(10)(layers.GlobalAveragePooling1D()(x)))


def stacked_lstm() -> keras.Model:
    """Three layers of 256 units, for 32 steps of 64 values."""
    steps = keras.Input((32, 64))
    x = layers.LSTM(256, return_sequences=True)(steps)
    x = layers.LSTM(256, return_sequences=True)(x)
    return keras.Model(steps, layers.Dense(10)(layers.LSTM(256)(x)))


MODELS: dict[str, Callable[[], keras.Model]] = {
    **{name: lambda name=name: application(name) for name in APPLICATIONS},
    "transformer encoder": transformer_encoder,
    "stacked LSTM": stacked_lstm,
}


def files(name: str, folder: Path) -> dict[str, Path]:
    """Make a model, and what pruning and shrinking make of it."""
    paths = {how: folder / f"{name.replace(' ', '-')}-{how}.keras" for how in ("dense", "pruned", "shrunk")}
    keras.utils.set_random_seed(0)
    model = MODELS[name]()
    noise = np.random.default_rng(0)
    model.set_weights([each + 0.01 * noise.random(each.shape, dtype="float32") for each in model.get_weights()])
    model.save(paths["dense"])
    wtool.prune(paths["dense"], sparsity=SPARSITY, output=paths["pruned"], force=True)
    wtool.shrink(paths["dense"], sparsity=SPARSITY, output=paths["shrunk"], force=True)
    return paths


def batch_for(model: keras.Model) -> Any:
    (given,) = model.inputs
    rng, shape = np.random.default_rng(0), (BATCH, *given.shape[1:])
    return rng.integers(0, 1000, shape) if "int" in given.dtype else rng.random(shape, dtype="float32")


def train_a_step(path: Path) -> None:
    """Stock Keras goes on with the training of a model."""
    model = keras.models.load_model(path)
    model.compile(keras.optimizers.SGD(1e-4), "mse")
    loss = model.train_on_batch(batch_for(model), np.zeros((BATCH, 10), "float32"))
    assert np.isfinite(loss), f"{path}: the loss is {loss}"


def compare(name: str, folder: Path, smoke: bool) -> dict[str, dict[str, Any]]:
    """Size and speed of a model as it is, pruned and shrunk."""
    paths = files(name, folder)
    train_a_step(paths["shrunk"])
    models = {how: keras.models.load_model(path) for how, path in paths.items()}
    batch = batch_for(models["dense"])
    each: dict[str, list[float]] = {how: [] for how in models}
    for turn in range(3 if smoke else 2 + TURNS):
        for how, model in models.items():
            begin = time.process_time()
            found = model.predict_on_batch(batch)
            if turn > 1:  # the first turns trace and warm up
                each[how].append(1000 * (time.process_time() - begin))
            assert np.isfinite(found).all(), f"{paths[how]} predicts what is not finite"
    return {
        how: {
            "parameters": model.count_params(),
            "multiply_adds": wtool.cost(paths[how])["multiply_adds"],
            "bytes": paths[how].stat().st_size,
            "ms": each[how],
        }
        for how, model in models.items()
    }


def main(words: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="for the models")
    parser.add_argument("figures", type=Path, help="the file for the figures")
    parser.add_argument("--smoke", action="store_true", help="one turn, of the smallest model")
    given = parser.parse_args(words)
    given.folder.mkdir(parents=True, exist_ok=True)
    names = ["stacked LSTM"] if given.smoke else list(MODELS)
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for name in names:
        found[name] = compare(name, given.folder, given.smoke)
        given.figures.write_text(json.dumps(found, indent=1) + "\n")
        keras.backend.clear_session()


if __name__ == "__main__":
    main(sys.argv[1:])
