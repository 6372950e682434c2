"""Edits that fill the arrays of a rebuilt checkpoint, for THE loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import prod

from wtool.checkpoint.model import Checkpoint
from wtool.checkpoint.structure import Fresh
from wtool.checkpoint.unfilled import Filled
from wtool.dtypes import Array, dtype_of
from wtool.run.pipeline import Edit


def edits_of(arrays: Sequence[Filled]) -> list[Edit]:
    """The edits that fill arrays: with the base's bytes, or with values that are made, whole where they have to be."""
    return [_edit(each) for each in arrays]


def fresh_of(base: Checkpoint, edit: Edit, others: Sequence[Checkpoint] = ()) -> Fresh:
    """The values that an edit gives, as those of an array of a model that is composed anew.

    Args:
        base: the checkpoint whose tensor the edit is of.
        edit: gives the new values; it must not need all of them at once.
        others: the checkpoints that the edit reads besides the base.
    """
    target = edit.target

    def block(start: int, stop: int) -> Array:
        pairs = zip((base, *others), edit.inputs, strict=False)
        blocks = [each.read_range(own, start, stop) for each, own in pairs if own is not None]
        new = edit.apply(blocks, start, stop)
        made: Array = blocks[0] if new is None else new
        return made

    return Fresh(target.shape, target.dtype, lambda: block(0, prod(target.shape)).reshape(target.shape), block, target)


def _edit(filled: Filled) -> Edit:
    source = filled.source
    if isinstance(source, Fresh) and source.block is not None:
        return Edit(filled.target, (), partial(_block, source.block))
    if isinstance(source, Fresh):
        return Edit(filled.target, (), partial(_made, filled.target.path, source), is_whole=True)
    return Edit(filled.target, (source,), _same)


def _block(give: Callable[[int, int], Array], blocks: Sequence[Array], start: int, stop: int) -> Array:
    return give(start, stop)


def _made(path: str, fresh: Fresh, blocks: Sequence[Array], start: int, stop: int) -> Array:
    values = fresh.make()
    if values.shape != fresh.shape or values.dtype != dtype_of(fresh.dtype):
        raise AssertionError(f"{path} became {values.dtype} {values.shape}")
    return values.reshape(-1)


def _same(blocks: Sequence[Array], start: int, stop: int) -> Array:
    return blocks[0]
