"""What all parts of the benchmark share: the models, the command, and turns."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import contenders
from contenders import Contender, Run, measure

ROUNDS = 5
SLOW = 5.0
"""A contender whose warm-up takes more seconds than this has one more turn, or all would take much longer together."""


class Turns:
    """Models, a folder for results, and how contenders take turns.

    Attributes:
        folder: where make_models.py put the models.
        out: for results.
        smoke: one turn of little work, to try the benchmark itself.
        command: the wtool that is measured.
    """

    def __init__(self, folder: Path, smoke: bool) -> None:
        self.folder, self.smoke = folder, smoke
        self.command = shlex.split(os.environ.get("WTOOL", "")) or [str(Path(sys.executable).parent / "wtool")]
        self.out = folder / "out"
        self.out.mkdir(exist_ok=True)
        self._warm: dict[str, list[Run]] = {}  # runs of slow contenders, which count

    def models(self, name: str, count: int) -> list[Path]:
        """The first checkpoints of a set (see make_models.py); of a smoke run, two at most."""
        return [self.folder / name / f"ckpt-{n}.keras" for n in range(1, (min(count, 2) if self.smoke else count) + 1)]

    def once(self, contender: Contender) -> Run:
        return measure(contender, self.out / "last.log")

    def warm(self, taking_part: Sequence[Contender]) -> dict[str, int]:
        """Run each contender once, which also leaves its output to be compared; gives the turns of each.

        The start of a program, and files that nobody read before, make no difference to one that takes long.
        """
        rounds = {}
        for contender in taking_part:
            run = self.once(contender)
            is_slow = run.seconds > SLOW and not self.smoke
            self._warm[contender.name] = [run] if is_slow else []
            rounds[contender.name] = 1 if self.smoke or is_slow else ROUNDS
            say(f"warm-up: {contender.name} {run.seconds:.2f} s")
        return rounds

    def take(self, taking_part: Sequence[Contender], rounds: Mapping[str, int]) -> dict[str, list[Run]]:
        """Run the contenders by turns, so that noise hits all alike."""
        runs: dict[str, list[Run]] = {each.name: self._warm.pop(each.name, []) for each in taking_part}
        for turn in range(max(rounds.values())):
            for contender in taking_part:
                if turn < rounds[contender.name]:
                    runs[contender.name].append(self.once(contender))
        for name, each in runs.items():
            say(f"{name}: " + " ".join(f"{run.seconds:.3f}" for run in each))
        return runs

    def in_turns(self, taking_part: Sequence[Contender]) -> dict[str, list[Run]]:
        return self.take(taking_part, self.warm(taking_part))

    def told(self, contender: Contender, figures: Path) -> Any:
        """Run a program that takes its turns by itself; gives the JSON that it leaves in a file."""
        self.once(contender)
        return json.loads(figures.read_text())

    def helper(self, *words: str) -> None:
        subprocess.run([sys.executable, str(contenders.HERE / "tensors.py"), *words], check=True)


def say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)
