"""Samples that can be read by index, and their order: a function of the seed and the epoch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from wtool.dtypes import Array
from wtool.errors import Usage, counted
from wtool.transforms.streams import stream
from wtool.values import dataclass


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """Samples that can be read by index.

    Attributes:
        size: how many there are.
        take: from numbers, shape (n,), to a batch of n: (x,), (x, y) or (x, y, sample weights), each an array or a
            structure of arrays.
    """

    size: int
    take: Callable[[Array], Any]

    def split(self, share: float) -> tuple[Samples, Samples]:
        """Returns the samples without the last `share` of them, and that share, divided as by Keras.

        Raises:
            Usage: one of the parts would be empty.
        """
        count = int(self.size * (1.0 - share))
        if not 0 < count < self.size:
            raise Usage(f"a validation split of {share} of {counted(self.size, 'sample')} leaves nothing to one side")
        return Samples(count, self.take), Samples(self.size - count, lambda places: self.take(places + count))


def of_arrays(arrays: Any) -> Samples:
    """Returns the samples of (x,), (x, y) or (x, y, weights): arrays of one length, or dictionaries or tuples of them.

    Floating values become Keras's `floatx`, as `fit` does it; texts (`str` or bytes) become tensors of strings.

    Raises:
        Usage: lengths differ, or there are no samples; an array holds objects other than texts.
    """
    leaves = keras.tree.flatten(arrays)
    for leaf in leaves:
        _refuse_objects(leaf)
    if not all(leaf.shape for leaf in leaves):
        raise Usage("an array of data is a single number, and no samples")
    sizes = sorted({len(leaf) for leaf in leaves})
    if sizes[-1] == 0:
        raise Usage("the arrays of data are empty: they have no samples")
    if len(sizes) != 1:
        raise Usage(f"arrays of data with {' and '.join(map(str, sizes))} samples do not go together")

    def take(places: Array) -> Any:
        return keras.tree.map_structure(lambda leaf: _plain(leaf[places]), arrays)

    return Samples(sizes[0], take)


def _refuse_objects(array: Array) -> None:
    kinds = (type(each) for each in array.flat) if array.dtype == "O" else ()
    odd = next((kind.__name__ for kind in kinds if not issubclass(kind, (str, bytes))), "")
    if odd:
        raise Usage(f"an array of data holds a Python {odd}, where numbers or texts are expected")


def _plain(values: Array) -> Any:
    """Returns a batch as Keras takes it from a `PyDataset`, which must not hold NumPy arrays of texts."""
    if values.dtype.kind in "OSU":
        import tensorflow  # layers that take texts need it, whatever the backend is

        return tensorflow.convert_to_tensor(values)
    return np.asarray(values, keras.config.floatx() if values.dtype.kind == "f" else values.dtype)


def order(seed: int, epoch: int, size: int) -> Array:
    """Returns the order of an epoch's samples: a permutation, shape (size,), that depends on seed and epoch alone."""
    return stream(seed, "order", str(epoch)).chunk(0).permutation(size)


class Batches(keras.utils.PyDataset):
    """The batches of an epoch, for `fit(Batches(...), shuffle=False)`.

    Attributes:
        epoch: whose order they have; the training loop sets it.

    Args:
        samples: what is in them.
        batch_size: of all but perhaps the last.
        seed: of the order; None for the order of the samples.
        epoch: the first one.
        skip: how many batches of each epoch are left out at its beginning.
        steps: how many batches an epoch has; each epoch goes on in the samples where the one before ended, and when all
            samples were read, they come again in another order. None for all samples once.
    """

    def __init__(
        self,
        samples: Samples,
        batch_size: int,
        seed: int | None = None,
        epoch: int = 0,
        skip: int = 0,
        steps: int | None = None,
    ) -> None:
        super().__init__()
        self.samples = samples
        self.size = batch_size
        self.seed = seed
        self.epoch = epoch
        self.skip = skip
        self.steps = steps
        self._of_all = -(-samples.size // batch_size)
        self._order = (-1, np.empty(0, np.intp))

    def __len__(self) -> int:
        return (self.steps or self._of_all) - self.skip

    def __getitem__(self, number: int) -> Any:
        turn, number = divmod(self.epoch * (self.steps or self._of_all) + number + self.skip, self._of_all)
        start = number * self.size
        stop = min(start + self.size, self.samples.size)
        if self.seed is None:
            return self.samples.take(np.arange(start, stop))
        if self._order[0] != turn:
            self._order = (turn, order(self.seed, turn, self.samples.size))
        return self.samples.take(self._order[1][start:stop])


class EpochOfBatches(keras.callbacks.Callback):
    """A callback that tells `Batches` the index of each epoch before its first batch is read."""

    def __init__(self, batches: Batches) -> None:
        super().__init__()
        self.batches = batches

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Set the epoch."""
        self.batches.epoch = epoch
