"""Random numbers that depend on the seed, the operation, the tensor's path and the position in it; on nothing else.

Every tensor is cut into chunks of a fixed size, and each chunk has a generator of its own. So neither the size of the
blocks that are read, nor the order of tensors, nor the number of processes can change a result.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import lru_cache

import numpy as np

from wtool.dtypes import Array
from wtool.errors import Refused
from wtool.values import dataclass

CHUNK = 65_536  # values; small enough for the caches, large enough that making a generator costs nothing
COUNTS = 1 << 63  # the chunk that no tensor reaches: how many values are drawn in each of the others
RECENT = 8  # chunks that are kept: operations behind others look at a few values in many places of a chunk
MOST = 10**9  # NumPy's hypergeometric distribution takes no more


@dataclass(frozen=True, slots=True)
class Stream:
    """The random numbers of one tensor in one operation: a key of the Philox generator, counted from by chunk."""

    key: int

    def chunk(self, number: int) -> np.random.Generator:
        """The generator of a chunk, always from its beginning."""
        return np.random.Generator(np.random.Philox(counter=number << 128, key=self.key))


def stream(seed: int, operation: str, path: str) -> Stream:
    """The stream of a tensor in an operation; every one of the three changes it."""
    from hashlib import blake2b  # slow to import, and prunings draw nothing

    text = json.dumps([seed, operation, path])
    return Stream(int.from_bytes(blake2b(text.encode(), digest_size=16).digest(), "little"))


def drawn(source: Stream, size: int, start: int, stop: int, draw: Callable[[np.random.Generator, int], Array]) -> Array:
    """The random values of the positions [start, stop) of a tensor.

    Args:
        source: of the tensor.
        size: values in the tensor.
        start, stop: 0 <= start <= stop <= size.
        draw: from a generator and a count to as many independent values; float64.

    Returns:
        shape (stop - start,).
    """
    parts = [
        draw(source.chunk(number), min(CHUNK, size - number * CHUNK))[low:high]
        for number, low, high in overlaps(start, stop)
    ]
    return parts[0] if len(parts) == 1 else np.concatenate([np.empty(0), *parts])


def overlaps(start: int, stop: int) -> Iterator[tuple[int, int, int]]:
    """Chunk, and the range inside it, of each chunk that has a part in [start, stop)."""
    for number in range(start // CHUNK, -(-stop // CHUNK)):
        yield number, max(0, start - number * CHUNK), min(CHUNK, stop - number * CHUNK)


@dataclass(frozen=True, slots=True)
class Distinct:
    """Exactly `count` of `size` positions, every such set being as likely as any other.

    How many fall into each chunk is drawn first (a multivariate hypergeometric distribution), then which.
    """

    source: Stream
    size: int
    count: int
    counts: Array

    def within(self, start: int, stop: int) -> tuple[Array, Array]:
        """The chosen positions in [start, stop), counted from `start`, and a number in [0, 1) for each of them."""
        places, numbers = [np.empty(0, np.intp)], [np.empty(0)]
        for number, low, high in overlaps(start, stop):
            room = min(CHUNK, self.size - number * CHUNK)
            chosen, drawn_for = _chosen(self.source, number, room, int(self.counts[number]))
            if low > 0 or high < room:
                inside = (chosen >= low) & (chosen < high)
                chosen, drawn_for = chosen[inside], drawn_for[inside]
            places.append(chosen + (number * CHUNK - start))
            numbers.append(drawn_for)
        return np.concatenate(places), np.concatenate(numbers)


@lru_cache(RECENT)
def _chosen(source: Stream, number: int, room: int, count: int) -> tuple[Array, Array]:
    """`count` of the `room` positions of a chunk, and a number in [0, 1) for each of them; nobody changes them."""
    generator = source.chunk(number)
    chosen = generator.choice(room, count, replace=False, shuffle=False)
    return chosen, generator.random(count)


def distinct(source: Stream, size: int, count: int) -> Distinct:
    """Choose `count` distinct positions out of `size`.

    Raises:
        Refused: more than 10**9 positions to choose from.
    """
    if size >= MOST:
        raise Refused(f"a tensor of {size:,} values is more than positions can be drawn from ({MOST:,})")
    rooms = np.full(-(-size // CHUNK), CHUNK)
    if size % CHUNK:
        rooms[-1] = size % CHUNK
    return Distinct(source, size, count, source.chunk(COUNTS).multivariate_hypergeometric(rooms, count))
