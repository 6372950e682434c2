"""Options and result of `wtool.soup`. This module imports neither Keras nor NumPy, so that `--help` is instant."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from wtool.choices import MODES, ORDERS
from wtool.errors import Usage
from wtool.option import Checked, argument, like, option
from wtool.run.diagnosis import Diagnosis
from wtool.run.options import Execution, Output
from wtool.training.resume_options import Resume
from wtool.values import dataclass
from wtool.words import Path

OPERATION = "soup"
"""What lineages call it, and the name, without its extension, of an output that nobody named."""


@dataclass(frozen=True, kw_only=True)
class Soup(Checked):
    """Average fine-tuned models, and choose which of them by their scores on held-out data.

    A greedy soup begins with the model that has the best score alone. The others are tried from the best to the worst:
    a model goes in if the mean of the soup and the model has a strictly better score than the soup. The mean is
    computed anew from the files each time, in float64, and rounded once. A uniform soup is the mean of all models.

    The held-out data is neither what the models were trained on nor what the soup will be judged by. Of a `.npz` file,
    it is x_val and y_val, or x and y.

    With --log, each score is a line of a file, and the same command goes on from there. The output is `soup` with the
    models' extension, in the current folder, unless --output says otherwise; its configuration and its optimizer's
    class are those of the last model in the soup.

    Examples:
        wtool soup runs/*.keras --data val.npz -o soup.keras
        wtool soup runs/ --data val.npz --metric loss --rounds 2 --log soup.jsonl
        wtool soup runs/ --data val.npz --uniform
        >>> wtool.soup(["a.keras", "b.keras"], data="val.npz", output="soup.keras")  # doctest: +SKIP

    Source: Wortsman et al., Model soups, arXiv:2203.05482.
    """

    data: Any = like(Resume, "data")
    greedy: bool = option(False, "Models go in one by one, if the score gets better (the default).")
    uniform: bool = option(False, "All models go in.")
    metric: str | None = option(
        None, "The score: loss or a metric; the model's first metric by default, else its loss.", metavar="NAME"
    )
    mode: str | None = option(
        None, "Whether a low or a high score is better; by the metric's name by default.", choices=MODES, noun="mode"
    )
    rounds: int = option(1, "How often models that did not go in are tried again.", metavar="N", low=1)
    recalibrate: Any = option(
        None,
        "Set the statistics of batch normalisation of every mean to those of this data, before it is scored.",
        metavar="DATA",
        is_repeatable=True,
    )
    doctor: bool = option(False, "Look first whether these models can be averaged, and say what speaks against it.")
    log: Path | None = option(None, "A .jsonl file that gets a line for each score.", metavar="FILE")
    order: str | None = option(
        None, "Which of equals comes first: by path (the default), as given, or by time.", choices=ORDERS, noun="order"
    )
    optimizer: str = like(Output, "optimizer")
    output: Path | None = like(Resume, "output")
    batch_size: int = like(Resume, "batch_size")
    loss: str | None = like(Resume, "loss")
    imports: Sequence[str] = like(Resume, "imports")
    unsafe: bool = like(Resume, "unsafe")
    dry_run: bool = like(Execution, "dry_run")
    force: bool = like(Execution, "force")
    report: Callable[[Any], None] | None = argument(None, "called with every score, a `Tasted`.")
    diagnosed: Callable[[Any], None] | None = argument(
        None, "called with what `doctor` found, before anything is scored."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.greedy and self.uniform:
            raise Usage("--greedy and --uniform contradict each other; choose one")
        if self.uniform and self.rounds != 1:
            raise Usage("--rounds is for greedy soups: in a uniform one, all models are in")

    @property
    def method(self) -> str:
        """`greedy` or `uniform`."""
        return "uniform" if self.uniform else "greedy"


@dataclass(frozen=True, slots=True)
class Tasted:
    """A score.

    Attributes:
        candidate: the model that was tried; None where all models were.
        score: of the candidate alone, or of the mean with it.
        kept: whether the candidate went into the soup; None where it was scored alone.
        soup: the models that are in the soup since then.
    """

    candidate: str | None
    score: float
    kept: bool | None
    soup: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Souped:
    """What `soup` did, or would do.

    Attributes:
        output: path of the soup, `-` for standard output; None after a dry run.
        soup: the models that are in it.
        metric: name of the score.
        mode: `max` or `min`: which scores are better.
        score: of the soup.
        best: the model that is best alone.
        alone: score of each model alone.
        tried: all scores, in the order in which they were looked at.
        notes: what is worth knowing, one line each.
        skipped: the output was there already, made of the same models in the same way.
        diagnosis: what `doctor` found; None without it.
    """

    output: str | None
    soup: tuple[str, ...]
    metric: str
    mode: str
    score: float
    best: str
    alone: Mapping[str, float]
    tried: tuple[Tasted, ...]
    notes: tuple[str, ...] = ()
    skipped: bool = False
    diagnosis: Diagnosis | None = None
