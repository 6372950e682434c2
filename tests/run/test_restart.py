"""Optimizer variables one by one: what becomes of each kind when weights are rewritten, whole or by value."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from wtool.checkpoint.model import Slot, Tensor
from wtool.run import optimizer_rule
from wtool.run.action import KEPT
from wtool.run.pipeline import Edit
from wtool.transforms.change import Change

NEW = np.asarray([1, 2, 3], np.float32)


def variable(
    name: str, weight: str | None = "a/kernel", shape: tuple[int, ...] = (3,), dtype: str = "float32"
) -> Tensor:
    slot = Slot(name, weight, 0.1 if name == "accumulator" else 0.0)
    return Tensor(f"optimizer/{name}", "optimizer slot", "optimizer", None, None, shape, dtype, name, 0, 12, slot=slot)


WEIGHT = Tensor("a/kernel", "kernel", "a", "Dense", True, (3,), "float32", "a", 0, 12)
REWRITTEN = {"a/kernel": Edit(WEIGHT, (WEIGHT,), lambda blocks, start, stop: NEW[start:stop])}


def checkpoint(*slots: Tensor, rate: Any = 0.1) -> Any:
    contents = SimpleNamespace(optimizer=SimpleNamespace(config={"learning_rate": rate}))
    return SimpleNamespace(slots=slots, contents=contents)


def values(restart: optimizer_rule.Restart) -> dict[str, list[float]]:
    """What each edited variable of three values becomes, where its last two were 7 and 8."""
    old = np.asarray([6, 7, 8], np.float32)
    return {each.target.path: each.apply([old[1:].copy()], 1, 3).tolist() for each in restart.edits}


SLOTS = [variable(name) for name in ("momentum", "velocity", "average", "accumulator")]


def test_everything_starts_anew_together() -> None:
    steps = variable("iteration", None, (), "int64")
    rate = variable("learning_rate", None, ())
    restart = optimizer_rule.anew(checkpoint(*SLOTS, steps, rate), REWRITTEN)
    made = values(restart)
    assert made["optimizer/momentum"] == made["optimizer/velocity"] == [0, 0]
    assert made["optimizer/average"] == [2, 3], "a moving average takes the new values"
    assert made["optimizer/accumulator"] == pytest.approx([0.1, 0.1])
    assert "optimizer/learning_rate" not in made
    assert restart.actions["optimizer/learning_rate"] == KEPT
    assert str(restart.actions["optimizer/iteration"]) == "set to 0"
    assert restart.notes == ()


def test_a_schedule_starts_again_and_that_is_told() -> None:
    told = optimizer_rule.anew(checkpoint(*SLOTS, rate={"class_name": "CosineDecay"}), REWRITTEN).notes
    assert told == ("the learning-rate schedule (CosineDecay) starts again, since the step count is 0 now",)


@pytest.mark.parametrize(
    "unknown",
    [
        variable("unknown"),
        variable("slot0"),
        variable("slot12"),
        variable("momentum", None),
        variable("average", None),
        variable("average", shape=(4,)),
        variable("average", dtype="float16"),
    ],
)
def test_half_a_restart_is_none(unknown: Tensor) -> None:
    """Where the file does not tell what one variable is, or an average cannot hold the new values, all are kept."""
    restart = optimizer_rule.anew(checkpoint(*SLOTS[:2], unknown), REWRITTEN)
    assert restart.edits == ()
    assert {str(each) for each in restart.actions.values()} == {"kept: not understood"}
    assert "the optimizer is kept as it is" in restart.notes[0]
    assert unknown.path in restart.notes[0]


def test_an_average_of_a_weight_that_stays_needs_nothing() -> None:
    restart = optimizer_rule.anew(checkpoint(variable("average", "b/kernel", (4,))), REWRITTEN)
    assert restart.edits == ()
    assert restart.actions == {"optimizer/average": KEPT}


def test_the_momentum_of_what_is_rewritten_becomes_zero() -> None:
    """Second moments stay, and so does all that belongs to another weight."""
    others = [variable("momentum", "b/kernel"), variable("average", "b/kernel")]
    restart = optimizer_rule.followed(checkpoint(*SLOTS), REWRITTEN)
    assert values(restart) == {"optimizer/momentum": [0, 0], "optimizer/average": [2, 3]}
    assert restart.actions["optimizer/velocity"] == restart.actions["optimizer/accumulator"] == KEPT
    assert optimizer_rule.followed(checkpoint(*others), REWRITTEN).edits == ()
    assert optimizer_rule.followed(checkpoint(variable("average", dtype="float16")), REWRITTEN).edits == ()


def test_single_values_lose_their_momentum() -> None:
    def change(start: int, stop: int) -> Change:
        return Change(np.asarray([False, True, False])[start:stop], np.float32(5))

    changes, weights = {"a/kernel": change}, {"a/kernel": WEIGHT}
    restart = optimizer_rule.followed_by_value(checkpoint(*SLOTS), weights, changes)
    assert values(restart) == {"optimizer/momentum": [0, 8], "optimizer/average": [5, 8]}
    assert restart.notes == ()
    factored = variable("momentum", shape=(1,))
    assert optimizer_rule.followed_by_value(checkpoint(factored), weights, changes).edits == ()
    unclear = checkpoint(variable("slot3"), variable("unknown", None, ()))
    (note,) = optimizer_rule.followed_by_value(unclear, weights, changes).notes
    assert note.startswith("the file does not tell what optimizer/slot3 are to the optimizer: kept as they are")
    assert optimizer_rule.followed_by_value(unclear, weights, {}).notes == ()
