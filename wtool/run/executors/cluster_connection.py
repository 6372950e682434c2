"""A connection to a Dask cluster, or to one that is started here: silent, and checked to have the wtool of this one."""

from __future__ import annotations

import logging
import socket
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from wtool.errors import WtoolError, a_few
from wtool.run.executors import cluster_worker
from wtool.run.executors.cluster_here import LOCAL, PATIENCE, Here, started
from wtool.run.executors.cluster_worker import Identity
from wtool.version import __version__

REACHED_IN, CONNECTED_IN = 5, 10
"""Seconds in which a scheduler takes a connection, and has said hello."""

LOGGERS = ("distributed", "tornado", "asyncio")
"""Names below which Dask logs what this module tells in a line, or what is no matter at the end."""


def connected(address: str, stack: ExitStack) -> tuple[Any, Here | None]:
    """Returns a client of a cluster, and the cluster if it is on this machine.

    Args:
        address: `local:8` starts a cluster of eight workers here.
        stack: closes the connection, and stops what was started.

    Raises:
        WtoolError: Dask is not installed, or there is no scheduler.
    """
    try:
        import dask
        import distributed
    except ModuleNotFoundError:
        raise WtoolError("--cluster needs Dask: pip install 'wtool[cluster]'") from None
    stack.enter_context(_silent())
    settings = {
        "distributed.comm.timeouts.connect": f"{REACHED_IN}s",
        "distributed.comm.retry.count": 0,
    }
    stack.enter_context(dask.config.set(settings))
    here = started(int(address.removeprefix(LOCAL)), stack) if address.startswith(LOCAL) else None
    if here is None:
        _look_for(address)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of other versions of libraries than the workers have
            client = distributed.Client(here.cluster if here else address, timeout=CONNECTED_IN, set_as_default=False)
    except Exception as error:  # whatever an answer in another protocol, or another version, makes of it
        raise WtoolError(f"no Dask scheduler answers at {address}; is it one, and of this version of Dask?") from error
    stack.callback(_leave, client)
    return client, here


def _leave(client: Any) -> None:
    with suppress(Exception):  # the connection is broken already
        client.close(timeout=PATIENCE)


def _look_for(address: str) -> None:
    """Raise WtoolError at once if nobody listens at an address; Dask would try again for long."""
    host, _, port = address.partition("://")[2].rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=REACHED_IN).close()
    except (OSError, OverflowError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise WtoolError(f"no Dask scheduler at {address}: {reason}; start one with `dask scheduler`") from None


def threads_of(client: Any, address: str) -> dict[str, int]:
    """Returns how many threads each worker has, by its address.

    Raises:
        WtoolError: the scheduler is gone.
    """
    if client.status == "running":
        try:
            found: dict[str, int] = client.nthreads()
        except Exception:  # whatever a connection that breaks raises
            pass
        else:
            return found
    raise WtoolError(f"the scheduler at {address} is gone; the same command goes on where it stopped")


def identified(client: Any, addresses: Sequence[str]) -> dict[str, Identity | str]:
    """Returns who some workers are, or why they cannot say, by their addresses; not of those that are gone."""
    found = client.run(cluster_worker.identity, workers=list(addresses), on_error="return")
    told = {address: each for address, each in found.items() if isinstance(each, Identity)}
    # A worker that cannot import the question says so in errors of several kinds; one that is gone is an OSError.
    strange = {address: each for address, each in found.items() if not isinstance(each, (Identity, OSError))}
    return {**told, **{address: f"{address} has no wtool, or another one" for address in strange}}


def refused(found: dict[str, Identity | str]) -> list[str]:
    """Returns what is wrong with workers that cannot take part: those with another version of wtool."""
    strange = [each for each in found.values() if isinstance(each, str)]
    others = [each for each in found.values() if isinstance(each, Identity) and each.version != __version__]
    return [*strange, *dict.fromkeys(f"{each.host} has wtool {each.version}" for each in others)]


def told_refused(reasons: Sequence[str]) -> str:
    """Returns a line about workers that cannot take part."""
    return f"not the wtool of this machine, {__version__}: worker {a_few(reasons)}; install one version everywhere"


def stop_all(client: Any, topic: str) -> None:
    """Have all workers stop the batches of a command."""
    thread = threading.Thread(target=_stop, args=(client, topic), daemon=True)
    thread.start()
    thread.join(PATIENCE)


def _stop(client: Any, topic: str) -> None:
    with suppress(Exception):
        client.run(cluster_worker.stop, topic, on_error="ignore")


@contextmanager
def _silent() -> Iterator[None]:
    """Keep what Dask logs from standard error: what matters of it is told in a line."""
    known = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] in LOGGERS]
    loggers = [logging.getLogger(name) for name in {*LOGGERS, *known}]
    before = [(each.handlers, each.propagate) for each in loggers]
    for each in loggers:
        each.handlers, each.propagate = [logging.NullHandler()], False
    try:
        yield
    finally:
        for logger, (handlers, propagates) in zip(loggers, before, strict=True):
            logger.handlers, logger.propagate = handlers, propagates
