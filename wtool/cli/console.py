"""What people see on standard error: escaped words, and progress on a terminal."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import click

from wtool.errors import OldKeras, Usage, WtoolError, one_line
from wtool.training.quiet import silent_import, without_advice

if TYPE_CHECKING:
    from wtool.run.pipeline import Progress

PATIENCE = 1.0  # seconds before progress is worth showing


def is_debugging() -> bool:
    """Whether tracebacks are wanted."""
    return bool(click.get_current_context().find_root().params["debug"])


def refuse_two_outputs(as_json: bool, output: str | None) -> None:
    """Raise Usage if both a model and JSON would go to standard output."""
    if as_json and output == "-":
        raise Usage("--json and --output - would both write to standard output")


def say(text: str) -> None:
    """One line on standard error."""
    print(f"wtool: {one_line(text)}", file=sys.stderr)


def status_of_error(error: WtoolError) -> int:
    """The exit status that an error has: 2 for misuse, 1 for all others."""
    return 2 if isinstance(error, Usage) else 1


def say_passed_by(words: Sequence[str], foreign: bool = False) -> None:
    """What the search of each folder among the words passes by: a line for each. For `foreign` see `models_in`."""
    from wtool.checkpoint.inputs import searched_folders
    from wtool.checkpoint.search import passed_by

    for folder in searched_folders(words):
        if told := passed_by(folder, foreign):
            say(f"{folder}: passed by {told}")


def say_notes(model: str, notes: Sequence[str]) -> None:
    """What is worth knowing about a result."""
    for note in notes:
        say(f"note: {model}: {note}")


def say_skipped(model: str, output: str | None) -> None:
    """That there is nothing to do."""
    say(f"{model}: {output} is there already, made from the same input in the same way: skipped")


@contextmanager
def progress_bar(label: str, quiet: bool) -> Iterator[Progress | None]:
    """A function to call with bytes done and in all: a bar once that takes longer than a second, on terminals only."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    with ExitStack() as stack:
        yield _late_bar(label, stack)


def _late_bar(label: str, stack: ExitStack) -> Progress:
    start = time.monotonic()
    bar: Progress | None = None

    def update(done: int, total: int) -> None:
        nonlocal bar
        if bar is None and time.monotonic() - start >= PATIENCE:
            bar = _bar(label, stack)
        if bar is not None:
            bar(done, total)

    return update


def _bar(label: str, stack: ExitStack) -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TimeRemainingColumn()
    shown = stack.enter_context(Progress(*columns, console=Console(stderr=True), transient=True))
    task = shown.add_task(label)
    return lambda done, total: shown.update(task, completed=done, total=total)


@contextmanager
def quiet_import() -> Iterator[None]:
    """Import Keras without what TensorFlow's libraries write to standard error meanwhile, past Python.

    Afterwards it advises nobody on code that is not the user's: only errors are told, unless someone debugs.
    """
    with silent_import():
        yield
    click.get_current_context().with_resource(_warnings_in_a_line())
    if not is_debugging():
        click.get_current_context().with_resource(without_advice())


@contextmanager
def _warnings_in_a_line() -> Iterator[None]:
    """Show wtool's own warnings as other words are shown, without the place in the code."""
    with warnings.catch_warnings():
        show = warnings.showwarning

        def shown(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
            if issubclass(category, OldKeras):
                say(f"warning: {message}")
            else:
                show(message, category, *where, **more)

        warnings.showwarning = shown
        yield
