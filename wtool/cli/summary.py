"""What became of the models of a batch: the last lines that a command says."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import field
from typing import TYPE_CHECKING, Any

from wtool.cli.console import say
from wtool.errors import counted
from wtool.io.addresses import is_address
from wtool.values import dataclass

if TYPE_CHECKING:
    from wtool.run.failed import Failed

NAMED = 20
"""Models that are named with one reason; the others are counted."""

UNITS = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"))


@dataclass(slots=True)
class Summary:
    """Counts the models of a batch.

    Attributes:
        done: how many have a result that is new.
        skipped: how many had theirs already.
        skipped_last: the result of the last of these.
        failed: what is said of models that failed, and why -> their paths.
        written: bytes of the new files on this machine.
        in_stores: whether new files went to stores, which are not asked for their sizes.
        word_of: from a `Failed` to what is said of its model.
    """

    done: int = 0
    skipped: int = 0
    skipped_last: Any = None
    failed: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    written: int = 0
    in_stores: bool = False
    word_of: Callable[[Failed], str] = lambda failed: "failed"
    _began: float = field(default_factory=time.monotonic)

    def add(self, result: Any) -> None:
        """Count the result of a model: what was done, or a `Failed`."""
        from wtool.run.failed import Failed

        if isinstance(result, Failed):
            self.failed.setdefault((self.word_of(result), result.error.message), []).append(result.model)
        elif getattr(result, "skipped", False):
            self.skipped, self.skipped_last = self.skipped + 1, result
        else:
            self.done += 1
            output = getattr(result, "output", None)
            self.in_stores |= output is not None and is_address(output)
            self.written += _bytes_of(output)

    @property
    def models(self) -> int:
        """How many models were counted."""
        return self.done + self.skipped + self._failures

    @property
    def _failures(self) -> int:
        return sum(map(len, self.failed.values()))

    @contextmanager
    def told_if_interrupted(self, is_quiet: bool) -> Iterator[None]:
        """Have Ctrl-C leave a line on what became of the models before it."""
        try:
            yield
        except KeyboardInterrupt:
            if self.models and not is_quiet:
                say(f"{self._told('')}; the same command goes on")
            raise

    def say(self, outcome: str = "", names_skipped: bool = True) -> None:
        """Say what became of all, in the end how many.

        Args:
            outcome: how many of each kind, where `3 done, 1 skipped, 0 failed` does not tell it.
            names_skipped: whether the skipped models are still to be told of.
        """
        if self.skipped and names_skipped:
            results = counted(self.skipped, "result")
            say(f"{results} there already, made from the same inputs in the same way; --verbose names each")
        for (word, reason), models in self.failed.items():
            more = f" and {len(models) - NAMED:,} more" if len(models) > NAMED else ""
            say(f"{len(models):,} {word}: {', '.join(models[:NAMED])}{more}: {reason}")
        say(self._told(outcome))

    def _told(self, outcome: str) -> str:
        told = outcome or f"{self.done:,} done, {self.skipped:,} skipped, {self._failures:,} failed"
        seconds = time.monotonic() - self._began
        size = _size(self.written) if self.written else "" if self.in_stores else "nothing"
        return f"{told}; {f'{size} written'.strip()} in {seconds:.1f} s"


def _bytes_of(output: str | None) -> int:
    """Returns the bytes of a result; 0 where nothing was written here, but to a pipe or a store."""
    if output is None or output == "-" or is_address(output):
        return 0
    from wtool.checkpoint.search import files_of

    return sum(os.path.getsize(path) for path in files_of(output) if os.path.isfile(path))


def _size(count: int) -> str:
    """Returns `1,234 bytes`, or `1.2 MB`."""
    unit = next(((size, name) for size, name in UNITS if count >= size), None)
    return counted(count, "byte") if unit is None else f"{count / unit[0]:.1f} {unit[1]}"
