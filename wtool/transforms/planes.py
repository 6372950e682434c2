"""How a kernel lies in memory, as groups of inputs of an output unit see it."""

from __future__ import annotations

import math
from itertools import groupby
from typing import NamedTuple

from wtool.errors import Usage
from wtool.transforms.budgets import is_depthwise, named
from wtool.transforms.change import Site


class Plane(NamedTuple):
    """A tensor in memory as an array of shape (any, rows, columns).

    Attributes:
        rows, columns: of each matrix.
        is_turned: whether rows are output units and columns inputs, and not the other way round.
    """

    rows: int
    columns: int
    is_turned: bool = False


def _runs(site: Site) -> list[tuple[str, int]]:
    """The neighbouring axes of a kind, each with how many positions they have together: inputs, units or others."""
    kinds = [
        "inputs" if at in site.input_axes else "units" if at in site.unit_axes else "" for at in range(len(site.shape))
    ]
    pairs = groupby(zip(kinds, site.shape, strict=True), key=lambda pair: pair[0])
    return [(kind, math.prod(size for _, size in group)) for kind, group in pairs]


def inputs_plane(site: Site) -> Plane | None:
    """Returns the plane whose rows are inputs, and whose columns are all that is in memory between two of them."""
    runs = _runs(site)
    at = max((at for at, (kind, _) in enumerate(runs) if kind == "inputs"), default=None)
    return None if at is None else Plane(runs[at][1], math.prod(size for _, size in runs[at + 1 :]))


def matrix_plane(site: Site) -> Plane | None:
    """Returns the plane of inputs and output units beside each other."""
    last = _runs(site)[-2:]
    if [kind for kind, _ in last] == ["inputs", "units"]:
        return Plane(last[0][1], last[1][1])
    return Plane(last[0][1], last[1][1], True) if [kind for kind, _ in last] == ["units", "inputs"] else None


def split_off(sites: list[Site], planes: dict[Site, Plane | None], what: str) -> tuple[list[Site], tuple[str, ...]]:
    """Returns the tensors that have planes, and notes on depthwise kernels, which have none.

    Raises:
        Usage: another tensor has none, or a depthwise kernel that the user named.
    """
    without = [site for site in sites if planes[site] is None]
    if odd := [site for site in without if not is_depthwise(site) or site.is_named]:
        raise Usage(f"{what} need axes of inputs, and nothing tells any of {named(odd)}; --exclude what has none")
    notes = (f"depthwise kernels have one input for each output, and stay as they are: {named(without)}",)
    return [site for site in sites if planes[site] is not None], notes if without else ()
