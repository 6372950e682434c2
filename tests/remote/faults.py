"""Requests as servers record them, and what goes wrong with them as a test plans it."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Request:
    """What a server was asked, and what it answered so far.

    Attributes:
        method: such as GET.
        path: without the host, decoded.
        query: what follows the question mark, as it was sent.
        headers: names in lower case -> values.
        status: of the answer; 0 before it begins.
        sent: bytes of the answer's body.
        received: bytes of the request's body.
        began, ended: seconds of the clock `time.monotonic`; `ended` is None while the request is in progress.
    """

    method: str
    path: str
    query: str
    headers: dict[str, str]
    status: int = 0
    sent: int = 0
    received: int = 0
    began: float = field(default_factory=time.monotonic)
    ended: float | None = None

    @property
    def range(self) -> str | None:
        """The range that was asked for, such as `bytes=0-99`; None if the whole was."""
        return self.headers.get("range")

    def __str__(self) -> str:
        query = f"?{self.query}" if self.query else ""
        asked = f" {self.range}" if self.range else ""
        return f"{self.method} {self.path}{query}{asked} -> {self.status}, {self.sent} bytes ({self.received} received)"


def every(request: Request) -> bool:
    """Matches every request."""
    return True


def of(method: str, path: str = "", query: str = "") -> Callable[[Request], bool]:
    """Returns what matches requests of a method whose path ends in `path`, and whose query has `query` in it."""
    return lambda each: each.method == method and each.path.endswith(path) and query in each.query


@dataclass
class Fault:
    """What goes wrong with some of the requests that a server gets.

    Attributes:
        matching: which requests.
        skipped: how many of the matching ones go well before the first that does not.
        times: how many then meet the fault.
        meanwhile: what happens before the answer, such as a change of what was asked for.
        wait: seconds before the answer begins.
        until: what the answer waits for, a hang that the test ends (or the end of the server).
        rate: bytes per second, both ways.
        received_before_end: bytes of the request's body that are read before the connection is lost.
        status, code: of a refusal in place of the answer, such as 503 and `SlowDown`.
        headers: of that refusal.
        sent_before_end: bytes of the answer's body that are sent before the connection is lost.
        is_reset: whether a lost connection is reset, rather than closed as if all had been sent.
    """

    matching: Callable[[Request], bool] = every
    skipped: int = 0
    times: float = 1
    meanwhile: Callable[[], object] | None = None
    wait: float = 0.0
    until: threading.Event | None = None
    rate: float = math.inf
    received_before_end: int | None = None
    status: int | None = None
    code: str = "SlowDown"
    headers: dict[str, str] = field(default_factory=dict)
    sent_before_end: int | None = None
    is_reset: bool = False

    def meets(self, request: Request) -> bool:
        """Returns whether a request meets the fault, and counts it."""
        if not self.matching(request):
            return False
        if self.skipped > 0:
            self.skipped -= 1
            return False
        self.times -= 1
        return self.times >= 0
