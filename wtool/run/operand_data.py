"""What a merge looks at and writes: blocks of all operands, in their order, and the merged block."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from math import prod
from typing import Any

import numpy as np

from wtool.checkpoint.model import Checkpoint, Tensor
from wtool.dtypes import Array, round_into
from wtool.errors import Refused
from wtool.run.pipeline import Edit
from wtool.run.transform_data import FileData
from wtool.transforms.averaging import all_finite
from wtool.transforms.change import Blocks, Look, Site
from wtool.transforms.merging.method import Combine
from wtool.values import dataclass


@dataclass(frozen=True, slots=True, eq=False)
class OperandData:
    """Tensors of all operands, as `transforms.change.Data` whose blocks are in the order of the operands.

    Attributes:
        files: the tensors, with the blocks of the checkpoint that is rewritten first.
        checkpoints: the operands.
        order: position of each operand's block among those of `files`.
        sites: the tensors.
    """

    files: FileData
    checkpoints: Sequence[Checkpoint]
    order: Sequence[int]
    sites: Sequence[Site]

    def walk(self, look: Look, sites: Sequence[Site]) -> Iterator[tuple[Site, int, Any]]:
        """Hand every block of `sites` to `look`, in the order of the file."""
        return self.files.walk(partial(self._look, look), sites)

    def read(self, site: Site, start: int, stop: int) -> Blocks:
        """The values [start, stop) of a tensor, in each of the operands."""
        return self.ordered(self.files.read(site, start, stop))

    def ordered(self, blocks: Blocks) -> Blocks:
        """Blocks in the order of the operands."""
        return [blocks[at] for at in self.order]

    def tensors(self, path: str) -> list[Tensor]:
        """The tensors that stand for one of the result, in the order of the operands."""
        column = self.files.columns[path]
        return [column[at] for at in self.order]

    def _look(self, look: Look, site: Site, blocks: Blocks, start: int) -> Any:
        return look(site, self.ordered(blocks), start)


@dataclass(frozen=True, slots=True, eq=False)
class MergedTensor:
    """A tensor of the result, and how its blocks are made.

    Attributes:
        data: the operands.
        site: the tensor.
        target: the same tensor, in the file.
        combine: from blocks of the operands to the merged values.
        step: values that are merged at a time, so that all stays in the cache.
        result: what the tensor is then, for messages: `average`.
        nonfinite: what to do about NaN in the tensor, for the message; None where NaN may be.
    """

    data: OperandData
    site: Site
    target: Tensor
    combine: Combine
    step: int
    result: str
    nonfinite: str | None

    def edit(self, is_whole: bool) -> Edit:
        """The edit that writes the tensor; `is_whole` if no value can be told without all others."""
        if is_whole:
            return Edit(self.target, (), self._whole, is_whole=True)
        return Edit(self.target, self.data.files.columns[self.target.path], self._block)

    def _block(self, blocks: Blocks, start: int, stop: int) -> Array:
        """Merges blocks in parts, each of which ends at a multiple of `step` in the tensor."""
        ordered = self.data.ordered(blocks)
        new, low = ordered[0], start
        with np.errstate(all="ignore"):  # NaN and infinities are looked for afterwards
            while low < stop:
                high = min(stop, (low // self.step + 1) * self.step)
                part = [block[low - start : high - start] for block in ordered]
                round_into(new[low - start : high - start], self.combine(part, low))
                low = high
        return self._finite(new, start, stop)

    def _whole(self, blocks: Blocks, start: int, stop: int) -> Array:
        ordered = self.data.read(self.site, 0, prod(self.site.shape))
        with np.errstate(all="ignore"):
            round_into(ordered[0], self.combine(ordered, 0))
        return self._finite(ordered[0], 0, prod(self.site.shape))[start:stop]

    def _finite(self, new: Array, start: int, stop: int) -> Array:
        """Returns merged values.

        Raises:
            Refused: they are not finite, and must be.
        """
        if self.nonfinite is None or all_finite(new):
            return new
        path, checkpoints = self.target.path, self.data.checkpoints
        for tensor, checkpoint in zip(self.data.tensors(path), checkpoints, strict=True):
            if not all_finite(checkpoint.read_range(tensor, start, stop)):
                raise Refused(f"{tensor.path} holds NaN or infinite values; {self.nonfinite}", checkpoint.name)
        what = f"the {self.result} of {path} is too large for {self.target.dtype}"
        raise Refused(f"{what}; smaller weights or factors keep it finite")
