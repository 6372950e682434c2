"""Threads of the loop over tensors."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor


class Threads(ThreadPoolExecutor):
    """Threads that an interrupt does not wait for: a decomposition of a large matrix takes minutes.

    Args:
        count: how many there are.
    """

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.count = count

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        is_interrupt = kind is not None and not issubclass(kind, Exception)
        self.shutdown(wait=not is_interrupt, cancel_futures=True)
