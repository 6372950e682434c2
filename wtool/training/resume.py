"""One leg of a loop between offline transforms: load a model, go on training, save it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any, TypedDict

import keras

from wtool.checkpoint.lineage import Input
from wtool.errors import Usage, WtoolError
from wtool.io.private import sweep
from wtool.run.batch import SEEDS
from wtool.run.options import refuse_unknown
from wtool.run.target import make_ready
from wtool.training.checks import check_resume
from wtool.training.data import fingerprints
from wtool.training.data import reading as datas
from wtool.training.data.samples import Samples
from wtool.training.data.words import paths_of
from wtool.training.fitting import holding, logs, masks, randomness
from wtool.training.fitting.callbacks import NeuroPlast, Pruning, Stroke
from wtool.training.fitting.compiling import Compilation, prepare
from wtool.training.fitting.logs import Epoch
from wtool.training.fitting.loop import Stop, fit, stopping_on_signals
from wtool.training.fitting.telling import Log
from wtool.training.loading.load import Loaded, import_all, load
from wtool.training.saving import save as saving
from wtool.training.saving.record import Left, Plan, Position, checkpoint_of, epochs_of, latest, left_behind
from wtool.training.saving.save import Diverged
from wtool.training.variables import array, in_order
from wtool.words import Path, Unpack


class Options(TypedDict, total=False):
    """How a model goes on training.

    Attributes:
        output: path of the result; `<stem>-resume<ext>` beside the model by default, `-` for standard output.
        validation_data: as data; by default the test part of a `.npz` file that has one.
        validation_split: or the share of the samples, from the end, that is for validation.
        batch_size: of samples that do not come in batches; default 32.
        shuffle: whether samples come in another order in each epoch; they do. Datasets keep their own order.
        seed: of the order, and of all else that is random; default a fresh one.
        hold_zeros: whether zeros of kernels stay; by default where they are masks, as the lineage tells.
        loss, metrics, learning_rate, new_optimizer: see `training.compiling.Compilation`.
        stroke: the ratio of a `callbacks.Stroke`.
        prune, neuroplast: the range of a `callbacks.Pruning`, of a `callbacks.NeuroPlast`.
        checkpoints: folder for `ckpt-0001.keras` and so on, numbered by epoch.
        save_every: epochs between two of them; default 1.
        log: a `.csv` or `.jsonl` file that gets a line for every epoch.
        tensorboard: folder for TensorBoard.
        imports: modules that register layers, losses and metrics.
        unsafe: load the model also if that runs or imports more than Keras.
        force: replace existing files, and begin anew where an earlier run was stopped.
        bar: show Keras's progress bar.
        report: called with every epoch.
    """

    output: Path | None
    validation_data: Any
    validation_split: float | None
    batch_size: int
    shuffle: bool
    seed: int | None
    hold_zeros: bool | None
    loss: str | None
    metrics: Sequence[str]
    learning_rate: float | None
    new_optimizer: str | None
    stroke: float | None
    prune: tuple[float, float] | None
    neuroplast: tuple[float, float] | None
    checkpoints: Path | None
    save_every: int | None
    log: Path | None
    tensorboard: Path | None
    imports: Sequence[str]
    unsafe: bool
    force: bool
    bar: bool
    report: Callable[[Epoch], None] | None


@dataclass(frozen=True, slots=True)
class Resumed:
    """What a leg of training came to.

    Attributes:
        model: path.
        output: path of the result.
        epochs: how many epochs the model has now, over all legs.
        seed: of the order of samples, and of all else that is random.
        metrics: of the last epoch; those of validation begin with `val_`.
        samples, validation_samples: how many there were; None where that is not known.
        held: how many zeros were held.
        signal: the one that ended training early; None if it went to its end.
        skipped: the output was there already, made of the same input in the same way.
        notes: what is worth knowing, one line each.
    """

    model: str
    output: str
    epochs: int
    seed: int
    metrics: Mapping[str, float]
    samples: int | None = None
    validation_samples: int | None = None
    held: int = 0
    signal: int | None = None
    skipped: bool = False
    notes: tuple[str, ...] = ()


def resume(model: Path, *, data: Any, epochs: int, **options: Unpack[Options]) -> Resumed:
    """Train a saved model for some more epochs, as if it had never been saved.

    The order of samples is a function of the seed and the epoch. So a run that was stopped or killed goes on from where
    it was saved to the result that it would have had, when it is called again with the same words.

    Args:
        model: a `.keras` or whole-model `.h5` file, or `-` for standard input.
        data: see `training.data.read`.
        epochs: how many more.
        options: see `Options`.

    Raises:
        WtoolError: the model cannot be loaded, trained or saved; the loss became NaN.
        Usage: words that do not go together.

    Example:
        >>> wtool.resume("pruned.keras", data="digits.npz", epochs=5, seed=1)  # doctest: +SKIP
    """
    name, checkpoints = os.fspath(model), os.fspath(options.get("checkpoints") or "")
    refuse_unknown("resume", options, Options)
    goal = check_resume(name, data, epochs, options)
    target = goal.path
    if goal.makes_folder:
        make_ready(replace(goal, force=True))  # what is there already may be this leg's own
    for folder in {saving.folder_of(target), *([checkpoints] if checkpoints and os.path.isdir(checkpoints) else [])}:
        sweep(folder)
    import_all(options.get("imports", ()))
    try:
        loaded = load(name, options.get("unsafe", False))
        if loaded.lost and not options.get("new_optimizer"):
            raise WtoolError(f"{loaded.lost}; --new-optimizer starts another")
        plan = _plan(loaded, data, epochs, options)
        found = [] if options.get("force") else list(left_behind(plan, target, options.get("checkpoints")))
        if any(each.path == target and each.at == plan.end for each in found):
            return Resumed(name, target, plan.end.epoch, found[0].seed, {}, skipped=True)
        replaces = options.get("force", False) or any(each.path == target for each in found)
        saving.check_target(target, replaces)
        return _Leg(loaded, plan, target, replaces, data, options).run(found)
    except WtoolError as error:
        raise error.about(name) from error.__cause__


def _plan(loaded: Loaded, data: Any, epochs: int, options: Options) -> Plan:
    held = options.get("hold_zeros")
    is_masked = held is None and bool(masks.masked(loaded))
    parameters = {
        "data": paths_of(data),
        "validation_data": paths_of(options.get("validation_data")),
        "batch_size": options.get("batch_size", 32),
        "shuffle": options.get("shuffle", True),
        "hold_zeros": masks.ALL if held else masks.MASKS if is_masked else False,
        "epochs": epochs,
        "validation_split": options.get("validation_split"),
        "stroke": options.get("stroke"),
        "prune": options.get("prune"),
        "neuroplast": options.get("neuroplast"),
    }
    parameters |= {name: value for name, value in asdict(_compilation(options)).items() if value != ()}
    seed = options.get("seed")
    start = epochs_of(loaded.lineage)
    return Plan(
        parameters={name: value for name, value in parameters.items() if value is not None},
        inputs=[
            Input.at(loaded.name, loaded.hashes, {"as": "model"}),
            *fingerprints.entries(data, "data"),
            *fingerprints.entries(options.get("validation_data"), "validation_data"),
        ],
        seed=secrets.randbelow(SEEDS) if seed is None else seed,
        seed_is_given=seed is not None,
        start=Position(start),
        end=Position(start + epochs),
    )


def _compilation(options: Options) -> Compilation:
    return Compilation(
        loss=options.get("loss"),
        metrics=tuple(options.get("metrics", ())),
        optimizer=options.get("new_optimizer"),
        learning_rate=options.get("learning_rate"),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Leg:
    """A leg of training that is to be done."""

    loaded: Loaded
    plan: Plan
    target: str
    replaces: bool
    data: Any
    options: Options

    def run(self, found: Sequence[Left]) -> Resumed:
        """Train from the latest model that was left behind, or from the beginning, and save."""
        data, validation = self._data()
        last, notes = latest(found, datas.can_skip(data))
        if last is None and not self.options.get("new_optimizer"):
            notes = (*self.loaded.notes, *notes)
        at, plan = (self.plan.start, self.plan) if last is None else (last.at, replace(self.plan, seed=last.seed))
        model = self._begun(last, plan)
        self._prepare_folder(at, found)
        held = self._hold(model)
        kept = _Keeper(self, plan, held)
        epochs: list[Epoch] = []
        reports, told = self._reports(at, epochs.append, goes_on=last is not None)
        callbacks = [*self._transforms(plan, at), *reports]
        try:
            at, stop = self._train(model, (data, validation), at, callbacks, kept)
        except Diverged as error:
            good = kept.last or (last.path if last else self.loaded.name)
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
            held=sum(each.zeros for each in held),
            signal=stop.signal,
            notes=(*notes, *told),
        )

    def _train(
        self, model: Any, data: tuple[Any, Any], at: Position, callbacks: Sequence[Any], kept: _Keeper
    ) -> tuple[Position, Stop]:
        """Train to the end, or to where a signal comes, and save that."""
        with stopping_on_signals(Stop()) as stop:
            at = fit(
                model,
                data[0],
                at,
                self.plan.end.epoch,
                seed=kept.plan.seed,
                batch_size=self.options.get("batch_size", 32),
                shuffle=self.options.get("shuffle", True),
                validation=data[1],
                callbacks=[*callbacks, kept],  # last: what is saved is not done again, so nothing may be left to tell
                stop=stop,
                bar=self.options.get("bar", False),
            )
            if at == self.plan.end:
                holding.settle(model, kept.held)
            kept.save(model, self.target, at, self.replaces)
        return at, stop

    def _begun(self, last: Left | None, plan: Plan) -> Any:
        """The model as it is where training begins, or goes on."""
        loaded = self.loaded
        if last is None:
            prepare(loaded.model, _compilation(self.options), why=loaded.uncompiled)
        else:
            loaded = load(last.path, self.options.get("unsafe", False))
            if loaded.hashes != (last.hash,):
                raise WtoolError("changed while it was being read; run the command again", last.path)
            if loaded.lost or loaded.uncompiled:
                raise WtoolError(f"{loaded.lost or loaded.uncompiled}; remove it to begin anew", last.path)
        randomness.restore(loaded.model, loaded.lineage, plan.seed)
        return loaded.model

    def _data(self) -> tuple[Any, Any]:
        """For training and for validation."""
        model, batch_size = self.loaded.model, self.options.get("batch_size", 32)
        data = datas.read(self.data, model, "train", batch_size)
        other, share = self.options.get("validation_data"), self.options.get("validation_split")
        if share is not None:
            if not isinstance(data, Samples):
                raise Usage("a validation split needs samples that can be had by number: arrays, or images")
            return data.split(share)
        if other is None and not datas.has_test_part(self.data):
            return data, None
        return data, datas.read(self.data if other is None else other, model, "test", batch_size)

    def _prepare_folder(self, at: Position, found: Sequence[Left]) -> None:
        """Make the folder of checkpoints; WtoolError if one of something else is where one of this leg will be."""
        folder = self.options.get("checkpoints")
        if folder is not None:
            os.makedirs(folder, exist_ok=True)
        if folder is None:
            return
        own = {each.path for each in found}
        for epoch in range(at.epoch + 1, self.plan.end.epoch + 1):
            path = checkpoint_of(folder, epoch)
            if self.options.get("force"):
                with suppress(FileNotFoundError):
                    os.unlink(path)  # or a run that goes on from here would take it for its own
            elif self.saves_at(epoch) and os.path.exists(path) and path not in own:
                raise WtoolError("exists already, and is of another training; --force replaces it", path)

    def saves_at(self, epoch: int) -> bool:
        """Whether there is a checkpoint of the end of an epoch."""
        every = self.options.get("save_every") or 1
        return self.options.get("checkpoints") is not None and epoch % every == 0

    def _hold(self, model: Any) -> list[holding.HeldVariable]:
        """Hold what was zero when the leg began, which need not be all that is zero in a checkpoint of it."""
        which = self.plan.parameters["hold_zeros"]
        if not which:
            return []
        variables = masks.masked(self.loaded) if which == masks.MASKS else masks.zeros(self.loaded)
        first, now = (in_order(each) for each in (self.loaded.model, model))
        numbers = {id(variable): number for number, variable in enumerate(first)}
        live = {path: now[numbers[id(variable)]] for path, variable in variables.items()}
        return holding.hold(model, live, {path: array(variable) != 0 for path, variable in variables.items()})

    def _transforms(self, plan: Plan, at: Position) -> list[Any]:
        """The callbacks that change weights at the ends of epochs."""
        ratio, prune, plastic = self.options.get("stroke"), self.options.get("prune"), self.options.get("neuroplast")
        made: list[Any] = []
        if ratio is not None:
            made.append(Stroke(volatility_ratio=ratio, seed=plan.seed))
        if prune is not None:
            made.append(Pruning(min_value=prune[0], max_value=prune[1]))
        if plastic is not None:
            made.append(NeuroPlast(min_value=plastic[0], max_value=plastic[1], seed=plan.seed))
        for callback in made:
            callback.epochs_completed = at.epoch
        return made

    def _reports(
        self, at: Position, remember: Callable[[Epoch], None], goes_on: bool
    ) -> tuple[list[Any], tuple[str, ...]]:
        """The callbacks that tell of epochs, and what is worth knowing about them."""
        log, report, tensorboard = self.options.get("log"), self.options.get("report"), self.options.get("tensorboard")
        told = [remember, *([report] if report else [])]
        notes: tuple[str, ...] = ()
        if log is not None:
            notes = logs.prepare(os.fspath(log), at.epoch, keep=not goes_on and not self.options.get("force"))
            told.append(logs.writer(os.fspath(log)))
        made: list[Any] = [Log(each, self.plan.end.epoch) for each in told]
        if tensorboard is not None:
            made.append(keras.callbacks.TensorBoard(os.fspath(tensorboard)))
        return made, notes


class _Keeper(keras.callbacks.Callback):
    """Saves checkpoints of a leg, and nothing that is broken.

    Attributes:
        plan: with the seed of the run.
        held: zeros.
        last: path of the last checkpoint.
    """

    def __init__(self, leg: _Leg, plan: Plan, held: Sequence[holding.HeldVariable]) -> None:
        super().__init__()
        self._leg = leg
        self.plan = plan
        self.held = held
        self.last: str | None = None

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Save a checkpoint, if one is due."""
        if not self._leg.saves_at(epoch + 1):
            return
        folder = self._leg.options.get("checkpoints")
        assert folder is not None
        path = checkpoint_of(folder, epoch + 1)
        self.save(self.model, path, Position(epoch + 1), force=True)  # what is there was looked at before
        self.last = path

    def save(self, model: Any, path: str, at: Position, force: bool) -> None:
        """Save the model as it is at a position."""
        saving.refuse_nonfinite(model)
        holding.check(self.held)
        record = self.plan.record(at, randomness.states(model))
        saving.save(model, path, [*self._leg.loaded.lineage, record], force=force)
