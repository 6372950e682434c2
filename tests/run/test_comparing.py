"""Which tensor of one model is which of another, and comparisons of values that are computed."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

import wtool
from wtool.checkpoint.model import Slot
from wtool.checkpoint.structure import Fresh
from wtool.run.comparing import Pair, compared, paired_slots, slot_keys


def fresh(values: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> Fresh:
    return Fresh(values.shape, values.dtype.name, lambda: values)


def test_variables_of_an_optimizer_have_keys_by_name_weight_and_number() -> None:
    slots = [Slot("iteration"), Slot("momentum", "b/kernel"), Slot("iteration")]
    assert slot_keys(slots, {"b/kernel": "a/kernel"}) == [
        ("iteration", None, 0),
        ("momentum", "a/kernel", 0),
        ("iteration", None, 1),
    ]


def test_variables_of_an_optimizer_are_paired_by_position_where_a_file_does_not_tell_their_weights() -> None:
    one, two = fresh(np.ones(3, np.float32)), fresh(np.ones(2, np.float32))
    told = {("iteration", None, 0): one, ("momentum", "a", 0): one, ("momentum", "b", 0): two}
    untold = {("iteration", None, 0): one, ("momentum", None, 0): one, ("momentum", None, 1): two}
    assert paired_slots(told, untold).pairs == tuple(zip(told, untold, strict=True))
    assert paired_slots(untold, told).pairs == tuple(zip(untold, told, strict=True))
    for other in ("momentum", "a", 0), ("momentum", None, 1), ("velocity", None, 0):
        keys = [*list(untold)[:1], other, ("momentum", None, 3)]
        found = paired_slots(told, dict(zip(keys, (one, two, one), strict=True)))
        assert len(found.pairs) < 3


def stored(path: Path, *values: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> Path:
    with h5py.File(path, "w") as file:
        for number, each in enumerate(values):
            file.create_dataset(f"layers/dense/vars/{number}", data=each)
    return path


@pytest.mark.parametrize("is_first", [True, False])
def test_values_that_are_computed_stand_beside_stored_ones(is_first: bool, tmp_path: Path) -> None:
    values = np.arange(2_000_000, dtype=np.float32).reshape(2, -1)
    other = values.copy()
    other[1, 5] += 3
    path = stored(tmp_path / "a.weights.h5", values)
    with wtool.open_checkpoint(str(path)) as one, wtool.open_checkpoint(str(path)) as two:
        (tensor,) = one.weights
        pair = Pair(("k", "k"), fresh(other), tensor) if is_first else Pair(("k", "k"), tensor, fresh(other))
        (found,) = compared((one, two), [pair])
    assert found.values is not None
    assert (found.values.changed, found.values.where, found.values.largest) == (1, (1, 5), 3.0)
    assert found.values.relative == pytest.approx(3 / np.linalg.norm(values.astype(np.float64)), rel=1e-6)


@pytest.mark.parametrize("swapped", [False, True])
def test_wide_and_narrow_dtypes_are_read_side_by_side(swapped: bool, tmp_path: Path) -> None:
    """Blocks of both fit into their buffers, whichever is the wider one."""
    wide = np.random.default_rng(0).normal(size=1_500_000)
    paths = [stored(tmp_path / "a.weights.h5", wide), stored(tmp_path / "b.weights.h5", wide.astype(np.float16))]
    found = wtool.diff(*(reversed(paths) if swapped else paths), rtol=1e-3, atol=1e-6)
    (tensor,) = found.tensors
    assert tensor.values is not None
    assert tensor.values.changed == np.count_nonzero(wide != wide.astype(np.float16))
    assert tensor.values.beyond == 0
    assert tensor.is_different
