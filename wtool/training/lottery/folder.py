"""The folder of a lottery experiment: what is known of its model, and which results are there."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from math import prod

import numpy as np

from wtool.checkpoint.initializers import initializers
from wtool.checkpoint.inputs import stem_and_ending
from wtool.checkpoint.layouts.hdf5_file import training_config
from wtool.checkpoint.lineage import Record, last_record
from wtool.checkpoint.masks import recorded_masks
from wtool.checkpoint.model import Checkpoint
from wtool.checkpoint.opener import open_checkpoint
from wtool.checkpoint.optimizer.lost import saved_step
from wtool.checkpoint.seal import is_sealed
from wtool.errors import Usage, WtoolError, counted
from wtool.io.addresses import without_query
from wtool.io.drafts import write_whole
from wtool.run.channel_choice import OPERATION as SHRINK
from wtool.run.selection import by_role
from wtool.schema.config import COMPILED
from wtool.training.fitting import logs
from wtool.training.lottery import learning_rate, summaries
from wtool.training.lottery.arms import NEW, NONE, REWIND, read_arm
from wtool.training.lottery.plan import COPY, DRAW, EVALUATE, PRUNE, TRAIN, Experiment, Step
from wtool.training.lottery.summaries import Line, ends, is_sound
from wtool.training.saving.record import ENDED, epochs_of
from wtool.values import dataclass

UNFINISHED = ".epochs"
"""Name of the folder of a training that goes on, with its latest checkpoint and its log."""


@dataclass(frozen=True, slots=True)
class Base:
    """The model of the experiment.

    Attributes:
        path: of its file.
        hash: of its content.
        epochs: it was trained for before.
        drawn: patterns of the tensors that further trials draw anew.
        selected: number of weights in the selected kernels.
    """

    path: str
    hash: str
    epochs: int
    drawn: tuple[str, ...]
    selected: int


def looked_at(model: str, experiment: Experiment, compiles: bool = False) -> Base:
    """Check that an experiment with this model can succeed; returns what the experiment needs to know of the model.

    Args:
        model: path of the model.
        experiment: what is to be done.
        compiles: whether the experiment brings the loss and the optimizer of a model that is not compiled.

    Raises:
        WtoolError: it is not compiled, or trained already where new initial weights are to be drawn.
        Usage: a pattern matches nothing.
    """
    if model == "-":
        raise Usage("an experiment reads its model more than once: a file, not standard input")
    name = without_query(model)
    with open_checkpoint(model) as checkpoint:
        if checkpoint.parts:
            single = f"wtool average {name} --optimizer keep -o {stem_and_ending(name)[0]}.keras"
            raise Usage(f"an experiment begins with a single file, and this is an unzipped model; {single}", name)
        config = checkpoint.config
        is_whole = isinstance(config, dict)
        is_compiled = isinstance(config, dict) and (config.get(COMPILED) or training_config(checkpoint))
        if not is_whole or not (is_compiled or compiles):
            hint = "; --loss and --new-optimizer compile it" if is_whole else ""
            raise WtoolError(f"an experiment needs a whole model that is compiled (.keras, .h5){hint}", name)
        is_drawn = experiment.trials > 1 or NEW in experiment.arms
        step = saved_step(checkpoint) if is_drawn else None
        if step:
            new = "more trials need" if experiment.trials > 1 else f"{NEW} needs"
            raise WtoolError(f"is trained already ({counted(step, 'step')}); {new} an initial model", name)
        chosen = by_role(checkpoint.weights, experiment.include, experiment.exclude, kernels=True, biases=False)
        selected = sum(prod(tensor.shape) for tensor in chosen)
        return Base(model, checkpoint.finish()[0], epochs_of(checkpoint.lineage), _drawn(checkpoint), selected)


def _drawn(checkpoint: Checkpoint) -> tuple[str, ...]:
    """Returns the trainable tensors with an initializer, without biases, and all kernels."""
    told = initializers(checkpoint)
    return tuple(
        tensor.path
        for tensor in checkpoint.weights
        if tensor.trainable and tensor.copy_of is None and (tensor.path in told or tensor.role.endswith("kernel"))
        if not tensor.role.endswith("bias")
    )


@dataclass(frozen=True, slots=True)
class Folder:
    """The folder of an experiment, and its results.

    Attributes:
        out: path of the folder.
        base: the model of the experiment.
        experiment: the parameters.
        patience: after how many epochs without a better validation loss a training ends; None for never.
    """

    out: str
    base: Base
    experiment: Experiment
    patience: int | None = None

    def path(self, place: str | None) -> str:
        """Returns the path of a result; of None, that of the experiment's own model."""
        return self.base.path if place is None else os.path.join(self.out, place)

    def last_epoch(self, step: Step) -> int:
        """Returns the last epoch of a training, counted over all trainings of its model, as records count."""
        return self.base.epochs + step.stop

    def is_there(self, step: Step) -> bool:
        """Returns whether a step's output is whole and was made by this step of this experiment."""
        path = self.path(step.output)
        if not os.path.isfile(path):
            return False
        with suppress(WtoolError), open_checkpoint(path) as found:
            record = last_record(found.lineage)
            if step.operation == COPY:
                return found.finish()[0] == self.base.hash
            return self._fits(step, record) and is_sealed(found)
        return False

    def refuse_another_model(self, step: Step) -> None:
        """Refuse the result of a step that read another model than the one that was checked in the beginning.

        What it made is removed.
        """
        with open_checkpoint(self.path(step.output)) as made:
            hashes = [each.hash for each in made.lineage[-1].inputs] if step.operation != COPY else [made.finish()[0]]
        if any(hash_ != self.base.hash for hash_ in hashes):
            os.unlink(self.path(step.output))
            raise WtoolError("changed since the experiment began; run the command again", without_query(self.base.path))

    def _fits(self, step: Step, record: Record) -> bool:
        operation, sparsity = self._recorded(step)
        told = record.to_json()
        if record.operation != operation or told.get("seed", step.seed) != step.seed:
            return False
        if step.operation == TRAIN:
            return (told.get("epoch") == self.last_epoch(step) or told.get(ENDED) is True) and "batch" not in told
        # Where the counts are those of another criterion, the last record tells the sparsity of one tensor.
        is_counted = step.operation == PRUNE and read_arm(step.arm).get("counts") is not None
        return is_counted or record.parameters.get("sparsity") == sparsity

    def _recorded(self, step: Step) -> tuple[str, float | None]:
        """Returns which operation the last record of a step's output tells, and which sparsity."""
        names = {DRAW: "randomize", NONE: learning_rate.OPERATION}
        if step.operation in (PRUNE, REWIND) and read_arm(step.arm).is_structured:
            channels = self.experiment.channels(read_arm(step.arm), step.round)
            return SHRINK, channels["sparsity"] if step.operation == PRUNE else None
        return names.get(step.operation, step.operation), step.sparsity if step.operation == PRUNE else None

    def is_of(self, step: Step, line: Line) -> bool:
        """Returns whether a line of metrics belongs to a training."""
        first = step.start if step.operation == EVALUATE else step.start + 1
        epochs = range(self.base.epochs + first, self.last_epoch(step) + 1)
        return (line.trial, line.arm, line.round) == (step.trial, step.arm, step.round) and line.epoch in epochs

    def is_recorded(self, step: Step, lines: Sequence[Line]) -> bool:
        """Returns whether lines of metrics hold all epochs of a training, or those up to where its patience ended.

        Of an evaluation there is one line, with the epoch that was the last one before.
        """
        own = {line.epoch: line.metrics.get("val_loss", math.inf) for line in lines if self.is_of(step, line)}
        if len(own) == (1 if step.operation == EVALUATE else step.stop - step.start):
            return True
        first = self.base.epochs + step.start + 1
        losses = [own[epoch] for epoch in range(first, first + len(own)) if epoch in own]
        return self.patience is not None and len(losses) == len(own) and ends(losses, self.patience)

    def clear(self, plan: Sequence[Step], kept: Collection[str], todo: Sequence[Step]) -> None:
        """Remove the results that are neither kept nor read by later steps."""
        read = {path for step in todo for path in (step.output, *step.inputs)}
        going_on = {os.path.dirname(step.output) for step in todo}
        for step in plan:
            if os.path.dirname(step.output) not in going_on:
                work = os.path.join(os.path.dirname(self.path(step.output)), UNFINISHED)
                shutil.rmtree(work, ignore_errors=True)  # of a run that was killed as its training was over
            if step.output not in read and step.output not in kept:
                with suppress(FileNotFoundError):
                    os.unlink(self.path(step.output))

    def lines(self, step: Step, log: str) -> list[Line]:
        """Returns the lines of a training's log, as the experiment's metrics have them."""
        if not os.path.exists(log):
            return []
        remaining = self.remaining(self.path(step.model))
        rows = logs.rows(log)
        where = (step.trial, step.arm, step.round, step.sparsity, remaining)
        found = [Line(*where, row.pop(logs.FIRST, 0), row) for row in rows]
        return [line for line in found if is_sound(line) and self.is_of(step, line)]

    def line(self, step: Step, metrics: Mapping[str, float]) -> Line:
        """Returns the line of metrics of a ticket that is not trained."""
        remaining = self.remaining(self.path(step.model))
        return Line(step.trial, step.arm, step.round, step.sparsity, remaining, self.last_epoch(step), {**metrics})

    def remaining(self, path: str) -> float:
        """Returns the share of the selected weights that a model has kept: no zeros, or in the mask.

        Args:
            path: of the model, which may have fewer channels than the experiment's own.
        """
        with open_checkpoint(path) as found:
            chosen = by_role(
                found.weights, self.experiment.include, self.experiment.exclude, kernels=True, biases=False
            )
            masks = recorded_masks(found.lineage, found.weights).masks
            left = 0
            for tensor in chosen:
                values = found.read(tensor).reshape(-1)
                kept = masks[tensor.path].kept(values) if tensor.path in masks else values
                left += int(np.count_nonzero(kept))
            return left / max(1, self.base.selected)

    def record(self, lines: Sequence[Line]) -> None:
        """Add the lines to the experiment's metrics that are not there yet."""
        before = summaries.read_metrics(self.out)
        known = {(line.trial, line.arm, line.round, line.epoch) for line in before}
        new = [line for line in lines if (line.trial, line.arm, line.round, line.epoch) not in known]
        if new:
            text = "".join(json.dumps(asdict(line)) + "\n" for line in (*before, *new))
            write_whole(os.path.join(self.out, summaries.FILE), text.encode())
