"""Scikit-learn's digits, 1797 images of 8 x 8 pixels, in parts for training and testing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split


@dataclass(frozen=True)
class Samples:
    """Images with pixels between 0 and 1, as float32: (n, 64), or (n, 8, 8, 1); and their classes, (n,)."""

    x: np.ndarray
    y: np.ndarray

    def save(self, path: Path | str) -> None:
        """Writes an .npz with `x` and `y`, as the commands of wtool read data."""
        np.savez(path, x=self.x, y=self.y)


def everything(images: bool = False) -> Samples:
    """All digits, in the order of the data set."""
    x, y = load_digits(return_X_y=True)
    return Samples((x.reshape((-1, 8, 8, 1) if images else (-1, 64)) / 16).astype(np.float32), y)


def parts(*shares: float, images: bool = False, seed: int = 0) -> list[Samples]:
    """The digits in parts: see `cut`.

    Args:
        images: whether samples have the shape (8, 8, 1) instead of (64,).
    """
    return cut(everything(images), *shares, seed=seed)


def cut(samples: Samples, *shares: float, seed: int = 0) -> list[Samples]:
    """Samples in parts at random, with the same proportions of classes in each.

    Args:
        samples: all of them.
        shares: of all, for each part but the first, which gets the rest: `train, held, test = cut(samples, .2, .2)`.
        seed: of the split.
    """
    rest, left, found = samples, 1.0, []
    for share in reversed(shares):
        x, x_cut, y, y_cut = train_test_split(
            rest.x, rest.y, test_size=share / left, stratify=rest.y, random_state=seed
        )
        rest, left, found = Samples(x, y), left - share, [Samples(x_cut, y_cut), *found]
    return [rest, *found]
