"""Channels that do nothing: nobody reads them, or they are constant and can be added to a bias instead.

A channel lives if it can change an output of the model: if it is bound, if a layer works on it together with others,
or if a weight that is not zero takes it, while it is not constant, into a channel that lives. All others can be taken
out, and the model computes what it did.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import numpy as np

from wtool.checkpoint.model import Checkpoint, Tensor
from wtool.dtypes import Array
from wtool.graphs.constants import Found, constants_of
from wtool.graphs.grouping import Grouping, Numbers
from wtool.graphs.groups import Group
from wtool.graphs.kernel_outputs import is_of_outputs, outputs_of
from wtool.graphs.kernel_sums import weighted
from wtool.graphs.labelling import Labelled
from wtool.graphs.living import Living, Reading
from wtool.graphs.values import weights_by_layer
from wtool.schema.graph import Layer, Model
from wtool.values import dataclass


@dataclass(frozen=True, eq=False)
class Dead:
    """What can be taken out of a model without a change of what it computes.

    Attributes:
        kept: name of each group with dead channels -> for each channel whether it stays, shape (channels,).
        shifts: path of a bias, or of a moving mean -> what is added to it for the constants that are taken out;
            of the shape of the weight, float64.
    """

    kept: dict[str, Array]
    shifts: dict[str, Array]


def dead_channels(base: Checkpoint, model: Model, grouping: Grouping, left_out: Collection[str] = ()) -> Dead:
    """Find the channels of a model that do nothing.

    Args:
        base: has the weights, which are read once or twice, a few million values at a time.
        model: the graph of its configuration.
        grouping: of the model.
        left_out: names of the groups whose channels all stay.

    Raises:
        Refused: the graph contradicts itself, or the weights do not fit it.
    """
    labelled, numbers, groups = grouping.labelled, grouping.numbers, grouping.groups
    readings = list(_readings(base, model, labelled, constants_of(base, model)))
    staying = [number for number, group in enumerate(groups) if group.name in left_out]
    living = Living(base, labelled, labelled.book.channels(), readings, np.isin(numbers.group, staying))
    kept = _kept(groups, numbers, living)
    return Dead(kept, _shifts(base, readings, grouping.staying(kept)))


def _kept(groups: Sequence[Group], numbers: Numbers, living: Living) -> dict[str, Array]:
    """Which channels stay in groups that have dead ones; one of each layer does in any case."""
    labels = np.split(np.argsort(numbers.group, kind="stable"), np.cumsum(np.bincount(numbers.group + 1)))
    found = {}
    for number, group in reversed(list(enumerate(groups))):  # from the outputs on, since what lives makes inputs live
        own = labels[number + 1]
        for part in (*group.parts, np.ones(group.size, bool)):
            if not _stays(group, numbers, living, own)[part].any():
                living.keep(own[numbers.channel[own] == np.argmax(part)])
    for number, group in enumerate(groups):
        stays = _stays(group, numbers, living, labels[number + 1])
        if not stays.all():
            found[group.name] = stays
    return found


def _stays(group: Group, numbers: Numbers, living: Living, own: Array) -> Array:
    stays = np.zeros(group.size, bool)
    stays[numbers.channel[own][living.stay(own)]] = True
    return stays


def _readings(base: Checkpoint, model: Model, labelled: Labelled, found: Found) -> Iterator[Reading]:
    owned = weights_by_layer(base)
    layers = {layer.path: layer for inner in model.walk() for layer in inner.layers}
    of_path = {tensor.path: layers[path] for path, tensors in owned.items() if path in layers for tensor in tensors}
    for (path, axis), place in labelled.places.items():
        if place.side != "takes":
            continue
        tensor, layer = place.tensor, of_path[path]
        outs = tuple(out for out in outputs_of(layer, tensor) if out != axis)
        made = tuple(labelled.places[path, out].labels if (path, out) in labelled.places else None for out in outs)
        target, sign = _target(owned, found, layer, tensor, outs)
        values = found.reads.get((path, axis), np.full(len(place.labels), np.nan))
        if target is None:
            values = np.where(values == 0, values, np.nan)
        yield Reading(tensor, axis, place.labels, outs, made, values, target, sign)


def _target(
    owned: dict[str, list[Tensor]], found: Found, layer: Layer, kernel: Tensor, outs: tuple[int, ...]
) -> tuple[Tensor | None, float]:
    """The weight to which constant inputs of a kernel can be added, and with which sign."""
    shape = tuple(kernel.shape[out] for out in outs)
    inputs = len(kernel.shape) - len(outs) > 0
    for tensor in owned.get(layer.path, ()):
        if inputs and tensor.layer == kernel.layer and tensor.role == "bias":
            fits = tensor.shape in (shape, (2, *shape)) and is_of_outputs(layer, outs, len(tensor.shape))
            return (tensor, 1.0) if fits else (None, 1.0)
    behind = found.behind.get(layer.path)
    if behind is not None and found.calls[layer.path] == found.calls[behind] == 1:
        for tensor in owned.get(behind, ()):
            if tensor.role == "moving_mean" and tensor.shape == shape:
                return tensor, -1.0
    return None, 1.0


def _shifts(base: Checkpoint, readings: Sequence[Reading], stays: Array) -> dict[str, Array]:
    """What is added to biases for constants that are taken out."""
    found: dict[str, Array] = {}
    for reading in readings:
        gone = ~stays[reading.labels] & ~np.isnan(reading.values)
        values = np.where(gone, reading.values, 0.0)
        if reading.target is None or not values.any():
            continue
        target = reading.target
        sums = weighted(base, reading.tensor, reading.axis, reading.outs, values).reshape(
            [reading.tensor.shape[out] for out in reading.outs]
        )
        whole = found.setdefault(target.path, np.zeros(target.shape))
        (whole[0] if whole.ndim > sums.ndim else whole)[...] += reading.sign * sums
    return found
