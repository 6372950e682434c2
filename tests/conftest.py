"""What all tests begin with."""

from __future__ import annotations

import signal


def pytest_configure() -> None:
    """Take SIGINT as a terminal's user sends it, also where a script started the tests in the background.

    A shell starts such jobs with SIGINT ignored. Child processes inherit that, and Python then raises no
    KeyboardInterrupt: right for `wtool ... &` (POSIX), but the tests send SIGINT to see what it does. A handler of this
    process becomes the default action in the programs that it starts.
    """
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
