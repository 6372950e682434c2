"""What a signal to terminate does, in the command's process and in those that it starts."""

from __future__ import annotations

import signal
from types import FrameType
from typing import NoReturn


def unwind_on_sigterm() -> None:
    """End the process through its `finally` clauses, so that drafts are thrown away on the way out."""
    signal.signal(signal.SIGTERM, _unwind)


def _unwind(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)
