"""`wtool check`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import click

from wtool.cli import options
from wtool.cli.console import say
from wtool.cli.json_lines import print_json
from wtool.cli.read_only import looked_at
from wtool.errors import SEVERITIES, WtoolError, counted, one_line

if TYPE_CHECKING:
    from wtool.checkpoint.zoo_part import ZooPart
    from wtool.io.tree import Tree
    from wtool.ops.check import Checked
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
@options.shard
@options.as_json
@options.quiet
def command(models: tuple[str, ...], fail_on: str, shard: str | None, as_json: bool, quiet: bool) -> int:
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

    refuse_two_streams(models)
    telling = Telling(fail_on, as_json, quiet, ZooPart.of(shard))
    status = max(_meant(word, telling) for word in models)
    if not quiet:
        telling.say_counts()
    return status


@dataclass(frozen=True, slots=True)
class Telling:
    """How findings are told, from which severity on they fail, and what was looked at.

    Attributes:
        fail_on: the severity.
        as_json: as JSON.
        quiet: findings alone.
        part: of the models, which alone are looked at.
        fine: paths of the models in which nothing was found, but for those that follow the first.
        counts: of models that are `fine`, with findings (`found`), or not readable (`failed`), and of `others`: files
            in folders that are no models.
    """

    fail_on: str
    as_json: bool
    quiet: bool
    part: ZooPart
    fine: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def told_as(self) -> str | None:
        """The key that names a model in JSON objects."""
        return "model" if self.as_json else None

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

    def look(self, look: Callable[[str, Progress | None], Checked | None], path: str) -> int:
        """Look at a path and tell what was found there; returns its exit status."""

        def told(path: str, progress: Progress | None) -> int:
            found = look(path, progress)
            return 0 if found is None else _told(found, self)

        before = self.counts.copy()
        status = looked_at(path, "checking", self.told_as, self.quiet, told)
        self.counts["failed"] += status > 0 and before == self.counts
        return status


def _meant(word: str, telling: Telling) -> int:
    """What a word means: a file, a folder, whatever a pattern matches, or `-`."""
    from wtool.checkpoint.inputs import inside, matched
    from wtool.io.tree import FOLDER
    from wtool.ops.check import check

    status = 0
    try:
        for match in matched(word):
            if match.kind == FOLDER:
                status = max(status, _folder(match.path, telling, match.within))
            elif telling.part.holds(inside(word, match.path)):
                status = max(status, telling.look(check, match.path))
    except WtoolError as error:
        say(str(error))
        return 1
    return status


def _folder(folder: str, telling: Telling, within: Tree | None) -> int:
    """Everything in a folder."""
    from wtool.checkpoint.search import PART, FoundFile, listing
    from wtool.io.addresses import below
    from wtool.ops.check import check_listed

    def look(entry: FoundFile, _: str, progress: Progress | None) -> Checked | None:
        found = check_listed(folder, entry, progress)
        telling.counts["others"] += found is None and entry.kind != PART
        return found

    found = (each for each in listing(folder, within) if telling.part.holds(below(folder, each.of or each.path)))
    return max((telling.look(partial(look, each), each.path) for each in found), default=0)


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
