"""What a user writes without wtool: load each model, prune its kernels by magnitude, save it.

    python keras_prune.py SPARSITY OUT SECONDS MODEL...

The seconds that the loop took, without importing Keras, go to the file SECONDS.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import keras
import numpy as np

sparsity, out, seconds, *paths = sys.argv[1:]
Path(out).mkdir(exist_ok=True)


def pruned(values: np.ndarray) -> np.ndarray:
    magnitude = np.abs(values).ravel()
    count = round(float(sparsity) * magnitude.size)
    threshold = np.partition(magnitude, count - 1)[count - 1]
    mask = magnitude < threshold
    mask[np.flatnonzero(magnitude == threshold)[: count - np.count_nonzero(mask)]] = True
    return np.where(mask.reshape(values.shape), 0, values)


begin = time.perf_counter()
for path in paths:
    model = keras.models.load_model(path)
    weights = [pruned(w.numpy()) if w.path.endswith("kernel") else w.numpy() for w in model.weights]
    model.set_weights(weights)
    model.save(Path(out) / Path(path).name)
Path(seconds).write_text(str(time.perf_counter() - begin))
