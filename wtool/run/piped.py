"""Models that come through a pipe from one operation into the next one, and never are files.

`wtool prune m.keras -o - | wtool stroke - -o out.keras` and one pass that does both give the same bytes. The pass
cannot know the hash of a file that never was, so neither way tells one: the record of the second operation calls its
base `-`, without a hash, and the record of the first operation loses the hash of its result. What came through the pipe
follows from the records before. So this is done only where wtool wrote what came through, to the byte, and only where
the records since the last file that has a hash are of operations whose results follow from their records.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from wtool.checkpoint.lineage import Record, Result, own_records
from wtool.checkpoint.model import Checkpoint
from wtool.checkpoint.seal import is_sealed
from wtool.transforms.registry import REGISTRY

DETERMINED = frozenset({*REGISTRY, "align", "average", "convert", "ema", "merge", "pack", "patch", "shrink", "swap"})
"""Operations whose results follow, to the bit, from their records and inputs: all but those that run models."""


def is_followed(base: Checkpoint) -> bool:
    """Returns whether a checkpoint came through a pipe, and follows from its lineage alone.

    Raises:
        Refused: a file became shorter, or changed while it was read.
    """
    return base.name == "-" and _follows(base.lineage) and is_sealed(base)


def _follows(lineage: Sequence[Record]) -> bool:
    for record in reversed(own_records(lineage)):
        if record.operation not in DETERMINED or not record.inputs:
            return False
        if all(each.hashes for each in record.inputs):
            return True
    return False


def widened(lineage: Sequence[Record]) -> list[Record]:
    """Returns records whose counts are as long as those that a single pass announces before it counts.

    Room for the lineage is made before anything is counted. The records at the end of a lineage that tell of models
    which never were files could come from such a pass, and get as much room as there.
    """
    found = [*lineage]
    for at in reversed(range(len(found))):
        result = found[at].result
        if not found[at].is_own:
            continue
        if result is not None and result.hash is not None:
            break
        if result is not None and type(selected := result.counts.get("selected")) is int:
            counts = {name: selected if type(value) is int else value for name, value in result.counts.items()}
            found[at] = replace(found[at], result=Result(counts))
    return found
