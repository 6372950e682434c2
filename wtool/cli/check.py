"""`wtool check`."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import click

from wtool.cli import options
from wtool.cli.console import say
from wtool.cli.json_lines import print_json
from wtool.cli.read_only import looked_at
from wtool.errors import SEVERITIES, WtoolError, counted, one_line

if TYPE_CHECKING:
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
@options.as_json
@options.quiet
def command(models: tuple[str, ...], fail_on: str, as_json: bool, quiet: bool) -> int:
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

    refuse_two_streams(models)
    return max(_meant(word, Telling(fail_on, as_json, quiet)) for word in models)


@dataclass(frozen=True, slots=True)
class Telling:
    """How findings are told, and from which severity on they fail."""

    fail_on: str
    as_json: bool
    quiet: bool

    @property
    def told_as(self) -> str | None:
        """The key that names a model in JSON objects."""
        return "model" if self.as_json else None


def _meant(word: str, telling: Telling) -> int:
    """What a word means: a file, a folder, whatever a pattern matches, or `-`."""
    from wtool.checkpoint.inputs import matched
    from wtool.ops.check import check

    def look(path: str, progress: Progress | None) -> int:
        return _told(check(path, progress), telling)

    status = 0
    try:
        for path in matched(word):
            told = (path, "checking", telling.told_as, telling.quiet)
            status = max(status, _folder(path, telling) if os.path.isdir(path) else looked_at(*told, look))
    except WtoolError as error:
        say(str(error))
        return 1
    return status


def _folder(folder: str, telling: Telling) -> int:
    """Everything in a folder, and a line that counts it."""
    from wtool.checkpoint.search import PART, FoundFile, listing
    from wtool.ops.check import check_listed

    counts = Counter[str]()

    def look(entry: FoundFile, _: str, progress: Progress | None) -> int:
        found = check_listed(folder, entry, progress)
        counts["models"] += found is not None
        counts["others"] += found is None and entry.kind != PART
        counts["found"] += found is not None and bool(found.findings)
        return 0 if found is None else _told(found, telling)

    entries = listing(folder)
    status = max(
        (looked_at(each.path, "checking", telling.told_as, telling.quiet, partial(look, each)) for each in entries),
        default=0,
    )
    if not telling.quiet:
        models, others = counted(counts["models"], "file"), counted(counts["others"], "file")
        no_models = "is no model" if counts["others"] == 1 else "are no models"
        say(f"{folder}: looked at {models}, {counts['found']:,} with findings; {others} besides {no_models}")
    return status


def _told(found: Checked, telling: Telling) -> int:
    path, as_json = found.model, telling.as_json
    if as_json:
        print_json(found)
    for finding in () if as_json else found.findings:
        kind = f" ({finding.kind})" if finding.kind != finding.severity else ""
        where = f"{finding.where}: " if finding.where else ""
        click.echo(one_line(f"{path}: {finding.severity}{kind}: {where}{finding.what}"))
    if not telling.quiet and not as_json and not found.findings:
        say(f"{path}: nothing found")
    return 1 if found.reaches(telling.fail_on) else 0
