"""How the program ends: as Python does, but without taking its modules apart."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.models import BLOBS

REGISTERED = "import atexit, sys, threading, time\natexit.register(lambda: print('earlier', flush=False))\n"
LATER = (
    "import wtool.signals as later\n"
    "unwind = later.unwind_on_signals\n"
    "import wtool.cli as cli\n"
    "def begun():\n"
    "    atexit.register(lambda: print('later'))\n"
    "    threading.Thread(target=lambda: (time.sleep(.3), print('thread'))).start()\n"
    "    unwind()\n"
    "cli.unwind_on_signals = begun\n"
)


def run(code: str, *words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True)


@pytest.mark.parametrize(("words", "status"), [(["--version"], 0), (["nothing"], 2), (["inspect", "none.keras"], 1)])
def test_all_that_is_registered_is_done_and_told(words: list[str], status: int) -> None:
    """Whether it was registered before the command or by it; threads are waited for, and all words come out."""
    done = run(f"{REGISTERED}{LATER}cli.program()", *words)
    assert done.returncode == status
    assert done.stdout.splitlines()[-3:] == ["thread", "later", "earlier"]


def test_a_host_that_calls_main_ends_by_itself() -> None:
    code = f"{REGISTERED}from wtool.cli import main\ntry: main()\nexcept SystemExit: pass\nsys.exit(3)"
    done = run(code, "--version")
    assert done.returncode == 3
    assert done.stdout.splitlines()[-1] == "earlier"


def test_modules_are_not_taken_apart() -> None:
    code = (
        f"{REGISTERED}import gc\nfrom wtool.cli import program\n"
        "class Last:\n    def __del__(self): print('taken apart')\n"
        "last = Last()\nprogram()"
    )
    assert "taken apart" not in run(code, "inspect", BLOBS[0]).stdout
    assert "taken apart" in run(code.replace("program()", "sys.exit()"), "inspect", BLOBS[0]).stdout


def test_a_traceback_is_still_one(tmp_path: Path) -> None:
    done = run("from wtool.cli import program\nprogram()", "--debug", "inspect", tmp_path / "none.keras")
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback")
