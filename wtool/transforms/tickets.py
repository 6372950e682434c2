"""Lottery tickets: what the weights that survived pruning start from, when training begins again.

The mask is where the pruned model is not zero. Everything else is the initial checkpoint's.
Source: Frankle & Carbin, arXiv:1803.03635; Zhou, Lan, Liu & Yosinski, arXiv:1905.01067, section 3.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from wtool.dtypes import Array, dtype_of
from wtool.errors import Refused, Usage, a_few
from wtool.transforms.change import Apply, Blocks, Change, Data, Prepared, Site, rounded, single
from wtool.transforms.initializers import Initializer, from_config, normal
from wtool.transforms.statistics import Statistics, statistics
from wtool.transforms.streams import CHUNK, Stream, drawn, stream

Start = Callable[[Array, int, int], Array]
"""From the initial values, float64, of the positions [start, stop) of a tensor, to what they start from."""


class _EmptiesBiases:
    """What the LTH API does to the biases beside re-initialised kernels."""

    __slots__ = ()
    keep_biases: bool

    @property
    def empties_biases(self) -> bool:
        """Unless they are to be kept."""
        return not self.keep_biases


@dataclass(frozen=True, slots=True)
class Rewind:
    """The initial values, where kept."""

    name: ClassVar[str] = "rewind"
    of_initial: ClassVar[bool] = True
    empties_biases: ClassVar[bool] = False
    is_random: ClassVar[bool] = False
    reads_initial: ClassVar[bool] = True

    def prepare(self, data: Data, seed: int, earlier: int) -> Prepared:
        """Nothing has to be known before."""
        return Prepared({site.path: _rewound for site in data.sites})


@dataclass(frozen=True, slots=True)
class Jitter:
    """The initial values plus Gaussian noise, where kept.

    Args:
        sd: standard deviation of the noise.
        same_sign: reflect what the noise carried over zero, so that every sign stays.

    Raises:
        Usage: a negative deviation.
    """

    name: ClassVar[str] = "jitter"
    of_initial: ClassVar[bool] = True
    empties_biases: ClassVar[bool] = False
    is_random: ClassVar[bool] = True
    reads_initial: ClassVar[bool] = True

    sd: float = 0.01
    same_sign: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.sd < math.inf:
            raise Usage(f"a standard deviation of {self.sd} is not a number from 0 up")

    def prepare(self, data: Data, seed: int, earlier: int) -> Prepared:
        """Nothing has to be known before, but that the deviation is a number in the dtypes of the tensors."""
        for site in data.sites:
            single(self.sd, dtype_of(site.dtype))
        return Prepared({site.path: self._jittered(site, stream(seed, self.name, site.path)) for site in data.sites})

    def _jittered(self, site: Site, source: Stream) -> Apply:
        noise = normal(0.0, self.sd).draw
        assert noise is not None

        def begin(initial: Array, start: int, stop: int) -> Array:
            return np.asarray(initial + drawn(source, site.size, start, stop, noise))

        return _masked(begin, self.same_sign)


@dataclass(frozen=True, slots=True)
class Randomize(_EmptiesBiases):
    """Fresh values from the layer's own initializer, where kept.

    Where nothing tells the initializer, they are Gaussian with the standard deviation of the initial tensor.

    Args:
        same_sign: give each value the sign of the initial one.
        keep_biases: leave the biases as they are in the initial checkpoint; otherwise they become zero.
    """

    name: ClassVar[str] = "randomize"
    of_initial: ClassVar[bool] = True
    is_random: ClassVar[bool] = True
    reads_initial: ClassVar[bool] = True

    same_sign: bool = True
    keep_biases: bool = False

    def prepare(self, data: Data, seed: int, earlier: int) -> Prepared:
        """Find the initializers; tensors without one are read once for their deviation."""
        known, notes = _initializers(data)
        return Prepared({site.path: self._fresh(site, known[site.path], seed) for site in data.sites}, notes)

    def _fresh(self, site: Site, initializer: Initializer, seed: int) -> Apply:
        source = stream(seed, self.name, site.path)
        draw, whole = initializer.draw, initializer.whole
        if draw is not None:
            return _masked(lambda initial, start, stop: drawn(source, site.size, start, stop, draw), self.same_sign)
        assert whole is not None
        values = _Whole(site.size, lambda: whole(source.chunk(0)))
        return _masked(lambda initial, start, stop: values.part(start, stop), self.same_sign)


@dataclass(frozen=True, slots=True)
class Reshuffle(_EmptiesBiases):
    """The kept initial values of each tensor, permuted among the kept positions.

    Args:
        same_sign: positive values go where positive ones were, negative where negative ones were, and zeros stay.
        keep_biases: leave the biases as they are in the initial checkpoint; otherwise they become zero.
    """

    name: ClassVar[str] = "reshuffle"
    of_initial: ClassVar[bool] = True
    is_random: ClassVar[bool] = True
    reads_initial: ClassVar[bool] = True

    same_sign: bool = True
    keep_biases: bool = False

    def prepare(self, data: Data, seed: int, earlier: int) -> Prepared:
        """Each tensor is permuted as a whole, when its first block is asked for."""
        return Prepared({site.path: self._permuted(site, data, seed) for site in data.sites})

    def _permuted(self, site: Site, data: Data, seed: int) -> Apply:
        def permuted() -> Array:
            initial, model = data.read(site, 0, site.size)
            return self._shuffle(initial, model, stream(seed, self.name, site.path).chunk(0))

        values = _Whole(site.size, permuted)
        return lambda blocks, start: Change(None, values.part(start, start + len(blocks[0])))

    def _shuffle(self, initial: Array, model: Array, generator: np.random.Generator) -> Array:
        kept = model != 0
        result = np.where(kept, initial, np.zeros_like(initial))
        for sign in (1, -1) if self.same_sign else (0,):
            group = kept & (initial * initial.dtype.type(sign) > 0) if sign else kept
            values = initial[group]
            generator.shuffle(values)
            result[group] = values
        return result


@dataclass(frozen=True, slots=True)
class Constant(_EmptiesBiases):
    """Plus or minus one value, where kept.

    Args:
        value: its magnitude; None for the standard deviation of the layer's own initializer.
        same_sign: the sign of the initial value; otherwise, and where that is zero, each sign is as likely.
        keep_biases: leave the biases as they are in the initial checkpoint; otherwise they become zero.

    Raises:
        Usage: a value that is not a positive number.
    """

    name: ClassVar[str] = "constant"
    of_initial: ClassVar[bool] = True
    is_random: ClassVar[bool] = True
    reads_initial: ClassVar[bool] = True

    value: float | None = None
    same_sign: bool = True
    keep_biases: bool = False

    def __post_init__(self) -> None:
        if self.value is not None and not 0 < self.value < math.inf:
            raise Usage(f"{self.value} is not a positive number")

    def prepare(self, data: Data, seed: int, earlier: int) -> Prepared:
        """Find the initializers, unless the value is given.

        Raises:
            Refused: an initializer whose values do not vary, so that there is no deviation to take.
            Usage: a value that becomes 0 or infinite in the dtype of a tensor.
        """
        if self.value is not None:
            sizes = {site.path: self.value for site in data.sites}
            notes: tuple[str, ...] = ()
        else:
            known, notes = _initializers(data)
            sizes = {path: initializer.deviation for path, initializer in known.items()}
        for site in data.sites:
            if site.size and not sizes[site.path] > 0:
                raise Refused(f"the initializer of {site.path} always gives one value; give the constant with --value")
            single(sizes[site.path] if site.size else 0.0, dtype_of(site.dtype))
        return Prepared({site.path: self._signed(site, sizes[site.path], seed) for site in data.sites}, notes)

    def _signed(self, site: Site, size: float, seed: int) -> Apply:
        source = stream(seed, self.name, site.path)

        def begin(initial: Array, start: int, stop: int) -> Array:
            signs = drawn(
                source, site.size, start, stop, lambda generator, count: generator.integers(0, 2, count) - 0.5
            )
            return np.copysign(size, signs)

        return _masked(begin, self.same_sign)


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


def _masked(begin: Start, same_sign: bool) -> Apply:
    """What kept values start from, and zero elsewhere."""

    def apply(blocks: Blocks, start: int) -> Change:
        initial, model = blocks
        exact = initial.astype(np.float64)
        values = begin(exact, start, start + len(initial))
        if same_sign:
            values = np.where(exact == 0, values, np.copysign(values, exact))
        new = rounded(np.where(model != 0, values, 0.0), initial.dtype)
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
