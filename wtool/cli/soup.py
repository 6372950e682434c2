"""`wtool soup`."""

from __future__ import annotations

from functools import partial
from typing import Any

import click

from wtool.cli import options
from wtool.cli.console import quiet_import, refuse_two_outputs, say, say_passed_by
from wtool.cli.doctor import say_diagnosis
from wtool.cli.json_lines import print_json
from wtool.cli.tables import lined_up, print_table
from wtool.cli.transforming import help_of
from wtool.training.soups.options import Soup, Souped, Tasted


@click.command("soup", help=help_of(Soup, 3))
@options.models
@options.of(Soup)
@options.as_json
@options.quiet
def command(models: tuple[str, ...], as_json: bool, quiet: bool, **chosen: Any) -> None:
    """Average models that were chosen by their scores, and tell what was done."""
    from wtool.ops.soup import check_soup

    refuse_two_outputs(as_json, chosen["output"])
    chosen["recalibrate"] = chosen["recalibrate"] or None
    check_soup(models, Soup(**chosen))
    with quiet_import():
        from wtool.training.soups.soup import make_soup  # noqa: F401  Keras, which takes seconds
    from wtool.ops.soup import soup

    report = None if quiet else _say_score
    done = soup(models, report=report, diagnosed=None if as_json else partial(say_diagnosis, quiet), **chosen)
    if as_json:
        print_json(done)
    elif chosen["dry_run"]:
        scores = lined_up(list(done.alone.values()), 6)
        places = ["in" if path in done.soup else "" for path in done.alone]
        rows = list(zip(done.alone, scores, places, strict=True))
        print_table(["model", f"{done.metric} alone", "soup"], rows, right=[1])
    if not quiet:
        _report(done)
        if not as_json:
            say_passed_by(models)


def _say_score(tasted: Tasted) -> None:
    what = {None: "alone", True: "goes in", False: "stays out"}[tasted.kept]
    say(f"{tasted.score:#12.6g}  {what:9}  {tasted.candidate or 'all models'}")


def _report(done: Souped) -> None:
    for note in done.notes:
        say(f"note: {note}")
    best = done.alone[done.best]
    say(f"{done.metric} {done.score:.6g} with {len(done.soup)} of {len(done.alone)}; {best:.6g} of {done.best} alone")
    if done.skipped:
        say(f"{done.output} is there already, made of the same models in the same way: skipped")
    else:
        say("nothing written" if done.output is None else f"written to {done.output}")
