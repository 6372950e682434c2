"""Who does the work of the loop: threads, or for small files the caller."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

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

    def submit(self, function: Callable[..., Result], *arguments: Any) -> Done[Result]:
        return Done(function(*arguments))

    def __enter__(self) -> Here:
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing was started."""


class Threads(ThreadPoolExecutor):
    """Threads that an interrupt does not wait for: a decomposition of a large matrix takes minutes."""

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        is_interrupt = kind is not None and not issubclass(kind, Exception)
        self.shutdown(wait=not is_interrupt, cancel_futures=True)


def workers(nbytes: int) -> Threads | Here:
    """Returns who does the work on so many bytes."""
    return Here() if nbytes <= ALONE else Threads(max_workers=min(8, os.cpu_count() or 1))
