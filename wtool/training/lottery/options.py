"""Options and result of `wtool.lottery`. This module imports neither Keras nor NumPy, so that `--help` is instant."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import field
from typing import Any

from wtool.choices import KEEP
from wtool.option import Checked, argument, like, option, told
from wtool.run.options import Seed
from wtool.training.lottery.plan import Experiment
from wtool.training.lottery.summaries import EarlyStop, Line, Summary
from wtool.training.resume_options import Resume
from wtool.values import dataclass
from wtool.words import Path, Progress


@dataclass(frozen=True, slots=True)
class Trained:
    """A training that has ended.

    Attributes:
        last: its last epoch.
        seconds: it took, from where it went on.
    """

    last: Line
    seconds: float


@dataclass(frozen=True, kw_only=True)
class LotteryOptions(Checked):
    """Do the lottery-ticket experiment: train a model, prune it, give it its initial weights, and train that.

    Called again with the same words, an experiment that was stopped or killed goes on at the epoch where it was, to the
    result that it would have had; data that is not named begins the training that was stopped anew. The folder `out` is
    made if it is missing, and holds checkpoints, `metrics.jsonl` and `experiment.json`.

    Examples:
        >>> wtool.lottery("init.keras", data="digits.npz", out="run", epochs=20, sparsity=0.8)  # doctest: +SKIP

    Source: Frankle & Carbin, arXiv:1803.03635; Frankle, Dziugaite, Roy & Carbin, arXiv:1912.05671 (late rewinding);
    Renda, Frankle & Carbin, arXiv:2003.02389 (learning-rate rewinding: `none`).
    """

    data: Any = like(Resume, "data")
    out: Path = field(metadata=told("Folder of the experiment.", metavar="RUN/"))
    epochs: int = like(Experiment, "epochs")
    sparsity: float = like(Experiment, "sparsity")
    rounds: int = like(Experiment, "rounds")
    schedule: str = like(Experiment, "schedule")
    criterion: str = like(Experiment, "criterion")
    scope: str | None = like(Experiment, "scope")
    budget: str | None = like(Experiment, "budget")
    last_layer_scale: float = like(Experiment, "last_layer_scale")
    include: Sequence[str] = like(Experiment, "include")
    exclude: Sequence[str] = like(Experiment, "exclude")
    arms: Sequence[str] = option(
        (),
        "What tickets start from, and the words in which the arm differs (randomize,same_sign=no); repeatable; rewind "
        "if there is no other.",
        metavar="ARM",
        words=("arm", "reinit"),
    )
    arms_from: Path | None = option(None, "A file with further arms, one on each line.", metavar="FILE")
    same_sign: bool = like(Experiment, "same_sign")
    rewind_to: int = like(Experiment, "rewind_to")
    epochs_of_tickets: int | None = like(Experiment, "epochs_of_tickets")
    trials: int = like(Experiment, "trials")
    dense_from: Path | None = option(
        None, "Take the dense training over from this experiment, of the same model, data and seed.", metavar="RUN/"
    )
    validation_data: Any = like(Resume, "validation_data")
    validation_split: float | None = like(Resume, "validation_split")
    batch_size: int = like(Resume, "batch_size")
    shuffle: bool = like(Resume, "shuffle")
    patience: int | None = option(
        None, "A training ends after so many epochs without a better validation loss.", metavar="N", low=1
    )
    loss: str | None = like(Resume, "loss")
    metrics: Sequence[str] = like(Resume, "metrics")
    new_optimizer: str | None = like(Resume, "new_optimizer")
    seed: int | None = like(Seed, "seed")
    keep: str = option("all", "Which checkpoints stay.", choices=KEEP, noun="choice of what to keep")
    imports: Sequence[str] = like(Resume, "imports")
    unsafe: bool = like(Resume, "unsafe")
    progress: Progress | None = argument(None, "called with epochs done and epochs in all.")
    report: Callable[[Trained], None] | None = argument(None, "called with every training that is over.")
    watch: Callable[[Line], None] | None = argument(None, "called with every epoch of a training, before `progress`.")


@dataclass(frozen=True, slots=True)
class Lottery:
    """The result of an experiment.

    Attributes:
        model: path of the initial model.
        out: folder of the experiment.
        seed: of all that was random.
        trained: how many trainings were done this time; what was there already is not done again.
        signal: the one that ended it early; None if it went to its end.
        summary: statistics over trials, of each arm, round and epoch.
        early_stops: statistics over trials, of the epoch of each arm and round that has the lowest validation loss.
        ends: statistics over trials of the last epoch of each arm and round.
    """

    model: str
    out: str
    seed: int
    trained: int
    signal: int | None
    summary: tuple[Summary, ...]
    early_stops: tuple[EarlyStop, ...] = ()
    ends: tuple[Summary, ...] = ()
