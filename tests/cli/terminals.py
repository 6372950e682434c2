"""A command as somebody sees it: its lines on a terminal of some width."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from pathlib import Path

from tests import forkserver

STYLE = re.compile(r"\x1b\[[0-9;]*m")


def on_a_terminal(
    *words: object, columns: int = 80, cwd: Path | None = None, training: bool = False, **env: str
) -> tuple[int, str]:
    """Runs wtool on a terminal; returns its exit status, and all that the terminal got.

    Args:
        words: of the command.
        columns: the width of the terminal.
        cwd: the folder to run in.
        training: TensorFlow and Keras have been imported already.
        env: further variables of the environment.
    """
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    own = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    env = {**own, "TERM": "xterm-256color", **env}
    argv = forkserver.wtool(*words, training=training)
    with subprocess.Popen(argv, stdin=follower, stdout=follower, stderr=follower, cwd=cwd, env=env) as process:
        os.close(follower)
        shown = b""
        while True:
            try:
                more = os.read(leader, 65536)
            except OSError:  # nobody has the terminal any more
                break
            if not more:
                break
            shown += more
    os.close(leader)
    return process.returncode, shown.decode().replace("\r\n", "\n")


def plain(shown: str) -> list[str]:
    """Returns the lines without what makes text bold."""
    return STYLE.sub("", shown).splitlines()
