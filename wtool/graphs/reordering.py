"""Channels in another order: which of a graph's may move, and what becomes of the weights and of the optimizer."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from math import prod

import numpy as np

from wtool.checkpoint.model import Checkpoint, Tensor
from wtool.errors import Refused, a_few
from wtool.graphs.groups import Group
from wtool.graphs.layer_changes import COPY, AxisEdit
from wtool.schema.optimizers import kind_of
from wtool.transforms.permuting import FIXED, Channels, Place, Sources


def channels_of(groups: Sequence[Group], named: Callable[[str], str | None], locked: Collection[str]) -> list[Channels]:
    """Returns the channels of groups, in the same order, as far as they may change places.

    Args:
        groups: of a graph.
        named: from the path of a weight to its name among the tensors; None for weights that do not count.
        locked: paths of layers whose channels stay where they are.
    """
    found = []
    for group in groups:
        stays = group.bound | any(path in locked for path in group.layers)
        names = [(named(member.path), member) for member in group.members]
        places = tuple(Place(name, member.axis, member.channels) for name, member in names if name is not None)
        found.append(Channels(group.name, np.where(stays, FIXED, group.kinds), places))
    return found


def weight_edits(sources: Sources) -> dict[str, list[AxisEdit]]:
    """Returns path of each weight -> the edits that put its positions in another order."""
    return {
        path: [AxisEdit("", axis, source, COPY) for axis, source in sorted(axes.items())]
        for path, axes in sources.items()
    }


def with_copies(base: Checkpoint, edits: Mapping[str, list[AxisEdit]]) -> dict[str, list[AxisEdit]]:
    """Returns the same edits, and those of tensors that are copies of others."""
    copies = {each.path: edits.get(each.copy_of or "") for each in base.weights}
    return {**edits, **{path: own for path, own in copies.items() if own is not None}}


def slot_edits(base: Checkpoint, edits: Mapping[str, list[AxisEdit]]) -> dict[str, list[AxisEdit]]:
    """Returns path of each variable of the optimizer -> its edits, by which it goes with its weight.

    Args:
        base: has the optimizer.
        edits: path of a weight -> its edits.

    Raises:
        Refused: nothing tells which positions of a variable belong to which positions of its weight.
    """
    weights = {tensor.path: tensor for tensor in base.weights}
    found: dict[str, list[AxisEdit]] = {}
    odd = []
    for tensor in base.slots:
        path = None if tensor.slot is None else tensor.slot.weight
        if path not in weights:
            odd += [tensor.path] if prod(tensor.shape) != 1 else []
        elif path in edits and prod(tensor.shape) != 1:  # one number stands for nothing, or for the whole weight
            own = _like_weight(tensor, weights[path], edits[path])
            if own is None:
                odd.append(tensor.path)
            elif own:
                found[tensor.path] = own
    if odd:
        told = f"nothing tells how {a_few(odd)} goes with the weights"
        raise Refused(f"{told}; --optimizer drop leaves the state of the optimizer out")
    return found


def _like_weight(tensor: Tensor, weight: Tensor, edits: Sequence[AxisEdit]) -> list[AxisEdit] | None:
    """The edits of a slot that has the axes of its weight, or, such as the vectors of Adafactor, some of them."""
    assert tensor.slot is not None
    axes = kind_of(tensor.slot.name).shape(tuple(range(len(weight.shape))))
    if tensor.shape != tuple(weight.shape[axis] for axis in axes):
        return None
    return [replace(each, axis=axes.index(each.axis)) for each in edits if each.axis in axes]
