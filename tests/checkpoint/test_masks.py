"""Masks in lineages: every mask comes back as it was, and a stranger's text takes no more than its bits."""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wtool.checkpoint import masks
from wtool.checkpoint.lineage import Record, lineage_in, lineage_text
from wtool.checkpoint.masks import Mask, entry, recorded_masks
from wtool.checkpoint.model import Tensor
from wtool.errors import Refused

KERNEL = Tensor("dense/kernel", "kernel", "dense", "Dense", True, (3, 4), "float32", "dense/kernel", 0, 48)
KEPT = np.arange(12) % 3 != 0


def pruning(entries: Any, operation: str = "prune") -> Record:
    return Record(operation, {"sparsity": 0.5}, more={"masks": entries})


def found(*records: Record, weights: tuple[Tensor, ...] = (KERNEL,)) -> Any:
    """The masks of a file with these records, as they are read from it."""
    return recorded_masks(lineage_in({"wtool_lineage": lineage_text(records)}), weights)


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.sampled_from([0.0, -0.0, 1.0, -2.0])), max_size=70), st.data())
def test_any_part_of_a_mask_is_as_it_was(pairs: list[tuple[bool, float]], data: st.DataObject) -> None:
    kept, values = np.array([each for each, _ in pairs], bool), np.array([each for _, each in pairs], np.float32)
    start = data.draw(st.integers(0, len(pairs)))
    stop = data.draw(st.integers(start, len(pairs)))
    tensor = replace(KERNEL, shape=(len(pairs),))
    for holds_values in (False, True):
        mask = found(pruning({tensor.path: entry(kept, tensor.shape, holds_values)}), weights=(tensor,)).masks[
            tensor.path
        ]
        expected = kept if holds_values else kept | (values != 0)
        assert mask.kept(values[start:stop], start).tolist() == expected[start:stop].tolist()


def test_a_later_record_has_the_word() -> None:
    first, second = entry(KEPT, (3, 4), holds_values=True), entry(~KEPT, (3, 4), holds_values=True)
    assert (
        found(pruning({KERNEL.path: first}), pruning({KERNEL.path: second}))
        .masks[KERNEL.path]
        .kept(np.zeros(12, np.float32))
        .tolist()
        == (~KEPT).tolist()
    )
    assert not found(pruning({KERNEL.path: first}), pruning({KERNEL.path: None})).masks
    assert found(pruning({KERNEL.path: first}), Record("resume"), Record("average")).masks.keys() == {KERNEL.path}
    assert not found(replace(pruning({KERNEL.path: first}), of="mask")).masks


def test_a_mask_of_other_values_is_dropped_with_a_note() -> None:
    told = pruning({KERNEL.path: entry(KEPT, (3, 4), holds_values=True)})
    for records, weights in (
        ((told,), (replace(KERNEL, shape=(4, 3)),)),
        ((told,), (replace(KERNEL, path="other/kernel"),)),
        ((told, Record("align")), (KERNEL,)),
        ((told, Record("swap", more={"new": ["other", KERNEL.path, KERNEL.path]})), (KERNEL,)),
    ):
        dropped = found(*records, weights=weights)
        assert not dropped.masks
        assert dropped.notes[0].startswith("the recorded mask of dense/kernel is dropped")


def test_masks_move_along_with_their_tensors() -> None:
    """A conversion renames one tensor, keeps one, and lays the values of one out anew."""
    weights = tuple(replace(KERNEL, path=path) for path in ("a/kernel", "b/kernel", "c/kernel"))
    told = pruning({each.path: entry(KEPT, (3, 4), holds_values=True) for each in weights})
    moved = masks.moved_masks([told], weights, {"x/kernel": "a/kernel", "b/kernel": "b/kernel"})
    assert moved.notes == ("the recorded mask of c/kernel is dropped, since the values are in another order now",)
    now = tuple(replace(KERNEL, path=path) for path in ("x/kernel", "b/kernel", "c/kernel"))
    kept = found(told, pruning(moved.entries, "convert"), weights=now)
    assert {path: mask.kept(np.zeros(12)).tolist() for path, mask in kept.masks.items()} == dict.fromkeys(
        ("x/kernel", "b/kernel"), KEPT.tolist()
    )
    assert not kept.notes


DEFLATED = {size: base64.b64encode(zlib.compress(bytes(size))).decode() for size in (0, 1, 2, 3, 50_000_000)}


@pytest.mark.parametrize(
    "kept",
    [
        None,
        7,
        [],
        "",
        "%%%",
        "é",
        DEFLATED[0],
        DEFLATED[1],
        DEFLATED[3],
        DEFLATED[50_000_000],
        DEFLATED[2][:-8],
        base64.b64encode(zlib.compress(bytes(2)) + b"more").decode(),
        base64.b64encode(bytes(2)).decode(),
    ],
)
def test_what_is_no_mask_is_refused(kept: Any) -> None:
    told = {"shape": [3, 4], "held": "values", "kept": kept}
    with pytest.raises(Refused, match=r"a mask of dense/kernel that is not 12 bits"):
        found(pruning({KERNEL.path: told}))


@pytest.mark.parametrize("entries", [None, 3, "x", [], {}, {"dense/kernel": 3}, {"dense/kernel": []}, {"": {}}])
def test_other_values_are_no_masks(entries: Any) -> None:
    assert not found(pruning(entries)).masks


def test_a_lineage_has_room_for_some_masks() -> None:
    """Bits of no pattern do not deflate: 64 million of them take 10.7 MB in base64, 80 million more than the limit."""
    bits = {millions: "x" * (millions * 10**6 // 8 * 4 // 3) for millions in (64, 80)}
    assert masks.fits([], {"kernel": {"kept": bits[64]}})
    assert not masks.fits([], {"kernel": {"kept": bits[80]}})
    assert not masks.fits([pruning({"kernel": {"kept": bits[64]}})], {"kernel": {"kept": bits[64]}})


def test_an_entry_is_small() -> None:
    """Four of five pruned at random: 0.72 bits of information a weight, of which base64 makes 0.96."""
    kept = np.random.default_rng(0).random(1_000_000) > 0.8
    size = len(json.dumps(entry(kept, (1000, 1000), holds_values=True)))
    assert size < 140_000
    assert isinstance(Mask(np.packbits(kept), True).kept(np.zeros(0)), np.ndarray)
