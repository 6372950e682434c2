"""Soups of files: every mean is made anew of the files of its ingredients, and scored by a live model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from typing import Any, cast

import numpy as np

from wtool.checkpoint.lineage import Record
from wtool.checkpoint.model import Checkpoint
from wtool.checkpoint.opener import open_checkpoint
from wtool.dtypes import is_floating
from wtool.errors import WtoolError, a_few
from wtool.io import tree
from wtool.io.addresses import text_of
from wtool.run.averaging import Averaging
from wtool.run.derive import derive
from wtool.run.doctor import examine
from wtool.run.matching import match
from wtool.run.plan import Plan
from wtool.run.result_names import goal_of_several
from wtool.run.target import Goal, make_ready
from wtool.schema.losses import Mode, mode_of
from wtool.training.checks import refuse_weights_only
from wtool.training.data import fingerprints, reading
from wtool.training.data.words import words_in_records
from wtool.training.fitting.compiling import Compilation, compile_model
from wtool.training.loading.load import import_all, load
from wtool.training.recalibrate_options import Recalibration
from wtool.training.recalibration.planning import Recalibrating
from wtool.training.soups.greedy import Chosen, Trial, greedy, names_of, uniform
from wtool.training.soups.log import Log
from wtool.training.soups.options import OPERATION, Soup, Souped, Tasted
from wtool.training.soups.tasting import Taster, values_of


def make_soup(names: Sequence[str], options: Soup, notes: Sequence[str] = ()) -> Souped:
    """Choose models by their scores, and write their mean.

    Args:
        names: paths of the models, in their order.
        options: see `training.soups.options.Soup`.
        notes: what is known already.

    Raises:
        Refused: a model is damaged or hostile, or models do not match.
        WtoolError: no score is a number, or the output exists.
        Usage: the model has no such metric.
    """
    import_all(options.imports)
    output = None if options.output is None else text_of(options.output)
    with ExitStack() as stack:
        checkpoints = _opened(names, stack)
        goal = goal_of_several(output, OPERATION, checkpoints[-1], force=options.force, dry_run=options.dry_run)
        _refuse_in_the_way(goal, options)
        diagnosis = examine(checkpoints, len(checkpoints) - 1) if options.doctor else None
        if diagnosis is not None and options.diagnosed is not None:
            options.diagnosed(diagnosis)
        work = _Souping(options, checkpoints, _taster(names[-1], options))
        chosen = work.chosen()
        plan = work.plan(chosen.soup)
        try:
            derived = derive(plan, goal)
        except WtoolError as error:
            raise error.about(plan.base.name) from None
    return Souped(
        output=None if options.dry_run else goal.path,
        soup=tuple(names_of(chosen.soup, names)),
        metric=work.taster.metric,
        mode=work.mode,
        score=chosen.score,
        best=names[chosen.best],
        alone=dict(zip(names, chosen.alone, strict=True)),
        tried=tuple(work.tried),
        notes=(*notes, *(() if derived.there else derived.notes)),
        skipped=derived.there is not None,
        diagnosis=diagnosis,
    )


def _opened(names: Sequence[str], stack: ExitStack) -> list[Checkpoint]:
    """All checkpoints; the last one first, since its index mostly serves the others too."""
    last = stack.enter_context(open_checkpoint(names[-1]))
    checkpoints = [*(stack.enter_context(open_checkpoint(name, like=last)) for name in names[:-1]), last]
    for each in checkpoints:
        refuse_weights_only(each)
        match(last, each)
    return checkpoints


def _refuse_in_the_way(goal: Goal, options: Soup) -> None:
    """Refuse an output that is there and not made by such a command, before models are scored for hours."""
    if goal.dry_run or goal.force or goal.path == "-" or not tree.exists(goal.path):
        return
    with suppress(WtoolError), open_checkpoint(goal.path) as there:
        made = [each for each in there.lineage[-2:] if each.operation == OPERATION]
        if made and made[-1].parameters.items() >= _told(options).items():
            return
    make_ready(goal)


def _taster(path: str, options: Soup) -> Taster:
    loaded = load(path, options.unsafe)
    compile_model(loaded.model, Compilation(options.loss), trains=False, why=loaded.uncompiled)
    data = reading.read_data(options.data, loaded.model, "validation", options.batch_size)
    statistics = None
    if options.recalibrate is not None:
        statistics = reading.read_inputs(options.recalibrate, loaded.model, options.batch_size)
    return Taster(loaded, data, options.metric or "", options.batch_size, statistics, _how(options))


def _how(options: Soup) -> Recalibration:
    return Recalibration(batch_size=options.batch_size)


def _told(options: Soup) -> dict[str, Any]:
    """What the record says of a soup, but for its metric."""
    rounds = {} if options.uniform else {"rounds": options.rounds}
    return {"method": options.method, **rounds, "optimizer": options.optimizer}


class _Souping:
    """A soup in the making.

    Args:
        options: of the soup.
        checkpoints: open models of one architecture, in their order; the last one is the taster's.
        taster: scores values of the models' weights.
    """

    def __init__(self, options: Soup, checkpoints: Sequence[Checkpoint], taster: Taster) -> None:
        self.taster = taster
        self.tried: list[Tasted] = []
        self._options = options
        self._checkpoints = checkpoints
        self._names = [each.name for each in checkpoints]
        self._data = fingerprints.entries(options.data, "held out")
        self.mode: Mode = "max"

    def chosen(self) -> Chosen:
        """Score the models and their means, and choose."""
        first = self._scored((0,))
        given = cast("Mode | None", self._options.mode)
        self.mode = mode_of(self.taster.metric) if given is None else given
        log = self._log()
        log.known.setdefault(log.key((0,)), first)
        score = partial(self._known_or_scored, log)
        told = partial(self._tell, log)
        count = len(self._checkpoints)
        if self._options.uniform:
            chosen = uniform(count, score, self.mode, told)
        else:
            chosen = greedy(count, score, self.mode, self._options.rounds, told)
        if math.isnan(chosen.score):
            raise self._scoreless(chosen)
        return chosen

    def _scoreless(self, chosen: Chosen) -> WtoolError:
        """Why there is no soup: models without a score of their own, or else their mean."""
        scores = {each.candidate: each.score for each in self.tried if each.kept is None and each.candidate is not None}
        wrong = [name for name, score in scores.items() if math.isnan(score)]
        of = self.taster.metric
        if not wrong:
            return WtoolError(f"the {of} of the soup is no number, though each model has one", self._names[chosen.best])
        return WtoolError(f"the {of} of this model is no number, and so is the soup's; leave it out", a_few(wrong))

    def plan(self, numbers: Sequence[int]) -> Plan:
        """What makes the mean of models."""
        plan = self._averaging(numbers)
        (operation,) = plan.operations
        parameters = {"metric": self.taster.metric, "mode": self.mode, **_told(self._options)}
        operation = replace(operation, record=Record(OPERATION, parameters, tuple(self._data)))
        plan = replace(plan, operations=(operation,), is_determined=bool(self._data))
        if self._options.recalibrate is None:
            return plan
        behind = Recalibrating(self._options.recalibrate, _how(self._options), self._options.unsafe)
        return plan.then(behind.plan_of(plan.base))

    def _averaging(self, numbers: Sequence[int], allow_nonfinite: bool = False) -> Plan:
        averaging = Averaging(
            "equal",
            optimizer=self._options.optimizer,
            allow_nonfinite=allow_nonfinite,
            recalibrates=self._options.recalibrate is not None,
        )
        return averaging.plan([self._checkpoints[number] for number in numbers])

    def _log(self) -> Log:
        path = None if self._options.log is None else text_of(self._options.log)
        if path is None:
            return Log(None, self._names, self._names, {})
        data = [each.to_json() for each in self._data] or words_in_records(self._options.data)
        how = {"metric": self.taster.metric, "loss": self._options.loss, "data": data}
        if self._options.recalibrate is not None:
            seen = [each.to_json() for each in fingerprints.entries(self._options.recalibrate, "statistics")]
            how["recalibrated"] = seen or words_in_records(self._options.recalibrate)
            data = data if how["recalibrated"] else None
        log = Log(path, self._names, [",".join(each.finish()) for each in self._checkpoints], how)
        if data is not None:  # nothing tells whether arrays from Python are those of the last time
            log.read()
        return log

    def _known_or_scored(self, log: Log, numbers: tuple[int, ...]) -> float:
        known = log.known.get(log.key(numbers))
        return self._scored(numbers) if known is None else known

    def _scored(self, numbers: tuple[int, ...]) -> float:
        # A model that diverged has no score, and stays out.
        live, plan = self._checkpoints[-1], self._averaging(numbers, allow_nonfinite=True)
        called = zip(live.weights, match(live, plan.base).tensors, strict=True)
        names = {own.path: tensor.path for own, tensor in called if own.path in self.taster.loaded.variables}
        values = values_of(plan, list(names.values()))
        is_finite = all(np.isfinite(each).all() for each in values.values() if is_floating(each.dtype.name))
        self.taster.put({name: values[path] for name, path in names.items()}, recalibrates=is_finite)
        score = self.taster.score()
        return score if is_finite else math.nan

    def _tell(self, log: Log, trial: Trial) -> None:
        log.add(trial)
        candidate = None if trial.candidate is None else self._names[trial.candidate]
        self.tried.append(Tasted(candidate, trial.score, trial.kept, tuple(names_of(trial.soup, self._names))))
        if self._options.report is not None:
            self._options.report(self.tried[-1])
