"""`wtool evaluate`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from wtool.cli import options
from wtool.cli.console import progress_bar, quiet_import, say, say_passed_by
from wtool.cli.json_lines import print_json
from wtool.cli.tables import lined_up, print_table
from wtool.errors import counted
from wtool.training.evaluate_options import Evaluate, Evaluated

if TYPE_CHECKING:
    from wtool.run.failed import Failed


@click.command("evaluate")
@options.models
@options.of(Evaluate)
@options.as_json
def command(models: tuple[str, ...], as_json: bool, **chosen: Any) -> int:
    """Evaluate models: the loss and the metrics that they were compiled with, or others.

    \b
        wtool evaluate average.keras ckpt*.keras --data digits.npz --ensemble
        wtool evaluate zoo/ --data test.csv --loss mean_squared_error --json
    """
    from wtool.training.checks import check_evaluate

    several = len(check_evaluate(models, Evaluate(**chosen))) > 1
    with quiet_import():
        from wtool.run.batch import SomeFailed
        from wtool.training.evaluate import evaluate
    done: list[Evaluated] = []

    def report(result: Evaluated | Failed) -> None:
        if not isinstance(result, Evaluated):
            if as_json:
                print_json({"model": result.model, "error": result.error.message})
            if several:  # the error of a single model ends the command
                say(str(result.error))
        elif as_json:
            print_json(result)
        else:
            done.append(result)

    status = 0
    try:
        with progress_bar("evaluating", False, "thousandths") as progress:
            evaluate(models, Evaluate(report=report, progress=progress, **chosen))
    except SomeFailed as some:
        failed = sum(not isinstance(each, Evaluated) for each in some.results)
        say(f"{len(some.results) - failed:,} of {counted(len(some.results), 'model')} evaluated; {failed:,} failed")
        if chosen["ensemble"]:
            say("no ensemble: it needs all of its members")
        status = 1
    finally:
        _show(done)
    if not as_json:
        say_passed_by(models)
    return status


def _show(results: list[Any]) -> None:
    names = list(dict.fromkeys(name for each in results for name in each.metrics))
    columns = [lined_up([each.metrics.get(name) for each in results], 6) for name in names]
    rows = list(zip([each.model for each in results], *columns, strict=True))
    print_table(["model", *names], rows, right=range(1, len(names) + 1))
