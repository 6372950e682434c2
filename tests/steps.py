"""Steps that go on from each other's files, with a test for each: so that no test takes long."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass
class Steps:
    """Steps in their order, and how many of them this process has run.

    The tests of one module may run in several processes: each test runs the steps before its own that its process has
    not run yet.
    """

    steps: Sequence[Callable[[], object]]
    done: int = 0

    def run(self, count: int) -> None:
        """Runs steps until the first `count` have been run; a step that fails is run again by the next test."""
        while self.done < count:
            self.steps[self.done]()
            self.done += 1
