"""Processes that do tasks: which signals they take."""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack
from typing import Any

import pytest

from wtool.run import executors


class Silent:
    """A meter that nobody looks at."""

    is_watched = False

    def finished(self, number: int) -> None: ...

    def reached(self, number: int, part: float) -> None: ...


def interrupted(task: int, *_: Any) -> tuple[int, int]:
    """Interrupts its own process, as Ctrl-C in a terminal does to all of a command's processes."""
    os.kill(os.getpid(), signal.SIGINT)
    return task, os.getpid()


def unwound(task: int, *_: Any) -> object:
    try:
        os.kill(os.getpid(), signal.SIGTERM)
    except SystemExit as end:
        return end.code
    return None


def died(task: int, exitcode: int | None) -> str:
    return f"died with {exitcode}"


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_an_interrupt_is_left_to_the_process_that_started_them(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends them by SIGTERM, so that none of them tells of the interrupt for itself."""
    monkeypatch.setattr(executors, "_context", lambda: executors.multiprocessing.get_context(method))
    with ExitStack() as stack:
        results = list(executors.in_processes(2, [1, 2, 3], interrupted, Silent(), died, stack))
    assert [task for task, _ in results] == [1, 2, 3]
    assert os.getpid() not in {process for _, process in results}


def test_a_request_to_end_unwinds_them() -> None:
    with ExitStack() as stack:
        assert list(executors.in_processes(1, [1], unwound, Silent(), died, stack)) == [128 + signal.SIGTERM]
