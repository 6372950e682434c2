"""What a user writes without wtool: load one model, stream the others' weights through it, average, save.

    python keras_average.py OUT DECAY CKPT...

The newest checkpoint (the last) weighs 1, the one before it DECAY, then DECAY squared, ...; the weights add up to one.
"""

from __future__ import annotations

import sys

import keras
import numpy as np

out, decay, *paths = sys.argv[1:]
weights = float(decay) ** np.arange(len(paths))[::-1]
weights /= weights.sum()

model = keras.models.load_model(paths[-1], compile=False)
total = [value * weights[-1] for value in map(np.float64, model.get_weights())]
for path, weight in zip(paths[:-1], weights[:-1], strict=True):
    model.load_weights(path)
    for accumulated, value in zip(total, model.get_weights(), strict=True):
        accumulated += weight * value.astype(np.float64)
model.set_weights(total)
model.save(out)
