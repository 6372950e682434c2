"""`wtool check`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Any

import click

from wtool.cli import options
from wtool.cli.console import say, status_of_error
from wtool.cli.json_lines import print_json
from wtool.cli.read_only import Look, Looking
from wtool.errors import SEVERITIES, WtoolError, counted, one_line
from wtool.run.options import Execution, check_executor
from wtool.values import dataclass

if TYPE_CHECKING:
    from wtool.checkpoint.opener import Opener
    from wtool.checkpoint.search import FoundFile
    from wtool.checkpoint.zoo_part import ZooPart
    from wtool.ops.check import Checked
    from wtool.run.executors import Work
    from wtool.run.pipeline import Progress


@click.command("check")
@options.models
@click.option(
    "--fail-on",
    type=click.Choice(SEVERITIES),
    default="odd",
    show_default=True,
    help="From which severity on a finding makes the exit status 1.",
)
@click.option("--configuration", is_flag=True, help="Configuration and index alone; no values and no checksums.")
@options.of_looks(Execution)
@options.as_json
@options.quiet
def command(
    models: tuple[str, ...],
    fail_on: str,
    configuration: bool,
    jobs: int,
    cluster: str | None,
    shard: str | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Say what loading models with Keras would run, import or fetch, and whether they are whole.

    A line for each finding on standard output, most severe first: Lambda layers and other code, names outside Keras,
    files and addresses, what two readers would read differently, damage, NaN. Nothing in a file is imported or run. The
    exit status is 1 if a finding is at least as severe as `--fail-on` says.

    \b
        wtool check zoo/
        wtool check download.keras --json
        wtool check zoo/ --fail-on reaches
    """
    from wtool.checkpoint.inputs import refuse_two_streams
    from wtool.checkpoint.zoo_part import ZooPart
    from wtool.run.results import refuse_pipes

    check_executor(jobs, cluster)
    refuse_two_streams(models)
    refuse_pipes(models, cluster)
    telling = Telling(fail_on, as_json)
    looks = list(_looks(models, ZooPart.of(shard), configuration))
    looking = Looking("checking", "model" if as_json else None, quiet, jobs, cluster)
    found = zip(looks, looking.found(looks), strict=True)
    status = max((telling.tell(look, each) for look, each in found), default=0)
    if not quiet:
        telling.say_counts()
    return status


@dataclass(frozen=True, slots=True)
class Telling:
    """How findings are told, from which severity on they fail, and what was looked at.

    Attributes:
        fail_on: the severity.
        as_json: as JSON.
        fine: paths of the models in which nothing was found, but for those that follow the first.
        counts: of models that are `fine`, with findings (`found`), or not readable (`failed`), and of `others`: files
            in folders that are no models.
    """

    fail_on: str
    as_json: bool
    fine: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def say_counts(self) -> None:
        """Say how many models are fine; of a single file, that nothing was found in it."""
        counts = self.counts
        if counts.total() == counts["fine"] == 1:
            say(f"{self.fine[0]}: nothing found")
        if counts.total() == 1 and not counts["others"]:
            return
        looked = counts["fine"] + counts["found"] + counts["failed"]
        told = [f"looked at {counted(looked, 'model file')}: {counts['fine']:,} fine"]
        told += [f"{counts['found']:,} with findings"] if counts["found"] else []
        told += [f"{counts['failed']:,} that could not be read"] if counts["failed"] else []
        others = counted(counts["others"], "other file is no model", "other files are no models")
        say(f"{', '.join(told)}{f'; {others}' if counts['others'] else ''}")

    def tell(self, look: Work[Any] | WtoolError, found: Checked | WtoolError | None) -> int:
        """Tell what was found; returns the exit status."""
        if isinstance(look, WtoolError):
            return 1
        if isinstance(found, WtoolError):
            self.counts["failed"] += 1
            return status_of_error(found)
        if found is None:
            self.counts["others"] += not (isinstance(look, InFolder) and look.is_part)
            return 0
        return _told(found, self)


@dataclass(frozen=True, slots=True)
class InFolder:
    """A look at something that was found in a folder.

    Attributes:
        folder: that was searched.
        entry: of its `search.listing`.
        configuration: whether configuration and index alone are looked at.
    """

    folder: str
    entry: FoundFile
    configuration: bool = False

    @property
    def model(self) -> str:
        """Returns its path."""
        return self.entry.path

    @property
    def size(self) -> int | None:
        """Returns its bytes, where a listing told them."""
        return self.entry.size

    @property
    def is_part(self) -> bool:
        """Returns whether it is a part of a model, which counts by itself."""
        from wtool.checkpoint.search import PART

        return self.entry.kind == PART

    def run(self, opener: Opener, progress: Progress | None = None) -> Checked | None:
        """Look at it; returns None if it is no model."""
        from wtool.ops.check import check_listed

        return check_listed(self.folder, self.entry, progress, self.configuration)


def _checked(path: str, progress: Progress | None) -> Checked:
    from wtool.ops.check import check

    return check(path, progress)


def _configured(path: str, progress: Progress | None) -> Checked:
    from wtool.ops.check import check

    return check(path, progress, configuration=True)


def _looks(words: Sequence[str], part: ZooPart, configuration: bool) -> Iterator[Work[Any] | WtoolError]:
    """Yields the looks at what words mean: files, all that is in folders, whatever patterns match, or `-`."""
    from wtool.checkpoint.inputs import inside, matched
    from wtool.checkpoint.search import listing
    from wtool.io.addresses import below
    from wtool.io.tree import FOLDER

    for word in words:
        try:
            for match in matched(word):
                if match.kind == FOLDER:
                    for each in listing(match.path, match.within):
                        if part.holds(below(match.path, each.of or each.path)):
                            yield InFolder(match.path, each, configuration)
                elif part.holds(inside(word, match.path)):
                    yield Look(match.path, _configured if configuration else _checked, match.size)
        except WtoolError as error:
            yield error


def _told(found: Checked, telling: Telling) -> int:
    path, as_json = found.model, telling.as_json
    if as_json:
        print_json(found)
    for finding in () if as_json else found.findings:
        kind = f" ({finding.kind})" if finding.kind != finding.severity else ""
        where = f"{finding.where}: " if finding.where else ""
        click.echo(one_line(f"{path}: {finding.severity}{kind}: {where}{finding.what}"))
    telling.counts["found" if found.findings else "fine"] += 1
    telling.fine.extend([] if found.findings or telling.fine else [path])
    return 1 if found.reaches(telling.fail_on) else 0
