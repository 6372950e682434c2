"""Options and result of `wtool.recalibrate`. This module imports no Keras and no NumPy, so that `--help` is instant."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from wtool.option import Checked, like, option
from wtool.training.resume_options import Resume


@dataclass(frozen=True, kw_only=True)
class Recalibration(Checked):
    """How the moving statistics are made those of data."""

    exact: bool = option(False, "Exact for layers behind others too: a pass over the data for each depth.")
    batches: int | None = option(
        None, "Use N batches of the data; all by default.", metavar="N", low=1, wrong="batches are counted from 1 up"
    )
    batch_size: int = like(Resume, "batch_size")
    frozen: bool = option(False, "Also layers that are frozen, or run in inference mode during training.")


class Drift(NamedTuple):
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
