"""Options and results of `wtool.index`. This module imports no NumPy, so that `--help` is instant."""

from __future__ import annotations

from dataclasses import field

from wtool.option import Checked, option, told
from wtool.values import dataclass
from wtool.words import Path

MODEL, TENSOR = "model", "tensor"


@dataclass(frozen=True, kw_only=True)
class Index(Checked):
    """Write a table with a row for each model of a zoo, or for each tensor, for questions in SQL.

    The table is a Parquet file (.parquet, which needs pyarrow) or JSON Lines (.jsonl). Where it is there already, it is
    brought up to date: models whose files have the same size and time are not read again.

    With --no-statistics no weights are read. With --force the table is made anew, whatever is there.

    Examples:
        wtool index zoo/ -o zoo.parquet -j 2
        wtool index zoo/ -o tensors.parquet --per tensor
        wtool index zoo/ -o zoo.jsonl --no-statistics
        >>> wtool.index("zoo/", output="zoo.parquet")  # doctest: +SKIP
    """

    output: Path = field(
        metadata=told("The table: a .parquet or .jsonl file, or - for lines on standard output.", short="-o",
                      metavar="FILE"),
    )  # fmt: skip
    per: str = option(MODEL, "What has a row of its own.", choices=(MODEL, TENSOR), noun="kind of rows")
    statistics: bool = option(True, "Read the weights, for hashes, zeros, means and the like.")


@dataclass(frozen=True, slots=True)
class IndexedModel:
    """What became of one model in `index`.

    Attributes:
        model: path, as its rows tell it.
        state: `new` (it was not in the table), `changed`, `kept` (its rows are those of the table before) or `failed`.
        rows: number of its rows; 0 in a dry run, for a model that is not kept.
        error: why it could not be read; None for all but failed models, whose row tells it too.
    """

    model: str
    state: str
    rows: int
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Indexed:
    """The result of `index`.

    Attributes:
        output: path of the table; None in a dry run.
        models: how many models there are.
        new: how many of them were not in the table before.
        changed: how many were there, and were read again.
        kept: how many have the rows of the table before.
        gone: how many models of the table before are not among the models any more.
        failed: path of each model that could not be read -> the reason, which is in its row as well.
        rows: of the table; 0 in a dry run.
        bytes: size of the table; 0 in a dry run.
        notes: remarks, one line each.
        skipped: whether the table was up to date, and was left as it was.
    """

    output: str | None
    models: int
    new: int
    changed: int
    kept: int
    gone: int
    failed: dict[str, str]
    rows: int
    bytes: int
    notes: tuple[str, ...] = ()
    skipped: bool = False
