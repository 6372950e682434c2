"""Histories: of files, of what came through pipes, and of lineages that strangers wrote."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3

import wtool
from tests import forkserver
from tests.lineages import with_lineage
from tests.models import BLOBS, cpu_seconds
from wtool.cli.history import lines_of


def shown(path: Path, *words: str, status: int = 0) -> list[str]:
    done = subprocess.run(
        forkserver.wtool("history", path.name, *words), cwd=path.parent, capture_output=True, text=True
    )
    assert done.returncode == status, done.stderr
    return done.stdout.splitlines()


def short(path: Path) -> str:
    return f"blake3:{blake3(path.read_bytes()).hexdigest()[:12]}"


def test_the_newest_operation_is_the_first_line(tmp_path: Path) -> None:
    pruned, done = tmp_path / "pruned.keras", tmp_path / "done.keras"
    wtool.prune(BLOBS[0], sparsity=0.5, output=pruned)
    wtool.stroke(pruned, seed=7, include=["hidden*"], output=done)
    assert shown(done) == [
        "done.keras: made by 2 operations",
        "* stroke --include 'hidden*' --seed 7: 30 of 50 weights zero".replace("30", str(zeros(done))),
        f"|   model: pruned.keras {short(pruned)}",
        "* prune --sparsity 0.5: 63 of 125 weights zero",
        f"|   model: {BLOBS[0].name} {short(BLOBS[0])}",
    ]


def zeros(path: Path) -> int:
    return int(wtool.history(path).steps[-1].record["result"]["zeros"])


def test_what_came_through_a_pipe_has_its_history_along(tmp_path: Path) -> None:
    """A mask through two pipes, and a result that goes through another one."""
    line = f"wtool prune {BLOBS[-1]} --sparsity .5 -q -o - | wtool stroke - --seed 1 -q -o - | "
    line += f"wtool rewind - --initial {BLOBS[0]} -q -o - | wtool pack - -q -o out.keras"
    env = {"PATH": f"{forkserver.folder()}:/usr/bin:/bin"}
    subprocess.run(["bash", "-euo", "pipefail", "-c", line], cwd=tmp_path, env=env, check=True)
    packed, rewound = reversed(wtool.history(tmp_path / "out.keras").steps)
    assert (packed.operation, packed.options, packed.inputs[0].name) == ("pack", {}, "-")
    roles = {each.role: each for each in rewound.inputs}
    assert not roles["initial"].steps
    assert [step.operation for step in roles["mask"].steps] == ["prune", "stroke"]
    lines = shown(tmp_path / "out.keras")
    assert [line.split(":")[0] for line in lines[1:]] == [
        "* pack",
        "|   model",
        "* rewind",
        "|   initial",
        "|   mask",
        "|     * stroke --seed 1",
        "|     |   model",
        "|     * prune --sparsity 0.5",
        "|     |   model",
    ]


def test_a_model_without_a_lineage(tmp_path: Path) -> None:
    assert wtool.history(BLOBS[0]) == wtool.History(str(BLOBS[0]), ())
    path = with_lineage(tmp_path / "m.keras", None)
    assert shown(path) == ["m.keras: nothing is recorded"]
    assert shown(path, "--verify", status=1) == ["m.keras: nothing is recorded, and is not what wtool wrote"]


def test_a_seal_is_verified_on_demand(tmp_path: Path) -> None:
    made = tmp_path / "made.keras"
    wtool.prune(BLOBS[0], sparsity=0.5, output=made)
    assert wtool.history(made).sealed is None
    assert wtool.history(made, verify=True).sealed is True
    records = wtool.inspect(made)["lineage"]
    other = with_lineage(tmp_path / "other.keras", records)
    assert wtool.history(other, verify=True).sealed is False
    assert shown(other, "--verify", status=1)[0].endswith("made by 1 operation, and is not what wtool wrote")
    assert json.loads(shown(other, "--verify", "--json", status=1)[0])["sealed"] is False


def test_trainings_and_other_tools_are_told_as_they_stand(tmp_path: Path) -> None:
    records = [
        {"operation": "quantize", "parameters": {"bits": 4}, "tool": "other"},
        {"operation": "resume", "parameters": {"epochs": 8}, "seed": 3, "epoch": 5, "batch": 3, "wtool": "0.0.1"},
    ]
    path = with_lineage(tmp_path / "m.keras", records)
    assert shown(path)[1:] == [
        "* resume --epochs 8 --seed 3: epoch 5, batch 3 (wtool 0.0.1)",
        '* quantize {"bits": 4} (another tool)',
    ]
    found = wtool.history(path).steps
    assert [step.record for step in found] == records
    assert found[1].reason == "resume cannot be done again: training again gives other weights"


STRANGE: list[Any] = [
    "text",
    {"operation": "prune"},
    [1, None, "text", []],
    [{}],
    [{"operation": 3, "parameters": 4, "inputs": 5, "seed": "6", "result": 7, "of": 8, "wtool": 9}],
    [{"operation": "\x1b[2Jevil\nline", "inputs": [{"name": "\x1b[31m\n../../x", "hash": ["a\n", 3]}]}],
    [{"operation": "prune", "parameters": {"sparsity": {}}, "inputs": [{"as": ["model"], "name": 1}]}],
    [{"operation": "prune", "parameters": {"sparsity": "\x1b"}, "inputs": [{"as": "model"}], "masks": 3}],
    [{"operation": "resume", "epoch": "\x1b", "parameters": {"a": "x" * 100_000}}],
    [{"operation": "prune", "result": {"selected": -1, "zeros": True}}],
]


@pytest.mark.parametrize("lineage", STRANGE, ids=range(len(STRANGE)))
def test_lineages_of_strangers_are_shown_in_lines(lineage: Any, tmp_path: Path) -> None:
    path = with_lineage(tmp_path / "m.keras", lineage)
    lines = shown(path)
    assert all(line.isprintable() and len(line) < 300 for line in lines)
    assert json.loads(shown(path, "--json")[0])["steps"] is not None


@pytest.mark.parametrize(
    "records",
    [
        [{"operation": "prune", "of": str(number)} for number in range(20_000)],
        [{"operation": "prune", "of": "mask"} for number in range(20_000)] + [{"operation": "rewind"}],
        [{"operation": "prune", "inputs": [{"name": "x"}] * 10} for number in range(4_000)],
    ],
    ids=["roles", "one input", "inputs"],
)
def test_long_lineages_take_time_in_proportion(records: Any, tmp_path: Path) -> None:
    path = with_lineage(tmp_path / "m.keras", records)
    begin = cpu_seconds()
    found = wtool.history(path)
    assert sum(1 for _ in lines_of(found)) > 20_000
    assert cpu_seconds() - begin < 10
