"""A run of training: from a loaded model, or the checkpoint that an earlier run left behind, to the saved result."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import keras

from wtool.checkpoint.lineage import last_record
from wtool.errors import Usage, WtoolError
from wtool.io.addresses import text_of
from wtool.training.callback_words import EPOCH_ENDS
from wtool.training.data import reading
from wtool.training.data.samples import Samples
from wtool.training.fitting import holding, logs, masks, monitors, randomness
from wtool.training.fitting.callbacks import NeuroPlast, Pruning, Stroke
from wtool.training.fitting.compiling import Compilation, compile_model
from wtool.training.fitting.epoch import Epoch
from wtool.training.fitting.loop import Stop, fit, stopping_on_signals
from wtool.training.fitting.telling import Log
from wtool.training.loading.load import Loaded, load
from wtool.training.monitor_options import SaveBest, monitors_of
from wtool.training.resume_options import Resume, Resumed
from wtool.training.saving.record import Left, Position, TrainingPlan, best_of, checkpoint_of, is_best_of, latest
from wtool.training.saving.save import Diverged, refuse_nonfinite, save
from wtool.training.variables import in_order
from wtool.values import dataclass

_OF_ANOTHER = "exists already, and is of another training; --force replaces it"


@dataclass(frozen=True, slots=True, eq=False)
class TrainingRun:
    """Some epochs of training that are to be done.

    Attributes:
        loaded: the model with its lineage.
        plan: first and last epoch, seed, and the record that the result will have.
        target: path of the result.
        replaces: whether the result may replace a file.
        options: of `wtool.resume`; the data is as the user named it.
    """

    loaded: Loaded
    plan: TrainingPlan
    target: str
    replaces: bool
    options: Resume

    def run(self, found: Sequence[Left]) -> Resumed:
        """Train from the latest model that was left behind, or from the beginning, and save."""
        data, validation = self._data()
        last, notes = latest(found, reading.can_skip(data))
        if self.plan.parameters["hold_zeros"]:
            notes = (*masks.recorded(self.loaded).notes, *notes)
        if last is None and not self.options.new_optimizer:
            notes = (*self.loaded.notes, *notes)
        at, plan = (self.plan.start, self.plan) if last is None else (last.at, replace(self.plan, seed=last.seed))
        begun = self._begun(last, plan)
        model = begun.model
        held = self._hold(model)
        saver = CheckpointSaver(self, plan, held)
        saver.watching = self._watching(model, saver, validation is not None)
        monitors.restore(saver.watching, last_record(begun.lineage), plan)
        self._prepare_folder(at, found, saver)
        epochs: list[Epoch] = []
        reports, told = self._reports(at, epochs.append, goes_on=last is not None)
        # The best model is saved with the weights that were measured, before transforms change them.
        callbacks = [*saver.watching, *self._transforms(plan, at), *reports]
        stop_epoch = at.epoch if last is not None and last.ended else self.plan.end.epoch
        try:
            at, stop = self._train(model, (data, validation), at, stop_epoch, callbacks, saver)
        except Diverged as error:
            good = saver.last or (last.path if last else self.loaded.name)
            raise Diverged(f"{error.message}; the last good model is {good}") from None
        finally:
            holding.release(model, held)
        return Resumed(
            model=self.loaded.name,
            output=self.target,
            epochs=at.epoch,
            seed=plan.seed,
            metrics=epochs[-1].metrics if epochs else {},
            samples=data.size if isinstance(data, Samples) else None,
            validation_samples=validation.size if isinstance(validation, Samples) else None,
            held=sum(each.count for each in held),
            signal=stop.signal,
            notes=(*notes, *told, *saver.notes, *monitors.notes(saver.watching)),
        )

    def _train(
        self,
        model: Any,
        data: tuple[Any, Any],
        at: Position,
        stop_epoch: int,
        callbacks: Sequence[Any],
        saver: CheckpointSaver,
    ) -> tuple[Position, Stop]:
        """Train to the end, or until a signal comes, and save the model. Returns the position that was reached."""
        with stopping_on_signals(Stop()) as stop:
            at = fit(
                model,
                data[0],
                at,
                stop_epoch,
                seed=saver.plan.seed,
                batch_size=self.options.batch_size,
                shuffle=self.options.shuffle,
                validation=data[1],
                # The saver comes last: a saved epoch is not done again, so the others have to report it before.
                callbacks=[*callbacks, saver],
                stop=stop,
                bar=self.options.bar,
                steps=self.options.steps_per_epoch,
                class_weight=self.plan.parameters.get("class_weight"),
                whole_epochs=any(not each.settings.monitor.startswith("val_") for each in saver.watching),
            )
            if stop.at is None:
                holding.settle(model, saver.held)
            saver.save(model, self.target, at, self.replaces)
        return at, stop

    def _begun(self, last: Left | None, plan: TrainingPlan) -> Loaded:
        """Returns the model with which training begins, or the checkpoint from which it goes on."""
        loaded = self.loaded
        if last is None:
            compile_model(loaded.model, compilation_of(self.options), why=loaded.uncompiled)
        else:
            loaded = load(last.path, self.options.unsafe)
            if loaded.hashes != (last.hash,):
                raise WtoolError("changed while it was being read; run the command again", last.path)
            if loaded.lost or loaded.uncompiled:
                raise WtoolError(f"{loaded.lost or loaded.uncompiled}; remove it to begin anew", last.path)
        randomness.restore(loaded.model, loaded.lineage, plan.seed)
        return loaded

    def _data(self) -> tuple[Any, Any]:
        """Returns the data for training and for validation (None for no validation)."""
        model, batch_size = self.loaded.model, self.options.batch_size
        steps = self.options.steps_per_epoch
        data = reading.read_data(self.options.data, model, "train", batch_size, endless=steps is not None)
        if steps is not None:
            reading.check_steps(data)
        words, other, share = self.options.data, self.options.validation_data, self.options.validation_split
        return reading.with_validation(data, words, other, share, model, batch_size)

    def _prepare_folder(self, at: Position, found: Sequence[Left], saver: CheckpointSaver) -> None:
        """Make the folder of checkpoints.

        Raises:
            WtoolError: a file of another training has the name of a checkpoint of this run, or of its best model.
        """
        folder = self.options.checkpoints
        if folder is None:
            return
        os.makedirs(folder, exist_ok=True)
        own = {each.path for each in found}
        for epoch in range(at.epoch + 1, self.plan.end.epoch + 1):
            path = checkpoint_of(folder, epoch)
            if self.options.force:
                with suppress(FileNotFoundError):
                    os.unlink(path)  # or a run that goes on from here would take it for its own
            elif self.saves_at(epoch) and os.path.exists(path) and path not in own:
                raise WtoolError(_OF_ANOTHER, path)
        best = best_of(folder)
        for each in saver.watching:
            is_in_the_way = isinstance(each.settings, SaveBest) and not self.options.force and os.path.exists(best)
            if is_in_the_way and not is_best_of(saver.plan, best, {each.settings.key: each.state()}):
                raise WtoolError(_OF_ANOTHER, best)

    def saves_at(self, epoch: int) -> bool:
        """Returns whether a checkpoint is saved at the end of an epoch."""
        every = self.options.save_every or 1
        return self.options.checkpoints is not None and epoch % every == 0

    def _hold(self, model: Any) -> list[holding.HeldVariable]:
        """Hold what the first model holds; a checkpoint of this run may have more zeros, by chance."""
        which = self.plan.parameters["hold_zeros"]
        if not which:
            return []
        held = masks.held_values(self.loaded, which)
        first, now = (in_order(each) for each in (self.loaded.model, model))
        numbers = {id(variable): number for number, variable in enumerate(first)}
        live = {path: now[numbers[id(self.loaded.variables[path])]] for path in held.kept}
        return holding.hold(model, live, held.kept, held.values)

    def _transforms(self, plan: TrainingPlan, at: Position) -> list[Any]:
        """Returns the callbacks that change weights at the ends of epochs."""
        made: list[Any] = []
        for name, kind in (("stroke", Stroke), ("prune", Pruning), ("neuroplast", NeuroPlast)):
            value = getattr(self.options, name)
            if value is not None:
                made.append(kind(**EPOCH_ENDS[name].given(value), seed=plan.seed))
                made[-1].epochs_completed = at.epoch
        return made

    def _watching(self, model: Any, saver: CheckpointSaver, validates: bool) -> list[monitors.Watching]:
        """Returns the callbacks that watch metrics."""
        settings = monitors_of(self.options)
        for each in settings:
            if each.monitor.startswith("val_") and not validates:
                raise Usage(f"{each.word} watches {each.monitor}: name --validation-data or --validation-split")
        return monitors.watching(settings, model, saver.save_best)

    def _reports(
        self, at: Position, remember: Callable[[Epoch], None], goes_on: bool
    ) -> tuple[list[Any], tuple[str, ...]]:
        """Returns the callbacks that report epochs, and notes on the log."""
        log, report, tensorboard = self.options.log, self.options.report, self.options.tensorboard
        told = [remember, *([report] if report else [])]
        notes: tuple[str, ...] = ()
        if log is not None:
            notes = logs.prepare_log(text_of(log), at.epoch, keep=not goes_on and not self.options.force)
            told.append(logs.writer(text_of(log)))
        made: list[Any] = [Log(each, self.plan.end.epoch) for each in told]
        if tensorboard is not None:
            made.append(keras.callbacks.TensorBoard(text_of(tensorboard)))
        return made, notes


def compilation_of(options: Resume) -> Compilation:
    """Returns how the model is to be compiled; settings that the options do not name stay as saved."""
    return Compilation(options.loss, tuple(options.metrics), options.new_optimizer, options.learning_rate)


class CheckpointSaver(keras.callbacks.Callback):
    """Saves checkpoints of a run, and refuses to save a model with NaN or infinite weights.

    Attributes:
        plan: of the run, with its seed.
        held: the variables whose zeros are held.
        watching: callbacks whose states are saved as well.
        last: path of the last checkpoint, or None.
        notes: what is worth knowing of the file that was saved last, one line each.
    """

    def __init__(self, run: TrainingRun, plan: TrainingPlan, held: Sequence[holding.HeldVariable]) -> None:
        super().__init__()
        self._run = run
        self.plan = plan
        self.held = held
        self.watching: Sequence[monitors.Watching] = ()
        self.last: str | None = None
        self.notes: tuple[str, ...] = ()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Save a checkpoint if the epoch is one that has one."""
        if not self._run.saves_at(epoch + 1):
            return
        folder = self._run.options.checkpoints
        assert folder is not None
        path = checkpoint_of(folder, epoch + 1)
        self.save(self.model, path, Position(epoch + 1), force=True)  # `_prepare_folder` looked at older files
        self.last = path

    def save_best(self, model: Any, epochs: int) -> None:
        """Save the model as the best one after so many epochs."""
        folder = self._run.options.checkpoints
        assert folder is not None
        self.save(model, best_of(folder), Position(epochs), force=True)

    def save(self, model: Any, path: str, at: Position, force: bool) -> None:
        """Save the model as it is at a position.

        Args:
            model: the live model.
            path: of the file.
            at: the position, which goes into the record.
            force: whether the file may replace another.

        Raises:
            Diverged: weights are NaN or infinite.
            WtoolError: the file cannot be written.
        """
        refuse_nonfinite(model)
        holding.check_held(self.held)
        record = self.plan.record(at, {**randomness.states(model), **monitors.states(self.watching)})
        self.notes = save(model, path, [*self._run.loaded.lineage, record], force=force)
