"""Groups of VGG16 and ResNet50 against those that the authors of Git Re-Basin wrote by hand.

Their specifications (github.com/samuela/git-re-basin, src/weight_matching.py at ef400982, MIT licence) are transcribed
here with Keras's names: tensor -> the permutation along each of its axes. Their VGG16 has layer normalisation behind
each convolution, which that of `keras.applications` lacks; that one's ResNet50 has biases in its convolutions, which
theirs lacks, and moving statistics, which theirs keeps elsewhere.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from wtool.checkpoint.opener import open_checkpoint
from wtool.graphs.grouping import grouping_of
from wtool.schema import graph

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow, pytest.mark.usefixtures("quiet_keras")]
keras = pytest.importorskip("keras")

Spec = dict[str, tuple["str | None", ...]]

CONVOLUTIONS = [
    f"block{block}_conv{number}" for block, count in enumerate((2, 2, 3, 3, 3), 1) for number in range(1, count + 1)
]
"""Conv_0 to Conv_12."""


def vgg16() -> Spec:
    names = CONVOLUTIONS
    return {
        f"{names[0]}/kernel": (None, None, None, "P_Conv_0"),
        **{f"{names[i]}/kernel": (None, None, f"P_Conv_{i - 1}", f"P_Conv_{i}") for i in range(1, 13)},
        **{f"{names[i]}/bias": (f"P_Conv_{i}",) for i in range(13)},
        "fc1/kernel": ("P_Conv_12", "P_Dense_0"),
        "fc1/bias": ("P_Dense_0",),
        "fc2/kernel": ("P_Dense_0", "P_Dense_1"),
        "fc2/bias": ("P_Dense_1",),
        "predictions/kernel": ("P_Dense_1", None),
        "predictions/bias": (None,),
    }


def convolution(name: str, before: str | None, after: str | None) -> Spec:
    return {
        f"{name}_conv/kernel": (None, None, before, after),
        f"{name}_bn/gamma": (after,),
        f"{name}_bn/beta": (after,),
    }


def easy_block(name: str, p: str) -> Spec:
    """A block with a residual connection, without any change in the number of channels."""
    return {
        **convolution(f"{name}_1", p, f"P_{name}_inner1"),
        **convolution(f"{name}_2", f"P_{name}_inner1", f"P_{name}_inner2"),
        **convolution(f"{name}_3", f"P_{name}_inner2", p),
    }


def shortcut_block(name: str, before: str, after: str) -> Spec:
    """A block whose residual connection is a convolution."""
    return {
        **convolution(f"{name}_1", before, f"P_{name}_inner1"),
        **convolution(f"{name}_2", f"P_{name}_inner1", f"P_{name}_inner2"),
        **convolution(f"{name}_3", f"P_{name}_inner2", after),
        **convolution(f"{name}_0", before, after),
    }


def resnet50() -> Spec:
    found = convolution("conv1", None, "P_bg0")
    for stage, blocks in ((2, 3), (3, 4), (4, 6), (5, 3)):
        after = f"P_bg{stage - 1}"
        found |= shortcut_block(f"conv{stage}_block1", f"P_bg{stage - 2}", after)
        for block in range(2, blocks + 1):
            found |= easy_block(f"conv{stage}_block{block}", after)
    return {**found, "predictions/kernel": ("P_bg4", None), "predictions/bias": (None,)}


def by_permutation(spec: Spec) -> set[frozenset[tuple[str, int]]]:
    """For each permutation the tensors and axes that it is of."""
    found: dict[str, set[tuple[str, int]]] = {}
    for name, axes in spec.items():
        for axis, permutation in enumerate(axes):
            if permutation is not None:
                found.setdefault(permutation, set()).add((name, axis))
    return {frozenset(each) for each in found.values()}


@pytest.mark.parametrize(("name", "spec"), [("VGG16", vgg16()), ("ResNet50", resnet50())])
def test_derived_groups_are_the_published_ones(name: str, spec: Spec, tmp_path: Path) -> None:
    make: Any = getattr(keras.applications, name)
    make(weights=None, input_shape=(32, 32, 3), classes=10).save(tmp_path / "model.keras")
    with open_checkpoint(str(tmp_path / "model.keras")) as base:
        assert base.config is not None
        groups = grouping_of(base, graph.read(base.config), reorder=True).groups
        missing = {each.path for each in base.weights} - spec.keys()
    assert all("moving_" in each or (name == "ResNet50" and each.endswith("_conv/bias")) for each in missing)
    derived = {
        frozenset((each.path, each.axis) for each in group.members if each.path not in missing)
        for group in groups
        if not group.bound.any()
    }
    assert derived == by_permutation(spec)
    assert [group.name for group in groups if group.bound.any()] == ["predictions"]
