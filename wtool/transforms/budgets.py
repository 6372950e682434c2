"""Budgets: how many weights of each tensor are pruned, so that it is a given share of all."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from wtool.errors import Refused, a_few
from wtool.transforms.change import Data, Site

if TYPE_CHECKING:
    from wtool.transforms.pruning import Prune

LEAST_OF_LAST = 0.2
"""The share of the last layer that `uniform+` keeps."""


class Spread(NamedTuple):
    """The tensors that are ranked together, each group with how many of its values are pruned; and notes."""

    groups: list[tuple[tuple[Site, ...], int]]
    notes: tuple[str, ...]


def spread(prune: Prune, data: Data, sizes: Mapping[Site, int]) -> Spread:
    """Spreads a sparsity over tensors.

    Args:
        prune: the sparsity, the budget, and the scale of the last layer.
        data: the values, for a budget that depends on them.
        sizes: the tensors, each with how many values or blocks it has.

    Returns:
        the groups, without those of which nothing is pruned.

    Raises:
        Refused: the budget cannot reach the sparsity.
    """
    last = [site for site in sizes if site.is_output] if prune.last_layer_scale != 1 else []
    rest = {site: size for site, size in sizes.items() if size and not (last and site.is_output)}
    notes = []
    if prune.spread in ("uniform+", "erk", "lamp"):
        dense = [site for site in rest if is_depthwise(site) and not site.is_named]
        rest = {site: size for site, size in rest.items() if not (is_depthwise(site) and not site.is_named)}
        if dense:
            reach = "--include '*kernel' takes them in"
            notes.append(f"depthwise kernels stay dense and are not counted in: {named(dense)}; {reach}")
    groups = _groups(prune, data, rest)
    groups += [((site,), round(prune.share * prune.last_layer_scale * sizes[site])) for site in last]
    if prune.last_layer_scale != 1:
        outputs = ", ".join(site.path for site in last)
        told = f"the output layer's kernel is {outputs}" if last else "no kernel of an output layer is selected"
        notes.append(told)
    return Spread([(sites, count) for sites, count in groups if count > 0], tuple(notes))


def _groups(prune: Prune, data: Data, sizes: Mapping[Site, int]) -> list[tuple[tuple[Site, ...], int]]:
    count = round(prune.share * sum(sizes.values()))
    match prune.spread:
        case "global":
            return [(tuple(sizes), count)]
        case "uniform":
            return [((site,), round(prune.share * size)) for site, size in sizes.items()]
        case "lamp":
            from wtool.transforms import lamp  # only here: most who prune need none of its buckets

            counts: Sequence[int] = lamp.counts(data, list(sizes), count)
        case "erk":
            counts = erdos_renyi(list(sizes.values()), [dimensions(site) for site in sizes], count)
        case _:
            counts = uniform_plus(sizes, count)
    return [((site,), each) for site, each in zip(sizes, counts, strict=True)]


def is_depthwise(site: Site) -> bool:
    """Returns whether each output unit of a kernel sees one channel only."""
    return len(site.unit_axes) == 2 and not site.input_axes


def named(sites: Sequence[Site]) -> str:
    """Returns the paths of tensors for a note, the first ones if there are many."""
    return a_few([site.path for site in sites])


def dimensions(site: Site) -> int:
    """Returns the sum of a kernel's dimensions, by which `erk` spreads: of the window, of inputs, and of output units.

    Several axes of inputs, or of units, are one dimension, as in the matrix that they stand for: a projection of 512
    inputs to 8 heads of 64 has 512 + 512. A depthwise kernel has one input.
    """
    window = [size for axis, size in enumerate(site.shape) if axis not in (*site.unit_axes, *site.input_axes)]
    matrix = [math.prod(site.shape[axis] for axis in axes) for axes in (site.unit_axes, site.input_axes)]
    if is_depthwise(site) or site.input_axes:
        return sum(window) + sum(matrix)
    return sum(site.shape)


def erdos_renyi(sizes: Sequence[int], dimensions: Sequence[int], count: int) -> list[int]:
    """Returns how many values of each tensor are pruned, so that what is left is as in an Erdős-Rényi random graph.

    The share that is kept of a kernel is eps * dimensions / size, with one eps for all. Where that is more than 1, the
    kernel of the highest share stays dense, and eps is found for the others.

    Args:
        sizes: how many values each tensor has.
        dimensions: the sum of the dimensions of each.
        count: how many values are pruned in all.

    Source: Evci et al., "Rigging the Lottery", arXiv:1911.11134, with the kernel's window counted in ("ERK").
    """
    kept = [float(size) for size in sizes]
    left, of_others = sum(sizes) - count, sum(dimensions)
    order = sorted(range(len(sizes)), key=lambda at: (-dimensions[at] / sizes[at], at))
    for place, at in enumerate(order):
        eps = left / of_others
        if eps * dimensions[at] <= sizes[at]:
            for other in order[place:]:
                kept[other] = eps * dimensions[other]
            break
        left -= sizes[at]
        of_others -= dimensions[at]
    whole = apportioned(sum(sizes) - count, kept, sizes)
    return [size - each for size, each in zip(sizes, whole, strict=True)]


def uniform_plus(sizes: Mapping[Site, int], count: int) -> list[int]:
    """Returns how many values of each tensor are pruned: an equal share, but for the first and the last one.

    If the first kernel is a convolution's, it stays dense. The kernel of the output layer keeps at least 20 %.

    Args:
        sizes: the tensors, each with how many values it has.
        count: how many values are pruned in all.

    Raises:
        Refused: the others cannot make up for that.

    Source: Gale, Elsen & Hooker, "The State of Sparsity", arXiv:1902.09574.
    """
    sites = list(sizes)
    most = dict(sizes)
    if sites and _is_convolution(sites[0]):
        most[sites[0]] = 0
    room = sum(most.values())
    if room and count / room > 1 - LEAST_OF_LAST:
        for site in sites:
            if site.is_output and most[site]:
                most[site] = sizes[site] - round(LEAST_OF_LAST * sizes[site])
    fixed = sum(limit for site, limit in most.items() if limit < sizes[site])
    room = sum(limit for site, limit in most.items() if limit == sizes[site])
    if count > fixed + room:
        reached = math.floor((fixed + room) / sum(sizes.values()) * 1e4) / 1e4
        raise Refused(
            "a budget of uniform+ keeps a first convolution and 20% of the last layer: it reaches a sparsity of "
            f"{reached} here at most"
        )
    shares = [(count - fixed) * limit / room if limit == sizes[site] else limit for site, limit in most.items()]
    return apportioned(count, shares, list(most.values()))


def _is_convolution(site: Site) -> bool:
    return bool(site.input_axes) and len(site.unit_axes) + len(site.input_axes) < len(site.shape)


def apportioned(total: int, shares: Sequence[float], most: Sequence[int]) -> list[int]:
    """Returns whole numbers near the shares whose sum is the total: those with the largest remainders are rounded up.

    Args:
        total: the sum; that of the shares but for rounding errors.
        shares: numbers from 0 up.
        most: the largest number that each may become.
    """
    whole = [min(math.floor(share), limit) for share, limit in zip(shares, most, strict=True)]
    order = sorted(range(len(shares)), key=lambda at: (whole[at] - shares[at], at))
    while (missing := total - sum(whole)) > 0:
        for at in [at for at in order if whole[at] < most[at]][:missing]:
            whole[at] += 1
    return whole
