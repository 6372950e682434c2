"""The commands that transform single models: made of the operations' dataclasses; their call, and what they say."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from wtool.cli import options
from wtool.cli.console import (
    is_debugging,
    progress_bar,
    refuse_two_outputs,
    say,
    say_notes,
    say_passed_by,
    say_skipped,
    status_of_error,
)
from wtool.cli.json_lines import print_json
from wtool.cli.summary import Summary
from wtool.cli.tables import print_actions
from wtool.errors import Usage, WtoolError, counted, one_line
from wtool.option import described
from wtool.run.options import groups_of

if TYPE_CHECKING:
    from wtool.run.failed import Failed
    from wtool.run.transform import Transformed
    from wtool.transforms.change import Transform


def command_of(kind: type[Transform], *more: options.Decorator) -> click.Command:
    """Makes the command of a transform.

    Args:
        kind: the transform's dataclass: its fields are options, its docstring is the help text.
        more: further options that only the command line has.
    """
    *own, shared = groups_of(kind)
    told = (options.as_json, options.quiet, options.verbose)
    layers = (options.models, options.of(*own), *more, options.of(shared), *told)

    def command(**chosen: Any) -> int:
        return run(kind.name, **chosen)

    command.__doc__ = help_of(kind)
    for layer in reversed(layers):
        command = layer(command)
    return click.command(kind.name)(command)


def help_of(kind: type, paragraphs: int = 1) -> str:
    """Returns the text above the options in a command's help: the first paragraphs and the examples."""
    told = described(kind)
    first = [text for each in (told.summary, *told.prose)[:paragraphs] for text in (each, "")]
    return "\n".join([*first, "\b", *(f"    {line}" for line in told.commands)])


def run(
    operation: str,
    models: tuple[str, ...],
    as_json: bool,
    quiet: bool,
    verbose: bool,
    say_done: Callable[[Any], None] | None = None,
    show: Callable[[Any, bool], None] | None = None,
    show_always: bool = False,
    function: Callable[..., Any] | None = None,
    **chosen: Any,
) -> int:
    """Do an operation to models, one after the other, and tell of each; gives the exit status.

    Args:
        operation: name of the function in `wtool`.
        models: words of the user.
        as_json: tell on standard output, as JSON.
        quiet: tell nothing on standard error.
        verbose: tell of each model that is skipped, also where there are several.
        say_done: tells of a result on standard error; by default how many weights were rewritten.
        show: shows a result at length after a dry run; by default what would become of each tensor. It gets the result,
            and whether to write to standard error.
        show_always: results are also shown where files were written, on standard error.
        function: does the operation, where that is no function in `wtool`.
        chosen: options of the function.
    """
    import wtool

    refuse_two_outputs(as_json, chosen["output"])
    do: Callable[..., Any] = function or getattr(wtool, operation)
    dry_run = bool(chosen["dry_run"])
    summary = Summary()

    def report(result: Any) -> None:
        if as_json:
            print_json(result)
        elif dry_run or (show_always and not quiet):
            (show or _show_tensors)(result, not dry_run)
        if not quiet and (verbose or not result.skipped):
            (say_done or _say)(result)

    with summary.told_if_interrupted(quiet), progress_bar(operation, quiet) as progress:
        chosen |= {"progress": progress, "collect": False}
        status = status_of(lambda told: do(models, report=told, **chosen), report, as_json, summary)
    if not quiet:
        say_end(summary, verbose, say_done or _say)
        if not as_json:
            say_passed_by(models)
    return status


def say_end(summary: Summary, verbose: bool, say_done: Callable[[Any], None], outcome: str = "") -> None:
    """Say what became of a batch, or of the single model that was skipped.

    Args:
        summary: has the models.
        verbose: whether the skipped ones were told of already.
        say_done: tells of a result.
        outcome: see `Summary.say`.
    """
    if summary.models != 1:  # none in this part of a zoo, too
        summary.say(outcome, names_skipped=not verbose)
    elif summary.skipped and not verbose:
        say_done(summary.skipped_last)


def _show_tensors(result: Any, is_error: bool) -> None:
    click.echo(one_line(result.model), err=is_error)
    print_actions(result.actions, is_error)


def status_of(
    do: Callable[[Callable[[Any], None]], object],
    report: Callable[[Any], None],
    as_json: bool,
    summary: Summary,
    failed: Callable[[Failed, bool], None] | None = None,
) -> int:
    """The exit status of work on many models, of which those that fail are told at once, in a line each.

    Args:
        do: the work; gets what is to be called with the result of each model.
        report: tells of a model that did not fail.
        as_json: failures go to standard output as well, as JSON.
        summary: counts all models.
        failed: tells of a model that failed, and whether as JSON too; by default its error in a line.
    """
    from wtool.run.batch import Failed, SomeFailed

    misused = 0
    last: WtoolError | None = None

    def tell(result: Any) -> None:
        nonlocal misused, last
        summary.add(result)
        if not isinstance(result, Failed):
            report(result)
            return
        (failed or say_failed)(result, as_json)
        misused, last = misused + isinstance(result.error, Usage), result.error

    try:
        do(tell)
    except SomeFailed:  # each was told of already
        return 2 if misused == summary.models else 1
    except WtoolError as error:
        if error is not last or is_debugging():
            raise
        return status_of_error(error)
    return 0


def say_failed(failed: Failed, as_json: bool) -> None:
    """That a model failed: a line on standard error, and an object on standard output for whom reads JSON."""
    if as_json:
        print_json({"model": failed.model, "error": failed.error.message})
    say(str(failed.error))


def _say(done: Transformed) -> None:
    say_notes(done.model, done.notes)
    if done.skipped:
        say_skipped(done.model, done.output)
        return
    sparsity = f"{done.zeros / done.selected:.2%} zero" if done.selected else "none left"
    seed = "" if done.seed is None else f"; seed {done.seed}"
    where = "nothing written" if done.output is None else f"written to {done.output}"
    say(f"{done.model}: {done.rewritten:,} of {counted(done.selected, 'weight')} rewritten, {sparsity}{seed}; {where}")
