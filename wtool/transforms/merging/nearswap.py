"""Nearswap: the base takes the model's values where both are near each other.

Source: the merge method of this name in mergekit 0.1.5.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from wtool.transforms.change import Blocks, Data
from wtool.transforms.merging.method import Prepared
from wtool.transforms.merging.settings import Settings
from wtool.transforms.merging.task_vector_data import delta

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST = 1e-6
"""Differences between base and model are taken for at least this much."""


def nearswap(data: Data, settings: Settings) -> Prepared:
    """s m + (1 - s) b, with s = min(t / max(|m - b|, 1e-6), 1) for each value. No pass before the writing one."""
    return Prepared({site.path: partial(_swapped, settings.number("t", site)) for site in data.sites})


def _swapped(t: float, blocks: Blocks, start: int) -> NDArray[np.float64]:
    base, model = blocks[0].astype(np.float64), blocks[1].astype(np.float64)
    share = np.abs(delta(blocks[1], blocks[0]))
    np.maximum(share, LEAST, out=share)
    np.minimum(np.divide(t, share, out=share), 1, out=share)
    np.multiply(model, share, out=model)
    np.subtract(1, share, out=share)
    np.multiply(base, share, out=base)
    return np.add(model, base, out=model)
