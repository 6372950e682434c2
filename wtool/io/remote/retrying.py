"""Trying again: how often, after which time, and which errors are worth it."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

from wtool.io.remote.faults import is_temporary

Value = TypeVar("Value")

FIRST_WAIT, LONGEST_WAIT = 0.2, 20.0  # seconds

_retries = 5


def set_retries(number: int) -> None:
    """Have requests that failed for a while be tried again so often, in this process."""
    global _retries
    _retries = number


def waits() -> Iterator[float]:
    """Yields the seconds to wait before each new try: twice as long each time, and at random up to a half less.

    Where many processes were refused at once, they come back at different times.
    """
    for number in range(_retries):
        yield min(LONGEST_WAIT, FIRST_WAIT * 2**number) * random.uniform(0.5, 1.0)


def retried(action: Callable[[], Value]) -> Value:
    """Returns what an action returns, which is tried again as long as that is worth it."""
    for wait in waits():
        try:
            return action()
        except Exception as error:
            if not is_temporary(error):
                raise
        time.sleep(wait)
    return action()


async def retried_async(action: Callable[[], Awaitable[Value]]) -> Value:
    """Like `retried`, of an action that waits in an event loop."""
    for wait in waits():
        try:
            return await action()
        except Exception as error:
            if not is_temporary(error):
                raise
        await asyncio.sleep(wait)
    return await action()
