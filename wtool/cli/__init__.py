"""The command line. Commands are imported when they are called, so that `wtool --help` pays for none of them."""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NoReturn

import click

from wtool.cli import streams
from wtool.cli.console import say, status_of_error
from wtool.errors import explained
from wtool.signals import unwind_on_sigterm
from wtool.transforms.registry import REGISTRY, transform
from wtool.version import __version__

COMMANDS = {
    "align": "Put channels in the order of another model's, so that an average makes sense.",
    "average": "One model out of several checkpoints.",
    "check": "What loading models would run, import or fetch, and whether they are whole.",
    "convert": "Models of Keras 2 become models of Keras 3, and each format another.",
    "diff": "In what two models differ: layers, settings, weights, optimizer.",
    "ema": "Moving averages of the weights: those that the optimizer keeps, or any length out of snapshots.",
    "evaluate": "Loss and metrics of models, and of their ensemble.",
    "inspect": "Layers, tensors, sizes, sparsity, optimizer and lineage of models.",
    "lottery": "The lottery-ticket experiment: train, prune, re-initialise, and again.",
    "merge": "Several models into one: task arithmetic, TIES, spherical interpolation and more.",
    "pack": "The same models in fewer bytes, as files that stock Keras loads.",
    "patch": "What `wtool diff --patch` wrote, applied; or tensors of another model, constants, new names.",
    "plot": "Weight histograms and masks of models, or the curves of experiments and logs.",
    "recalibrate": "Moving statistics of batch normalisation become those of data.",
    "resume": "Train a model for some more epochs, its pruned weights held at zero.",
    "shrink": "Take units, filters and attention heads out of layers: smaller and faster models.",
    "soup": "Average fine-tuned models, chosen by their scores on held-out data.",
    "swap": "Swap layers for Auto-Rotating or linked ones, and back.",
    **{name: entry.line for name, entry in REGISTRY.items()},
}
"""Command -> its line in `wtool --help`, which imports none of them.

A command lives in the module of its name; one without a module is a transform, and made of its dataclass.
"""


class _Lazy(click.Group):
    """A group that knows its commands' names and help lines without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        if find_spec(f"{__name__}.{cmd_name}") is not None:
            own: click.Command = import_module(f"{__name__}.{cmd_name}").command
            return own
        from wtool.cli.transforming import command_of

        return command_of(transform(cmd_name))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Click takes the last value of an option that is given twice; wtool refuses the second one."""
        name, command, rest = super().resolve_command(ctx, args)
        if command is not None and not ctx.resilient_parsing:
            _refuse_repeated(command, click.Context(command, ctx, name, resilient_parsing=True), rest)
        return name, command, rest

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))


def _refuse_repeated(command: click.Command, ctx: click.Context, words: Sequence[str]) -> None:
    """Raise UsageError if an option that takes one value, or that is on or off, is given several times.

    Args:
        command: the command.
        ctx: a context of it in which nothing but this is an error yet.
        words: of the user, behind the name of the command.
    """
    _, _, given = command.make_parser(ctx).parse_args(list(words))
    for each, count in Counter(given).items():
        if count > 1 and isinstance(each, click.Option) and _is_single(each):
            raise click.UsageError(f"{max(each.opts, key=len)} is given {count} times; give it once.", ctx)


def _is_single(each: click.Option) -> bool:
    """Whether an option is to be given once; a mere switch says the same twice."""
    is_switch = each.is_flag and not each.secondary_opts
    return not (each.multiple or each.count or is_switch)


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="wtool")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """Offline transforms of saved Keras models: .keras, .h5, .weights.h5 and .weights.json files.

    Models come out on standard output with `-o -` and in on standard input as `-`. Data goes to standard output, words
    to standard error.
    """


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command and exit: 0 done, 1 something failed, 2 misuse, 130 interrupted, 141 output unread, 143 ended."""
    arguments = sys.argv[1:] if arguments is None else arguments
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # its threads only cost start-up time: nothing here calls it
    streams.prepare()
    unwind_on_sigterm()
    _allow_many_files()
    streams.finish(_exit_status(list(arguments)))


def _allow_many_files() -> None:
    """Raise the soft limit on open files to the hard one: all checkpoints of an average are open at once."""
    try:
        import resource
    except ImportError:  # no such limit on this system
        return
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _exit_status(arguments: list[str]) -> int:
    try:
        return _status_of(cli.main(arguments, prog_name="wtool", standalone_mode=False))
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    except click.ClickException as error:
        error.show()
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
