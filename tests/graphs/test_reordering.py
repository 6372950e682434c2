"""What an order of channels means for the optimizer's variables."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tests.models import BLOBS
from wtool.checkpoint.opener import open_checkpoint
from wtool.graphs.layer_changes import COPY, AxisEdit
from wtool.graphs.reordering import slot_edits


def test_vectors_of_adafactor_have_one_axis_of_their_weight() -> None:
    """Of a kernel (2, 25), "r" has the rows and "c" the columns, which are the kernel's axis 1 and its own axis 0."""
    order = np.arange(25)[::-1]
    edit = AxisEdit("", 1, order, COPY)
    with open_checkpoint(BLOBS[0]) as base:
        (slot,) = [each for each in base.slots if each.slot is not None and each.slot.weight == "hidden/kernel"]
        assert slot.slot is not None
        vectors = [
            replace(slot, path=name, shape=shape, slot=replace(slot.slot, name=name))
            for name, shape in (("r", (2,)), ("c", (25,)))
        ]
        others = [each for each in base.tensors if each is not slot]
        vectored = replace(base, contents=replace(base.contents, tensors=(*others, *vectors)))
        found = slot_edits(vectored, {"hidden/kernel": [edit]})
    assert list(found) == ["c"]
    assert [(each.axis, each.source.tolist()) for each in found["c"]] == [(0, order.tolist())]
