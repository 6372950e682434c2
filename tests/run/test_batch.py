"""Many models: trees, processes, failures, and going on where a run stopped."""

from __future__ import annotations

import gc
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

import wtool
from tests import forkserver
from tests.models import BLOBS, FIXTURES, ZOO, extents, hdf5_bytes
from tests.ops.test_operations import lineage
from wtool.run.executors import processes
from wtool.run.executors.in_turn import InTurn
from wtool.run.target import goals_of
from wtool.run.task import Task

MODELS = {
    "a.keras": BLOBS[0],
    "deep/b.keras": BLOBS[1],
    "deep/er/c.h5": FIXTURES / "bn" / "ckpt-9.h5",
    "deep/d.weights.h5": FIXTURES / "bn" / "ckpt-9.weights.h5",
    "e.keras": ZOO / "k3.15.1" / "mlp.keras",
}


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    """A folder with a tree of models, and other things."""
    for name, source in MODELS.items():
        (tmp_path / "zoo" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, tmp_path / "zoo" / name)
    (tmp_path / "zoo" / "notes.txt").write_text("not a model")
    return tmp_path / "zoo"


def tree(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in tree(folder)}


@pytest.mark.parametrize(("jobs", "started"), [(1, []), (2, [2]), (9, [3])])
def test_as_many_processes_as_jobs_and_models(
    jobs: int, started: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def in_processes(count: int) -> Any:
        seen.append(count)
        return InTurn()

    monkeypatch.setattr(processes, "Processes", in_processes)
    wtool.prune(BLOBS[:3], sparsity=0.5, output=f"{tmp_path}/out/", jobs=jobs)
    assert seen == started


@pytest.mark.parametrize("workers", [1, 2, 9])
def test_a_tree_is_kept(zoo: Path, tmp_path: Path, workers: int) -> None:
    reported: list[Any] = []
    done = wtool.prune(zoo, sparsity=0.5, output=tmp_path / "out/", jobs=workers, report=reported.append)
    assert tree(tmp_path / "out") == set(MODELS)
    assert reported == done
    assert [result.model for result in done] == sorted(str(zoo / name) for name in MODELS)
    for result in done:
        assert result.output == result.model.replace(str(zoo), str(tmp_path / "out"))
        assert result.rewritten == result.zeros > 0


@pytest.mark.parametrize("operation", ["stroke", "prune"])
def test_the_number_of_processes_changes_no_byte(operation: str, zoo: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"sparsity": 0.5, "criterion": "random"} if operation == "prune" else {}
    results = []
    for workers in (1, 2, 3):
        getattr(wtool, operation)(zoo, output=tmp_path / f"{workers}/", seed=5, jobs=workers, **options)
        results.append(contents(tmp_path / str(workers)))
    assert results[0] == results[1] == results[2]
    getattr(wtool, operation)(zoo, output=tmp_path / "other/", seed=6, jobs=2, **options)
    assert all(content != results[0][name] for name, content in contents(tmp_path / "other").items())


@pytest.mark.parametrize("workers", [1, 2])
def test_a_failing_model_does_not_stop_the_others(workers: int, zoo: Path, tmp_path: Path) -> None:
    (zoo / "b.keras").write_bytes(BLOBS[0].read_bytes()[:5000])
    reported: list[Any] = []
    with pytest.raises(wtool.SomeFailed, match=r"1 of 6 models failed; the first: .*b\.keras: ") as caught:
        wtool.prune(zoo, sparsity=0.5, output=tmp_path / "out/", jobs=workers, report=reported.append)
    assert tree(tmp_path / "out") == set(MODELS)
    assert list(caught.value.results) == reported
    assert [isinstance(each, wtool.Failed) for each in reported] == [False, True, False, False, False, False]


@pytest.mark.parametrize("workers", [1, 2])
def test_results_that_are_not_collected_are_not_kept(workers: int, zoo: Path, tmp_path: Path) -> None:
    (zoo / "b.keras").write_bytes(BLOBS[0].read_bytes()[:5000])
    (zoo / "deep" / "f.keras").write_bytes(BLOBS[0].read_bytes()[:5000])
    reported: list[Any] = []
    alive: list[int] = []

    def report(result: Any) -> None:
        reported.append(result.model)
        gc.collect()
        alive.append(sum(isinstance(each, wtool.Transformed) for each in gc.get_objects()) - before)

    gc.collect()
    before = sum(isinstance(each, wtool.Transformed) for each in gc.get_objects())
    options: dict[str, Any] = {"sparsity": 0.5, "jobs": workers, "report": report, "collect": False}
    with pytest.raises(wtool.SomeFailed, match=r"2 of 7 models failed; the first: .*b\.keras: ") as caught:
        wtool.prune(zoo, output=tmp_path / "out/", **options)
    assert tree(tmp_path / "out") == set(MODELS)
    assert [each.model for each in caught.value.results] == [str(zoo / "b.keras")]
    assert len(reported) == 7
    assert alive[-1] == 1
    (zoo / "b.keras").unlink()
    (zoo / "deep" / "f.keras").unlink()
    assert wtool.prune(zoo, output=tmp_path / "again/", **options) == []


@pytest.mark.parametrize("operation", ["prune", "stroke", "average", "check", "inspect", "diff", "convert"])
@pytest.mark.parametrize("name", ["a.keras", "deep/er/c.h5", "deep/d.weights.h5"])
def test_work_on_a_model_leaves_nothing_that_holds_itself(name: str, operation: str, zoo: Path, tmp_path: Path) -> None:
    """The command searches for such objects seldom."""
    words: dict[str, Any] = {"prune": {"sparsity": 0.5}, "convert": {"to": "weights.h5"}}.get(operation, {})
    if operation not in ("check", "inspect", "diff"):
        ending = ".weights.h5" if operation == "convert" else "".join(Path(name).suffixes)
        words |= {"output": tmp_path / f"out{ending}", "force": True}
    model = str(zoo / name)
    do = partial(getattr(wtool, operation), **words)
    do = partial(do, [model, model]) if operation == "average" else partial(do, *[model] * (1 + (operation == "diff")))
    do()  # what is made once stays
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        do()
        gc.collect()
        found = [type(each).__name__ for each in gc.garbage if type(each).__module__.startswith("wtool")]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert found == []


@pytest.mark.parametrize("size", [100, 1_200_000])
def test_a_model_that_failed_leaves_nothing_either(size: int, tmp_path: Path) -> None:
    """The frames of its error held arrays, and hundreds of such models a gigabyte."""
    values = np.arange(size, dtype=np.float32)
    values[-1] = np.nan
    for name in ("a", "b"):
        save_file({"dense/kernel": values.reshape(-1, 10)}, tmp_path / f"{name}.safetensors")
    code = """
import gc, os
from wtool.cli import cli
def run():
    cli.main(["prune", "a.safetensors", "b.safetensors", "--sparsity", ".5", "-o", "out/"], standalone_mode=False)
run()
gc.collect()
gc.disable()
gc.set_debug(gc.DEBUG_SAVEALL)
run()
gc.collect()
frames = [each for each in gc.garbage if type(each).__name__ == "frame" and each.f_locals]
print(sorted({each.f_code.co_name for each in frames if "wtool" in each.f_code.co_filename}))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("workers", [1, 2])
def test_fail_fast(workers: int, zoo: Path, tmp_path: Path) -> None:
    (zoo / "a.keras").write_bytes(b"broken")
    for number in range(100):  # more than one process does while the other one fails on a busy machine
        shutil.copy(BLOBS[1], zoo / f"many-{number}.keras")
    with pytest.raises(wtool.SomeFailed, match=r"1 of 1 model failed"):
        wtool.prune(zoo, sparsity=0.5, output=tmp_path / "out/", jobs=workers, fail_fast=True)
    assert len(tree(tmp_path / "out") if (tmp_path / "out").exists() else ()) < len(tree(zoo)) - 2


def test_a_single_model_raises_its_own_error(tmp_path: Path) -> None:
    (tmp_path / "broken.keras").write_bytes(b"broken")
    with pytest.raises(wtool.Refused, match=r"broken\.keras: not a Keras model"):
        wtool.prune(tmp_path / "broken.keras", sparsity=0.5)


def test_a_bug_with_one_model_is_told_and_the_rest_goes_on(
    zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Task.run

    def buggy(task: Task[Any], *others: Any) -> Any:
        if task.model.endswith("a.keras"):
            raise ZeroDivisionError("oh")
        return real(task, *others)

    monkeypatch.setattr(Task, "run", buggy)
    with pytest.raises(wtool.SomeFailed, match=r"this is a bug \(ZeroDivisionError: oh\)"):
        wtool.prune(zoo, sparsity=0.5, output=tmp_path / "out/")
    assert tree(tmp_path / "out") == set(MODELS) - {"a.keras"}


def test_a_process_that_dies_is_a_failing_model(zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Task.run

    def deadly(task: Task[Any], *others: Any) -> Any:
        if task.model.endswith("a.keras"):
            os.kill(os.getpid(), signal.SIGKILL)
        return real(task, *others)

    monkeypatch.setattr(Task, "run", deadly)
    monkeypatch.setattr(processes, "_context", lambda: processes.multiprocessing.get_context("fork"))
    with pytest.raises(
        wtool.SomeFailed, match=r"a\.keras: the process that worked on it died \(exit code -9\), 3 times"
    ):
        wtool.prune(zoo, sparsity=0.5, output=tmp_path / "out/", jobs=2)
    assert tree(tmp_path / "out") == set(MODELS) - {"a.keras"}


@pytest.mark.slow
def test_processes_that_are_killed_from_outside(tmp_path: Path) -> None:
    """Both at once, more than once: every model is done, or told of, and the run comes to an end."""
    (tmp_path / "zoo").mkdir()
    for each in range(400):
        shutil.copy(BLOBS[0], tmp_path / "zoo" / f"{each}.keras")
    argv = [sys.executable, "-m", "wtool", "prune", "zoo", "-o", "out/", "--sparsity", ".5", "-j", "2", "-q"]
    process = subprocess.Popen(argv, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    for moment in (20, 60, 100):
        while process.poll() is None and len(list((tmp_path / "out").glob("*"))) < moment:
            time.sleep(0.002)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        for child in children:
            os.kill(int(child), signal.SIGKILL)
    _, words = process.communicate()
    lost = words.count("the process that worked on it died")
    assert lost == len(words.splitlines())
    assert len(list((tmp_path / "out").iterdir())) >= 400 - lost
    assert process.returncode == (1 if lost else 0)


@pytest.mark.slow
def test_a_script_without_a_guard_may_use_processes(zoo: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import threading, time, wtool\n"
        "threading.Thread(target=time.sleep, args=(3,), daemon=True).start()\n"
        "print('once')\n"
        "print(len(wtool.prune('zoo', sparsity=0.5, output='out/', jobs=2)))\n"
    )
    done = subprocess.run([sys.executable, script.name], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.split() == ["once", str(len(MODELS))], done.stderr


def test_processes_that_are_not_forked(zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_context", lambda: processes.multiprocessing.get_context("spawn"))
    wtool.prune(zoo, sparsity=0.5, output=tmp_path / "out/", jobs=2)
    assert tree(tmp_path / "out") == set(MODELS)


# Going on


def test_what_is_done_is_skipped(zoo: Path, tmp_path: Path) -> None:
    wtool.stroke(zoo, output=tmp_path / "out/", volatility_ratio=0.2)
    before = contents(tmp_path / "out")
    (tmp_path / "out" / "a.keras").unlink()
    again = wtool.stroke(zoo, output=tmp_path / "out/", volatility_ratio=0.2, jobs=2)
    assert [result.skipped for result in again] == [False, True, True, True, True]
    after = contents(tmp_path / "out")
    assert {name for name in after if after[name] != before[name]} == {"a.keras"}


@pytest.mark.parametrize("difference", ["parameter", "input", "seed", "operation", "selection", "not ours"])
def test_what_is_not_the_same_is_not_skipped(difference: str, tmp_path: Path) -> None:
    source, target = tmp_path / "model.keras", tmp_path / "out.keras"
    shutil.copy(BLOBS[0], source)
    wtool.stroke(source, volatility_ratio=0.2, seed=1, output=target)
    assert wtool.stroke(source, volatility_ratio=0.2, seed=1, output=target)[0].skipped
    assert wtool.stroke(source, volatility_ratio=0.2, output=target)[0].skipped
    options: dict[str, Any] = {"volatility_ratio": 0.2, "seed": 1}
    operation: Any = wtool.stroke
    match difference:
        case "parameter":
            options["volatility_ratio"] = 0.3
        case "input":
            shutil.copy(BLOBS[1], source)
        case "seed":
            options["seed"] = 2
        case "operation":
            operation, options = wtool.neuroplast, {}
        case "selection":
            options["biases"] = True
        case "not ours":
            target.write_bytes(b"mine")
    content = target.read_bytes()
    with pytest.raises(wtool.WtoolError, match="exists already"):
        operation(source, output=target, **options)
    assert target.read_bytes() == content
    assert not operation(source, output=target, force=True, **options)[0].skipped
    assert target.read_bytes() != content


def test_the_initial_checkpoint_counts_as_an_input(tmp_path: Path) -> None:
    wtool.prune(BLOBS[5], sparsity=0.5, output=tmp_path / "mask.keras")
    wtool.rewind(tmp_path / "mask.keras", initial=BLOBS[0], output=tmp_path / "out.keras")
    assert wtool.rewind(tmp_path / "mask.keras", initial=BLOBS[0], output=tmp_path / "out.keras")[0].skipped
    with pytest.raises(wtool.WtoolError, match="exists already"):
        wtool.rewind(tmp_path / "mask.keras", initial=BLOBS[1], output=tmp_path / "out.keras")


def test_results_beside_their_models_are_no_models_the_next_time(zoo: Path) -> None:
    wtool.prune(zoo, sparsity=0.5)
    names = tree(zoo)
    assert names == {*MODELS, "notes.txt", *(f"{n[: n.index('.')]}-prune{n[n.index('.') :]}" for n in MODELS)}
    again = wtool.prune(zoo, sparsity=0.5)
    assert [result.skipped for result in again] == [True] * len(MODELS)
    assert tree(zoo) == names


def test_an_output_inside_the_input_is_no_input(zoo: Path) -> None:
    wtool.prune(zoo, sparsity=0.5, output=zoo / "pruned")
    wtool.prune(zoo, sparsity=0.5, output=zoo / "pruned")
    assert tree(zoo / "pruned") == set(MODELS)


def test_one_initial_checkpoint_for_many_models(tmp_path: Path) -> None:
    wtool.prune(BLOBS[5:8], sparsity=0.5, output=f"{tmp_path / 'masks'}/")
    done = wtool.reshuffle(tmp_path / "masks", initial=BLOBS[0], output=tmp_path / "tickets/", seed=1, jobs=2)
    assert [result.zeros for result in done] == [63] * 3
    assert [lineage(tmp_path / "tickets" / path.name)[-1]["inputs"][0]["name"] for path in BLOBS[5:8]] == [
        BLOBS[0].name
    ] * 3


# Which model becomes which file


def test_targets(zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def targets(words: list[str], output: str | None, **options: Any) -> list[str]:
        return sorted(goal.path for _, goal in goals_of(words, output, "prune", **options))

    assert targets(["zoo/a.keras"], None) == ["zoo/a-prune.keras"]
    assert targets(["zoo/a.keras"], None, ending=".h5") == ["zoo/a-prune.h5"]
    assert targets(["zoo/deep/d.weights.h5"], None) == ["zoo/deep/d-prune.weights.h5"]
    assert targets(["zoo/a.keras"], "new.keras") == ["new.keras"]
    assert targets(["zoo/a.keras"], "out/") == ["out/a.keras"]
    assert targets(["zoo/a.keras"], "zoo/deep") == ["zoo/deep/a.keras"]
    assert targets(["zoo/a.keras", "zoo/deep/b.keras"], "out/") == ["out/a.keras", "out/b.keras"]
    assert targets(["zoo/**/*.keras"], "out/") == ["out/a.keras", "out/deep/b.keras", "out/e.keras"]
    assert targets(["zoo/deep"], "out") == ["out/b.keras", "out/d.weights.h5", "out/er/c.h5"]
    assert targets(["zoo", "zoo/a.keras"], "out") == sorted(f"out/{name}" for name in MODELS)
    assert targets(["zoo"], ".") == sorted(f"./{name}" for name in MODELS)
    assert targets(["zoo"], "zoo") == sorted(f"zoo/{name}" for name in MODELS)
    assert targets(["zoo/*.keras"], "./") == ["./a.keras", "./e.keras"]
    assert targets(["-"], "-") == ["-"]
    assert targets(["zoo/a.keras"], None, in_place=True) == ["zoo/a.keras"]


@pytest.mark.parametrize(
    ("words", "output", "complaint"),
    [
        (["zoo/a.keras", "zoo/e.keras"], "out.keras", "called like a file, but a folder may hold many models"),
        (["zoo/a.keras", "zoo/e.keras"], "-", "2 models, and standard output takes one"),
        (["-"], None, "needs an --output"),
        (["-"], "out/", "needs an --output"),
        (["-", "-"], "-", "only one of the inputs"),
        ([], "out/", "no models"),
        (["zoo/a.keras", "zoo/deep/a.keras"], "out/", "would both become out/a.keras"),
        (["zoo/a.keras", "zoo/a-prune.keras"], None, "is a model to read as well"),
    ],
)
def test_targets_that_cannot_be(
    words: list[str], output: str | None, complaint: str, zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(zoo / "a.keras", zoo / "deep" / "a.keras")
    shutil.copy(zoo / "a.keras", zoo / "a-prune.keras")
    monkeypatch.chdir(tmp_path)
    before = tree(tmp_path)
    with pytest.raises(wtool.Usage, match=complaint):
        wtool.prune(words, sparsity=0.5, output=output)
    assert tree(tmp_path) == before


# On the command line


def run(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(forkserver.wtool(*words), capture_output=True, text=True, cwd=cwd)


def test_lines_and_objects_for_each_model(zoo: Path, tmp_path: Path) -> None:
    (zoo / "b.keras").write_bytes(b"broken")
    done = run("prune", "zoo", "-o", "out/", "--sparsity", ".5", "-j", "2", "--json", cwd=tmp_path)
    assert done.returncode == 1
    objects = [json.loads(line) for line in done.stdout.splitlines()]
    assert [each["model"] for each in objects] == sorted(f"zoo/{name}" for name in [*MODELS, "b.keras"])
    assert ["error" in each for each in objects] == [False, True, False, False, False, False]
    lines = done.stderr.splitlines()
    assert sum("written to out/" in line for line in lines) == len(MODELS)
    reason = "not a Keras model: it starts with b'broken', which is no zip, HDF5, JSON or safetensors file"
    assert [line for line in lines if "b.keras" in line and "deep" not in line] == [
        f"wtool: zoo/b.keras: {reason}",
        f"wtool: 1 failed: zoo/b.keras: {reason}",
    ]
    size = sum(path.stat().st_size for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert lines[-1].startswith(f"wtool: {len(MODELS)} done, 0 skipped, 1 failed; {size:,} bytes written in ")
    again = run("prune", "zoo", "-o", "out/", "--sparsity", ".5", "-q", cwd=tmp_path)
    assert (again.returncode, again.stdout) == (1, "")
    assert len(again.stderr.splitlines()) == 1
    told = run("prune", "zoo/a.keras", "-o", "out/", "--sparsity", ".5", cwd=tmp_path)
    assert "made from the same input in the same way: skipped" in told.stderr
    assert told.returncode == 0


def test_a_single_failing_model_is_an_object_too(tmp_path: Path) -> None:
    done = run("prune", "missing.keras", "--sparsity", ".5", "--json", cwd=tmp_path)
    assert done.returncode == 1
    assert json.loads(done.stdout) == {"model": "missing.keras", "error": "No such file or directory"}
    assert done.stderr == "wtool: missing.keras: No such file or directory\n"
    assert "Traceback" in run("--debug", "prune", "missing.keras", "--sparsity", ".5", cwd=tmp_path).stderr


def test_a_missing_initial_checkpoint_is_said_once(zoo: Path) -> None:
    done = run("rewind", "zoo", "--initial", "nope.keras", "-o", "out/", cwd=zoo.parent)
    assert (done.returncode, done.stderr) == (1, "wtool: nope.keras: No such file or directory\n")
    done = run("rewind", "zoo", "--initial", "zoo", "-o", "out/", cwd=zoo.parent)
    told = "wtool: zoo: a folder, and no unzipped model; a single file is expected\n"
    assert (done.returncode, done.stderr) == (1, told)


def test_a_result_that_was_damaged_since_is_not_skipped(tmp_path: Path) -> None:
    shutil.copy(BLOBS[0], tmp_path / "model.keras")
    wtool.prune(tmp_path / "model.keras", sparsity=0.5)
    target = tmp_path / "model-prune.keras"
    content = bytearray(target.read_bytes())
    content[content.index(b"SNOD") + 4000] ^= 1
    target.write_bytes(content)
    with pytest.raises(wtool.WtoolError, match="exists already"):
        wtool.prune(tmp_path / "model.keras", sparsity=0.5)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted_at_once_without_half_files(number: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "zoo").mkdir()
    for each in range(600):
        shutil.copy(BLOBS[0], tmp_path / "zoo" / f"{each}.keras")
    argv = [sys.executable, "-m", "wtool", "prune", "zoo", "-o", "out/", "--sparsity", ".5", "-j", "2"]
    process = subprocess.Popen(argv, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True)
    while process.poll() is None and len(list((tmp_path / "out").glob("*"))) < 20:
        time.sleep(0.01)
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
    _, words = process.communicate()
    assert process.returncode == 128 + number
    assert "Traceback" not in words
    done = list((tmp_path / "out").iterdir())
    assert 20 <= len(done) < 600
    if number == signal.SIGINT:
        told, last = words.split("\n\n")[-2].splitlines()[-1], words.splitlines()[-1]
        assert last == "wtool: interrupted"
        assert re.fullmatch(r"wtool: \d+ done, 0 skipped, 0 failed; .* written in .* s; the same command goes on", told)
    assert all(len(wtool.open_checkpoint(str(path)).lineage) == 1 for path in done)
    time.sleep(0.3)
    assert len(list((tmp_path / "out").iterdir())) == len(done), "a process goes on"
    rest = run("prune", "zoo", "-o", "out/", "--sparsity", ".5", "-j", "2", cwd=tmp_path)
    assert rest.returncode == 0
    assert len(list((tmp_path / "out").iterdir())) == 600
    last = rest.stderr.splitlines()[-1]
    assert last.startswith(f"wtool: {600 - len(done)} done, {len(done)} skipped, 0 failed; ")


def test_a_pipeline_of_transforms(tmp_path: Path) -> None:
    wt = shlex.join(forkserver.wtool())
    initial, trained = BLOBS[0], BLOBS[-1]
    prune = f"{wt} prune {trained} --sparsity .5 -o -"
    script = f"set -o pipefail; {prune} | {wt} stroke - --seed 1 -o - | {wt} inspect - --json"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert [record["operation"] for record in json.loads(done.stdout)["lineage"]] == ["prune", "stroke"]
    ticket = tmp_path / "ticket.keras"
    script = f"{prune} | {wt} rewind - --initial {initial} -o {ticket}"
    subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    wtool.prune(trained, sparsity=0.5, output=tmp_path / "mask.keras")
    wtool.rewind(tmp_path / "mask.keras", initial=initial, output=tmp_path / "other.keras")
    assert hdf5_bytes(ticket) == hdf5_bytes(tmp_path / "other.keras")
    script = f"{prune} | {wt} rewind - --initial - -o {tmp_path / 'x.keras'}"
    both = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
    assert both.returncode == 2
    assert "standard input (-) can be only one of the inputs" in both.stderr


def test_dry_runs_list_every_tensor(zoo: Path) -> None:
    done = run("prune", str(zoo), "--sparsity", ".5", "-n")
    assert done.returncode == 0
    assert "hidden/kernel" in done.stdout
    assert "25 of 50 rewritten; 25 are zero" in done.stdout
    assert tree(zoo) == {*MODELS, "notes.txt"}


@pytest.mark.parametrize(
    ("words", "status", "complaint"),
    [
        (["prune", "MODEL"], 2, "say what is pruned"),
        (["prune", "MODEL", "--sparsity", "2"], 2, "not between 0 and 1"),
        (["prune", "MODEL", "--sparsity", ".5", "--criterion", "mi"], 2, "needs an initial checkpoint"),
        (["prune", "MODEL", "--sparsity", ".5", "-o", "-", "--json"], 2, "both write to standard output"),
        (["prune", "missing.keras", "--sparsity", ".5"], 1, "No such file"),
        (["prune", "MODEL", "--sparsity", ".5", "--include", "dnse*"], 2, "no tensor that could change"),
        (["rewind", "MODEL"], 2, "needs an initial checkpoint"),
        (["rewind", "MODEL", "--initial", "missing.keras"], 1, "No such file"),
        (["stroke", "MODEL", "-j", "0"], 2, "-j"),
    ],
)
def test_complaints(words: list[str], status: int, complaint: str, tmp_path: Path) -> None:
    shutil.copy(BLOBS[0], tmp_path / "model.keras")
    done = run(*("model.keras" if word == "MODEL" else word for word in words), cwd=tmp_path)
    assert done.returncode == status
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr
    assert tree(tmp_path) == {"model.keras"}


def test_the_five_re_initialisations_take_the_same_words(tmp_path: Path) -> None:
    wtool.prune(BLOBS[-1], sparsity=0.5, output=tmp_path / "mask.keras")
    for name in ("rewind", "jitter", "randomize", "reshuffle", "constant"):
        words = [name, "mask.keras", "--initial", str(BLOBS[0]), "--seed", "1", "--no-same-sign", "-o", f"{name}.keras"]
        assert run(*words, cwd=tmp_path).returncode == 0
    assert len({hdf5_bytes(path) for path in tmp_path.glob("*.keras")}) == 6


def failing_zoo(folder: Path) -> Path:
    """A model in a folder of a folder whose damage shows when its weights are read: its place is made before that."""
    (folder / "zoo" / "deep").mkdir(parents=True)
    data = bytearray(BLOBS[0].read_bytes())
    data[data.index(hdf5_bytes(BLOBS[0])) + extents(BLOBS[0])[0][1]] ^= 1
    (folder / "zoo" / "deep" / "bad.keras").write_bytes(data)
    return folder / "zoo"


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("count", [1, 3])
def test_a_batch_that_fails_leaves_no_empty_folder(tmp_path: Path, count: int, jobs: int) -> None:
    zoo = failing_zoo(tmp_path)
    for number in range(1, count):
        shutil.copy(zoo / "deep" / "bad.keras", zoo / f"bad{number}.keras")
    with pytest.raises(wtool.WtoolError):
        wtool.prune(zoo, sparsity=0.5, output=f"{tmp_path}/new/er/out/", jobs=jobs)
    assert [path.name for path in tmp_path.iterdir()] == ["zoo"]


def test_a_batch_removes_no_folder_in_which_something_is_or_that_was_there(tmp_path: Path) -> None:
    zoo, kept = failing_zoo(tmp_path), tmp_path / "kept"
    (kept / "empty").mkdir(parents=True)
    with pytest.raises(wtool.WtoolError):
        wtool.prune(zoo, sparsity=0.5, output=kept)
    assert (kept / "empty").is_dir()
    shutil.copy(BLOBS[0], zoo)
    with pytest.raises(wtool.SomeFailed):
        wtool.prune(zoo, sparsity=0.5, output=f"{tmp_path}/out/")
    assert [path.name for path in (tmp_path / "out").iterdir()] == [BLOBS[0].name]


def test_the_job_of_a_part_removes_no_folder(tmp_path: Path) -> None:
    """That of another part may be about to write there."""
    zoo = failing_zoo(tmp_path)
    with pytest.raises(wtool.WtoolError):
        wtool.prune(zoo, sparsity=0.5, output=f"{tmp_path}/out/", shard="1/1")
    assert (tmp_path / "out" / "deep").is_dir()
