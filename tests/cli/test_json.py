"""What `--json` prints is what the schemas in docs/reference/schemas say."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, get_args

import jsonschema
import numpy as np
import pytest

from tests import forkserver, json_schemas
from tests.models import BLOBS, FIXTURES
from wtool.cli import COMMANDS
from wtool.cli.json_lines import print_json
from wtool.run.action import Kind
from wtool.training.evaluate_options import Evaluated
from wtool.transforms.registry import REGISTRY, transform

KERAS_2 = FIXTURES / "zoo" / "tf2.13" / "mlp.keras"


def printed(folder: Path, *words: str, status: int = 0, training: bool = False) -> list[dict[str, Any]]:
    """Run a command with `--json` in a folder, and return its objects."""
    argv = forkserver.wtool(*words, "--json", training=training)
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == status, done.stderr
    return [json.loads(line, parse_constant=pytest.fail) for line in done.stdout.splitlines()]


def check(name: str, found: list[dict[str, Any]], count: int = 1) -> list[dict[str, Any]]:
    """Hold objects against the schema of a command, as the documentation has it."""
    schema = json.loads((json_schemas.FOLDER / f"{name}.json").read_text())
    validator = jsonschema.Draft202012Validator(schema)
    validator.check_schema(schema)
    assert len(found) == count
    for each in found:
        validator.validate(each)
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, path in enumerate(BLOBS[:3]):
        shutil.copy(path, tmp_path / f"{'abc'[number]}.keras")
    (tmp_path / "bad.keras").write_bytes(b"no model")
    (tmp_path / "r.yaml").write_text("- prune: {sparsity: .5}")
    value = np.random.default_rng(3)
    np.savez(tmp_path / "d.npz", x=value.normal(size=(32, 2)).astype("float32"), y=np.eye(3)[value.integers(0, 3, 32)])
    return tmp_path


def test_the_schemas_are_those_of_the_results() -> None:
    """After a change of a result, `make docs` writes these files anew."""
    assert {path: path.read_text() for path in json_schemas.FOLDER.glob("*.json")} == json_schemas.texts()


def test_every_command_with_json_has_a_schema() -> None:
    without = {"completion", "help"}
    assert COMMANDS.keys() - without == {name for name in json_schemas.RESULTS if name in COMMANDS}


CALLS = {
    "align": ["b.keras", "--to", "a.keras"],
    "average": ["a.keras", "b.keras", "c.keras", "--last", "2", "--doctor"],
    "merge": ["b.keras", "c.keras", "--base", "a.keras", "--method", "ties", "--density", ".5", "--doctor"],
    "pack": ["a.keras"],
    "patch": ["a.keras", "--from", "b.keras", "--include", "hidden/*"],
    "shrink": ["a.keras", "--sparsity", ".4"],
    "swap": ["a.keras", "--to", "linked"],
    "run": ["r.yaml", "a.keras"],
    **{name: ["a.keras", "b.keras", "--seed", "1"] for name in REGISTRY},
}


@pytest.mark.parametrize("name", CALLS)
def test_results_plans_and_results_that_are_there(name: str, folder: Path) -> None:
    kind = transform(name) if name in REGISTRY else None
    words = [name, *CALLS[name], *(["--initial", "c.keras"] if kind is not None and kind.of_initial else [])]
    words += ["--sparsity", ".5"] if name == "prune" else []
    count = 2 if kind is not None else 1
    assert all(not each["skipped"] for each in check(name, printed(folder, *words, "-n"), count))
    done = check(name, printed(folder, *words), count)
    again = check(name, printed(folder, *words), count)
    assert all(each["skipped"] for each in again)
    for key in ("selected", "rewritten", "zeros", "parameters", "inputs", "before", "after"):
        if name not in ("swap", "shrink"):
            assert [each.get(key) for each in again] == [each.get(key) for each in done], key


def test_actions_are_numbers(folder: Path) -> None:
    (done,) = printed(folder, "prune", "a.keras", "--sparsity", ".8", "-q")
    assert done["actions"]["hidden/kernel"] == {
        "kind": "rewritten", "text": "40 of 50 rewritten; 40 are zero", "selected": 50, "rewritten": 40, "zeros": 40,
    }  # fmt: skip
    assert done["actions"]["hidden/bias"]["kind"] == "kept"
    assert sum(each["zeros"] or 0 for each in done["actions"].values()) == done["zeros"] == 100


def test_models_that_fail(folder: Path) -> None:
    for words, name in [
        (["prune", "--sparsity", ".5"], "prune"),
        (["inspect"], "inspect"),
        (["inspect", "--cost"], "inspect-cost"),
        (["convert"], "convert"),
        (["pack"], "pack"),
    ]:
        found = check(name, printed(folder, *words, "a.keras", "bad.keras", status=1), 2)
        assert "error" in found[1]
    found = check("check", printed(folder, "check", "a.keras", "bad.keras", status=1), 2)
    assert found[1]["findings"][0]["severity"] == "damaged"
    assert "error" in check("check", printed(folder, "check", "missing.keras", status=1))[0]


def test_conversions(folder: Path) -> None:
    shutil.copy(KERAS_2, folder / "old.keras")
    (done,) = check("convert", printed(folder, "convert", "old.keras"))
    (again,) = check("convert", printed(folder, "convert", "old.keras"))
    (nothing,) = check("convert", printed(folder, "convert", "a.keras"))
    assert [each["outcome"] for each in (done, again, nothing)] == ["converted", "skipped", "nothing"]


def test_looks(folder: Path) -> None:
    check("inspect", printed(folder, "inspect", "a.keras", str(KERAS_2)), 2)
    check("inspect-cost", printed(folder, "inspect", "--cost", "a.keras"))
    (found,) = check("diff", printed(folder, "diff", "a.keras", "b.keras", status=1))
    assert not found["equal"]
    assert found["tensors"][0]["is_different"]
    (same,) = check("diff", printed(folder, "diff", "a.keras", "a.keras"))
    assert same["equal"]
    check("diff-patch", printed(folder, "diff", "a.keras", "b.keras", "--patch"))
    check("patch", printed(folder, "patch", "a.keras", "b.wpatch"))


def test_tables_and_pages_and_plots_of_many_models(folder: Path) -> None:
    (done,) = check("index", printed(folder, "index", ".", "-o", "zoo.jsonl", status=1))
    assert (done["new"], list(done["failed"])) == (3, ["./bad.keras"])
    (done,) = check("report", printed(folder, "report", ".", "-o", "zoo.html", status=1))
    assert (done["output"], done["bytes"]) == ("zoo.html", (folder / "zoo.html").stat().st_size)
    assert list(done["failed"]) == ["./bad.keras"]
    assert printed(folder, "report", "a.keras", "-o", "-", status=2) == []
    pytest.importorskip("matplotlib")
    (done,) = check("plot", printed(folder, "plot", "a.keras", "b.keras", "-o", "weights.svg"))
    assert done == {"output": "weights.svg", "files": ["weights.svg"], "drawn": ["a.keras", "b.keras"]}


@pytest.mark.parametrize("path", sorted((FIXTURES / "zoo").glob("*/ema*.keras")), ids=lambda path: path.parent.name)
def test_moving_averages(path: Path, tmp_path: Path) -> None:
    shutil.copy(path, tmp_path / "trained.keras")
    (done,) = check("ema", printed(tmp_path, "ema", "trained.keras"))
    (again,) = check("ema", printed(tmp_path, "ema", "trained.keras"))
    assert [again[key] for key in ("selected", "rewritten")] == [done[key] for key in ("selected", "rewritten")]


TRAINING = {
    "evaluate": ["a.keras", "b.keras", "--data", "d.npz", "--ensemble"],
    "resume": ["a.keras", "--data", "d.npz", "--epochs", "1", "-o", "new.keras"],
    "soup": ["a.keras", "b.keras", "--data", "d.npz", "-o", "soup.keras"],
    "recalibrate": ["a.keras", "--data", "d.npz"],
    "lottery": ["a.keras", "--data", "d.npz", "--epochs", "1", "--sparsity", ".5", "--out", "run"],
}


@pytest.mark.tensorflow
@pytest.mark.parametrize("name", TRAINING)
def test_trainings(name: str, folder: Path) -> None:
    words = [name, *TRAINING[name], *(["-q"] if name != "evaluate" else [])]
    for _ in range(2):  # the second time, results are there
        check(name, printed(folder, *words, training=True), 3 if name == "evaluate" else 1)


def test_the_page_runs(tmp_path: Path) -> None:
    """Its first block prints what the page says."""
    page = (json_schemas.FOLDER.parent / "json.md").read_text()
    block, shown = (re.search(rf"```{kind}\n(.*?)```", page, re.DOTALL)[1] for kind in ("sh", "text"))
    for path in BLOBS[:2]:
        shutil.copy(path, tmp_path)
    env = {**os.environ, "PATH": f"{forkserver.folder()}{os.pathsep}{os.environ['PATH']}"}
    argv = ["bash", "-euo", "pipefail", "-c", block]
    done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
    assert done.stdout == shown


def test_the_page_tells_every_schema_and_kind() -> None:
    page = (json_schemas.FOLDER.parent / "json.md").read_text()
    names = [name for name in json_schemas.RESULTS if name not in REGISTRY or name == "prune"]
    assert all(f"(schemas/{name}.json)" in page for name in names)
    assert all(f"`{kind}`" in page for kind in get_args(Kind))


def test_numbers_that_do_not_exist_are_null(capsys: pytest.CaptureFixture[str]) -> None:
    print_json(Evaluated("m.keras", {"loss": float("nan"), "mae": float("inf"), "accuracy": 0.5}))
    assert json.loads(capsys.readouterr().out) == {
        "model": "m.keras", "metrics": {"loss": None, "mae": None, "accuracy": 0.5},
    }  # fmt: skip
