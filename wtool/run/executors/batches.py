"""How many models go to a worker at once: as many as take about ten seconds, and fewer towards the end."""

from __future__ import annotations

from collections.abc import Sequence

SECONDS = 10.0
"""Work of a batch. A scheduler spends milliseconds on each batch, whatever is in it."""

PER_MODEL = 0.02
"""Seconds that any model takes, however small it is."""

PER_BYTE = 1e-8
"""Seconds that a byte takes: a busy disk or a store reads and writes about 100 MB/s."""

SHARES = 4
"""A batch is at most this part of what every worker has left to do, so that all workers end at about the same time."""


def seconds_of(size: int) -> float:
    """Returns about how long a model takes.

    Args:
        size: bytes of its file.
    """
    return PER_MODEL + PER_BYTE * size


def next_batch(waiting: Sequence[int], sizes: Sequence[int], left: float, workers: int) -> int:
    """Returns how many of the models that wait are the next batch: one at least.

    Args:
        waiting: numbers of the models, the next one last.
        sizes: bytes of each model of the zoo.
        left: seconds of work in all models that wait.
        workers: how many workers there are.
    """
    limit = min(SECONDS, left / (SHARES * workers))
    count, seconds = 0, 0.0
    for number in reversed(waiting):
        seconds += seconds_of(sizes[number])
        if count and seconds > limit:
            break
        count += 1
    return count
