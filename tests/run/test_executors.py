"""Processes that do tasks: how they start, which signals they take, and that they end."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from wtool.run.executors import processes
from wtool.run.executors.processes import Processes
from wtool.run.failed import Failed


class Silent:
    """A meter that nobody looks at."""

    is_watched = False

    def finished(self, number: int) -> None: ...

    def reached(self, number: int, part: float) -> None: ...


@dataclass(frozen=True)
class Job:
    """Calls a function with a number."""

    function: Callable[[int], Any]
    number: int

    @property
    def model(self) -> str:
        return f"model {self.number}"

    def run(self, *_: Any) -> Any:
        return self.function(self.number)


def jobs(function: Callable[[int], Any]) -> list[Job]:
    return [Job(function, number) for number in (1, 2, 3)]


def interrupted(number: int) -> tuple[int, int]:
    """Interrupts its own process, as Ctrl-C in a terminal does to all of a command's processes."""
    os.kill(os.getpid(), signal.SIGINT)
    return number, os.getpid()


def unwound(number: int) -> object:
    try:
        os.kill(os.getpid(), signal.SIGTERM)
    except SystemExit as end:
        return end.code
    return None


def killed(number: int) -> int:
    """Kills the processes of the second task."""
    if number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def killed_once(folder: str, number: int) -> int:
    """Kills the first process that begins a task."""
    try:
        os.mkdir(f"{folder}/{number}")
    except FileExistsError:
        return number
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def told(number: int) -> int:
    return number


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_an_interrupt_is_left_to_the_process_that_started_them(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends them by SIGTERM, so that none of them tells of the interrupt for itself."""
    monkeypatch.setattr(processes, "_context", lambda: multiprocessing.get_context(method))
    with Processes(2) as executor:
        results = list(executor.results(jobs(interrupted), Silent()))
    assert [task for task, _ in results] == [1, 2, 3]
    assert os.getpid() not in {process for _, process in results}


def test_a_request_to_end_unwinds_them() -> None:
    with Processes(1) as executor:
        assert list(executor.results(jobs(unwound)[:1], Silent())) == [128 + signal.SIGTERM]


def test_they_end_with_the_executor_whatever_is_left_to_do() -> None:
    with Processes(2) as executor:
        assert next(executor.results(jobs(told), Silent())) == 1
        assert multiprocessing.active_children()
    assert not multiprocessing.active_children()


def test_a_task_whose_process_dies_is_tried_again(tmp_path: Path) -> None:
    with Processes(2) as executor:
        assert list(executor.results(jobs(partial(killed_once, str(tmp_path))), Silent())) == [1, 2, 3]


@pytest.mark.parametrize(
    ("before", "told"),
    [
        (None, r"model 2: the process that worked on it died \(exit code -9\), 3 times; no half result stays"),
        ("mine", r"model 2: the process .* died \(exit code -9\); it changes the model in place, so look which"),
    ],
)
def test_a_task_that_kills_its_processes_fails(before: str | None, told: str) -> None:
    with Processes(2) as executor:
        results = list(executor.results(jobs(killed), Silent(), lambda task: before))
    assert results[::2] == [1, 3]
    assert isinstance(results[1], Failed)
    assert re.match(told, str(results[1].error))


@pytest.mark.skipif(sys.platform != "linux", reason="other systems fork badly")
@pytest.mark.parametrize(("threads", "method"), [(1, "fork"), (2, "spawn")])
def test_a_process_with_other_threads_is_not_forked(threads: int, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that another thread holds would be held for ever in the fork."""
    monkeypatch.setattr(threading, "active_count", lambda: threads)
    assert processes._context().get_start_method() == method
