"""`wtool convert`, and what it says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from wtool.cli import options
from wtool.cli.console import progress_bar, refuse_two_outputs, say, say_notes, say_passed_by, say_skipped
from wtool.cli.json_lines import print_json
from wtool.cli.summary import Summary
from wtool.cli.tables import print_table
from wtool.cli.transforming import help_of, say_end, say_failed, status_of
from wtool.errors import counted, one_line
from wtool.ops.convert_options import Convert
from wtool.run.options import Execution

if TYPE_CHECKING:
    from wtool.ops.converted import Converted
    from wtool.run.failed import Failed
    from wtool.schema.upgrade.upgraded import Change


@click.command("convert", help=help_of(Convert))
@options.models
@options.of(Convert, Execution)
@options.as_json
@options.quiet
@options.verbose
def command(models: tuple[str, ...], as_json: bool, quiet: bool, verbose: bool, **chosen: Any) -> int:
    """Do `wtool.convert` to models, and tell of each; gives the exit status."""
    import wtool

    refuse_two_outputs(as_json, chosen["output"])
    counts = Counter[str]()
    summary = Summary(word_of=_word_of)

    def report(result: Converted) -> None:
        counts[result.outcome] += 1
        if as_json:
            print_json(result)
        elif chosen["dry_run"]:
            _print_changes(result)
        if not quiet and (verbose or not result.skipped):
            _say(result)

    def failed(result: Failed, as_json: bool) -> None:
        refused = getattr(result.error, "refused", None)
        counts["failed" if refused is None else "need you"] += 1
        if refused is None:
            say_failed(result, as_json)
        else:
            _say_refused(result, refused, as_json)

    with summary.told_if_interrupted(quiet), progress_bar("convert", quiet) as progress:

        def do(told: Callable[[Any], None]) -> object:
            return wtool.convert(models, progress=progress, report=told, collect=False, **chosen)

        status = status_of(do, report, as_json, summary, failed)
    if not quiet:
        say_end(summary, verbose, _say, _summary(counts, bool(chosen["dry_run"])))
    if not quiet and not as_json:
        say_passed_by(models, foreign=True)
    return status


def _word_of(failed: Failed) -> str:
    return "failed" if getattr(failed.error, "refused", None) is None else "not converted"


def _summary(counts: Counter[str], dry_run: bool) -> str:
    """`2 converted, 1 needs you, 3 had nothing to convert`, and how many were skipped or failed, if any."""
    need = "needs you" if counts["need you"] == 1 else "need you"
    told = [
        f"{counts['converted']:,} {'would be converted' if dry_run else 'converted'}",
        f"{counts['need you']:,} {need}",
        f"{counts['nothing']:,} had nothing to convert",
    ]
    told += [f"{counted(counts['skipped'], 'was', 'were')} there already"] if counts["skipped"] else []
    told += [f"{counts['failed']:,} failed"] if counts["failed"] else []
    return ", ".join(told)


def _print_changes(done: Converted) -> None:
    click.echo(one_line(done.model))
    if done.changes:
        print_table(["layer", "class", "rule", "what would be different"], _rows(done.changes))


def _rows(changes: Sequence[Change]) -> list[list[str]]:
    return [[each.layer or "(the model)", each.class_name, each.rule, each.text] for each in changes]


def _say_refused(failed: Failed, refused: Sequence[Change], as_json: bool) -> None:
    """All reasons why a model cannot be converted: a line and a table, or one JSON object."""
    if as_json:
        print_json({"model": failed.model, "error": failed.error.message, "refused": refused})
    say(str(failed.error))
    if refused and not as_json:
        print_table(["layer", "class", "rule", "why, and what to do"], _rows(refused), is_error=True)


def _say(done: Converted) -> None:
    say_notes(done.model, done.notes)
    if done.skipped:
        say_skipped(done.model, done.output)
        if done.verified:
            say(f"{done.model}: {done.verified}")
    elif not done.is_new:
        say(f"{done.model}: nothing to convert")
    else:
        layers = len({each.layer for each in done.changes if each.layer})
        changed = f", {counted(layers, 'layer')} changed" if layers else ""
        verified = f"; {done.verified}" if done.verified else ""
        done_or_not, where = "converted", f"written to {done.output}"
        if done.output is None:
            done_or_not, where = "would be converted", "nothing written"
        say(f"{done.model}: {done_or_not} to {done.format}{changed}{verified}; {where}")
