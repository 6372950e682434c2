"""Ending on SIGTERM, for the command's process and for those that it starts."""

from __future__ import annotations

import signal
from types import FrameType
from typing import NoReturn


def unwind_on_sigterm() -> None:
    """Have SIGTERM end the process through its `finally` clauses, so that drafts are thrown away on the way out."""
    signal.signal(signal.SIGTERM, _unwind)


def _unwind(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)
