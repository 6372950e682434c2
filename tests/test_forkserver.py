"""What the fork server runs ends as a process of its own does."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests import forkserver

PROGRAMS = {
    "words": "import sys; print(sys.argv, __name__)",
    "standard input": "print(repr(open(0, newline='').read()))",
    "a status": "raise SystemExit(7)",
    "a message": "raise SystemExit('words')",
    "lost output": "import os; os.write(1, b'x'); os.close(1); print('y')",
    "a signal": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    "folder and mask": "import os; print(os.getcwd(), os.umask(0), os.environ['WORD'])",
    "at the end": "import atexit; atexit.register(print, 'end'); print('start')",
    "closed streams": "import os, sys; print(sys.stdin); print(os.open('/dev/null', 0))",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_it_is_as_if_python_were_started(name: str, tmp_path: Path) -> None:
    outcomes = []
    environment = {**os.environ, "WORD": "w"}
    environment.pop("PYTHONUNBUFFERED", None)
    for python in ([sys.executable], forkserver.python()):
        command = ["bash", "-c", 'exec "$@" <&-' if name == "closed streams" else 'exec "$@"', "bash", *python]
        options: dict[str, Any] = {"cwd": tmp_path, "env": environment, "text": True, "input": "a\r\nb"}
        done = subprocess.run([*command, "-c", PROGRAMS[name], "one", "two"], capture_output=True, **options)
        outcomes.append((done.returncode, done.stdout, done.stderr.splitlines()[:1]))
    if name == "lost output":
        outcomes = [(status, out) for status, out, _ in outcomes]
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_are_passed_on(number: signal.Signals, tmp_path: Path) -> None:
    program = "import time; open('begun', 'w').close(); time.sleep(60)"
    process = subprocess.Popen(forkserver.python("-c", program), cwd=tmp_path, stderr=subprocess.PIPE)
    while not (tmp_path / "begun").exists():
        time.sleep(0.01)
    process.send_signal(number)
    process.communicate()
    assert process.returncode == -number


def test_a_killed_client_takes_its_process_along(tmp_path: Path) -> None:
    program = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    process = subprocess.Popen(forkserver.python("-c", program), stdout=subprocess.PIPE)
    assert process.stdout is not None
    forked = int(process.stdout.readline())
    process.kill()
    process.communicate()  # the end of standard output is that of the forked process
    end = time.monotonic() + 60
    while Path(f"/proc/{forked}").exists() and time.monotonic() < end:
        time.sleep(0.01)
    assert not Path(f"/proc/{forked}").exists()


def test_clients_that_are_killed_at_any_moment_do_not_end_the_server(tmp_path: Path) -> None:
    """A client that is gone before it has asked, or before it was told the number of its process."""
    for number in range(20):
        process = subprocess.Popen(forkserver.python("-c", "pass"))
        time.sleep(number * 0.004)
        process.kill()
        process.wait()
    gone = socket.socket(socket.AF_UNIX)
    gone.connect(str(Path(forkserver.python()[0]).parent / "socket"))
    gone.sendall(b"100\n{")
    gone.close()
    assert subprocess.run(forkserver.python("-c", "print('there')"), capture_output=True).stdout == b"there\n"
