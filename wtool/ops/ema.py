"""Moving averages of weights: those that optimizers keep, and those that snapshots of a training give afterwards.

`wtool/ops/signatures.pyi` has the function's signature for type checkers and editors; `make docs` writes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from wtool.checkpoint.inputs import expanded
from wtool.checkpoint.model import Checkpoint
from wtool.checkpoint.opener import open_checkpoint
from wtool.errors import Refused, Usage, WtoolError
from wtool.io.addresses import text_of
from wtool.ops.ema_options import Ema
from wtool.ops.functions import function_of, given_of
from wtool.run.batch import check_words, do_all, tasks_of, words_of
from wtool.run.derive import derive
from wtool.run.input_model import InputModel
from wtool.run.moving_average import MovingAverage
from wtool.run.optimizer_averages import TakingAverages
from wtool.run.options import Unseeded
from wtool.run.result_names import goal_of_several
from wtool.run.tracked import Tracked, post_hoc, tracked_of
from wtool.words import Models

if TYPE_CHECKING:
    from wtool.ops.signatures import ema as ema

NAME = "ema"


def _ema(models: Models, given: Mapping[str, Any]) -> list[MovingAverage]:
    options, how = Ema(**given_of(Ema, given)), Unseeded(**given_of(Unseeded, given))
    words = words_of(models)
    check_words(words, how)
    if options.sigma_rel is None:
        return do_all(tasks_of(TakingAverages(how.optimizer), words, NAME, how), how)
    done = _of_snapshots(words, options.sigma_rel, options.step, how)
    if how.report is not None:
        how.report(done)
    return [done] if how.collect else []


globals()["ema"] = function_of(Ema, "ema", (Ema, Unseeded), MovingAverage, _ema)


def _of_snapshots(words: Sequence[str], sigma_rel: float, step: int | None, how: Unseeded) -> MovingAverage:
    if how.in_place:
        raise Usage("an average of snapshots is a model of its own: name an --output, not in place")
    with ExitStack() as stack:
        snapshots, passed_by = _opened(words, stack)
        work = post_hoc(snapshots, sigma_rel, step, how.optimizer)
        plan = work.plan()
        output = None if how.output is None else text_of(how.output)
        goal = goal_of_several(output, NAME, plan.base, force=how.force, dry_run=how.dry_run)
        try:
            derived = derive(plan, goal, how.progress)
        except WtoolError as error:
            raise error.about(plan.base.name) from None
        shares = [float(each) for each in work.fit.coefficients]
        pairs = zip(work.snapshots, shares, strict=True)
        inputs = tuple(InputModel(each.name, "averaged", share) for each, share in pairs)
        written = None if goal.dry_run else goal.path
        notes = (*passed_by, *work.notes())
        if derived.there is not None:
            return MovingAverage(
                plan.base.name, written, True, work.selected, inputs=inputs, error=work.fit.error, notes=notes
            )
        change = derived.change
        return MovingAverage(
            plan.base.name,
            written,
            selected=work.selected,
            inputs=inputs,
            error=work.fit.error,
            actions=dict(change.actions),
            notes=(*notes, *change.notes),
        )


def _opened(words: Sequence[str], stack: ExitStack) -> tuple[list[tuple[Checkpoint, Tracked]], list[str]]:
    """The snapshots that the words mean, each with what its lineage tells; and notes.

    Raises:
        Refused: a file that is named is no snapshot, or a folder or pattern has none.
    """
    found: list[tuple[Checkpoint, Tracked]] = []
    others = []
    for word, path in expanded(words):
        opened = stack.enter_context(open_checkpoint(path, like=found[0][0] if found else None))
        tracked = tracked_of(opened)
        if tracked is not None:
            found.append((opened, tracked))
        elif word == path:
            raise Refused("is no snapshot of the callback PowerEMA, which its lineage would tell", path)
        else:
            others.append(path)
    if not found:
        raise Refused("no model is a snapshot of the callback PowerEMA, which its lineage would tell", others[0])
    return found, [f"{path} is no snapshot, and is no input" for path in others]
