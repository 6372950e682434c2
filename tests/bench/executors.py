"""Who does the models of a batch: the process in turn, two processes, a cluster of two workers; and what each costs."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import contenders
from report import Report, at_most, spread, table
from turns import ROUNDS, Turns, say

FEW, MANY = 100, 300
WORDS = ["prune", "--sparsity", ".8"]
DASK = "Dask, 2 workers"


@contextmanager
def cluster() -> Iterator[str]:
    """A scheduler and two workers with a thread each; yields the scheduler's address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    worker = ["dask_worker", address, "--nthreads", "1", "--memory-limit", "0", "--no-nanny"]
    processes = []
    for words in (["dask_scheduler", "--host", address], worker, worker):
        argv = [sys.executable, "-m", f"distributed.cli.{words[0]}", *words[1:], "--no-dashboard"]
        processes.append(subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    try:
        time.sleep(10)
        yield address
    finally:
        for each in processes:
            each.kill()
            each.wait()


def report(turns: Turns) -> Report:
    few, many = (turns.models("zoo", count) for count in (FEW, MANY))
    slopes: dict[str, list[float]] = {}
    with cluster() as address:
        ways = {"in turn": [], "`-j 2`": ["-j", "2"], DASK: ["--cluster", address]}
        both = {}
        for name, how in ways.items():
            words, out = [*WORDS, *how], turns.out / "zoo"
            both[name] = [contenders.wtool_on_all(turns.command, words, models, out) for models in (few, many)]
        turns.warm([each for pair in both.values() for each in pair])
        for _ in range(1 if turns.smoke else ROUNDS):
            for name, (one, other) in both.items():
                taken = 1000 * (turns.once(other).seconds - turns.once(one).seconds)
                slopes.setdefault(name, []).append(taken / max(1, len(many) - len(few)))
    for name, each in slopes.items():
        say(f"{name}, ms per model: " + " ".join(f"{slope:.2f}" for slope in each))
    middle = {name: sorted(each)[len(each) // 2] for name, each in slopes.items()}
    rows = [[name, spread(each), f"{1000 / max(middle[name], 1e-9):.0f}"] for name, each in slopes.items()]
    head = [f"prune of models of 1.3 MB (the slope from {FEW} to {MANY})", "ms per model", "models per second"]
    more = middle[DASK] - middle["`-j 2`"]
    return Report(
        [table(head, rows)],
        [at_most(f"{DASK}: milliseconds per model more than `-j 2`", more, 15, " ms")],
    )
