"""What kept weights start from, as values: a start for each block, under the mask of the pruned model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from wtool.dtypes import Array, dtype_of
from wtool.errors import Refused, a_few
from wtool.transforms.change import Apply, Blocks, Change, Data, Prepared, Site, rounded, single
from wtool.transforms.initializers import Initializer, from_config, normal
from wtool.transforms.statistics import Statistics, statistics
from wtool.transforms.streams import CHUNK, Stream, drawn, stream

if TYPE_CHECKING:
    from wtool.transforms.tickets import Constant, Jitter, Randomize, Reshuffle, Rewind

Start = Callable[[Array, int, int], Array]
"""From the initial values, float64, of the positions [start, stop) of a tensor, to what they start from."""


def rewind(ticket: Rewind, data: Data) -> Prepared:
    """Nothing has to be known before."""
    change = _rewound if ticket.pruned == "zero" else _untouched
    return Prepared({site.path: change for site in data.sites})


def jitter(ticket: Jitter, data: Data, seed: int) -> Prepared:
    """Nothing has to be known before, but that the deviation is a number in the dtypes of the tensors."""
    for site in data.sites:
        single(ticket.sd, dtype_of(site.dtype))
    return Prepared({site.path: _jittered(ticket, site, stream(seed, ticket.name, site.path)) for site in data.sites})


def _jittered(ticket: Jitter, site: Site, source: Stream) -> Apply:
    noise = normal(0.0, ticket.sd).draw
    assert noise is not None

    def begin(initial: Array, start: int, stop: int) -> Array:
        return np.asarray(initial + drawn(source, site.size, start, stop, noise))

    return _masked(begin, ticket)


def randomize(ticket: Randomize, data: Data, seed: int) -> Prepared:
    """Find the initializers; tensors without one are read once for their deviation."""
    known, notes = _initializers(data)
    return Prepared({site.path: _fresh(ticket, site, known[site.path], seed) for site in data.sites}, notes)


def _fresh(ticket: Randomize, site: Site, initializer: Initializer, seed: int) -> Apply:
    source = stream(seed, ticket.name, site.path)
    draw, whole = initializer.draw, initializer.whole
    if draw is not None:
        return _masked(lambda initial, start, stop: drawn(source, site.size, start, stop, draw), ticket)
    assert whole is not None
    values = _Whole(site.size, lambda: whole(source.chunk(0)))
    return _masked(lambda initial, start, stop: values.part(start, stop), ticket)


def reshuffle(ticket: Reshuffle, data: Data, seed: int) -> Prepared:
    """Each tensor is permuted as a whole, when its first block is asked for."""
    return Prepared({site.path: _permuted(ticket, site, data, seed) for site in data.sites})


def _permuted(ticket: Reshuffle, site: Site, data: Data, seed: int) -> Apply:
    def permuted() -> Array:
        initial, model = data.read(site, 0, site.size)
        return _shuffle(ticket, initial, model, stream(seed, ticket.name, site.path).chunk(0))

    values = _Whole(site.size, permuted)
    return lambda blocks, start: Change(None, values.part(start, start + len(blocks[0])))


def _shuffle(ticket: Reshuffle, initial: Array, model: Array, generator: np.random.Generator) -> Array:
    kept = model != 0
    result = np.where(kept, initial, np.zeros_like(initial)) if ticket.pruned == "zero" else initial.copy()
    for sign in (1, -1) if ticket.same_sign else (0,):
        group = kept & (initial * initial.dtype.type(sign) > 0) if sign else kept
        values = initial[group]
        generator.shuffle(values)
        result[group] = values
    return result


def constant(ticket: Constant, data: Data, seed: int) -> Prepared:
    """Find the initializers, unless the value is given.

    Raises:
        Refused: an initializer whose values do not vary, so that there is no deviation to take.
        Usage: a value that becomes 0 or infinite in the dtype of a tensor.
    """
    if ticket.value is not None:
        sizes = {site.path: ticket.value for site in data.sites}
        notes: tuple[str, ...] = ()
    else:
        known, notes = _initializers(data)
        sizes = {path: initializer.deviation for path, initializer in known.items()}
    for site in data.sites:
        if site.size and not sizes[site.path] > 0:
            raise Refused(f"the initializer of {site.path} always gives one value; give the constant with --value")
        single(sizes[site.path] if site.size else 0.0, dtype_of(site.dtype))
    return Prepared({site.path: _signed(ticket, site, sizes[site.path], seed) for site in data.sites}, notes)


def _signed(ticket: Constant, site: Site, size: float, seed: int) -> Apply:
    source = stream(seed, ticket.name, site.path)

    def begin(initial: Array, start: int, stop: int) -> Array:
        signs = drawn(source, site.size, start, stop, lambda generator, count: generator.integers(0, 2, count) - 0.5)
        return np.copysign(size, signs)

    return _masked(begin, ticket)


class _Whole:
    """Values of a tensor that can only be made all at once: made for its first block, forgotten after its last."""

    def __init__(self, size: int, make: Callable[[], Array]) -> None:
        self._size = size
        self._make = make
        self._values: Array | None = None

    def part(self, start: int, stop: int) -> Array:
        """The values [start, stop)."""
        if self._values is None:
            self._values = self._make()
        part = self._values[start:stop]
        if stop == self._size:
            self._values = None
        return part


def _rewound(blocks: Blocks, start: int) -> Change:
    initial, model = blocks
    return Change(None, np.where(model != 0, initial, np.zeros_like(initial)))


def _untouched(blocks: Blocks, start: int) -> Change:
    """All values are the initial ones: the kept ones because they are rewound, the pruned ones as they are to be."""
    return Change(None, blocks[0])


def _masked(begin: Start, ticket: Constant | Jitter | Randomize) -> Apply:
    """What kept values start from; elsewhere zero, or the initial values."""

    def apply(blocks: Blocks, start: int) -> Change:
        initial, model = blocks
        exact = initial.astype(np.float64)
        values = begin(exact, start, start + len(initial))
        if ticket.same_sign:
            values = np.where(exact == 0, values, np.copysign(values, exact))
        pruned = 0.0 if ticket.pruned == "zero" else exact
        new = rounded(np.where(model != 0, values, pruned), initial.dtype)
        if not np.isfinite(new).all() and np.isfinite(exact).all():
            raise Refused(f"the new values are too large for {initial.dtype.name}")
        return Change(None, new)

    return apply


def _initializers(data: Data) -> tuple[Mapping[str, Initializer], tuple[str, ...]]:
    """How the values of each tensor are made afresh; and a note on those that only the initial values tell of."""
    known = {site.path: from_config(site.initializer, site.shape) for site in data.sites}
    missing = [site.path for site in data.sites if known[site.path] is None]
    found = {site.path: known[site.path] or normal(0.0, _deviation(data, site)) for site in data.sites}
    note = f"no initializer is told for {a_few(missing)}: normal, with the initial tensor's deviation"
    return found, (note,) if missing else ()


def _deviation(data: Data, site: Site) -> float:
    """Standard deviation of the initial values; added up in chunks of fixed size, so that it is always the same.

    Raises:
        Refused: there is none, so that all fresh values would be zero.
    """
    every = Statistics()
    for start in range(0, site.size, CHUNK):
        every = every.merged(statistics(data.read(site, start, min(start + CHUNK, site.size))[0]))
    if site.size and not every.std > 0:
        raise Refused(f"the initial values of {site.path} do not vary, and nothing tells how it is initialised")
    return every.std if every.finite else 0.0
