"""Every command on every hostile file: refused in one line, or processed as data; quickly, in little memory."""

from __future__ import annotations

import json
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests import forkserver
from tests.models import HOSTILE

pytestmark = pytest.mark.slow  # a few seconds together: left out of the quick part

CASES = {case["name"]: case for case in json.loads((HOSTILE / "manifest.json").read_text())["cases"]}
SECONDS, KIBIBYTES = 2.0, 300 * 1024
NOT_LOOKED_AT = {  # what is wrong with a file, and why an operation need not mind
    "h5_external_storage_optimizer.weights.h5": "average, drop",
    "h5_shape_bomb_optimizer.keras": "average, drop",
}


NOTHING_TO_CHANGE = ("nothing is selected", "values of layers/dense_9/kernel do not")
NOT_DONE = {
    "swap": ("no hidden layer", "needs a whole model", "author's code"),
    "align": ("no hidden channels", "needs a whole model", "author's code"),
    "cost": ("weights alone", "author's code"),
    "shrink": ("no channel can be taken out", "needs a whole model", "author's code"),
    "ema": ("keeps no moving averages", "no state of an optimizer", "does not tell what", "snapshot of the callback"),
    "merge": ("no tensor holds numbers",),
    "replay": ("it has no lineage of wtool",),
    "pack": ("safetensors files hold plain arrays",),
    "run": (*NOTHING_TO_CHANGE, "safetensors files hold plain arrays", "a sharded checkpoint is several files"),
    "patch": ("fits: there are none",),
    "convert": ("holds weights alone", "cannot be converted", "has no place", "like=MODEL"),
}
"""Words of refusals of files with nothing wrong in them."""

PARTS = 8  # each is made in a process of its own, so that no test takes long
PART_OF = {name: number * PARTS // len(CASES) for number, name in enumerate(CASES)}


@cache
def outcomes(part: int) -> dict[str, Any]:
    names = [name for name in CASES if PART_OF[name] == part]
    argv = forkserver.python("-m", "tests.hostile_run", HOSTILE, *names)
    done = subprocess.run(argv, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def results(name: str) -> list[dict[str, Any]]:
    return [result for result in outcomes(PART_OF[name])["results"] if result["file"] == name]


@pytest.mark.parametrize("name", CASES)
def test_every_operation(name: str) -> None:
    expected, scope = CASES[name]["expected"], CASES[name]["scope"]
    assert outcomes(PART_OF[name])["peak"] < KIBIBYTES
    assert [each["operation"] for each in results(name)] == outcomes(PART_OF[name])["operations"]
    for result in results(name):
        operation, error = result["operation"], result["error"]
        assert result["same"], "its input changed"
        assert not result["besides"], result["besides"]
        assert result["seconds"] < SECONDS, operation
        assert error is None or (name.split(".")[0] in error and "\n" not in error and "bug" not in error), error
        assert error is None or not result["left"]
        if operation == "check" or scope == "average" or NOT_LOOKED_AT.get(name) == operation:
            continue
        if expected == "reject" and (scope != "rewrite" or operation == "prune"):
            assert error is not None, operation
        elif expected in ("ok", "inert"):
            reasons = NOT_DONE.get(operation.partition(",")[0], NOTHING_TO_CHANGE)
            assert error is None or any(words in error for words in reasons), f"{operation}: {error}"
