"""Sums over whole tensors by streaming: the same bits however the blocks are cut.

A tensor is cut into pieces of a fixed size, whatever the blocks are. Each piece is added up in pairs in float64, and
the sums of the pieces are added exactly (`math.fsum`). The error is below 30 units in the last place of the sum of the
terms' magnitudes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from wtool.dtypes import Array
from wtool.errors import Refused
from wtool.transforms.change import Blocks, Data, Site

if TYPE_CHECKING:
    from numpy.typing import NDArray

PIECE = 8192
"""Values that are added up in pairs; float64 blocks of so many fit into the L1 and L2 caches."""

Terms = Callable[[Site, Blocks, int], Sequence["NDArray[np.float64]"]]
"""From the blocks of a piece, and its position, to the terms of each sum: as many arrays of shape (n,) each time."""


def totals(data: Data, sites: Sequence[Site], terms: Terms, piece: int = PIECE) -> Mapping[str, tuple[float, ...]]:
    """Returns path of each tensor that is not empty -> its sums.

    Args:
        data: has the tensors.
        sites: the tensors.
        terms: what is added up.
        piece: values in a piece.

    Raises:
        Refused: a sum is not finite.
    """
    found: dict[str, _Adding] = {}

    def look(site: Site, blocks: Blocks, start: int) -> list[_Part]:
        return [
            _part(site, [block[low - start : high - start] for block in blocks], low, terms, piece)
            for low, high in _cuts(start, start + len(blocks[0]), piece)
        ]

    for site, _, parts in data.walk(look, [site for site in sites if site.size]):
        adding = found.setdefault(site.path, _Adding(site, terms, piece))
        for part in parts:
            adding.add(part)
    return {path: adding.totals() for path, adding in found.items()}


_Part = tuple[int, "list[float] | list[Array]"]
"""The position of a part, and its sums if it is a whole piece; else a copy of its blocks."""


def _cuts(start: int, stop: int, piece: int) -> list[tuple[int, int]]:
    return [
        (max(start, number * piece), min(stop, (number + 1) * piece))
        for number in range(start // piece, -(-stop // piece))
    ]


def _part(site: Site, blocks: Blocks, start: int, terms: Terms, piece: int) -> _Part:
    is_whole = start % piece == 0 and len(blocks[0]) == min(piece, site.size - start)
    return start, [float(each.sum()) for each in terms(site, blocks, start)] if is_whole else [
        block.copy() for block in blocks
    ]


class _Adding:
    """The sums of the pieces of a tensor so far, and the parts of a piece that is not whole yet."""

    def __init__(self, site: Site, terms: Terms, piece: int) -> None:
        self.site, self.terms, self.piece = site, terms, piece
        self.sums: list[list[float]] = []
        self.parts: list[list[Array]] = []
        self.start = 0

    def add(self, part: _Part) -> None:
        """Take the next part of the tensor; blocks come in order."""
        start, found = part
        if isinstance(found[0], float):
            self.sums.append([float(each) for each in found])
            return
        if not self.parts:
            self.start = start
        self.parts.append([np.asarray(each) for each in found])
        if sum(len(each[0]) for each in self.parts) == min(self.piece, self.site.size - self.start):
            blocks = [np.concatenate(each) for each in zip(*self.parts, strict=True)]
            self.sums.append([float(each.sum()) for each in self.terms(self.site, blocks, self.start)])
            self.parts = []

    def totals(self) -> tuple[float, ...]:
        """The sums over the tensor.

        Raises:
            Refused: one of them is not finite.
        """
        if not all(math.isfinite(each) for sums in self.sums for each in sums):
            raise Refused(f"{self.site.path} holds values that are too large to be added up; --exclude it")
        return tuple(math.fsum(each) for each in zip(*self.sums, strict=True))
