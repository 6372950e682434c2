"""Options and result of `wtool.report`. This module imports no NumPy, so that `--help` is instant."""

from __future__ import annotations

from dataclasses import field

from wtool.option import Checked, argument, option, told
from wtool.values import dataclass
from wtool.words import Path, Progress


@dataclass(frozen=True, kw_only=True)
class Report(Checked):
    """Write a page to look at in a browser: models, the curves of experiments and logs, or a whole zoo.

    The page is one .html file with everything in it, which works without a network. Of a model, it shows layers and
    tensors, histograms, masks, sparsity and the lineage; with --against, also the differences from another model. Of
    many models it shows a table; of up to twelve, each of them besides. Of RUN/, the folder of an experiment, and of
    LOG, the log of a training (.csv, .jsonl), it shows learning curves.

    Examples:
        wtool report trained.keras -o report.html --open
        wtool report pruned.keras --against trained.keras -o report.html
        wtool report zoo/ -o zoo.html
        wtool report RUN/ -o run.html
        >>> wtool.report("trained.keras", output="report.html")  # doctest: +SKIP
    """

    output: Path = field(
        metadata=told("The new .html file, or - for standard output.", short="-o", metavar="FILE"),
    )
    against: Path | None = option(None, "Also show in what the model differs from this earlier one.", metavar="MODEL")
    force: bool = option(False, "Replace an existing output.", short="-f")
    progress: Progress | None = argument(None, "called with bytes done and bytes in all, for each file.")


@dataclass(frozen=True, slots=True)
class Reported:
    """The result of `report`.

    Attributes:
        output: path of the page.
        models: paths of the models on the page.
        trainings: paths of the experiments and logs on the page.
        failed: path of each model that cannot be read -> the reason, which is on the page as well.
        bytes: size of the page.
    """

    output: str
    models: tuple[str, ...]
    trainings: tuple[str, ...]
    failed: dict[str, str]
    bytes: int
