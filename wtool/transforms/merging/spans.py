"""Merges that are a weighted sum of the models, with coefficients that follow from the angles between them.

Angles and lengths follow from dot products, so one pass over the tensors tells all coefficients, and the writing pass
is a weighted sum. A method that works unit by unit takes a tensor whole and has coefficients for each unit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING

import numpy as np

from wtool.dtypes import Array
from wtool.transforms.change import Blocks, Data, Site
from wtool.transforms.merging.linear import weighted_sum
from wtool.transforms.merging.method import Combine, Prepared
from wtool.transforms.merging.task_vector_data import delta
from wtool.transforms.merging.totals import totals
from wtool.transforms.merging.units import row_blocks, rows_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

Rule = Callable[[Site, "NDArray[np.float64]"], "NDArray[np.float64]"]
"""From a tensor and the dot products of its vectors, shape (k, k, units), to the vectors' coefficients, (k, units).

The vectors are those of the models, or their differences from the base. A tensor that is not cut into units has one.
"""


def spanned(data: Data, rule: Rule, of_deltas: bool, rows: bool = False) -> Prepared:
    """Prepares a merge whose result is a weighted sum of the vectors, plus the base if they are differences from it.

    Args:
        data: the tensors.
        rule: tells the coefficients.
        of_deltas: whether the first block is a base, and the vectors are differences from it.
        rows: whether each output unit is a vector of its own.
    """
    if rows:
        combines: dict[str, Combine] = {
            site.path: partial(_by_rows, site, partial(rule, site), of_deltas) for site in data.sites
        }
        return Prepared(combines, frozenset(combines))
    dots = dot_products(data, data.sites, of_deltas)
    return Prepared(
        {
            site.path: partial(_weighted, _of_blocks(rule(site, dots[site.path][:, :, None]), of_deltas)[:, 0])
            for site in data.sites
            if site.path in dots
        }
    )


def dot_products(data: Data, sites: Sequence[Site], of_deltas: bool) -> Mapping[str, NDArray[np.float64]]:
    """Returns path of each tensor that is not empty -> the dot products of its vectors, shape (k, k)."""
    found = totals(data, sites, partial(_products, of_deltas))
    return {path: _square(sums) for path, sums in found.items()}


def _products(of_deltas: bool, site: Site, blocks: Blocks, start: int) -> list[NDArray[np.float64]]:
    vectors = _vectors(blocks, of_deltas)
    return [np.multiply(left, right) for left, right in combinations_with_replacement(vectors, 2)]


def _vectors(blocks: Blocks, of_deltas: bool) -> list[NDArray[np.float64]]:
    if of_deltas:
        return [delta(block, blocks[0]) for block in blocks[1:]]
    return [block.astype(np.float64) for block in blocks]


def _square(sums: Sequence[float]) -> NDArray[np.float64]:
    """The products of all pairs i <= j as a symmetric matrix."""
    size = int(np.sqrt(2 * len(sums)))
    result = np.empty((size, size))
    for (i, j), value in zip(combinations_with_replacement(range(size), 2), sums, strict=True):
        result[i, j] = result[j, i] = value
    return result


def _of_blocks(coefficients: NDArray[np.float64], of_deltas: bool) -> NDArray[np.float64]:
    """The coefficients of the blocks, shape (blocks, units): b + sum_i(c_i (m_i - b)) is a weighted sum as well."""
    if not of_deltas:
        return coefficients
    return np.concatenate([1 - coefficients.sum(axis=0, keepdims=True), coefficients])


def _weighted(coefficients: NDArray[np.float64], blocks: Blocks, start: int) -> NDArray[np.float64]:
    return weighted_sum(blocks, coefficients)


def _by_rows(
    site: Site,
    rule: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    of_deltas: bool,
    blocks: Blocks,
    start: int,
) -> NDArray[np.float64]:
    """Merges a whole tensor, some of its rows at a time."""
    result = np.empty(site.size)
    into = rows_of(result, site)
    operands = [rows_of(block, site) for block in blocks]
    for index in row_blocks(site):
        rows = [np.ascontiguousarray(each[index]).reshape(into[index].shape[0], -1) for each in operands]
        coefficients = _of_blocks(rule(_row_products(rows, of_deltas)), of_deltas)
        total = np.zeros(rows[0].shape)
        for row, share in zip(rows, coefficients, strict=True):
            total += share[:, None] * row.astype(np.float64)
        into[index] = total.reshape(into[index].shape)
    return result


def _row_products(rows: Sequence[Array], of_deltas: bool) -> NDArray[np.float64]:
    """Dot products of each unit's vectors, shape (k, k, units)."""
    units = len(rows[0])
    vectors = [each.reshape(units, -1) for each in _vectors([row.reshape(-1) for row in rows], of_deltas)]
    result = np.empty((len(vectors), len(vectors), units))
    for i, j in combinations_with_replacement(range(len(vectors)), 2):
        result[i, j] = result[j, i] = (vectors[i] * vectors[j]).sum(axis=1)
    return result
