"""A leg of training, as the record in a lineage tells it, and what an earlier run of it left behind."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from wtool.checkpoint.lineage import Input, Record, last_record, own_records
from wtool.checkpoint.opener import open_checkpoint
from wtool.checkpoint.seal import is_sealed
from wtool.errors import WtoolError

OPERATION = "resume"

ORDER = ("operation", "parameters", "inputs", "seed", "epoch", "batch", "wtool", "random_states", "result")
"""The keys of a record of training, in the order in which they are written."""


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """How far training is: whole epochs, and batches of the next one."""

    epoch: int
    batch: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """A leg as its record in the lineage tells it: the same plan comes to the same result."""

    parameters: Mapping[str, Any]
    inputs: Sequence[Input]
    seed: int
    seed_is_given: bool
    start: Position
    end: Position

    def record(self, at: Position, states: Mapping[str, Any] | None = None) -> Record:
        """The record of a model that is so far, with the states of its random layers, if any."""
        place = {"epoch": at.epoch, **({"batch": at.batch} if at.batch else {}), **(states or {})}
        return Record(OPERATION, self.parameters, tuple(self.inputs), self.seed, more=place, order=ORDER)

    def position(self, record: Record) -> Position | None:
        """How far a model with this record is in this leg; None if it is of another."""
        mine, there = self.record(self.start).as_read(), record.to_json()
        same = ["operation", "parameters", "inputs", *(["seed"] if self.seed_is_given else [])]
        if mine["parameters"].get("data") is None or any(there.get(name) != mine[name] for name in same):
            return None
        at = Position(there.get("epoch", -1), there.get("batch", 0))
        whole = all(isinstance(number, int) for number in (at.epoch, at.batch, there.get("seed")))
        return at if whole and self.start.epoch <= at.epoch <= self.end.epoch and at.batch >= 0 else None


@dataclass(frozen=True, slots=True)
class Left:
    """A model that an earlier run of the same leg left behind."""

    path: str
    at: Position
    seed: int
    hash: str


def epochs_of(lineage: Sequence[Record]) -> int:
    """How many epochs a model was trained for by `resume`, as its lineage tells."""
    counts = [record.more.get("epoch") for record in own_records(lineage) if record.operation == OPERATION]
    return next((count for count in reversed(counts) if isinstance(count, int) and count >= 0), 0)


def left_behind(plan: Plan, target: str, folder: str | os.PathLike[str] | None) -> Iterator[Left]:
    """What an earlier run of the leg left behind: the target, if it was stopped or ended, and checkpoints."""
    paths = [target] if target != "-" and os.path.isfile(target) else []
    if folder is not None and os.path.isdir(folder):
        numbers = range(plan.start.epoch + 1, plan.end.epoch + 1)
        paths += [path for path in (checkpoint_of(folder, number) for number in numbers) if os.path.isfile(path)]
    for path in paths:
        with suppress(WtoolError), open_checkpoint(path) as there:  # what is no checkpoint is not of this leg
            record = last_record(there.lineage)
            at = plan.position(record)
            if at is not None and is_sealed(there):  # another tool may have changed it since
                yield Left(path, at, record.to_json()["seed"], there.finish()[0])


def checkpoint_of(folder: str | os.PathLike[str], epoch: int) -> str:
    """Path of the checkpoint of the end of an epoch."""
    return os.path.join(os.fspath(folder), f"ckpt-{epoch:04d}.keras")


def latest(found: Sequence[Left], can_skip: bool) -> tuple[Left | None, tuple[str, ...]]:
    """What to go on from, and what is worth knowing about it."""
    whole = [each for each in found if can_skip or not each.at.batch]
    if whole or not found:
        return max(whole, key=lambda each: each.at, default=None), ()
    last = max(found, key=lambda each: each.at)
    note = f"the data cannot be had from its middle on, so that epoch {last.at.epoch + 1} begins again"
    return replace(last, at=Position(last.at.epoch)), (note,)
