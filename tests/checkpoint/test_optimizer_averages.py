"""Which slots tell averages of weights, and what configurations of schedule-free optimizers may say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import wtool
from tests.models import FIXTURES
from wtool.checkpoint.model import Checkpoint, Optimizer, Slot, Tensor
from wtool.checkpoint.optimizer.averages import WeightAverage, averages_of

SLOT = Tensor("optimizer/sequence/a/kernel", "optimizer slot", "optimizer", "", False, (3,), "float32", "", 0, 12)


@pytest.fixture(scope="module")
def checkpoint() -> Iterator[Checkpoint]:
    with wtool.open_checkpoint(str(FIXTURES / "zoo" / "k3.6.0" / "ema_adamw.keras")) as found:
        yield found


def schedule_free(checkpoint: Checkpoint, config: Mapping[str, Any], name: str = "ScheduleFreeAdamW") -> Checkpoint:
    """The checkpoint as if its momentum were the sequence of a schedule-free optimizer, and without averages."""
    tensors = [each for each in checkpoint.tensors if each.slot is None or each.slot.name != "average"]
    named = [
        replace(each, slot=Slot("sequence", each.slot.weight)) if each.slot and each.slot.name == "momentum" else each
        for each in tensors
    ]
    return replace(
        checkpoint, contents=replace(checkpoint.contents, tensors=tuple(named), optimizer=Optimizer(name, config))
    )


def test_moving_averages_are_the_slots_themselves(checkpoint: Checkpoint) -> None:
    found = averages_of(checkpoint)
    assert {path: (each.slot.path, each.beta) for path, each in found.items()} == {
        tensor.path: (f"optimizer/average/{tensor.path}", None) for tensor in checkpoint.weights
    }


@pytest.mark.parametrize("beta", [0.9, 0.5, 1, 0.05])
def test_the_average_of_a_schedule_free_optimizer(beta: float, checkpoint: Checkpoint) -> None:
    found = averages_of(schedule_free(checkpoint, {"beta_1": beta}))
    assert {each.slot.path for each in found.values()} == {f"optimizer/momentum/{path}" for path in found}
    assert {each.beta for each in found.values()} == {float(np.float32(beta))}
    x, z = np.array([1.5, -2.0, 0.25]), np.array([0.5, 4.0, -1.0])
    b = float(np.float32(beta))
    y = (1 - b) * z + b * x
    made = WeightAverage(SLOT, b).values(y.astype(np.float32), z.astype(np.float32))
    assert made.dtype == np.float32
    np.testing.assert_allclose(made, x, rtol=4e-7 / b)


def test_averages_take_the_dtype_of_their_weight() -> None:
    """float32 to bfloat16, to nearest and rounded once."""
    weight, slot = np.zeros(3, ml_dtypes.bfloat16), np.array([1.00390625, 3.0, 1.01171875], np.float32)
    made = WeightAverage(SLOT).values(weight, slot)
    assert made.dtype == weight.dtype
    assert list(made.astype(np.float32)) == [1.0, 3.0, 1.015625]  # ties to even


def map_of(*betas: Any) -> dict[str, Any]:
    """The configuration of a MultiOptimizer of schedule-free optimizers."""
    parts = [{"class_name": "ScheduleFreeAdamW", "config": {"beta_1": beta}} for beta in betas]
    config = {"default_optimizer": parts[0], "optimizer_map": dict(enumerate(parts[1:]))}
    return {"optimizer_map": {"class_name": "OptimizerMap", "config": config}}


def test_parts_of_one_beta(checkpoint: Checkpoint) -> None:
    found = averages_of(schedule_free(checkpoint, map_of(0.8, 0.8), "MultiOptimizer"))
    assert {each.beta for each in found.values()} == {float(np.float32(0.8))}


@pytest.mark.parametrize(
    ("name", "config", "words"),
    [
        ("ScheduleFreeAdamW", {}, "for which the file has no number"),
        ("ScheduleFreeAdamW", {"beta_1": True}, "for which the file has no number"),
        ("ScheduleFreeAdamW", {"beta_1": "0.9"}, "for which the file has no number"),
        ("ScheduleFreeAdamW", {"beta_1": [0.9]}, "for which the file has no number"),
        ("ScheduleFreeAdamW", {"beta_1": 0}, "a beta_1 between 0.001 and 1"),
        ("ScheduleFreeAdamW", {"beta_1": 1e-60}, "a beta_1 between 0.001 and 1"),
        ("ScheduleFreeAdamW", {"beta_1": float("nan")}, "a beta_1 between 0.001 and 1"),
        ("ScheduleFreeAdamW", {"beta_1": 10**5000}, "a beta_1 between 0.001 and 1"),
        ("MultiOptimizer", map_of(0.8, 0.9), "several numbers"),
        ("MultiOptimizer", {"optimizer_map": {"config": {"optimizer_map": [1]}}}, "no number"),
        ("LossScaleOptimizer", {"inner_optimizer": 5}, "no number"),
        (None, {}, "no number"),
    ],
)
def test_settings_that_tell_no_average(name: str | None, config: Any, words: str, checkpoint: Checkpoint) -> None:
    with pytest.raises(wtool.Refused, match=words):
        averages_of(schedule_free(checkpoint, config, name))  # type: ignore[arg-type]


def test_averages_of_unknown_weights_are_refused(checkpoint: Checkpoint) -> None:
    tensors = [replace(each, slot=Slot("average")) if each.slot and each.shape else each for each in checkpoint.tensors]
    homeless = replace(checkpoint, contents=replace(checkpoint.contents, tensors=tuple(tensors)))
    with pytest.raises(wtool.Refused, match="does not tell of which weights optimizer/average/a/kernel"):
        averages_of(homeless)
