"""Numbers in the names of checkpoints: which one is the epoch, and which one the value of a metric."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wtool.errors import Usage
from wtool.ops.numbered_names import EPOCH, STEP, columns, counts, metric_values

EPOCHS = [
    (["ckpt-1-0.45.keras", "ckpt-2-0.40.keras"], [1, 2]),
    (["model.03-0.4512.h5", "model.12-0.5.h5"], [3, 12]),
    (["resnet50-v1.5-007.weights.h5", "resnet50-v1.5-010.weights.h5"], [7, 10]),
    (["step100-epoch3.keras", "step200-epoch4.keras"], [3, 4]),
    (["a/ckpt-5/model.keras", "a/ckpt-6/model.keras"], [5, 6]),
    (["run2/ckpt-5.keras", "run1/ckpt-6.keras"], [5, 6]),
    (["model-2024.weights.json", "model-2025.weights.json"], [2024, 2025]),
    (["only-7.keras"], [7]),
    (["w-7-acc95.keras", "w-8-acc97.keras"], [7, 8]),
    (["unzipped-7", "unzipped-8"], [7, 8]),
]


@pytest.mark.parametrize(("names", "epochs"), EPOCHS)
def test_epochs(names: list[str], epochs: list[int]) -> None:
    assert counts(names, EPOCH) == epochs


def test_steps() -> None:
    assert counts(["epoch3_step100.keras", "epoch4_step200.keras"], STEP) == [100, 200]


VALUES = [
    (["ckpt-1-0.45.keras", "ckpt-2-0.40.keras"], [0.45, 0.40], False),
    (["model.03-0.4512.h5", "model.12-0.5.h5"], [0.4512, 0.5], False),
    (["w.03--0.52.keras", "w.04-0.10.keras"], [-0.52, 0.10], False),
    (["w-1-1.5e-05.keras", "w-2-0.25.keras"], [1.5e-05, 0.25], False),
    (["v1.5-1-0.45.keras", "v1.5-2-0.40.keras"], [0.45, 0.40], False),
    (["3-loss0.30-val_loss0.45.h5", "4-loss0.20-val_loss0.40.h5"], [0.45, 0.40], True),
    (["3_val_loss=0.45_val_acc=0.9.h5", "4_val_loss=0.40_val_acc=0.9.h5"], [0.45, 0.40], True),
    (["ckpt_03_val_loss_0.45.h5", "ckpt_04_val_loss_1.h5"], [0.45, 1.0], True),
    (["epoch3-val_f1_0.93-val_loss_0.45.h5", "epoch4-val_f1_0.92-val_loss_0.40.h5"], [0.45, 0.40], True),
]


@pytest.mark.parametrize(("names", "values", "is_labelled"), VALUES)
def test_values_of_a_metric(names: list[str], values: list[float], is_labelled: bool) -> None:
    assert metric_values(names, "val_loss") == (values, is_labelled)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["e-1-0.3-0.45.h5", "e-2-0.2-0.40.h5"], r"the val_loss in names like e-1-0.3-0.45.h5 may be 0.3 or 0.45"),
        (["e.1.0.45.h5", "e.2.0.40.h5"], r"e.1.0.45.h5: the numbers in its name run together"),
        (["e-1-loss0.45.h5", "e-2-loss0.40.h5"], r"no number in names like e-1-loss0.45.h5 tells the val_loss"),
        (["e-1-val_acc_0.45.h5", "e-2-val_acc_0.40.h5"], "no number in names like e-1-val_acc_0.45.h5 tells"),
        (["v1.5-1.h5", "v1.5-2.h5"], "no number in names like v1.5-1.h5 tells"),
        (["e-1.h5", "e-2.h5"], "no number in names like e-1.h5 tells"),
        (["e-1-0.45.h5", "final.h5", "e-2-0.40.h5"], "final.h5: its name has no number"),
        (["e-1-0.45.h5", "e-2-0.40.h5", "e-3-nan.h5"], "e-3-nan.h5: its name has another form than e-1-0.45.h5"),
    ],
)
def test_values_that_are_not_plain(names: list[str], message: str) -> None:
    with pytest.raises(Usage, match=message):
        metric_values(names, "val_loss")


def test_a_loss_is_no_val_loss() -> None:
    assert metric_values(["3-loss0.30-val_loss0.45.h5", "4-loss0.20-val_loss0.40.h5"], "loss") == ([0.3, 0.2], True)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["x-3-100.h5", "x-4-200.h5"], "the epoch in names like x-3-100.h5 may be 3 or 100"),
        (["2024-01-05.h5", "2024-02-04.h5"], "may be 01 or 05"),
        (["best.h5", "e-4.h5"], "best.h5: its name has no number"),
        (["-"], "-: its name has no number"),
    ],
)
def test_epochs_that_are_not_plain(names: list[str], message: str) -> None:
    with pytest.raises(Usage, match=message):
        counts(names, EPOCH)


@given(
    st.lists(st.tuples(st.integers(0, 999), st.floats(-9, 9)), min_size=2, max_size=9, unique_by=lambda each: each[0])
)
def test_names_by_a_template_are_read_back(pairs: list[tuple[int, float]]) -> None:
    names = [f"run7/ckpt-{epoch:03d}-val_loss={value:.3f}.weights.h5" for epoch, value in pairs]
    assert counts(names, EPOCH) == [epoch for epoch, _ in pairs]
    assert metric_values(names, "val_loss") == ([float(f"{value:.3f}") for _, value in pairs], True)


@given(st.lists(st.text(max_size=20), min_size=1, max_size=5))
def test_any_names_are_read_or_refused(names: list[str]) -> None:
    try:
        found = columns(names)
    except Usage:
        return
    assert all(len(each.texts) == len(names) for each in found)
