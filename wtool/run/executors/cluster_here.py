"""A Dask cluster on this machine: a scheduler in this process, and workers that are started again when they die."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack, suppress
from dataclasses import field
from typing import Any

from wtool.io.system import NEW_GROUP
from wtool.values import dataclass

LOCAL = "local:"
"""How the address of such a cluster begins; behind that stands the number of workers."""

PATIENCE = 2.0
"""Seconds that workers have to stop by themselves."""

ALONE = "30"
"""Seconds after which workers end whose scheduler is gone with its process."""


@dataclass(slots=True)
class Here:
    """A cluster on this machine.

    Attributes:
        count: how many workers it has.
        cluster: Dask's, which has the scheduler alone.
        folder: where workers keep their own files.
        workers: their processes.
    """

    count: int
    cluster: Any
    folder: str
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def keep_up(self) -> None:
        """Start workers instead of those that died, which nobody does for them, and at the beginning all."""
        self.workers = [each for each in self.workers if each.poll() is None]
        while len(self.workers) < self.count:
            self.workers.append(self._started())

    def _started(self) -> subprocess.Popen[bytes]:
        argv = [sys.executable, "-m", "distributed.cli.dask_worker", self.cluster.scheduler_address]
        argv += ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--memory-limit", "0"]
        argv += ["--local-directory", self.folder, "--death-timeout", ALONE]
        path = os.pathsep.join(each or os.getcwd() for each in sys.path)
        quiet: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
        # Ctrl-C in a terminal is for the command, which stops its workers.
        return subprocess.Popen(argv, env={**os.environ, "PYTHONPATH": path}, **NEW_GROUP, **quiet)

    def stop(self) -> None:
        """Stop workers and scheduler."""
        for each in self.workers:
            each.terminate()
        for each in self.workers:
            with suppress(subprocess.TimeoutExpired):
                each.wait(PATIENCE)
            each.kill()
            each.wait()
        with suppress(Exception):  # what breaks at the end is no matter
            self.cluster.close(timeout=PATIENCE)


def started(count: int, stack: ExitStack) -> Here:
    """Returns a cluster with so many workers of one thread each.

    Args:
        count: of the workers.
        stack: stops the cluster when it closes.
    """
    import distributed

    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="wtool-dask-", ignore_cleanup_errors=True))
    cluster = distributed.LocalCluster(
        n_workers=0,
        processes=True,
        dashboard_address="127.0.0.1:0",
        scheduler_kwargs={"dashboard": False},
    )
    here = Here(count, cluster, folder)
    stack.callback(here.stop)
    here.keep_up()
    return here
