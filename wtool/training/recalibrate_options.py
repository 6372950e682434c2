"""Options and result of `wtool.recalibrate`. This module imports no Keras and no NumPy, so that `--help` is instant."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import field
from typing import Any

from wtool.option import Checked, like, option, told
from wtool.run.options import Batch, Execution, Output
from wtool.training.resume_options import Resume
from wtool.values import dataclass
from wtool.words import Path, Progress


@dataclass(frozen=True, kw_only=True)
class Recalibration(Checked):
    """How the moving statistics are made those of data."""

    exact: bool = option(False, "Exact for layers behind others too: a pass over the data for each depth.")
    batches: int | None = option(
        None, "Use N batches of the data; all by default.", metavar="N", low=1, wrong="batches are counted from 1 up"
    )
    batch_size: int = like(Resume, "batch_size")
    frozen: bool = option(False, "Also layers that are frozen, or run in inference mode in training.")


@dataclass(frozen=True, kw_only=True)
class Recalibrate(Checked):
    """Set the moving statistics of batch normalisation to those of data; nothing else of the models changes.

    An average or a merge of models has statistics that fit none of its activations, and may predict badly until they
    are taken anew. Targets in the data are not looked at, and dropout is off. The statistics of a layer are mean and
    biased variance of all its inputs, added up in float64. By default one pass does: a layer normalises each batch by
    the statistics of all its inputs so far, which is exact for layers that are behind no other one. With --exact, every
    layer sees inputs that were normalised by the final statistics of the layers before it.

    Frozen layers, and those that always run in inference mode, keep their statistics, which the training fitted all
    other weights to; --frozen sets them too. The output is `<stem>-recalibrate<ext>` beside each model, unless --output
    says otherwise. Of a `.npz` file, the data is the part for training.

    Examples:
        wtool recalibrate average.keras --data train.npz -o good.keras
        wtool recalibrate merged/*.keras --data x.npy --exact -o good/
        wtool recalibrate average.keras --data train.npz --batches 100 --dry-run
        >>> wtool.recalibrate("average.keras", data="train.npz", exact=True)  # doctest: +SKIP

    Source: `torch.optim.swa_utils.update_bn`, whose averages of batch means and batch variances are pooled here.
    """

    data: Any = field(
        metadata=told(
            ".npz, .npy, .csv, a folder, or package.module:function; targets in it do not matter.",
            metavar="DATA",
            is_repeatable=True,
        )
    )
    exact: bool = like(Recalibration, "exact")
    batches: int | None = like(Recalibration, "batches")
    batch_size: int = like(Recalibration, "batch_size")
    frozen: bool = like(Recalibration, "frozen")
    output: Path | None = like(Output, "output")
    in_place: bool = like(Output, "in_place")
    imports: Sequence[str] = like(Resume, "imports")
    unsafe: bool = like(Resume, "unsafe")
    dry_run: bool = like(Execution, "dry_run")
    force: bool = like(Execution, "force")
    fail_fast: bool = like(Execution, "fail_fast")
    progress: Progress | None = like(Execution, "progress")
    report: Callable[[Any], None] | None = like(Execution, "report")
    collect: bool = like(Batch, "collect")

    @property
    def how(self) -> Recalibration:
        """How the moving statistics are made those of data."""
        return Recalibration(exact=self.exact, batches=self.batches, batch_size=self.batch_size, frozen=self.frozen)


@dataclass(frozen=True, kw_only=True)
class Afterwards(Checked):
    """A recalibration behind another operation, in the same file."""

    recalibrate: Any = option(
        None,
        "Then set the statistics of batch normalisation to those of this data, as `wtool recalibrate` does.",
        metavar="DATA",
        is_repeatable=True,
    )


@dataclass(frozen=True, slots=True)
class Drift:
    """How far off the statistics of a layer were.

    Attributes:
        mean: root mean square over the channels of (stored mean - mean of the data) / standard deviation of the data;
            None where the stored mean is no number.
        variance: geometric mean over the channels of variance of the data / stored variance, with epsilon added to
            both; None where the stored variance is no number.
    """

    mean: float | None
    variance: float | None


@dataclass(frozen=True, slots=True)
class Recalibrated:
    """The statistics of a model that are those of data now, or would be.

    Attributes:
        model: path.
        output: path of the result, `-` for standard output; None after a dry run, and where there is nothing to do.
        skipped: the output was there already, made of the same model and data in the same way.
        layers: path of each layer whose statistics were set -> how far off they were.
        samples: how many samples were looked at.
        passes: how often.
        notes: what is worth knowing, one line each.
    """

    model: str
    output: str | None
    skipped: bool = False
    layers: dict[str, Drift] = field(default_factory=dict)
    samples: int = 0
    passes: int = 0
    notes: tuple[str, ...] = ()
