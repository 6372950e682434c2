"""Trying again: how often, after which time, and which errors are worth it."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

from wtool.errors import Usage
from wtool.io.addresses import RETRIES
from wtool.io.remote.faults import is_temporary

Value = TypeVar("Value")

FIRST_WAIT, LONGEST_WAIT = 0.2, 20.0  # seconds

USUAL = 5
"""How often a request that failed for a while is tried again, where nobody says."""


def retries() -> int:
    """Returns how often a request that failed for a while is tried again.

    Raises:
        Usage: the environment variable holds no number.
    """
    told = os.environ.get(RETRIES, str(USUAL))
    if not told.isdecimal() or not told.isascii() or len(told) > 4:
        raise Usage(f"the environment variable {RETRIES} is {told!r:.40}, and no number from 0 to 9999")
    return int(told)


def waits() -> Iterator[float]:
    """Yields the seconds to wait before each new try: twice as long each time, and at random up to a half less.

    Where many processes were refused at once, they come back at different times.
    """
    for number in range(retries()):
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
