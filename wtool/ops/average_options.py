"""Options and result of `wtool.average`. This module imports no NumPy, so that `--help` is instant."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import field
from typing import Any

from wtool.choices import MODES, ORDERS, STATISTICS_OF_AVERAGES
from wtool.errors import Usage
from wtool.option import Checked, argument, like, option
from wtool.run.action import Action
from wtool.run.diagnosis import Diagnosis
from wtool.run.input_model import InputModel
from wtool.run.options import Execution, Output, Selection
from wtool.training.recalibrate_options import Afterwards, Drift
from wtool.training.resume_options import Resume
from wtool.values import dataclass
from wtool.words import Path, Progress


@dataclass(frozen=True, kw_only=True)
class Average(Checked):
    """Average checkpoints of one run into a new model, with the newest's format, configuration and optimizer class.

    Every floating variable is averaged in float64 and rounded once; seeds, counters, integer tables and quantised
    kernels are the newest's. Coefficients are normalised to add up to 1. The output is `average` with the newest's
    extension, in the current folder, unless --output says otherwise.

    Every value is round(sum_i(c_i * x_i) / sum_i(c_i)) in the variable's own dtype, which is `numpy.average` to the
    bit. One of `equal`, `linear`, `decay`, `alpha`, `coefficients`, `power` and `sigma_rel` gives the coefficients c_i;
    `equal` is the default. In the order `natural`, numbers in paths are compared as numbers; `given` is that of
    `paths`, and `mtime` that of the times of change.

    Examples:
        wtool average ckpt*.keras --exp 0.9
        wtool average run/ --linear -o mean.keras
        wtool average run/ --last 10 --power 8
        wtool average run/ --best 5 --by val_loss --log run/log.csv
        wtool average a.h5 b.h5 --coefficients 1,3 -o - | wtool inspect -
        >>> wtool.average(["ckpt-1.keras", "ckpt-2.keras"], decay=0.9, output="average.keras")  # doctest: +SKIP

    Source: the Polyak-averaging tutorial, whose coefficients are those of `alpha`.
    """

    equal: bool = option(False, "Every checkpoint counts the same (the default).")
    linear: bool = option(False, "The k-th newest of n counts n-k+1.")
    decay: float | None = option(
        None, "Each counts D^age, the newest having age 0; 0 < D <= 1.", metavar="D", words=("exp",)
    )
    alpha: float | None = option(None, "The i-th newest counts e^(-i/A).", metavar="A")
    coefficients: Sequence[float] | None = option(None, "One for each checkpoint, in order.", metavar="C1,C2,...")
    power: float | None = option(
        None, "Each counts t^(G+1) - s^(G+1): t is its step, s that of the one before; G > -1.", metavar="G"
    )
    sigma_rel: float | None = option(None, "The same, with the G of this relative width; 0 < S <= 0.3.", metavar="S")
    last: int | None = option(
        None, "Only the N newest.", metavar="N", low=1, wrong="at least one checkpoint (--last 1)"
    )
    best: int | None = option(
        None, "Only the K best by a metric (--by).", metavar="K", low=1, wrong="at least one checkpoint (--best 1)"
    )
    by: str | None = option(None, "The metric: its values are in names, or in a --log.", metavar="METRIC")
    mode: str | None = option(
        None,
        "Whether low or high values are better; by default what the metric's name tells.",
        choices=MODES,
        noun="mode",
    )
    log: Path | None = option(
        None, "Values by epoch: CSV of Keras's CSVLogger, or what `wtool resume --log` writes.", metavar="FILE"
    )
    order: str | None = option(
        None,
        "From oldest to newest: by path with numbers as numbers (the default), as given (the default for "
        "--coefficients of files that are named one by one), or by time of change.",
        choices=ORDERS,
        noun="order",
    )
    doctor: bool = option(False, "Look first whether these models can be averaged, and say what speaks against it.")
    allow_nonfinite: bool = option(False, "Average NaN and infinities instead of refusing them.")
    bn: str = option(
        "average",
        "Statistics of batch normalisation: averaged as all else, pooled (mean of variances plus variance of means), "
        "or the newest's.",
        choices=STATISTICS_OF_AVERAGES,
        noun="treatment of batch normalisation",
    )
    recalibrate: Any = like(Afterwards, "recalibrate")
    output: Path | None = like(Resume, "output")
    include: Sequence[str] = like(Selection, "include")
    exclude: Sequence[str] = like(Selection, "exclude")
    optimizer: str = like(Output, "optimizer")
    dry_run: bool = like(Execution, "dry_run")
    force: bool = like(Execution, "force")
    progress: Progress | None = like(Execution, "progress")
    diagnosed: Callable[[Diagnosis], None] | None = argument(
        None, "called with what `doctor` found, before anything is written."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self._chosen) > 1:
            raise Usage(f"{' and '.join(self._chosen)} contradict each other; choose one")
        if self.last is not None and self.best is not None:
            raise Usage("last and best contradict each other; choose one")
        if self.best is not None and self.by is None:
            raise Usage("the best by which metric? Say, for instance, --by val_loss")
        words = {"by": self.by, "mode": self.mode, "log": self.log}
        without = [name for name, each in words.items() if each is not None and self.best is None]
        if without:
            raise Usage(f"--{without[0]} is for the best by a metric, such as --best 3 --by val_loss")

    @property
    def method(self) -> str:
        """Name of the coefficients in `transforms.averaging.COEFFICIENTS`."""
        chosen = next(iter(self._chosen), "equal")
        return "power" if chosen == "sigma_rel" else chosen

    @property
    def is_ordered(self) -> bool:
        """Whether the values of the result depend on the order of the checkpoints."""
        return self.method != "equal" or self.last is not None

    @property
    def value(self) -> float | list[float] | None:
        """What the coefficients need besides the checkpoints' number and times; None where they need nothing."""
        return next(iter(self._chosen.values()), None)

    @property
    def _chosen(self) -> dict[str, float | list[float] | None]:
        listed = None if self.coefficients is None else list(self.coefficients)
        switches = {"equal": self.equal, "linear": self.linear}
        values = {"exp": self.decay, "alpha": self.alpha, "coefficients": listed}
        values |= {"power": self.power, "sigma_rel": self.sigma_rel}
        given = {name: each for name, each in values.items() if each is not None}
        return {**{name: None for name, is_on in switches.items() if is_on}, **given}


CALCULATED = ("averaged", "pooled")
"""Kinds of what becomes of tensors that take new values."""


@dataclass(frozen=True, slots=True)
class Considered:
    """A checkpoint that could have been averaged.

    Attributes:
        path: of the checkpoint.
        value: of the metric; None where nobody asked for the best by one, or where it is NaN.
        is_taken: whether the checkpoint was averaged.
    """

    path: str
    value: float | None
    is_taken: bool


@dataclass(frozen=True, slots=True)
class Averaged:
    """What `average` did, or would do.

    Attributes:
        output: path of the new checkpoint, `-` for standard output; None after a dry run.
        inputs: the checkpoints with their coefficients, oldest first.
        actions: path of each tensor of the newest checkpoint -> what becomes of it.
        parameters: how many numbers were averaged.
        notes: what is worth knowing, one line each.
        skipped: the output was there already, made of the same checkpoints in the same way.
        diagnosis: what `doctor` found; None without it.
        considered: with `last` or `best`, all checkpoints that could have been averaged, oldest first; none without.
        warnings: those of the notes that are about the order of coefficients, which -q does not silence.
        drifts: path of each layer whose statistics were recalibrated -> how far off they were.
    """

    output: str | None
    inputs: tuple[InputModel, ...]
    actions: dict[str, Action] = field(repr=False)
    parameters: int
    notes: tuple[str, ...]
    skipped: bool = False
    diagnosis: Diagnosis | None = None
    considered: tuple[Considered, ...] = ()
    warnings: tuple[str, ...] = ()
    drifts: dict[str, Drift] = field(default_factory=dict)
