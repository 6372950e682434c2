"""Who does the tasks of a batch: this process in turn, processes of its own, or the workers of a Dask cluster."""

from __future__ import annotations

from wtool.run.executors.executor import Executor as Executor
from wtool.run.executors.executor import Work as Work
from wtool.run.executors.in_turn import InTurn


def executor_of(count: int, jobs: int = 1, cluster: str | None = None) -> Executor:
    """Returns who does some tasks.

    Args:
        count: how many tasks there are.
        jobs: how many of them may be done at a time on this machine.
        cluster: address of a cluster, whose workers do them; None for this machine.

    Raises:
        Usage: the address is none.
    """
    if cluster is not None:
        from wtool.run.executors.cluster import Cluster

        return Cluster(cluster)
    if min(count, jobs) > 1:
        from wtool.run.executors.processes import Processes

        return Processes(min(count, jobs))
    return InTurn()
