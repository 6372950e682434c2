"""The results of work on many models, one by one: in turn, in processes, or on a cluster.

What only looks at models needs this module alone, and nothing of plans and targets, which take long to import.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Sequence
from typing import Any, TypeVar

from wtool.errors import Usage
from wtool.io.addresses import is_address
from wtool.run.executors import Work, executor_of
from wtool.run.executors.executor import Before, harmless
from wtool.run.failed import Failed
from wtool.run.options import Execution
from wtool.run.progress import Meter

Made = TypeVar("Made")


def results_of(
    tasks: Sequence[Work[Made]], options: Execution, before: Before = harmless
) -> Generator[Made | Failed, None, None]:
    """Do tasks, each of one model; yields their results in the order of the tasks, and keeps none of them.

    The caller closes the generator, which stops the processes or workers that still work.

    Args:
        tasks: the work on each model.
        options: who does the tasks, and who wants to know how far they are.
        before: tells which tasks may not be done twice.
    """
    meter = Meter(options.progress, [_size(task) for task in tasks])
    with executor_of(len(tasks), options.jobs, options.cluster) as executor:
        yield from executor.results(tasks, meter, before)


def _size(task: Work[Any]) -> int:
    """Returns the bytes of a task's model; 1 where a store would have to be asked, which takes long for thousands."""
    if is_address(task.model):
        return max(1, task.size or 1)
    try:
        return max(1, os.stat(task.model).st_size)
    except OSError:
        return 1  # standard input; of a file that is not there, opening it says why


def refuse_pipes(words: Iterable[Any], cluster: str | None) -> None:
    """Raise Usage if standard input or output takes part in work on a cluster."""
    if cluster is not None and "-" in words:
        raise Usage("- is standard input or output of this machine, and --cluster works on others")
