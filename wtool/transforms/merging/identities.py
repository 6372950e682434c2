"""What tells models apart: random numbers belong to a model, wherever it is named on the command line."""

from __future__ import annotations

import hashlib

import numpy as np

from wtool.transforms.change import Data
from wtool.transforms.merging.settings import Settings

READ = 256
"""Values of each tensor that are looked at."""


def identities(data: Data, settings: Settings) -> list[str]:
    """Returns a key for each model, in their order: a hash of the first values of its tensors, in float64.

    So the result is the same whichever model is named first, and in which format. Models with the same key are told
    apart by their order: equal models have to draw different numbers.
    """
    digests = [hashlib.blake2b(digest_size=16) for _ in range(settings.models)]
    for site in data.sites:
        blocks = data.read(site, 0, min(READ, site.size))[settings.has_base :]
        for digest, block in zip(digests, blocks, strict=True):
            digest.update(block.astype(np.float64).tobytes())
    keys = [digest.hexdigest() for digest in digests]
    return [f"{key} {keys[:at].count(key)}" for at, key in enumerate(keys)]
