"""Masks around transforms: pruned values count as zero, whatever they are, and the result's masks are recorded."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import field
from functools import partial
from typing import Any

import numpy as np

from wtool.checkpoint import masks
from wtool.checkpoint.lineage import Record
from wtool.checkpoint.masks import Mask, RecordedEntries
from wtool.checkpoint.model import Checkpoint, Tensor
from wtool.dtypes import Array
from wtool.errors import Refused
from wtool.run.changes import Edited
from wtool.transforms.change import Apply, Blocks, Change, Data, Site, Transform, put
from wtool.values import dataclass


@dataclass(frozen=True, slots=True, eq=False)
class Masking:
    """The recorded masks that take part in a transform.

    Attributes:
        base: masks of the checkpoint that is changed.
        seen: path of a tensor of the base -> index of the block that has a mask, and the mask.
    """

    base: Mapping[str, Mask] = field(default_factory=dict)
    seen: Mapping[str, tuple[int, Mask]] = field(default_factory=dict)

    def blocks(self, path: str, blocks: Blocks, start: int) -> Blocks:
        """Returns blocks as the transform is to see them: pruned values are zero.

        Args:
            path: of the tensor of the base.
            blocks: of the base, and of the other checkpoint.
            start: position of their first value.
        """
        if path not in self.seen:
            return blocks
        index, mask = self.seen[path]
        kept = mask.kept(blocks[index], start)
        shown = list(blocks)
        if index == 0:
            shown[0] = np.where(kept, blocks[0], blocks[0].dtype.type(0))
        else:  # of the other checkpoint, only its mask counts; a kept value may be zero
            shown[index] = kept.astype(blocks[index].dtype)
        return shown

    def change(self, path: str, apply: Apply) -> Apply:
        """Returns a change of a tensor, given the blocks that the transform is to see."""
        return apply if path not in self.seen else partial(self._changed, path, apply)

    def _changed(self, path: str, apply: Apply, blocks: Blocks, start: int) -> Change:
        return apply(self.blocks(path, blocks, start), start)


NO_CHANGE = Change(np.empty(0, np.intp), 0)
"""Nothing is rewritten."""

NO_MASKING = Masking()
"""No mask takes part."""


def is_masking(transform: Transform) -> bool:
    """Returns whether zeros of the result are a mask: of what prunes, and of what keeps the mask of a pruned model."""
    return transform.of_initial or (transform.name == "prune" and getattr(transform, "set_value", None) == 0)


def masking_of(
    transform: Transform,
    edited: Edited,
    others: Sequence[Checkpoint],
    columns: Mapping[str, tuple[Tensor, ...]],
    chosen: Collection[str],
) -> tuple[Masking, tuple[str, ...]]:
    """Returns the recorded masks that take part in a transform, and notes on masks that count no more.

    Args:
        transform: what is done.
        edited: the checkpoint that is changed.
        others: the pruned model, of a transform of the initial checkpoint.
        columns: path of each weight of the base -> the weight, and those of the others.
        chosen: paths of the tensors of the base that the transform is about.

    Raises:
        Refused: a recorded mask is damaged.
    """
    if not is_masking(transform):
        return NO_MASKING, ()
    # Where one plan prunes a thousand tensors one by one, each operation reads the masks of its own tensor only.
    base = masks.recorded_masks(edited.lineage, edited.base.weights, chosen)
    if not transform.of_initial:
        return Masking(base.masks, {path: (0, mask) for path, mask in base.masks.items()}), base.notes
    told = [masks.recorded_masks(each.lineage, each.weights) for each in others]
    seen = {
        path: (1, found)
        for path, column in columns.items()
        for each, tensor in zip(told, column[1:], strict=True)
        if (found := each.masks.get(tensor.path)) is not None
    }
    return Masking(base.masks, seen), tuple(note for each in told for note in each.notes)


def new_masks(
    transform: Transform, masking: Masking, data: Data, changes: Mapping[str, Apply], earlier: Sequence[Record]
) -> RecordedEntries:
    """Returns the masks of a result that its zeros do not tell; looks at the tensors once.

    Args:
        transform: what is done; see `is_masking`.
        masking: the recorded masks that take part.
        data: the tensors, as the transform sees them.
        changes: path of each tensor -> what changes in it.
        earlier: the lineage so far.

    Raises:
        Refused: the lineage has no room for masks without which pruned values would not be held.
    """
    if not is_masking(transform):
        return RecordedEntries({})
    sites = [site for site in data.sites if transform.of_initial or site.path in masking.base]
    entries: dict[str, Any] = {}
    pruned = total = 0
    for site, kept, is_told, is_held in _kept(transform, masking, data, changes, sites):
        pruned, total = pruned + int(kept.size - np.count_nonzero(kept)), total + kept.size
        if not is_told:
            entries[site.path] = masks.entry(kept, site.shape, is_held)
        elif site.path in masking.base:
            entries[site.path] = None
    holds = [path for path, each in entries.items() if each is not None and each["held"] == masks.VALUES]
    if not entries or masks.fits(earlier, entries):
        note = f"{pruned:,} of {total:,} weights are pruned, and are held at their values when training goes on"
        return RecordedEntries(entries, (note,) if holds else ())
    if holds:
        raise Refused("the mask has more bits than the lineage has room for; --pruned zero needs none")
    return RecordedEntries({}, ("the lineage has no room for a mask: kept weights that are zero count as pruned",))


def _kept(
    transform: Transform, masking: Masking, data: Data, changes: Mapping[str, Apply], sites: Sequence[Site]
) -> Iterator[tuple[Site, Array, bool, bool]]:
    """Yields each tensor with its mask, whether its zeros tell the mask, and whether pruned values are held."""
    always = getattr(transform, "pruned", "zero") == "initial"

    def look(site: Site, blocks: Blocks, start: int) -> tuple[Array, bool, bool]:
        change = changes[site.path](blocks, start) if site.path in changes else NO_CHANGE
        new = blocks[0].copy()
        put(new, change)
        if transform.of_initial:
            kept = np.asarray(blocks[1] != 0)
            return kept, bool(np.array_equal(kept, new != 0)), always
        rewritten = np.zeros(len(new), bool)
        rewritten[... if change.where is None else change.where] = True
        before = masking.base[site.path]
        kept = before.kept(blocks[0], start)
        stays = before.holds_values and bool(np.any(~kept & ~rewritten))
        kept = kept & ~rewritten
        return kept, not stays and bool(np.array_equal(kept, new != 0)), stays

    current: Site | None = None
    parts: list[tuple[Array, bool, bool]] = []
    for site, _, found in data.walk(look, sites):
        if current is not None and site is not current:
            yield _joined(current, parts)
            parts = []
        current = site
        parts.append(found)
    if current is not None:
        yield _joined(current, parts)


def _joined(site: Site, parts: Sequence[tuple[Array, bool, bool]]) -> tuple[Site, Array, bool, bool]:
    kept, told, holds = zip(*parts, strict=True)
    return site, np.concatenate(kept), all(told), any(holds)
