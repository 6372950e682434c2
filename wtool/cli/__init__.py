"""The command line. Commands are imported when they are called, so that `wtool --help` pays for none of them."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from wtool.argument_names import write_for_command_line
from wtool.cli import misuse, streams
from wtool.cli.commands import COMMANDS as COMMANDS
from wtool.cli.console import say, status_of_error, warnings_in_a_line
from wtool.cli.group import Commands
from wtool.errors import explained
from wtool.io.system import limit_of_open_files
from wtool.signals import unwind_on_signals
from wtool.version import __version__

UNFREED = (50_000, 20, 20)
"""Objects between two searches for those that hold each other, as Python counts them.

Work on a model leaves none behind. At Python's own 700, the searches take a twentieth of a short command.
"""


@click.group(
    cls=Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, "-V", "--version", prog_name="wtool")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.pass_context
def cli(ctx: click.Context, debug: bool) -> None:
    """Offline transforms of saved Keras models: .keras, .h5, .weights.h5, .weights.json and
    .safetensors files.

    Models come out on standard output with `-o -` and in on standard input as `-`. Data goes to standard output, words
    to standard error.
    """
    ctx.with_resource(warnings_in_a_line())
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help(), err=True)
        ctx.exit(2)


def program() -> NoReturn:
    """The program `wtool`: runs the command that this process was started for, and ends the process."""
    gc.set_threshold(*UNFREED)
    try:
        main()
    except SystemExit as ended:
        if not isinstance(ended.code, int):
            raise
        streams.leave(ended.code)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command and exit.

    The status is 0: done, 1: something failed, 2: misuse, 130: interrupted, 141: output unread, 129 or 143: ended.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    write_for_command_line()
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # its threads only cost start-up time: nothing here calls it
    streams.prepare()
    unwind_on_signals()
    limit_of_open_files()  # all checkpoints of an average are open at once
    streams.finish(_exit_status(list(arguments)))


def _exit_status(arguments: list[str]) -> int:
    try:
        return _status_of(cli.main(arguments, prog_name="wtool", standalone_mode=False))
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    except click.ClickException as error:
        say(misuse.told(error, arguments))
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return _exit_interrupted()
    except streams.Unwritable as error:
        return streams.unwritable(error)
    except Exception as error:
        if "--debug" in arguments:
            raise
        ended = _ended_by(error)
        if isinstance(ended, SystemExit):
            raise ended from None
        if ended is not None:
            return _exit_interrupted()
        say(str(explained(error)))
        return status_of_error(explained(error))


def _ended_by(error: BaseException | None) -> KeyboardInterrupt | SystemExit | None:
    """The SIGINT or SIGTERM behind an error: libraries, and Python before 3.12, report what comes while they import."""
    if error is None or isinstance(error, KeyboardInterrupt | SystemExit):
        return error
    return _ended_by(error.__cause__) or _ended_by(error.__context__)


def _exit_interrupted() -> int:
    say("interrupted")
    return 128 + signal.SIGINT


def _status_of(result: Any) -> int:
    return result if isinstance(result, int) else 0
