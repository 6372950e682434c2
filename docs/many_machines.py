"""How long a zoo of 100,000 models takes on many workers: a simulation, from what one model and one batch cost.

    python docs/many_machines.py

prints the tables of docs/explanation/many-machines.md. Workers take batches as `wtool --cluster` gives them out, read
and write at the rate that the store leaves each of them, and compute; one scheduler hands out the batches and passes on
the results, one after the other.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from wtool.errors import counted
from wtool.run.executors.batches import PER_BYTE, PER_MODEL, SECONDS, SHARES

MODELS = 100_000
WORKERS = (1, 10, 100, 1000)
GB = 1e9


@dataclass(frozen=True)
class Costs:
    """What things cost, in seconds and bytes.

    Attributes:
        per_model: seconds of a core for any model, however small.
        per_byte: seconds of a core for a byte of a model.
        per_batch: seconds of the scheduler for a batch.
        per_result: seconds of the scheduler and the client for a result.
        per_listing: seconds of a request that lists `listed` names of a store.
        wait: seconds that a worker waits for the store, for each model.
        link: bytes per second of the network of one worker.
        store: bytes per second of the store, for all workers together.
        moved: bytes that are moved for a byte of a model: it is read, and its result is written.
    """

    per_model: float = 0.007
    per_byte: float = 1.1 / GB
    per_batch: float = 0.004
    per_result: float = 0.0002
    per_listing: float = 0.1
    listed: int = 1000
    wait: float = 0.15
    link: float = 0.25 * GB
    store: float = 1.25 * GB
    moved: float = 2.0


@dataclass(frozen=True)
class Outcome:
    """What a run took.

    Attributes:
        seconds: from the start of the command to its end.
        limit: what could not have been faster with more workers.
    """

    seconds: float
    limit: str


def batches(models: int, size: float, workers: int) -> Iterator[int]:
    """Yields how many models are in each batch, as `run/executors/batches.py` cuts them."""
    each, left = PER_MODEL + PER_BYTE * size, models
    while left:
        count = max(1, min(left, int(min(SECONDS, left * each / (SHARES * workers)) / each)))
        yield count
        left -= count


def simulated(costs: Costs, models: int, size: float, workers: int) -> Outcome:
    """Returns how long models of one size take.

    Transfers that are under way share the store evenly, and none is faster than the link of its worker. `carried` is
    how many bytes a transfer that began at 0 would have moved by now, so that a transfer ends when it has grown enough.
    """
    listing = costs.per_listing * -(-models // costs.listed)
    now = free = last = listing
    carried = 0.0
    waiting = list(batches(models, size, workers))[::-1]
    moving: list[tuple[float, int, int]] = []  # carried at the end, a number, models
    later: list[tuple[float, int, bool, int]] = []  # moment, a number, whether it is computed, models
    number = 0

    def give(moment: float) -> None:
        nonlocal free, number
        if waiting:
            count = waiting.pop()
            free = max(free, moment) + costs.per_batch
            number += 1
            heapq.heappush(later, (free + costs.wait * count, number, False, count))

    for _ in range(workers):
        give(now)
    while moving or later:
        rate = min(costs.link, costs.store / max(1, len(moving)))
        ends = now + (moving[0][0] - carried) / rate if moving else float("inf")
        moment = min(ends, later[0][0] if later else float("inf"))
        carried += rate * (moment - now) if moving else 0.0
        now = moment
        if moment == ends:
            _, _, count = heapq.heappop(moving)
            number += 1
            heapq.heappush(later, (now + count * (costs.per_model + costs.per_byte * size), number, True, count))
            continue
        _, _, is_done, count = heapq.heappop(later)
        if is_done:
            free = max(free, now) + costs.per_result * count
            last = max(last, free)
            give(now)
        else:
            number += 1
            heapq.heappush(moving, (carried + costs.moved * size * count, number, count))
    return Outcome(last, limit_of(costs, models, size, workers, last))


def limit_of(costs: Costs, models: int, size: float, workers: int, seconds: float) -> str:
    """Returns what takes the largest part of the time: the workers, or what all of them share."""
    total = models * size * costs.moved
    count = sum(1 for _ in batches(models, size, workers))
    own = models * (costs.wait + costs.per_model + costs.per_byte * size) + total / costs.link
    parts = {
        "workers": own / workers,
        "store": total / costs.store,
        "scheduler": count * costs.per_batch + models * costs.per_result,
        "listing": costs.per_listing * -(-models // costs.listed),
    }
    return max(parts, key=lambda each: parts[each])


def told(seconds: float) -> str:
    """Returns a time as people say it: `42 s`, `5.1 min`, `2.3 h`, `4.0 d`."""
    for unit, most, length in (("s", 60, 1), ("min", 3600, 60), ("h", 86_400, 3600)):
        if seconds < most:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds / 86_400:.3g} d"


def table(cases: Sequence[tuple[str, Costs, float]]) -> Iterator[str]:
    """Yields the lines of a table in Markdown: a line for each case, a column for each number of workers."""
    yield f"| models, store | {' | '.join(counted(workers, 'worker') for workers in WORKERS)} |"
    yield f"| --- |{' ---: |' * len(WORKERS)}"
    for name, costs, size in cases:
        found = [simulated(costs, MODELS, size, workers) for workers in WORKERS]
        yield f"| {name} | {' | '.join(f'{told(each.seconds)} ({each.limit})' for each in found)} |"


def lines() -> Iterator[str]:
    """Yields the table of the page."""
    usual = Costs()
    disk = replace(usual, wait=0.002, per_listing=0.005)
    yield from table(
        [
            ("1 MB, files on a disk of 1 GB/s", replace(disk, store=1 * GB, link=1 * GB), 1e6),
            ("1 MB, a store at 10 Gbit/s", usual, 1e6),
            ("1 MB, a store at 100 Gbit/s", replace(usual, store=12.5 * GB), 1e6),
            ("100 MB, a store at 10 Gbit/s", usual, 100e6),
            ("100 MB, a store at 100 Gbit/s", replace(usual, store=12.5 * GB), 100e6),
            ("1 GB, a store at 100 Gbit/s", replace(usual, store=12.5 * GB), 1e9),
        ]
    )


if __name__ == "__main__":
    print("\n".join(lines()))
