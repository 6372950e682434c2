"""What people see on standard error: escaped words, and progress on a terminal."""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

import click

from wtool.errors import ClusterWarning, OldKeras, Usage, WtoolError, one_line

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

    for word in words:
        with suppress(WtoolError):  # which the search told already
            for folder in searched_folders([word]):
                if told := passed_by(folder, foreign):
                    say(f"{folder}: passed by {told}")


def say_notes(model: str, notes: Sequence[str]) -> None:
    """What is worth knowing about a result."""
    for note in notes:
        say(f"note: {model}: {note}")


def say_skipped(model: str, output: str | None) -> None:
    """That there is nothing to do."""
    say(f"{model}: {output} is there already, made from the same input in the same way: skipped")


class Bar:
    """A progress bar on a terminal, which appears once the work has taken longer than a second.

    Args:
        label: what stands before the bar.
        stack: removes the bar when it closes.
        unit: what is counted: `bytes`, or others of any name.
    """

    def __init__(self, label: str, stack: ExitStack, unit: str) -> None:
        self._label, self._stack, self._unit = label, stack, unit
        self._start = time.monotonic()
        self._update: Progress | None = None

    def __call__(self, done: int, total: int) -> None:
        """Tell how much is done, and how much there is in all."""
        if self._update is None and time.monotonic() - self._start >= PATIENCE:
            self._update = self._drawn()
        if self._update is not None:
            self._update(done, total)

    def describe(self, label: str) -> None:
        """Set what stands before the bar, from the next call on."""
        self._label = one_line(label)

    def _drawn(self) -> Progress:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TransferSpeedColumn,
        )
        from rich.progress import TimeRemainingColumn as Remaining

        counts = DownloadColumn() if self._unit == "bytes" else MofNCompleteColumn()
        unit = [TransferSpeedColumn()] if self._unit == "bytes" else [TextColumn(self._unit, markup=False)]
        columns = TextColumn("{task.description}", markup=False), BarColumn(), counts, *unit, Remaining()
        shown = self._stack.enter_context(Progress(*columns, console=Console(stderr=True), transient=True))
        task = shown.add_task(self._label, total=None)
        return lambda done, total: shown.update(task, description=self._label, completed=done, total=total)


@contextmanager
def progress_bar(label: str, quiet: bool, unit: str = "bytes") -> Iterator[Bar | None]:
    """Yields a function to call with how much is done and in all; None if nobody would see a bar.

    Args:
        label: what stands before the bar.
        quiet: no bar.
        unit: see `Bar`.
    """
    if quiet or not sys.stderr.isatty():
        yield None
        return
    with ExitStack() as stack:
        yield Bar(label, stack, unit)


@contextmanager
def quiet_import() -> Iterator[None]:
    """Import Keras without what TensorFlow's libraries write to standard error meanwhile, past Python.

    Afterwards it advises nobody on code that is not the user's: only errors are told, unless someone debugs.
    """
    from wtool.training.quiet import silent_import, without_advice

    with _waiting(), silent_import():
        yield
    if not is_debugging():
        click.get_current_context().with_resource(without_advice())


@contextmanager
def _waiting() -> Iterator[None]:
    """Show on a terminal what takes seconds, and remove the line again."""
    is_shown = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    if not is_shown or click.get_current_context().params.get("quiet"):
        yield
        return
    print("wtool: importing Keras ...", end="", file=sys.stderr, flush=True)
    try:
        yield
    finally:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)


@contextmanager
def warnings_in_a_line() -> Iterator[None]:
    """Show wtool's own warnings as other words are shown, without the place in the code."""
    with warnings.catch_warnings():
        show = warnings.showwarning

        def shown(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
            if issubclass(category, OldKeras | ClusterWarning):
                say(f"warning: {message}")
            else:
                show(message, category, *where, **more)

        warnings.showwarning = shown
        yield
