"""What a transform is: something prepared from all tensors, which then says of each block what changes in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field
from math import prod
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np

from wtool.dtypes import Array, round_into
from wtool.errors import Usage
from wtool.values import dataclass


@dataclass(frozen=True, slots=True)
class Site:
    """A tensor as transforms know it.

    Attributes:
        path: names it, and its random numbers.
        shape, dtype: of its values.
        is_output: it is the kernel of the model's output layer.
        initializer: its layer's own, as the configuration has it; None where nothing tells.
        unit_axes: axes along which each position is an output unit of its layer; () where the tensor is one row.
        input_axes: axes along which a unit sums over the inputs of its layer; () where there are none.
        is_named: the user named the tensor itself, and not only its layer or its kind.
        depth: of its layer among the layers that have weights, 0 for the first and 1 for the last.
    """

    path: str
    shape: tuple[int, ...]
    dtype: str
    is_output: bool = False
    initializer: Any = field(default=None, compare=False)  # a dictionary, which has no hash
    unit_axes: tuple[int, ...] = ()
    input_axes: tuple[int, ...] = ()
    is_named: bool = False
    depth: float = 0.0

    @property
    def size(self) -> int:
        """How many values it has."""
        return prod(self.shape)


class Change(NamedTuple):
    """What becomes of a block.

    Attributes:
        where: the values that are rewritten: a mask of the block, or positions in it; None for all.
        values: what they become, in the tensor's dtype: one value, or one for each of them.
    """

    where: Array | None
    values: Any


Blocks = Sequence[Array]
"""Flat blocks of the same positions: the tensor that is changed, then the one of the other checkpoint, if there is."""

Apply = Callable[[Blocks, int], Change]
"""From blocks, and the position of their first value in the tensor, to what changes in the first of them."""

Look = Callable[[Site, Blocks, int], Any]


class Data(Protocol):
    """All tensors that a transform is about, wherever their values are."""

    @property
    def sites(self) -> Sequence[Site]:
        """The tensors, in the order of the model."""

    def walk(self, look: Look, sites: Sequence[Site]) -> Iterator[tuple[Site, int, Any]]:
        """Hand every block of `sites` to `look`: gives (tensor, position of the block, what was found), in order.

        Blocks of a tensor come one after the other; `look` may run in another thread.
        """

    def read(self, site: Site, start: int, stop: int) -> Blocks:
        """The values [start, stop) of a tensor."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A transform that has seen all it must: path of each tensor -> what changes in its blocks; and notes."""

    changes: Mapping[str, Apply]
    notes: tuple[str, ...] = ()


class Transform(Protocol):
    """An operation on the values of tensors: a frozen dataclass of its parameters, checked when it is made.

    Attributes:
        name: of the operation, in lineages and on the command line.
        of_initial: its result is the initial checkpoint, changed, and the model only tells the mask.
    """

    name: ClassVar[str]
    of_initial: ClassVar[bool]

    @property
    def empties_biases(self) -> bool:
        """Whether biases that are not selected themselves become zero."""

    @property
    def is_random(self) -> bool:
        """Whether it draws random numbers."""

    @property
    def reads_initial(self) -> bool:
        """Whether it needs the initial checkpoint."""

    @property
    def reads_axes(self) -> bool:
        """Whether it needs to know where inputs and output units stand in tensors."""

    @property
    def ranks(self) -> bool:
        """Whether it ranks the values of whole tensors, several times over, before it changes any."""

    def prepare(self, data: Data, seed: int, earlier: int) -> Prepared:
        """Look at the tensors as far as needed.

        Args:
            data: blocks of the tensors; with those of the other checkpoint behind them if it `reads_initial`.
            seed: of the random numbers.
            earlier: how often this operation was done to this model before.
        """


def put(values: Array, change: Change) -> None:
    """Make the change in a block, shape (n,)."""
    if change.where is None:
        values[...] = change.values
    elif change.where.dtype == np.bool_ and np.ndim(change.values) == 0:
        if float(change.values) == 0.0:  # by far the usual case, and seven times as fast
            bits = values.view(f"u{values.itemsize}")
            np.multiply(bits, ~change.where, out=bits)
        else:
            np.copyto(values, change.values, where=change.where)
    else:
        values[change.where] = change.values


def within(low: float, high: float, blocks: Blocks, start: int) -> Array:
    """Mask of the values in [low, high], compared in the block's dtype."""
    with np.errstate(over="ignore", under="ignore"):
        bounds = np.array([low, high]).astype(blocks[0].dtype)
    above = blocks[0] > 0 if low > 0 == bounds[0] else blocks[0] >= bounds[0]  # 0 is not above a bound that became 0
    below = blocks[0] < 0 if high < 0 == bounds[1] else blocks[0] <= bounds[1]
    return np.asarray(above & below)


def single(value: float, dtype: np.dtype[Any]) -> Any:
    """One value of a floating dtype; the rule for every number that a user gives for values to become or to vary by.

    -0.0 becomes 0.0, which is the mask.

    Raises:
        Usage: it is no finite number there, or becomes 0 (which is the mask) although it is not.
    """
    with np.errstate(all="ignore"):
        new = np.asarray(value).astype(dtype)
    if not np.isfinite(new):
        raise Usage(f"{value} is no finite {dtype.name} value")
    if value != 0 and new == 0:
        raise Usage(f"{value} is too small for {dtype.name}: it would become 0")
    return new[()] if new != 0 else dtype.type(0)


def rounded(values: Array, dtype: np.dtype[Any]) -> Array:
    """Float64 values in another floating dtype, rounded once."""
    result = np.empty(values.shape, dtype)
    round_into(result, values)
    return result


@dataclass(frozen=True, slots=True)
class ArrayData:
    """Tensors in memory: path -> array, and the initial arrays of the same paths where there are some."""

    arrays: Mapping[str, Array]
    initial: Mapping[str, Array] | None = None
    initializers: Mapping[str, Any] = field(default_factory=dict)

    @property
    def sites(self) -> Sequence[Site]:
        """The tensors, in the order of `arrays`; the last one with more than one dimension is the output kernel.

        The last axis is that of output units, and the one before it that of inputs.
        """
        kernels = [path for path, array in self.arrays.items() if array.ndim > 1]
        return [
            Site(
                path=path,
                shape=array.shape,
                dtype=array.dtype.name,
                is_output=path in kernels[-1:],
                initializer=self.initializers.get(path),
                unit_axes=(array.ndim - 1,) if array.ndim > 1 else (),
                input_axes=(array.ndim - 2,) if array.ndim > 1 else (),
            )
            for path, array in self.arrays.items()
        ]

    def walk(self, look: Look, sites: Sequence[Site]) -> Iterator[tuple[Site, int, Any]]:
        """Hand every tensor to `look`, whole."""
        for site in sites:
            yield site, 0, look(site, self.read(site, 0, site.size), 0)

    def read(self, site: Site, start: int, stop: int) -> Blocks:
        """The values [start, stop) of a tensor."""
        both = (self.arrays,) if self.initial is None else (self.arrays, self.initial)
        return [arrays[site.path].reshape(-1)[start:stop] for arrays in both]


def on_arrays(
    transform: Transform,
    arrays: Mapping[str, Array],
    initial: Mapping[str, Array] | None = None,
    *,
    seed: int = 0,
    earlier: int = 0,
    initializers: Mapping[str, Any] | None = None,
) -> dict[str, Array]:
    """A transform as a pure function of arrays.

    Args:
        transform: `Prune(sparsity=0.8)`, say.
        arrays: path -> array of any shape and floating dtype; they stay as they are.
        initial: the initial values of the same paths, for transforms that need them.
        seed: of the random numbers.
        earlier: how often the same was done before (what `decay` and `cutoff` of a stroke count).
        initializers: path -> configuration of its Keras initializer.

    Returns:
        path -> new array, of the same shape and dtype. For re-initialisations: the initial values under the mask of
        `arrays`.

    Example:
        >>> on_arrays(Prune(sparsity=0.5), {"kernel": np.array([0.1, -0.2])})
        {'kernel': array([ 0. , -0.2])}
    """
    if transform.reads_initial and initial is None:
        raise Usage(f"this {transform.name} needs initial arrays")
    base, other = (initial, arrays) if transform.of_initial and initial is not None else (arrays, initial)
    data = ArrayData(base, other, initializers or {})
    prepared = transform.prepare(data, seed, earlier)
    result = {path: array.copy() for path, array in base.items()}
    for site in data.sites:
        if site.path in prepared.changes:
            change = prepared.changes[site.path](data.read(site, 0, site.size), 0)
            put(result[site.path].reshape(-1), change)
    return result
