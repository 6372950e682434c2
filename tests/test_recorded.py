"""The recorder of wtool's outputs: two records of the same code are the same, and differences are told."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.models import BLOBS, FIXTURES
from tests.recorded import HOSTILE_COMMANDS, MODEL_COMMANDS, compare, differences, distinct, items_in, sampled

ROOT = Path(__file__).parent.parent


def recorded(folder: Path, target: Path) -> Path:
    words = [sys.executable, "-m", "tests.recorded", str(folder), str(target)]
    subprocess.run(words, cwd=ROOT, check=True, capture_output=True)
    return target


def written(target: Path, **records: object) -> Path:
    target.write_text(json.dumps({"about": {}, "records": records}))
    return target


@pytest.mark.slow
def test_two_records_are_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    models = tmp_path / "models"
    (models / "bad").mkdir(parents=True)
    shutil.copy(BLOBS[0], models)
    shutil.copy(FIXTURES / "hostile" / "trunc_keras_05.keras", models / "bad")
    (models / "bad" / "manifest.json").write_text("{}")
    one, other = recorded(models, tmp_path / "one.json"), recorded(models, tmp_path / "other.json")
    assert compare(one, other) == 0
    assert "no differences" in capsys.readouterr().out
    found = json.loads(one.read_text())["records"]
    assert list(found) == ["models/", "models/bad/", "models/bad/trunc_keras_05.keras", f"models/{BLOBS[0].name}"]
    outcomes = found[f"models/{BLOBS[0].name}"]
    assert len(outcomes) == len(MODEL_COMMANDS.strip().splitlines())
    pruned = outcomes["prune {model} --sparsity .5 -o pruned{x}"]
    assert (pruned["status"], list(pruned["files"]), pruned["stdout"]) == (0, ["pruned.keras"], "")
    assert "skipped" in outcomes["prune {model} --sparsity .5 -o pruned{x} (again)"]["stderr"]
    assert "SHA-256" in outcomes["prune {model} --sparsity .5 -o -"]["stdout"]
    assert list(outcomes["prune stroked{x} --sparsity .2 --in-place --json"]["files"]) == ["stroked.keras"]
    refused = found["models/bad/trunc_keras_05.keras"]
    assert len(refused) == len(HOSTILE_COMMANDS.strip().splitlines())
    assert {each["status"] for each in refused.values()} == {1}
    assert str(tmp_path) not in one.read_text()


def test_differences_are_told_in_groups(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    same = {"status": 0, "stdout": "", "stderr": "a\nb\n", "files": {"x.keras": "01"}}
    other = {**same, "stderr": "a\nc\n", "files": {"x.keras": "02"}}
    one = written(tmp_path / "one.json", a={"prune": same, "check": same}, b={"prune": same}, c={})
    two = written(tmp_path / "two.json", a={"prune": other, "check": same}, b={"prune": other})
    assert compare(one, one) == 0
    assert compare(one, two) == 1
    out = capsys.readouterr().out
    assert "2 x files: prune\n    a\n      - x.keras 01\n      + x.keras 02\n" in out
    assert "2 x stderr: prune\n    a\n      - b\n      + c\n" in out
    assert "1 x only in one record: any command\n    c\n" in out


def test_a_missing_command_is_a_difference() -> None:
    same = {"status": 0, "stdout": "", "stderr": "", "files": {}}
    found = differences({"a": {"prune": same}}, {"a": {}})
    assert found["prune", "status"] == [("a", "0", "None")]


def test_a_sample_is_always_the_same_and_has_no_copies(tmp_path: Path) -> None:
    shutil.copytree(FIXTURES / "bn", tmp_path / "bn")
    shutil.copytree(FIXTURES / "bn", tmp_path / "copy")
    items = distinct(items_in(tmp_path))
    assert len(items) == 9 + 2
    names = [item.name for item in sampled(items, 4)]
    assert names == [item.name for item in sampled(items[::-1], 4)]
    assert {name.partition(".")[2] for name in names if not name.endswith("/")} >= {"keras", "h5", "weights.h5"}
