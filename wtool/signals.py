"""Ending on SIGTERM and SIGHUP, for the command's process and for those that it starts."""

from __future__ import annotations

import signal
from types import FrameType
from typing import NoReturn

ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
"""What ends a process: of systems and schedulers, and of a terminal that is closed. Windows has the first alone."""


def unwind_on_signals() -> None:
    """Have signals end the process through its `finally` clauses, so that drafts are thrown away on the way out.

    A signal that is ignored stays ignored, as `nohup` wants it.
    """
    for number in ENDING:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _unwind)


def _unwind(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)
