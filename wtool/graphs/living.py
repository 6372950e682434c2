"""Channels that live, since they can change an output of the model, and channels that stay though they do not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wtool.checkpoint.model import Checkpoint, Tensor
from wtool.dtypes import Array
from wtool.graphs.kernel_sums import readers
from wtool.graphs.labelling import Labelled
from wtool.values import dataclass


@dataclass(frozen=True, eq=False)
class Reading:
    """A weight that takes channels.

    Attributes:
        tensor: the weight.
        axis: along which it takes them.
        labels: of the channels, shape (inputs,).
        outs: axes of what it makes of them.
        made: labels of the channels that it makes, for each of `outs`; None where nobody knows them.
        values: constants that may be added to a bias instead, NaN for others; shape (inputs,).
        target: path of the bias, or of the moving mean behind; None where there is none.
        sign: of what is added there.
    """

    tensor: Tensor
    axis: int
    labels: Array
    outs: tuple[int, ...]
    made: tuple[Array | None, ...]
    values: Array
    target: Tensor | None
    sign: float


class Living:
    """Which channels of a graph live.

    A channel lives if it is bound, if a layer works on it together with others, or if a weight that is not zero takes
    it, while it is not constant, into a channel that lives.
    """

    def __init__(
        self, base: Checkpoint, labelled: Labelled, channels: Array, readings: Sequence[Reading], staying: Array
    ) -> None:
        """Find the channels that live.

        Args:
            base: has the weights.
            labelled: the graph.
            channels: the channel of each label, shape (labels,).
            readings: the weights that take channels, in the order of the graph.
            staying: labels of channels that live in any case, bool, shape (labels,).
        """
        self._channels = channels
        self._lives: Array = staying.copy()
        self._stays = np.zeros(len(staying), bool)
        self._constant = np.zeros(len(staying), bool)
        self._readings = [(reading, *_matrix(base, reading, channels)) for reading in readings]
        self._into: dict[int, list[int]] = {}
        for labels, _ in (*labelled.book.bound, *labelled.book.mixed):
            self._lives[channels[labels]] = True
        for number, reading in enumerate(readings):
            self._constant[channels[reading.labels[~np.isnan(reading.values)]]] = True
            for channel in {int(each) for made in reading.made if made is not None for each in channels[made]}:
                self._into.setdefault(channel, []).append(number)
        self._spread(range(len(readings)))

    def stay(self, labels: Array) -> Array:
        """Returns whether channels stay, shape of the labels."""
        own = self._channels[labels]
        return np.asarray(self._lives[own] | self._stays[own])

    def keep(self, labels: Array) -> None:
        """Let a channel stay that does not live.

        Where it is constant, those that read it count on its value, so that what makes the value has to live.
        """
        channel = self._channels[labels[0]]
        self._stays[channel] = True
        if self._constant[channel]:
            self._lives[channel] = True
            self._spread(self._into.get(int(channel), ()))

    def _spread(self, numbers: Sequence[int]) -> None:
        """Let channels live that some weights, and then others, take into channels that live."""
        while numbers:
            before = self._lives.copy()
            for number in reversed(numbers):
                reading, roots, matrix = self._readings[number]
                read = matrix[:, self._alive_outputs(reading)].any(axis=1)
                self._lives[roots[: len(matrix)][read]] = True
            new = np.flatnonzero(self._lives & ~before).tolist()
            numbers = sorted({number for channel in new for number in self._into.get(channel, ())})

    def _alive_outputs(self, reading: Reading) -> Array:
        """Which outputs of a kernel are channels that live, shape (outputs,)."""
        alive = np.ones((), bool)
        for out, labels in zip(reading.outs, reading.made, strict=True):
            whole = np.ones(reading.tensor.shape[out], bool)
            alive = np.logical_and.outer(alive, whole if labels is None else self._lives[self._channels[labels]])
        return alive.reshape(-1)


def _matrix(base: Checkpoint, reading: Reading, channels: Array) -> tuple[Array, Array]:
    """The channels that a weight takes, and which outputs it takes each of them into, but for constants."""
    roots, numbers = np.unique(channels[reading.labels], return_inverse=True)
    rows = np.where(np.isnan(reading.values), numbers, -1)
    return roots, readers(base, reading.tensor, reading.axis, reading.outs, rows)
