"""Batches on a Dask cluster: results, order, failures, and messages are those of processes; workers may die."""

from __future__ import annotations

import os
import queue
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import wtool
from tests import forkserver
from tests.models import BLOBS
from wtool.run.executors import batches, cluster_connection, cluster_worker
from wtool.run.executors.cluster import Cluster
from wtool.run.failed import Failed
from wtool.run.progress import Meter

distributed = pytest.importorskip("distributed")
pytestmark = pytest.mark.timeout(120)

PRUNE = ("prune", "zoo", "--sparsity", ".5", "-o", "out/")


@contextmanager
def scheduler(*workers: list[str]) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A scheduler in a process of its own, with workers in further ones; yields its address and all processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    dask = [sys.executable, "-m", "distributed.cli.dask_scheduler"]
    processes = [started(*dask, "--host", address, "--no-dashboard")]
    try:
        for words in workers:
            processes.append(started(*worker_of(address), *words))
        wait_for(address)
        yield address, processes
    finally:
        for each in reversed(processes):
            each.kill()
            each.wait()


def worker_of(address: str) -> list[str]:
    dask = [sys.executable, "-m", "distributed.cli.dask_worker", address]
    return [*dask, "--nthreads", "1", "--no-dashboard", "--no-nanny", "--memory-limit", "0"]


def started(*argv: str, **more: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **more)


def wait_for(address: str) -> None:
    host, port = address.removeprefix("tcp://").split(":")
    for _ in range(300):
        try:
            socket.create_connection((host, int(port))).close()
            return
        except OSError:
            time.sleep(0.1)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Of a cluster with two workers, which all tests share that kill none of them."""
    with scheduler([], []) as (found, _):
        yield found


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    """A folder of twelve models, one of which is none."""
    (tmp_path / "zoo" / "deep").mkdir(parents=True)
    for each in range(12):
        shutil.copy(BLOBS[each % 3], tmp_path / "zoo" / ("deep" if each % 2 else "") / f"m{each}.keras")
    (tmp_path / "zoo" / "m4.keras").write_bytes(b"broken")
    return tmp_path


def run(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(forkserver.wtool(*words), cwd=cwd, capture_output=True, text=True)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def without_times(text: str) -> str:
    return re.sub(r"in [0-9.]+ s\b", "in ... s", text)


def test_words_and_bytes_are_those_of_local_work(zoo: Path, address: str) -> None:
    told = {}
    for how in ((), ("-j", "2"), ("--cluster", address)):
        done = run(*PRUNE, "--json", *how, cwd=zoo)
        again = run(*PRUNE, *how, cwd=zoo)
        told[how] = [done.returncode, done.stdout, without_times(done.stderr), without_times(again.stderr)]
        told[how] += [contents(zoo / "out")]
        shutil.rmtree(zoo / "out")
    assert told[()] == told["-j", "2"] == told["--cluster", address]
    assert "11 skipped, 1 failed" in told[()][3]


@pytest.mark.parametrize("words", [["check", "zoo"], ["check", "zoo", "--json"], ["inspect", "zoo", "--json"]])
def test_looks_at_many_models(words: list[str], zoo: Path, address: str) -> None:
    (zoo / "zoo" / "notes.txt").write_text("no model")
    (zoo / "zoo" / "cut.keras").write_bytes(BLOBS[0].read_bytes()[:5000])
    told = {(done.returncode, done.stdout, done.stderr) for done in looked(zoo, words, address)}
    assert len(told) == 1


def looked(zoo: Path, words: list[str], address: str) -> Iterator[subprocess.CompletedProcess[str]]:
    for how in ((), ("-j", "2"), ("--cluster", address)):
        yield run(*words, *how, cwd=zoo)


def test_a_single_model_and_fail_fast(zoo: Path, address: str) -> None:
    with pytest.raises(wtool.Refused, match=r"m4\.keras: not a Keras model"):
        wtool.prune(zoo / "zoo" / "m4.keras", sparsity=0.5, cluster=address)
    with pytest.raises(wtool.SomeFailed, match=r"1 of [0-9]+ models failed; the first: .*m4\.keras"):
        wtool.prune(zoo / "zoo", sparsity=0.5, output=zoo / "out/", cluster=address, fail_fast=True)


def test_progress_comes_from_workers(zoo: Path, address: str) -> None:
    (zoo / "zoo" / "m4.keras").unlink()
    told: list[tuple[int, int]] = []
    wtool.prune(zoo / "zoo", sparsity=0.5, output=zoo / "out/", cluster=address, progress=lambda *x: told.append(x))
    size = sum(path.stat().st_size for path in (zoo / "zoo").rglob("*.keras"))
    assert told[-1] == (size, size)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


# Words


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["zoo", "-j", "2", "--cluster", "local:2"], "--jobs works on this machine, and --cluster on others"),
        (["-", "-o", "x.keras", "--cluster", "local:2"], "- is standard input or output of this machine"),
        (["zoo/m0.keras", "-o", "-", "--cluster", "local:2"], "- is standard input or output of this machine"),
        (["zoo", "--cluster", "scheduler"], "--cluster scheduler is no cluster; write tcp://HOST:PORT"),
        (["zoo", "--cluster", "local:0"], "--cluster local:0 is no cluster"),
    ],
)
def test_misuse(words: list[str], told: str, zoo: Path) -> None:
    done = run("stroke", *words, cwd=zoo)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert told in done.stderr


def test_no_scheduler(zoo: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{closed.getsockname()[1]}"
        began = time.monotonic()
        done = run(*PRUNE, "--cluster", address, cwd=zoo)
    assert done.returncode == 1
    assert done.stderr == (
        f"wtool: no Dask scheduler at {address}: Connection refused; start one with `dask scheduler`\n"
    )
    assert time.monotonic() - began < 30


def test_a_missing_dask_is_named(zoo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(wtool.WtoolError, match=r"--cluster needs Dask: pip install 'wtool\[cluster\]'"):
        wtool.prune(zoo / "zoo", sparsity=0.5, output=zoo / "out/", cluster="local:2")


# Workers


def test_another_version_of_wtool_is_refused(zoo: Path, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_connection, "__version__", "99.0")
    mine = f"worker {socket.gethostname()} has wtool {re.escape(wtool.__version__)}"
    with pytest.raises(wtool.WtoolError, match=rf"not the wtool of this machine, 99\.0: {mine}; install one version"):
        wtool.prune(zoo / "zoo", sparsity=0.5, output=zoo / "out/", cluster=address)


@pytest.mark.parametrize("comes", ["first", "late"])
def test_a_worker_without_wtool_is_refused(comes: str, zoo: Path) -> None:
    (zoo / "elsewhere" / "wtool").mkdir(parents=True)
    (zoo / "elsewhere" / "wtool" / "__init__.py").touch()
    with scheduler() as (address, processes):
        before = []
        begin = partial(started, *worker_of(address), cwd=zoo / "elsewhere", env=without_wtool())
        if comes == "first":
            processes.append(begin())
            with distributed.Client(address, set_as_default=False) as client:
                client.wait_for_workers(1)
        words = forkserver.wtool(*PRUNE, "--cluster", address)
        with subprocess.Popen(words, cwd=zoo, stderr=subprocess.PIPE, text=True) as command:
            assert command.stderr is not None
            if comes == "late":
                before = [command.stderr.readline()]
                processes.append(begin())
            last = command.stderr.read()
    assert before in ([], [f"wtool: warning: {address} has no workers; waiting for one\n"])
    assert command.returncode == 1
    told = re.escape(f"wtool: {address}: not the wtool of this machine, {wtool.__version__}: worker tcp://")
    assert re.fullmatch(rf"{told}\S+ has no wtool, or another one; install one version everywhere\n", last)


def without_wtool() -> dict[str, str]:
    """An environment in which the current folder alone says what wtool is."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def test_a_path_that_only_this_machine_has(zoo: Path, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers stand in the folder of the command; where it is not there, no path leads anywhere."""
    lexists = os.path.lexists
    with Cluster(address) as cluster:
        monkeypatch.setattr(os, "getcwd", lambda: "/nowhere/at/all")
        monkeypatch.setattr(os.path, "lexists", lambda path: str(path) == "here.keras" or lexists(path))
        (failed,) = cluster.results([Opened("here.keras")], Meter(None, [1]))
    told = f"here.keras: this file or folder is here, and not on {socket.gethostname()}, whose worker needs it: "
    assert str(failed.error) == f"{told}No such file or directory"


@pytest.mark.slow
def test_a_cluster_without_workers_waits_for_one(zoo: Path) -> None:
    with scheduler() as (address, processes):
        timer = threading.Timer(2, lambda: processes.append(started(*worker_of(address))))
        timer.start()
        done = run(*PRUNE, "--cluster", address, cwd=zoo)
        timer.join()
    assert f"wtool: warning: {address} has no workers; waiting for one" in done.stderr
    assert "11 done, 0 skipped, 1 failed" in done.stderr


@dataclass(frozen=True)
class Opened:
    """Opens a model."""

    model: str

    def run(self, opener: Any, progress: Any = None) -> str:
        wtool.open_checkpoint(self.model).close()
        return self.model


@dataclass(frozen=True)
class Deadly:
    """Kills the first processes that do it."""

    model: str
    folder: str
    times: int

    def run(self, opener: Any, progress: Any = None) -> str:
        for each in range(self.times):
            try:
                os.mkdir(f"{self.folder}/{self.model}-{each}")
            except FileExistsError:
                continue
            os.kill(os.getpid(), signal.SIGKILL)
        return self.model


@pytest.mark.slow
@pytest.mark.parametrize("before", [None, "mine"])
def test_a_worker_that_dies_is_a_model_tried_again(before: str | None, tmp_path: Path) -> None:
    """The models of its batch that were done already are done once, and it is the model that killed it which fails."""
    deaths = {"b": 1, "e": 9, "g": 2}
    tasks = [Deadly(name, str(tmp_path), deaths.get(name, 0)) for name in "abcdefgh"]
    with Cluster("local:2") as cluster:
        results = list(cluster.results(tasks, Meter(None, [1] * len(tasks)), lambda task: before))
    failed = {
        task.model: str(each.error) for task, each in zip(tasks, results, strict=True) if isinstance(each, Failed)
    }
    died = f"the worker on {socket.gethostname()} that worked on it died"
    if before is None:
        assert failed == {"e": f"e: {died}, 3 times; no half result stays"}
    else:
        told = f"{died}; it changes the model in place, so look which model is there"
        assert failed == {name: f"{name}: {told}" for name in deaths}
    assert len(list(tmp_path.iterdir())) == (1 + 3 + 2 if before is None else 3)


def test_a_scheduler_that_dies_is_one_line_and_the_command_goes_on(zoo: Path) -> None:
    for each in range(1500):
        shutil.copy(BLOBS[0], zoo / "zoo" / f"n{each}.keras")
    with scheduler([]) as (address, processes):
        command = subprocess.Popen(
            [sys.executable, "-m", "wtool", *PRUNE, "-q", "--cluster", address],
            cwd=zoo,
            stderr=subprocess.PIPE,
            text=True,
        )
        while command.poll() is None and len(list((zoo / "out").glob("*"))) < 5:
            time.sleep(0.002)
        processes[0].kill()
        _, words = command.communicate()
    gone = f"wtool: the scheduler at {address} is gone; the same command goes on where it stopped\n"
    assert command.returncode == 1
    assert [line for line in words.splitlines(keepends=True) if "m4.keras" not in line] == [gone]
    there = len(contents(zoo / "out"))
    assert 0 < there < 1511
    rest = run(*PRUNE, cwd=zoo)
    assert re.search(rf"{1511 - there:,} done, {there:,} skipped, 1 failed", rest.stderr)


@pytest.mark.parametrize("name", ["zoo.parquet", "zoo.jsonl"])
def test_tables_have_the_bytes_of_local_work(zoo: Path, address: str, name: str) -> None:
    if name.endswith(".parquet"):
        pytest.importorskip("pyarrow")
    words = [run("index", "zoo", "-o", f"{at}-{name}", *how, cwd=zoo) for at, how in
             (("here", ()), ("there", ("--cluster", address)))]  # fmt: skip
    assert [done.returncode for done in words] == [1, 1]
    assert words[0].stderr.replace("here-", "") == words[1].stderr.replace("there-", "")
    assert (zoo / f"here-{name}").read_bytes() == (zoo / f"there-{name}").read_bytes()


@pytest.mark.parametrize("where", [pytest.param("local:2", marks=pytest.mark.slow), "tcp"])
def test_an_interrupt_stops_all_work(where: str, zoo: Path, address: str) -> None:
    for each in range(300):
        shutil.copy(BLOBS[0], zoo / "zoo" / f"n{each}.keras")
    argv = [sys.executable, "-m", "wtool", *PRUNE, "-q", "--cluster", address if where == "tcp" else where]
    command = subprocess.Popen(argv, cwd=zoo, stderr=subprocess.PIPE, text=True, start_new_session=True)
    while command.poll() is None and len(list((zoo / "out").glob("*"))) < 5:
        time.sleep(0.002)
    os.killpg(command.pid, signal.SIGINT)
    _, words = command.communicate()
    assert command.returncode == 130
    assert [line for line in words.splitlines() if line and "m4.keras" not in line] == ["wtool: interrupted"]
    there = len(contents(zoo / "out"))
    assert 0 < there < 311
    time.sleep(0.3)
    assert len(contents(zoo / "out")) == there, "a worker goes on"


def killed_now_and_then(out: Path, command: subprocess.Popen[Any]) -> int:
    """Kills a worker of a command whenever there are 150 more results, until it ends; returns how many it killed."""
    chance, kills, there = random.Random(7), 0, 0
    while command.poll() is None:
        time.sleep(0.05)
        count = len(list(out.glob("*.keras")))
        if count >= there + 150 and (found := workers_below(command.pid)):
            os.kill(chance.choice(found), signal.SIGKILL)
            kills, there = kills + 1, count
    return kills


def workers_below(pid: int) -> list[int]:
    """The workers that a command has started."""
    found = []
    for each in Path("/proc").glob("[0-9]*"):
        try:
            status = (each / "stat").read_text().rpartition(")")[2].split()
            words = (each / "cmdline").read_bytes()
        except OSError:
            continue
        if int(status[1]) == pid and b"dask_worker" in words:
            found.append(int(each.name))
    return found


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("count", "models"), [(2, 2000), (4, 2000)])
def test_a_zoo_whose_workers_are_killed_at_random(count: int, models: int, tmp_path: Path) -> None:
    (tmp_path / "zoo").mkdir()
    for each in range(models):
        shutil.copy(BLOBS[each % len(BLOBS)], tmp_path / "zoo" / f"m{each}.keras")
    local = subprocess.run([sys.executable, "-m", "wtool", *PRUNE, "-q"], cwd=tmp_path)
    assert local.returncode == 0
    (tmp_path / "out").rename(tmp_path / "local")
    argv = [sys.executable, "-m", "wtool", *PRUNE, "--json", "--cluster", f"local:{count}"]
    with open(tmp_path / "told", "w") as told, open(tmp_path / "words", "w") as words:
        command = subprocess.Popen(argv, cwd=tmp_path, stdout=told, stderr=words)
        kills = killed_now_and_then(tmp_path / "out", command)
    assert kills > 5
    assert command.returncode == 0, (tmp_path / "words").read_text()[-2000:]
    assert contents(tmp_path / "out") == contents(tmp_path / "local")
    results = (tmp_path / "told").read_text().splitlines()
    assert len(results) == models
    # A worker may be killed between the end of a model and the word of it.
    assert sum('"skipped": true' in line for line in results) <= kills


# Batches


def test_batches_are_of_about_ten_seconds_and_smaller_at_the_end() -> None:
    sizes = [1000] * 10_000
    seconds = sum(map(batches.seconds_of, sizes))
    whole = batches.next_batch(range(10_000), sizes, seconds, 2)
    assert whole * batches.seconds_of(1000) == pytest.approx(10, rel=0.01)
    assert batches.next_batch(range(80), sizes, 80 * batches.seconds_of(1000), 2) == 10
    assert batches.next_batch(range(2), sizes, 2 * batches.seconds_of(1000), 100) == 1


def test_a_large_model_is_a_batch_of_its_own() -> None:
    sizes = [1000, 5 << 30, 1000]
    seconds = sum(map(batches.seconds_of, sizes))
    assert batches.next_batch([0, 2, 1], sizes, seconds, 1) == 1
    assert batches.next_batch([0, 1, 2], sizes, seconds, 1) == 1
    assert batches.next_batch([1, 0, 2], sizes, seconds, 1) == 2


def test_a_batch_that_is_meant_for_another_process_does_nothing(address: str, tmp_path: Path) -> None:
    """A worker that is started again may get the address of the one that died."""
    order = cluster_worker.Order("wtool-test", str(tmp_path), False, 5)
    told: queue.SimpleQueue[Any] = queue.SimpleQueue()
    with distributed.Client(address, set_as_default=False) as client:
        client.subscribe_topic(order.topic, lambda event: told.put(event[1]))
        client.submit(cluster_worker.do_batch, order, "another", 1, [(0, Deadly("a", str(tmp_path), 1))]).result()
        assert told.get(timeout=60) == ((cluster_worker.ENDED, 1, -1, cluster_worker.OTHER),)
    assert not list(tmp_path.iterdir())
