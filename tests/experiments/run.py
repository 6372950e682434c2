"""Runs all experiments of docs/experiments, one after the other, and says how long each took.

    python -m tests.experiments.run FOLDER [--quick] [--latex]

What an experiment prints goes to FOLDER/NAME.md (.tex with `--latex`), its files to FOLDER/NAME/. An experiment that
fails is told with its last line, and the others go on.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.experiments.scripts import SCRIPTS


def run(scripts: Iterable[Path], folder: Path, words: Sequence[str]) -> bool:
    """Runs experiments; returns whether all of them succeeded.

    Args:
        scripts: paths of the experiments.
        folder: for their files, and for what they print; it is made if it is missing.
        words: options of the experiments.
    """
    ending = ".tex" if "--latex" in words else ".md"
    folder.mkdir(parents=True, exist_ok=True)
    failed, total = 0, 0.0
    for script in scripts:
        begun, used = time.monotonic(), _processor_time()
        done = subprocess.run(
            [sys.executable, str(script), str(folder / script.stem), *words],
            capture_output=True,
            text=True,
            check=False,
        )
        (folder / f"{script.stem}{ending}").write_text(done.stdout)
        used, took = _processor_time() - used, time.monotonic() - begun
        told = f"{script.stem:24} {used:6.0f} s of processor time, {took:6.0f} s in all"
        if done.returncode:
            failed += 1
            last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
            told = f"{told}; failed: {last}"
        print(told, flush=True)
        total += used
    print(f"{'together':24} {total:6.0f} s of processor time; tables are in {folder}")
    return not failed


def _processor_time() -> float:
    """Returns the seconds that child processes used so far."""
    times = os.times()
    return times.children_user + times.children_system


if __name__ == "__main__":
    if not sys.argv[1:] or sys.argv[1].startswith("-"):
        sys.exit("usage: python -m tests.experiments.run FOLDER [--quick] [--latex]")
    sys.exit(0 if run(SCRIPTS, Path(sys.argv[1]), sys.argv[2:]) else 1)
