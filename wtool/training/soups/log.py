"""A line for every mean that was scored, in a JSON-lines file from which the same command goes on."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any

from wtool.errors import Refused, Usage, WtoolError
from wtool.io.addresses import is_address
from wtool.io.drafts import write_whole
from wtool.io.json_text import parse_object
from wtool.training.soups.greedy import Trial, names_of
from wtool.values import dataclass

SUFFIX = ".jsonl"
NO_LINES = "a log is written line by line, and a store takes whole files; name a file of this machine"


def check_log(path: str) -> None:
    """Check the name and the content of a log, before anything is scored.

    Raises:
        Usage: the name does not end in .jsonl.
        WtoolError: it holds something else.
    """
    if not path.endswith(SUFFIX):
        raise Usage(f"the log of a soup is called {SUFFIX}, not {path}")
    if is_address(path):
        raise Usage(NO_LINES, path)
    os.scandir(os.path.dirname(path) or os.curdir).close()  # raises what making the log would raise
    _lines(path)


@dataclass(slots=True)
class Log:
    """The scores of a soup, of this run and of those before.

    Attributes:
        path: of the file; None for no file.
        models: what the models are called.
        hashes: of the content of each model.
        how: all else that a score depends on: the metric, the data, how statistics are set right.
        known: scores of means by what they depend on.
        written: lines that this run has written, so that none of them is there twice.
    """

    path: str | None
    models: Sequence[str]
    hashes: Sequence[str]
    how: Mapping[str, Any]
    known: dict[str, float] = field(default_factory=dict)
    written: set[str] = field(default_factory=set)

    def read(self) -> None:
        """Take the scores of earlier runs over; half a line, which a killed run may have left, goes."""
        if self.path is None:
            return
        rows = _lines(self.path)
        self.written = {json.dumps(row, sort_keys=True) for row in rows}
        for row in rows:
            if isinstance(row["of"], str) and isinstance(row["score"], (int, float)):
                self.known[row["of"]] = float(row["score"])
        text = "".join(json.dumps(row) + "\n" for row in rows).encode()
        if os.path.exists(self.path) and os.path.getsize(self.path) != len(text):
            write_whole(self.path, text)

    def key(self, tried: Sequence[int]) -> str:
        """What the score of a mean depends on, as one text."""
        return json.dumps({**self.how, "models": [self.hashes[number] for number in tried]}, sort_keys=True)

    def add(self, trial: Trial) -> None:
        """Write the line of a trial, and know its score from now on."""
        key = self.key(trial.tried)
        self.known[key] = trial.score
        if self.path is None:
            return
        row = {
            "candidate": None if trial.candidate is None else self.models[trial.candidate],
            "score": trial.score,
            "kept": trial.kept,
            "soup": names_of(trial.soup, self.models),
            "tried": names_of(trial.tried, self.models),
            "of": key,
        }
        told = json.dumps(row, sort_keys=True)
        if told not in self.written:
            self.written.add(told)
            with open(self.path, "a") as file:
                file.write(json.dumps(row) + "\n")


def _lines(path: str) -> list[dict[str, Any]]:
    """The lines of a log; none if there is no file.

    Raises:
        WtoolError: it holds something else.
    """
    try:
        with open(path, newline="") as file:
            texts = [line for line in file if line.endswith("\n")]
    except FileNotFoundError:
        return []
    except ValueError:
        texts = [""]
    try:
        rows = [parse_object(text, "a line") for text in texts]
        if any(not {"candidate", "score", "kept", "soup", "of"} <= row.keys() for row in rows):
            raise Refused("is no line of a soup")
    except Refused:
        raise WtoolError("is there already, and is no log of a soup; name another with --log", path) from None
    return rows
