"""The weighted mean, to the bit of `numpy.average`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from wtool.transforms.averaging import weighted_mean
from wtool.transforms.change import Blocks, Data, Site
from wtool.transforms.merging.method import Combine, Prepared

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def prepare(data: Data, coefficients: NDArray[np.float64]) -> Prepared:
    """The mean of the models, sum_i(c_i * m_i) / sum_i(c_i), where c_i is the coefficient of model i.

    Args:
        data: the tensors; none is looked at.
        coefficients: one for each model, shape (models,); they need not add up to 1.
    """
    return Prepared({site.path: combining(site, coefficients) for site in data.sites})


def combining(site: Site, coefficients: NDArray[np.float64]) -> Combine:
    """Returns what averages the blocks of a tensor.

    Args:
        site: the tensor.
        coefficients: one for each block, shape (blocks,); they need not add up to 1.
    """
    return partial(_averaged, coefficients, site.size)


def _averaged(coefficients: NDArray[np.float64], size: int, blocks: Blocks, start: int) -> NDArray[np.float64]:
    return weighted_mean(blocks, coefficients, size)
