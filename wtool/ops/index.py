"""Tables of a zoo's models or tensors.

`wtool/ops/signatures.pyi` has the function's signature for type checkers and editors; `make docs` writes it.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import field
from functools import partial
from typing import TYPE_CHECKING, Any

from wtool.checkpoint.file_stamps import ModelStamp, model_stamp
from wtool.checkpoint.inputs import NamedModel, inside, named_models, natural_key
from wtool.checkpoint.opener import Opener
from wtool.checkpoint.zoo_part import ZooPart
from wtool.errors import Usage, WtoolError
from wtool.io import tree
from wtool.io.addresses import is_address, text_of, without_query
from wtool.io.columns import Row, as_utf8
from wtool.io.descriptor import source_of
from wtool.io.drafts import new_draft
from wtool.io.places import Target, check_target
from wtool.ops.functions import First, function_of, given_of
from wtool.ops.index_columns import COLUMNS, failed_row, file_values, rows_of
from wtool.ops.index_options import Index, Indexed, IndexedModel
from wtool.ops.index_tables import MARK, Before, Writer, before, format_of, merged
from wtool.ops.inspect import described, statistics_of
from wtool.run import pipeline
from wtool.run.batch import words_of
from wtool.run.failed import Failed
from wtool.run.options import Execution
from wtool.run.results import results_of
from wtool.values import dataclass
from wtool.words import Models, Progress

if TYPE_CHECKING:
    from wtool.ops.signatures import index as index

NAME = "index"

SEARCHED = First(
    "models",
    Models,
    "files, folders (searched for models) or patterns.",
    "the output is there and no index, or cannot be written; with `fail_fast`, a model failed",
)


@dataclass(frozen=True, slots=True)
class Reading:
    """The work on one model: reading it for its rows.

    Attributes:
        model: path.
        name: path as its rows tell it.
        stamp: of its files, before they are read.
        kind: of the rows, `model` or `tensor`.
        statistics: whether the weights are read.
    """

    model: str
    name: str
    stamp: ModelStamp | None
    kind: str
    statistics: bool

    @property
    def size(self) -> int | None:
        """Returns the bytes of the model, where they are known."""
        return None if self.stamp is None else self.stamp.size

    def run(self, opener: Opener, progress: Progress | None = None) -> list[Row]:
        """Returns the rows of the model.

        Raises:
            Refused: the model is damaged or hostile, or changes meanwhile.
            WtoolError: the model is missing or unreadable.
        """
        file = file_values(self.name, self.stamp)
        with ExitStack() as stack:
            checkpoint = opener.open(self.model, stack)
            if not self.statistics:
                return rows_of(self.kind, described(checkpoint, None), None, file)
            found = statistics_of(checkpoint, partial(pipeline.hashed_scan, checkpoint), progress)
            file["hash"] = " ".join(checkpoint.finish())
            return rows_of(self.kind, described(checkpoint, found), found, file)


@dataclass(frozen=True, slots=True)
class _Zoo:
    """The models, and what the index from before tells of them.

    Attributes:
        models: path of each model, as its rows tell it -> the model, in the order of the index.
        stamps: of their files, by path.
        kept: paths of the models whose rows are kept.
        old: the index from before.
    """

    models: Mapping[str, NamedModel]
    stamps: Mapping[str, ModelStamp | None]
    kept: frozenset[str]
    old: Before

    @classmethod
    def of(cls, models: Mapping[str, NamedModel], old: Before) -> _Zoo:
        """Returns the zoo of some models."""
        stamps = {path: model_stamp(model) for path, model in models.items()}
        return cls(models, stamps, frozenset(path for path in models if old.is_true_of(path, stamps[path])), old)

    @property
    def gone(self) -> int:
        """How many models of the index from before are not here."""
        return len(self.old.paths.difference(self.models))

    @property
    def is_up_to_date(self) -> bool:
        """Whether the index from before is what a new one would be."""
        return self.old.table is not None and len(self.kept) == len(self.models) and not self.gone

    def state(self, path: str) -> str:
        """Returns `kept`, `changed` or `new`."""
        return "kept" if path in self.kept else "changed" if path in self.old.paths else "new"


@dataclass(slots=True)
class _Counts:
    """Counts what became of the models, and tells it."""

    report: Callable[[IndexedModel], None] | None
    states: Counter[str] = field(default_factory=Counter)
    failed: dict[str, str] = field(default_factory=dict)
    rows: int = 0

    def add(self, model: IndexedModel) -> None:
        """Count a model."""
        self.states[model.state] += 1
        self.rows += model.rows
        if model.error is not None:
            self.failed[model.model] = model.error
        if self.report is not None:
            self.report(model)


def _index(models: Models, given: Mapping[str, Any]) -> Indexed:
    options, how = Index(**given_of(Index, given)), Execution(**given_of(Execution, given))
    output, columns = text_of(options.output), COLUMNS[options.per]
    target = Target.at(output, force=True)
    write, read = format_of(output, target.is_stream)
    named = _models(words_of(models), how.shard)
    if not how.dry_run:
        check_target(target)
    counts, size, nbytes, old = _Counts(how.report), 0, 0, Before(output)
    with ExitStack() as stack, ExitStack() as opened:
        if not (how.force or target.is_stream) and target.seen is not None:
            source = opened.enter_context(closing(source_of(output, "table")))
            file = opened.enter_context(os.fdopen(os.dup(source.descriptor()), "rb"))
            old = before(file, output, read, columns, options.statistics)
            nbytes = source.size
        zoo = _Zoo.of(named, old)
        if how.dry_run or zoo.is_up_to_date:
            for path in named:
                counts.add(IndexedModel(path, zoo.state(path), 0))
            counts.rows, size = (0, 0) if how.dry_run else (old.rows, nbytes)
        else:
            draft = stack.enter_context(new_draft(target, in_order=True))
            table: Writer = write(draft.file, columns, MARK)
            stack.enter_context(table)
            for model in _written(table, zoo, options, how):
                counts.add(model)
            table.finish()
            size = draft.file.tell()
            opened.close()  # some systems replace no file that is open
            draft.publish()
    return Indexed(
        output=None if how.dry_run else output,
        models=len(named),
        **{state: counts.states[state] for state in ("new", "changed", "kept")},
        gone=zoo.gone,
        failed=counts.failed,
        rows=counts.rows,
        bytes=size,
        notes=tuple(old.notes),
        skipped=zoo.is_up_to_date,
    )


globals()[NAME] = function_of(Index, NAME, (Index, Execution), Indexed, _index, SEARCHED)


def _models(words: Sequence[str], shard: str | None) -> dict[str, NamedModel]:
    """Returns path, as rows tell it -> model, of each model that words name, each once, in the order of an index.

    A path becomes a text that UTF-8 can hold, and an address of the web loses its query, which may be secret.
    """
    if "-" in words:
        raise Usage("an index names its models by their paths, and standard input has none")
    if not words:
        raise Usage("no models")
    for word in words:  # a mistyped folder would take the rows of the right one out of the table
        if not (is_address(word) or tree.has_magic(word) or tree.is_named(word)):
            raise WtoolError("No such file or directory", word)
    part = ZooPart.of(shard)
    models = [each for word in words for each in named_models(word) if part.holds(inside(each.word, each.path))]
    found = {as_utf8(without_query(each.path)): each for each in models}
    return {path: found[path] for path in sorted(found, key=natural_key)}


def _written(table: Writer, zoo: _Zoo, options: Index, how: Execution) -> Iterator[IndexedModel]:
    """Write the rows of all models, in their order; yields what became of each.

    Raises:
        WtoolError: a model failed, where that ends the work.
    """
    tasks = [
        Reading(model.path, path, zoo.stamps[path], options.per, options.statistics)
        for path, model in zoo.models.items()
        if path not in zoo.kept
    ]
    with closing(results_of(tasks, how)) as done:
        for path, rows in merged(zoo.models, zoo.kept, zoo.old, _read(tasks, done, how.fail_fast)):
            count, error = 0, None
            for row in rows:
                table.write(row)
                count, error = count + 1, row["error"]
            yield IndexedModel(path, "failed" if error is not None else zoo.state(path), count, error)


def _read(
    tasks: Sequence[Reading], done: Iterator[list[Row] | Failed], fail_fast: bool
) -> Iterator[tuple[str, list[Row]]]:
    """Yields the path of each model that was read, with its rows; a model that failed has one with the reason."""
    for task, found in zip(tasks, done, strict=True):
        if isinstance(found, Failed) and fail_fast:
            raise found.error
        if isinstance(found, Failed):
            found = [failed_row(task.kind, task.name, task.stamp, found.error.message)]
        yield task.name, found
