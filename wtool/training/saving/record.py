"""A training as its record in the lineage tells it, and the models that an earlier run of it left behind."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from wtool.checkpoint.lineage import Input, Record, last_record, own_records
from wtool.checkpoint.opener import open_checkpoint
from wtool.checkpoint.seal import is_sealed
from wtool.errors import WtoolError
from wtool.io import tree
from wtool.io.addresses import joined, name_of, text_of
from wtool.values import dataclass

OPERATION = "resume"

CALLBACKS, ENDED = "callbacks", "ended"
"""Keys of a record: the states of callbacks that watch metrics, and whether one of them ended training early."""

_PLACE = ("epoch", "batch", ENDED)
ORDER = ("operation", "parameters", "inputs", "seed", *_PLACE, "wtool", "random_states", CALLBACKS, "result")
"""The keys of a record of training, in the order in which they are written."""


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A position in a training: number of whole epochs, and of batches of the next one."""

    epoch: int
    batch: int = 0


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """Everything that decides the result of a training: two trainings with equal plans have equal results.

    Attributes:
        parameters: options by name, as the record keeps them.
        inputs: the model and the files of data, with hashes.
        seed: seed of the order of samples, and of all other random numbers.
        seed_is_given: whether the user gave the seed; otherwise a run with any seed may be gone on with.
        start: position of the model that is trained.
        end: position of the result.
    """

    parameters: Mapping[str, Any]
    inputs: Sequence[Input]
    seed: int
    seed_is_given: bool
    start: Position
    end: Position

    def record(self, at: Position, states: Mapping[str, Any] | None = None) -> Record:
        """Returns the record of a model at a position, with the states of its random layers and callbacks, if any."""
        place = {"epoch": at.epoch, **({"batch": at.batch} if at.batch else {}), **(states or {})}
        return Record(OPERATION, self.parameters, tuple(self.inputs), self.seed, more=place, order=ORDER)

    def position(self, record: Record) -> Position | None:
        """Returns the position in this training of a model with this record; None if it is of another training."""
        mine, there = self.record(self.start).as_read(), record.to_json()
        same = ["operation", "parameters", "inputs", *(["seed"] if self.seed_is_given else [])]
        if mine["parameters"].get("data") is None or any(there.get(name) != mine[name] for name in same):
            return None
        at = Position(there.get("epoch", -1), there.get("batch", 0))
        whole = all(isinstance(number, int) for number in (at.epoch, at.batch, there.get("seed")))
        return at if whole and self.start.epoch <= at.epoch <= self.end.epoch and at.batch >= 0 else None

    def has_data_of(self, record: Record) -> bool:
        """Returns whether a record is of a training with this data, by content."""
        mine, there = self.record(self.start).as_read(), record.to_json()
        return record.operation == OPERATION and _data(mine) == _data(there)


def _data(record: Mapping[str, Any]) -> list[Any]:
    """Returns what a record tells of the data: the hashes, and which part is for validation."""
    inputs, parameters = record.get("inputs"), record.get("parameters")
    told = [each for each in inputs if isinstance(each, dict)] if isinstance(inputs, list) else []
    files = [[each.get("as"), each.get("hash")] for each in told if each.get("as") != "model"]
    return [files, parameters.get("validation_split") if isinstance(parameters, dict) else None]


@dataclass(frozen=True, slots=True)
class Left:
    """A model that an earlier run of the same training left behind.

    Attributes:
        path: of the file.
        at: its position in the training.
        seed: of the earlier run.
        hash: content hash of the file.
        ended: whether training ended there, before the last epoch.
    """

    path: str
    at: Position
    seed: int
    hash: str
    ended: bool = False


def epochs_of(lineage: Sequence[Record]) -> int:
    """Returns the number of epochs that a model was trained for by `resume`, as its lineage tells."""
    counts = [record.more.get("epoch") for record in own_records(lineage) if record.operation == OPERATION]
    return next((count for count in reversed(counts) if isinstance(count, int) and count >= 0), 0)


def left_behind(plan: TrainingPlan, target: str, folder: str | os.PathLike[str] | None) -> Iterator[Left]:
    """Yields the models that an earlier run left behind: the target and checkpoints."""
    paths = [target] if target != "-" and tree.is_file(target) else []
    if folder is not None and os.path.isdir(folder):
        numbers = range(plan.start.epoch + 1, plan.end.epoch + 1)
        paths += [path for path in (checkpoint_of(folder, number) for number in numbers) if os.path.isfile(path)]
    for path in paths:
        with (
            suppress(WtoolError),
            open_checkpoint(path) as there,
        ):  # a file that is no checkpoint is not of this training
            record = last_record(there.lineage)
            at = plan.position(record)
            if at is not None and is_sealed(there):  # otherwise another tool has changed it since
                told = record.to_json()
                yield Left(path, at, told["seed"], there.finish()[0], told.get(ENDED) is True)


def checkpoint_of(folder: str | os.PathLike[str], epoch: int) -> str:
    """Returns the path of the checkpoint of the end of an epoch."""
    return joined(text_of(folder), f"ckpt-{epoch:04d}.keras")


def is_checkpoint(path: str) -> bool:
    """Returns whether a path has the name of a checkpoint of the end of an epoch."""
    return re.fullmatch(r"ckpt-[0-9]{4,}\.keras", name_of(path)) is not None


def best_of(folder: str | os.PathLike[str]) -> str:
    """Returns the path of the best model of a training with checkpoints in a folder."""
    return joined(text_of(folder), "best.keras")


def is_best_of(plan: TrainingPlan, path: str, states: Mapping[str, Any]) -> bool:
    """Returns whether a file is the best model of a training so far.

    Args:
        plan: of the training.
        path: of the file.
        states: the state of the callback that saves the best model, by its name, when the training begins: a best model
            of the training that this one goes on from has the same.
    """
    with suppress(WtoolError), open_checkpoint(path) as there:
        record = last_record(there.lineage)
        told = record.more.get(CALLBACKS)
        is_earlier = isinstance(told, dict) and all(told.get(name) == state for name, state in states.items())
        return plan.position(record) is not None or is_earlier
    return False


def latest(found: Sequence[Left], can_skip: bool) -> tuple[Left | None, tuple[str, ...]]:
    """Returns the model from which to go on (None to begin anew), and notes on it.

    Args:
        found: the models that an earlier run left behind.
        can_skip: whether an epoch of the data can be begun in the middle.
    """
    whole = [each for each in found if can_skip or not each.at.batch]
    if whole or not found:
        return max(whole, key=lambda each: each.at, default=None), ()
    last = max(found, key=lambda each: each.at)
    note = f"the data cannot be had from its middle on, so that epoch {last.at.epoch + 1} begins again"
    return replace(last, at=Position(last.at.epoch)), (note,)
