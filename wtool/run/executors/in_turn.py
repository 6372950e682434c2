"""Tasks done one after the other, in the process that asks for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

from wtool.checkpoint.opener import Opener
from wtool.run.executors.executor import Before, Work, done, harmless
from wtool.run.progress import Meter


class InTurn(AbstractContextManager["InTurn"]):
    """Does tasks here, one after the other."""

    def __exit__(self, *error: object) -> None:
        """Nothing was started."""

    def results(self, tasks: Sequence[Work[Any]], meter: Meter, before: Before = harmless) -> Iterator[Any]:
        """Do tasks; see `Executor.results`."""
        with Opener() as opener:
            for number, task in enumerate(tasks):
                yield done(task, opener, meter.of(number))
                meter.finished(number)
