"""Holds `wtool.schema.unsafe` against what Keras does: entries made at random, and given to each deserialiser.

`python -m tests.fuzz_entries CASES SEED` makes CASES entries and gives each to Keras 3, to Keras 2 and to each further
Keras 3 that `WTOOL_READERS` names, in child processes under an audit hook (`fuzz_entries_child`). Whatever ran code,
imported other modules, unmarshalled, opened or fetched, and whatever came out that is neither Keras's nor plain data,
has to be announced. It writes the table of `docs/fuzz.md`.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests import forkserver
from tests.fuzz_entries_cases import SLOTS, Maker
from wtool.ops.check import SEVERITY_OF
from wtool.schema.unsafe import unsafe_parts

ROOT = Path(__file__).parents[1]
TABLE = ("<!-- made by python -m tests.fuzz_entries: begin -->", "<!-- made by python -m tests.fuzz_entries: end -->")


@dataclass(frozen=True, slots=True)
class Reader:
    """A Keras: what it is called, which package it is, and what comes first on the path."""

    name: str
    package: str
    first: str = ""


def readers() -> list[Reader]:
    """The Kerases that are here."""
    others = [path for path in os.environ.get("WTOOL_READERS", "").split(os.pathsep) if path]
    return [
        Reader("Keras 3", "keras"),
        Reader("tf_keras", "tf_keras"),
        *(Reader(Path(path).name, "keras", path) for path in others),
    ]


def asked(reader: Reader, folder: str, cases: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """What a Keras did with each case. A process that dies is an answer to the case that it had."""
    answers: list[dict[str, Any]] = []
    while len(answers) < len(cases):
        lines = [json.dumps(case) for case in cases[len(answers) :]]
        done = _child(reader, folder, [], "\n".join(lines))
        answers += [json.loads(line) for line in done.stdout.splitlines()]
        if len(answers) < len(cases):
            answers.append({"did": ["code died"], "made": done.stderr[-300:]})
    return answers


@cache
def own(reader: Reader) -> tuple[Any, ...]:
    """Entries of all classes of a Keras, made by itself, once in a process."""
    with tempfile.TemporaryDirectory() as folder:
        return tuple(json.loads(line) for line in _child(reader, folder, ["own"], "").stdout.splitlines())


def _child(reader: Reader, folder: str, words: Sequence[str], given: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(each for each in (reader.first, str(ROOT)) if each)
    environment = {**os.environ, "PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": "", "KERAS_HOME": folder, "HOME": folder}
    environment |= {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONDONTWRITEBYTECODE": "1", "KERAS_BACKEND": "tensorflow"}
    words = ["-m", "tests.fuzz_entries_child", reader.package, folder, *words]
    argv = [sys.executable, *words] if reader.first else forkserver.python(*words, readers=True)
    os.makedirs(os.path.join(folder, "made"), exist_ok=True)
    return subprocess.run(
        argv, cwd=ROOT, input=given, env=environment, capture_output=True, text=True, errors="replace"
    )


def prepare(folder: str) -> None:
    """Modules that nobody should import."""
    for package in ("evil_package", "keras_evil", "tf_keras_evil", "keras_cv", "keras_hub"):
        place = Path(folder, "modules", package)
        place.mkdir(parents=True)
        for name in ("__init__.py", "inner.py", "layers.py"):
            (place / name).write_text("class Evil:\n    pass\n\n\ndef evil(x):\n    return x\n")


def announced(way: str, value: Any) -> set[str]:
    """Severities of what wtool says of a case."""
    config = {"class_name": "Dense", "config": {SLOTS[way]: value}} if way in SLOTS else value
    return {SEVERITY_OF[found.kind] for found in unsafe_parts(config)}


PARTS = re.compile(
    r"^(object|class) (keras|tf_keras)\.|^object (builtins|numpy|tensorflow|ml_dtypes)\b|^class (numpy|builtins)\b"
    r"|^function (keras|tf_keras)\.src\.(activations|losses|metrics|ops|backend|legacy\.backend|initializers)\b"
    r"|^function (keras|tf_keras)\.src\.layers\..*\.call$|^error |^no such way|^$"
)
"""What may come out of a deserialiser without a word."""


def unannounced(way: str, value: Any, answer: dict[str, Any]) -> list[str]:
    """What a Keras did with a case that wtool did not tell."""
    told = announced(way, value)
    if "runs" in told:
        return []
    did = [each for each in answer["did"] if _is_asked_for(each, json.dumps(value))]
    wrong = [each for each in did if each.startswith("code") or "reaches" not in told]
    return wrong + ([f"made {answer['made']}"] if not PARTS.search(answer["made"]) else [])


def _is_asked_for(did: str, text: str) -> bool:
    """Not what Keras imports for itself: the modules that a case names are in its text."""
    imported = re.fullmatch(r"code import '(.*)'", did)
    return imported is None or imported[1] in text


@dataclass
class Counted:
    """What became of the cases that one Keras got."""

    reader: str
    cases: int = 0
    made: int = 0
    ran: int = 0
    reached: int = 0
    announced: int = 0
    wrong: int = 0


def run(cases: int, seed: int, to: Sequence[Reader], batch: int = 4000) -> tuple[list[Counted], list[str]]:
    """Give `cases` entries to each Keras in `to`; gives what happened, and a line for each unannounced thing."""
    entries = [entry for reader in readers() for entry in own(reader)]
    counts = [Counted(reader.name) for reader in to]
    failures: list[str] = []
    for start in range(0, cases, batch):
        with tempfile.TemporaryDirectory() as folder:
            prepare(folder)
            made = list(Maker(seed + start, entries, folder).cases(min(batch, cases - start)))
            texts = [(way, json.dumps(value)) for way, value in made]
            for reader, count in zip(to, counts, strict=True):
                for (way, value), answer in zip(made, asked(reader, folder, texts), strict=True):
                    wrong = unannounced(way, value, answer)
                    kinds = Counter(each.split()[0] for each in answer["did"])
                    count.cases += answer["made"] != "no such way"
                    count.made += not answer["made"].startswith(("error", "no such way"))
                    count.ran += kinds["code"] > 0
                    count.reached += kinds["reach"] > 0 and not kinds["code"]
                    count.announced += bool(answer["did"]) and not wrong
                    count.wrong += bool(wrong)
                    failures += [f"{reader.name}: {way}: {wrong}: {json.dumps(value)}"] if wrong else []
    return counts, failures


def false_alarms(of: Sequence[Reader]) -> tuple[int, list[str]]:
    """How many entries the Kerases make of their own classes, and those that are said to run or reach something."""
    entries = [entry for reader in of for entry in own(reader)]
    told = [entry for entry in entries if announced("object", entry) & {"runs", "reaches"}]
    return len(entries), [json.dumps(entry) for entry in told]


def main() -> None:
    """Write the table, and fail if anything was not announced."""
    cases, seed = int(sys.argv[1]), int(sys.argv[2])
    counts, failures = run(cases, seed, readers())
    entries, alarms = false_alarms(readers())
    rows = [
        (
            "entries",
            "made something",
            "ran code or imported",
            "opened or fetched",
            "of these announced",
            "not announced",
        )
    ]
    lines = ["| | " + " | ".join(rows[0]) + " |", "|---|" + "---:|" * len(rows[0])]
    for each in counts:
        numbers = (each.cases, each.made, each.ran, each.reached, each.announced, each.wrong)
        lines.append(f"| {each.reader} | " + " | ".join(f"{number:,}" for number in numbers) + " |")
    lines += ["", f"Seed {seed}. Of {entries:,} entries of their own classes, {len(alarms):,} raise an alarm."]
    page = ROOT / "docs" / "fuzz.md"
    text = page.read_text()
    begin, end = text.index(TABLE[0]) + len(TABLE[0]), text.index(TABLE[1])
    page.write_text(f"{text[:begin]}\n\n" + "\n".join(lines) + f"\n\n{text[end:]}")
    print("\n".join([*lines, *failures[:50], *alarms[:20]]))
    sys.exit(bool(failures or alarms))


if __name__ == "__main__":
    main()
