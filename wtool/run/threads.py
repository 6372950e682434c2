"""Who does the work of the loop: threads, or for small files the caller."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from wtool.values import dataclass

if TYPE_CHECKING:
    from concurrent.futures import Future

    from wtool.run.thread_pool import Threads

MOST = 4  # threads: each has a buffer for each input
ALONE = 3 << 20  # bytes of all tensors together that are worth no threads

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Done(Generic[Result]):
    value: Result

    def result(self) -> Result:
        return self.value


Pending: TypeAlias = "Future[Result] | Done[Result]"
"""The result of a function that may still be running."""


class Here:
    """Does at once what it is given: for a small file, starting threads would take longer than the work."""

    count = 1

    def submit(self, function: Callable[..., Result], *arguments: Any) -> Done[Result]:
        return Done(function(*arguments))

    def __enter__(self) -> Here:
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing was started."""


def workers(nbytes: int) -> Threads | Here:
    """Returns who does the work on so many bytes."""
    if nbytes <= ALONE:
        return Here()
    from wtool.run.thread_pool import Threads  # slow to import, and small models need none

    return Threads(min(MOST, os.cpu_count() or 1))
