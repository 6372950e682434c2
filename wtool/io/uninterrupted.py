"""A few steps on files that belong together, between which no signal ends the process."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from wtool.signals import ENDING


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Have SIGINT, SIGTERM and SIGHUP wait until the end of the block; they are handled then.

    Handlers of Python run between any two steps of the main thread, whichever thread the system interrupts, so that a
    mask of signals would not do. Signals that Python does not handle are left alone: they end the process at once.
    """
    waiting: list[tuple[int, FrameType | None]] = []
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, *ENDING):
            handler = signal.getsignal(number)
            if callable(handler):
                before[number] = handler
                signal.signal(number, lambda number, frame: waiting.append((number, frame)))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for came, frame in waiting:
            before[signal.Signals(came)](came, frame)
