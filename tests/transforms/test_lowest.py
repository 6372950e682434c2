"""The ratio of quantiles by which a criterion scales initial weights, against NumPy's quantiles of what is left."""

from __future__ import annotations

import numpy as np
import pytest

from tests.transforms.test_transforms import CutUp
from wtool.transforms import lowest
from wtool.transforms.ranking import Group


@pytest.mark.parametrize(("pruned", "rank"), [(0, 5), (3, 4), (3, 10), (7, 12), (7, 19)])
def test_quantiles_are_those_of_the_unpruned_values(pruned: int, rank: int) -> None:
    rng = np.random.default_rng(pruned)
    final, initial = rng.standard_normal((2, 20)).astype(np.float32)
    final[rng.permutation(20)[:pruned]] = 0
    data = CutUp([{"w": final}, {"w": initial}], {}, 1)
    (alpha,) = lowest._alphas(data, [Group(tuple(data.sites), rank)]).values()
    kept = final != 0
    share = (rank - pruned) / kept.sum()
    above, below = (np.quantile(np.abs(each[kept]).astype(np.float64), share) for each in (initial, final))
    assert alpha == pytest.approx(above / below, rel=1e-12)


def test_where_nothing_is_pruned_now_nothing_is_scaled() -> None:
    values = np.asarray([0, 0, 3, 4], np.float32)
    data = CutUp([{"w": values}, {"w": values}], {}, 1)
    assert lowest._alphas(data, [Group(tuple(data.sites), 2)]) == {"w": 1.0}
