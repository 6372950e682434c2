"""Snapshots of averages that were tracked during a training: what their lineage tells, and averages made of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING

from wtool.checkpoint.lineage import Record, own_records
from wtool.checkpoint.model import Checkpoint
from wtool.errors import Refused, Usage
from wtool.run.changes import Changes, Edited
from wtool.run.merging import Merging, Recipe, Words
from wtool.run.plan import Operand, Plan
from wtool.run.progress import Passes
from wtool.transforms.change import Data
from wtool.transforms.merging import average
from wtool.transforms.posthoc import Fit, fitted
from wtool.transforms.power import NARROWEST, WIDEST, exponent_of
from wtool.values import dataclass

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TRACKING = "power-ema"
"""The operation in the record of a snapshot."""

KEEPS_VALUES = ("convert",)
"""Operations after which a snapshot is still one."""

MOST_STEPS = 1 << 53
"""Steps beyond which a float64 does not tell each from the next."""

WIDE = 0.2
"""Relative width above which averages depend much on the first steps, of which snapshots tell little."""

WORDS = Words(
    "averaged",
    "average",
    "the newest",
    "older snapshots",
    "the training that it is of diverged",
    "it is a snapshot of the average that was asked for",
)

FAR_OFF = 0.05
"""Error of a weighting from which on it is no longer the one that was asked for."""

MAGNIFIED = 10
"""Magnification of rounding errors that is worth telling."""


@dataclass(frozen=True, slots=True)
class Tracked:
    """A power-function average of weights that was tracked during a training, at one step.

    Attributes:
        sigma_rel: its relative width; see `transforms.power`.
        step: number of training steps since the tracking began.
        iteration: step count of the optimizer then; None for a model without an optimizer.
        training: a random text that all snapshots of one training have.
    """

    sigma_rel: float
    step: int
    iteration: int | None
    training: str

    @property
    def exponent(self) -> float:
        """The exponent of its weighting of the steps."""
        return exponent_of(self.sigma_rel)

    def record(self) -> Record:
        """Returns its record in the lineage of a snapshot."""
        parameters = {"sigma_rel": self.sigma_rel, "exponent": self.exponent, "step": self.step}
        of_optimizer = {} if self.iteration is None else {"iteration": self.iteration}
        return Record(TRACKING, parameters, more={**of_optimizer, "training": self.training})


def tracked_of(checkpoint: Checkpoint) -> Tracked | None:
    """Returns the average that a checkpoint is a snapshot of; None if its lineage tells of none."""
    records = own_records(checkpoint.lineage)
    while records and records[-1].operation in KEEPS_VALUES:
        records.pop()
    if not records or records[-1].operation != TRACKING:
        return None
    width, step = (records[-1].parameters.get(name) for name in ("sigma_rel", "step"))
    iteration, training = (records[-1].more.get(name) for name in ("iteration", "training"))
    if not isinstance(width, float) or type(step) is not int or not isinstance(training, str):
        return None
    if not NARROWEST <= width <= WIDEST or not 0 < step < MOST_STEPS:
        return None
    return Tracked(width, step, iteration if type(iteration) is int else None, training)


@dataclass(frozen=True, slots=True, eq=False)
class PostHoc:
    """An average that is made out of snapshots of others.

    Attributes:
        sigma_rel: its relative width.
        step: the training step at which it ends.
        snapshots: the snapshots that count, oldest first.
        fit: their coefficients, and how far the average is from the one that was asked for.
        optimizer: what becomes of the state of the optimizer, which snapshots of `PowerEMA` do not have.
    """

    sigma_rel: float
    step: int
    snapshots: Sequence[Checkpoint]
    fit: Fit
    optimizer: str = "follow"

    def plan(self) -> Plan:
        """What will be done to the newest snapshot."""
        shares = self.fit.coefficients
        pairs = zip(self.snapshots, shares, strict=True)
        operands = [Operand(each, {"coefficient": float(share)}, "averaged") for each, share in pairs]
        record = Record("ema", {"sigma_rel": self.sigma_rel, "step": self.step, "optimizer": self.optimizer})
        plan = self._merging().plan(operands, len(operands) - 1, record)
        (operation,) = plan.operations
        return replace(plan, operations=(replace(operation, work_out=partial(_of_trained, operation.work_out)),))

    @property
    def selected(self) -> int:
        """How many numbers are averaged."""
        averaged = self._merging().merged(self.snapshots[-1])
        return sum(prod(each.shape) for each in averaged if each.trainable is not False)

    def _merging(self) -> Merging:
        return Merging(partial(_recipe, self.fit.coefficients), WORDS, bn="newest", optimizer=self.optimizer)

    def notes(self) -> list[str]:
        """What is worth knowing about how well the snapshots give the average."""
        found = []
        if self.sigma_rel > WIDE:
            found.append(
                f"a relative width above {WIDE} counts the first steps much, of which snapshots tell little: an "
                "average that is as wide should be tracked"
            )
        if self.fit.error > FAR_OFF:
            found.append(
                f"the snapshots do not give this average: the weighting of steps is {self.fit.error:.1%} off; more "
                "snapshots up to its last step, or widths nearer to it, would"
            )
        if self.fit.magnification > MAGNIFIED:
            found.append(
                f"coefficients of both signs nearly cancel: the rounding errors of the snapshots become up to "
                f"{self.fit.magnification:.0f} times larger"
            )
        return found


def post_hoc(
    snapshots: Sequence[tuple[Checkpoint, Tracked]], sigma_rel: float, step: int | None, optimizer: str = "follow"
) -> PostHoc:
    """Returns the average of a relative width that snapshots give.

    Args:
        snapshots: of one training, in any order.
        sigma_rel: relative width of the average.
        step: the training step at which it ends; that of the newest snapshot by default.
        optimizer: see `PostHoc`.

    Raises:
        Usage: the snapshots end before the step, or begin after it; or no average is as wide.
        Refused: the snapshots are of several trainings, or two of them are of the same average and step.
    """
    exponent = exponent_of(sigma_rel)
    ordered = sorted(snapshots, key=lambda each: (each[1].step, each[1].sigma_rel))
    _refuse_mixture(ordered)
    last = ordered[-1][1].step
    end = last if step is None else step
    if end > last:
        raise Usage(f"the newest snapshot is of step {last:,}: an average up to step {end:,} needs a later one")
    used = [each for each in ordered if each[1].step <= end]
    if not used:
        raise Usage(f"the oldest snapshot is of step {ordered[0][1].step:,}, which is after step {end:,}")
    fit = fitted([each.step for _, each in used], [each.exponent for _, each in used], end, exponent)
    counting = [number for number, share in enumerate(fit.coefficients) if share]
    fit = replace(fit, coefficients=fit.coefficients[counting])
    return PostHoc(sigma_rel, end, [used[number][0] for number in counting], fit, optimizer)


def _refuse_mixture(ordered: Sequence[tuple[Checkpoint, Tracked]]) -> None:
    first, told = ordered[0]
    for checkpoint, each in ordered:
        if each.training != told.training:
            raise Refused(f"is of another training than {first.name}; name snapshots of one", checkpoint.name)
    for (checkpoint, one), (other, two) in pairwise(ordered):
        if (one.step, one.sigma_rel) == (two.step, two.sigma_rel):
            raise Refused(f"is of the same average and step as {checkpoint.name}; leave one of them out", other.name)


def _recipe(coefficients: NDArray[np.float64], data: Data) -> Recipe:
    return Recipe(average.prepare(data, coefficients), lambda site: coefficients)


def _of_trained(work_out: Callable[[Edited, Passes], Changes], edited: Edited, passes: Passes) -> Changes:
    """The changes of an average, without those of variables that are not trained: they are no averages in snapshots."""
    changes = work_out(edited, passes)
    kept = {tensor.path for tensor in edited.base.weights if tensor.trainable is False}
    edits = tuple(each for each in changes.edits if each.target.path not in kept)
    actions = {path: WORDS.kept if path in kept else action for path, action in changes.actions.items()}
    return replace(changes, edits=edits, actions=actions)
