"""What commands say on standard error: summaries, progress, and nothing of TensorFlow's."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wtool
from tests import forkserver
from tests.cli.terminals import on_a_terminal, plain
from tests.models import BLOBS, FIXTURES
from wtool.errors import counted

BN = FIXTURES / "bn" / "ckpt-9.keras"
NOISE = re.compile(r"absl|cpu_feature|oneDNN|cuda|tensorflow|TF-TRT|Warning|WARNING|retracing|np\.bool", re.IGNORECASE)


def run(*words: object, cwd: Path, training: bool = False) -> subprocess.CompletedProcess[str]:
    argv = forkserver.wtool(*words, training=training)
    return subprocess.run(argv, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder with a zoo of three models and two broken files, and with data."""
    (tmp_path / "zoo").mkdir()
    for path in BLOBS[:3]:
        shutil.copy(path, tmp_path / "zoo")
    for name in ("x.keras", "y.keras"):
        (tmp_path / "zoo" / name).write_bytes(b"broken")
    with np.load(FIXTURES / "blobs" / "data.npz") as data:
        np.savez(tmp_path / "data.npz", x=data["test_x"][:64], y=data["test_y"][:64])
    return tmp_path


def test_nouns_have_their_numbers() -> None:
    assert [counted(number, "layer") for number in (0, 1, 2, 1000)] == [
        "0 layers",
        "1 layer",
        "2 layers",
        "1,000 layers",
    ]
    assert [counted(number, "pass", "passes") for number in (1, 2)] == ["1 pass", "2 passes"]


def test_a_batch_ends_with_its_summary(here: Path) -> None:
    reason = "not a Keras model: it starts with b'broken', which is no zip, HDF5, JSON or safetensors file"
    failed = f"wtool: 2 failed: zoo/x.keras, zoo/y.keras: {reason}"
    done = run("prune", "zoo", "-o", "out/", "--sparsity", ".5", cwd=here)
    size = sum(path.stat().st_size for path in (here / "out").iterdir())
    *_, first, last = done.stderr.splitlines()
    assert first == failed
    assert re.fullmatch(rf"wtool: 3 done, 0 skipped, 2 failed; {size:,} bytes written in [0-9.]+ s", last)
    again = run("prune", "zoo", "-o", "out/", "--sparsity", ".5", cwd=here).stderr.splitlines()
    assert len(again) == 5
    assert again[2] == "wtool: 3 results there already, made from the same inputs in the same way; --verbose names each"
    assert again[3] == failed
    assert again[4].startswith("wtool: 0 done, 3 skipped, 2 failed; nothing written in ")
    verbose = run("prune", "zoo", "-o", "out/", "--sparsity", ".5", "-v", cwd=here).stderr
    assert verbose.count("there already, made from the same input in the same way: skipped") == 3
    assert "--verbose" not in verbose
    quiet = run("prune", "zoo", "-o", "out/", "--sparsity", ".5", "-q", cwd=here).stderr.splitlines()
    assert [line.split(": ")[1] for line in quiet] == ["zoo/x.keras", "zoo/y.keras"]


def test_a_single_model_has_no_summary(here: Path) -> None:
    words = ("prune", "zoo/ckpt-91.keras", "-o", "new.keras", "--sparsity", ".5")
    assert len(run(*words, cwd=here).stderr.splitlines()) == 1
    (line,) = run(*words, cwd=here).stderr.splitlines()
    assert line.endswith("made from the same input in the same way: skipped")


def test_the_bytes_of_shards_count(here: Path) -> None:
    for path in (FIXTURES / "zoo" / "k3.12.4").glob("shard*_0*.h5"):
        shutil.copy(path, here)
    for name in ("sharded.weights.json", "shardsplit_1.535e-05.weights.json"):
        shutil.copy(FIXTURES / "zoo" / "k3.12.4" / name, here)
    done = run("prune", *sorted(path.name for path in here.glob("*.json")), "-o", "out/", "--sparsity", ".5", cwd=here)
    size = sum(path.stat().st_size for path in (here / "out").iterdir())
    assert f"2 done, 0 skipped, 0 failed; {size:,} bytes" in done.stderr


def test_check_tells_what_it_found_and_how_many_are_fine(here: Path) -> None:
    done = run("check", "zoo", "data.npz", cwd=here)
    damaged = [line.split(": ")[0] for line in done.stdout.splitlines() if ": damaged: " in line]
    assert damaged[:2] == ["zoo/x.keras", "zoo/y.keras"]
    assert "nothing found" not in done.stderr
    assert "3 fine, " in done.stderr.splitlines()[-1]
    assert run("check", BLOBS[0], cwd=here).stderr == f"wtool: {BLOBS[0]}: nothing found\n"


def test_dry_runs_list_no_untouched_slots() -> None:
    status, shown = on_a_terminal("prune", BN, "--sparsity", ".5", "-n", columns=120)
    assert status == 0
    lines = plain(shown)
    kept = [line for line in lines if line.startswith("optimizer/") and line.endswith("kept")]
    (last,) = kept
    assert re.match(r"optimizer/\.\.\. \(\d+ variables\) +kept", last)
    assert any(line.startswith("optimizer/") and "changed" in line for line in lines)


def test_a_model_that_is_as_sparse_already_is_told(tmp_path: Path) -> None:
    first = wtool.prune(BLOBS[0], sparsity=0.8, output=tmp_path / "a.keras")[0]
    second = wtool.prune(tmp_path / "a.keras", sparsity=0.5, output=tmp_path / "b.keras")[0]
    told = "already as sparse as that, or more: no further weight is pruned"
    assert (told in first.notes, told in second.notes) == (False, True)
    assert first.zeros == second.zeros


@pytest.mark.parametrize("words", [("inspect", "zoo"), ("inspect", "zoo", "--tensors"), ("inspect", "zoo", "--json"),
                                   ("check", "zoo"), ("diff", "zoo/ckpt-91.keras", "zoo/ckpt-92.keras"),
                                   ("inspect", "zoo", "--stable"), ("prune", "zoo", "--sparsity", ".5", "-n"),
                                   ("average", "zoo/ckpt-91.keras", "zoo/ckpt-92.keras", "-n")])  # fmt: skip
def test_a_reader_that_leaves_ends_a_command_without_a_word(words: tuple[str, ...], here: Path) -> None:
    """As `head -1` does; what was said on standard error before that stays."""
    argv = forkserver.wtool(*words)
    with subprocess.Popen(argv, cwd=here, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        told = process.stderr.read()
    assert process.returncode == 141
    assert "ipe" not in told
    assert "Traceback" not in told


COMMANDS: dict[str, tuple[object, ...]] = {
    "swap": ("swap", BLOBS[0], "--to", "linked", "--verify", "-o", "new.keras"),
    "convert": ("convert", FIXTURES / "zoo" / "tf2.10" / "mlp.h5", "--verify", "-o", "new.keras"),
    "shrink": ("shrink", BLOBS[0], "--sparsity", ".5", "--verify", "-o", "new.keras"),
    "evaluate": ("evaluate", BLOBS[0], BLOBS[1], "--data", "data.npz", "--ensemble"),
    "recalibrate": ("recalibrate", BN, "--data", "data.npz", "-o", "new.keras"),
    "average": ("average", BN, FIXTURES / "bn" / "ckpt-10.keras", "--recalibrate", "data.npz", "-o", "new.keras"),
    "soup": ("soup", *BLOBS[:2], "--data", "data.npz", "-o", "new.keras"),
    "resume": ("resume", BLOBS[0], "--data", "data.npz", "--epochs", "1", "-o", "new.keras"),
}


@pytest.mark.slow
@pytest.mark.tensorflow
@pytest.mark.parametrize("name", COMMANDS)
def test_nothing_of_tensorflow_is_shown(name: str, here: Path) -> None:
    """A process of its own: what TensorFlow says while it is imported, it says once."""
    argv = [sys.executable, "-m", "wtool", *map(str, COMMANDS[name])]
    env = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    done = subprocess.run(argv, cwd=here, capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 0, done.stderr
    own = [line for line in done.stderr.splitlines() if not line.startswith(("wtool: ", "layer "))]
    assert [line for line in own if NOISE.search(line)] == []


@pytest.mark.tensorflow
def test_evaluations_tell_how_far_they_are(here: Path) -> None:
    from wtool.training.evaluate import PARTS

    seen: list[tuple[int, int]] = []
    data = str(here / "data.npz")
    wtool.evaluate(BLOBS[:2], data=data, ensemble=True, batch_size=16, progress=lambda *told: seen.append(told))
    assert {total for _, total in seen} == {3 * PARTS}
    done = [each for each, _ in seen]
    assert done == sorted(done)
    assert {PARTS // 4, PARTS, PARTS + PARTS // 2, 2 * PARTS, 3 * PARTS} <= set(done)


@pytest.mark.tensorflow
def test_metrics_of_models_line_up(here: Path) -> None:
    done = run("evaluate", *BLOBS[:3], "--data", "data.npz", cwd=here, training=True)
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr
    places = {tuple(match.start() for match in re.finditer(r"\.(?=\d+( |$))", line)) for line in lines[1:]}
    assert len(places) == 1
    assert lines == [line.rstrip() for line in lines]
    told = run("evaluate", BLOBS[0], "--data", "data.npz", "--json", cwd=here, training=True).stdout
    assert lines[1].split()[1] == f"{json.loads(told)['metrics']['loss']:#.6g}"


@pytest.mark.tensorflow
def test_an_experiment_tells_the_training_that_goes_on(here: Path) -> None:
    seen: list[Any] = []
    words: dict[str, Any] = {"data": str(here / "data.npz"), "epochs": 2, "sparsity": 0.5, "seed": 1}
    wtool.randomize(BLOBS[0], initial=BLOBS[0], output=here / "init.keras", optimizer="reset", seed=1)
    wtool.lottery(here / "init.keras", out=here / "run", watch=seen.append, **words)
    told = [(each.trial, each.arm, each.round, each.epoch) for each in seen]
    assert told == [(1, "dense", 0, 1), (1, "dense", 0, 2), (1, "rewind", 1, 1), (1, "rewind", 1, 2)]
    assert all(each.metrics["loss"] > 0 for each in seen)
    assert seen[0].remaining > seen[-1].remaining


def test_models_that_cannot_be_read_are_counted(here: Path) -> None:
    told = run("inspect", "zoo", cwd=here).stderr.splitlines()
    assert told[-1] == "wtool: 3 of 5 models read; 2 failed"
    assert len(told) == 3
    assert len(run("inspect", "zoo/x.keras", cwd=here).stderr.splitlines()) == 1
