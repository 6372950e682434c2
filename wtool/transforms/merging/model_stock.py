"""Model stock: how far the mean of fine-tuned models is to be trusted, by the angles between their task vectors.

Source: Jang et al., "Model Stock: all we need is just a few fine-tuned models", arXiv:2403.19522.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from wtool.errors import a_few
from wtool.transforms.change import Data, Site
from wtool.transforms.merging.method import Prepared
from wtool.transforms.merging.settings import Settings
from wtool.transforms.merging.spans import spanned

if TYPE_CHECKING:
    from numpy.typing import NDArray


def model_stock(data: Data, settings: Settings) -> Prepared:
    """t mean_i(m_i) + (1 - t) b, with t = N cos / (1 + (N - 1) cos) for N models.

    cos is the mean of the cosines between the task vectors of each pair of models; that of a task vector of zeros is 0.
    With `filter_wise`, each output unit has a t of its own.

    t is kept in [0, 1]. For a negative cos the formula would lead away from the mean, as mergekit does; t is 0 there.
    mergekit also takes the cosine of short task vectors for less than it is (it divides by at least 1e-6).
    """
    opposed: list[str] = []
    filter_wise = settings.flag("filter_wise")
    prepared = spanned(data, partial(_shares, None if filter_wise else opposed), True, filter_wise)
    if not opposed:
        return prepared
    note = f"the task vectors of {a_few(opposed)} point away from each other: the base's values are kept there"
    return replace(prepared, notes=(note,))


def _shares(opposed: list[str] | None, site: Site, dots: NDArray[np.float64]) -> NDArray[np.float64]:
    models, _, units = dots.shape
    lengths = np.sqrt(np.einsum("iiu->iu", dots))
    pairs = list(combinations(range(models), 2))
    cosines = np.zeros(units)
    for i, j in pairs:
        size = lengths[i] * lengths[j]
        cosines += np.clip(np.divide(dots[i, j], size, out=np.zeros(units), where=size > 0), -1, 1)
    cosines /= len(pairs)
    if opposed is not None and cosines[0] < 0:
        opposed.append(site.path)
    positive = np.maximum(cosines, 0)
    t = np.minimum(models * positive / (1 + (models - 1) * positive), 1)
    return np.broadcast_to(t / models, (models, units))
