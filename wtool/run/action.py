"""What becomes of a tensor: a word that programs can compare, a text for people, and counts."""

from __future__ import annotations

from typing import Literal, TypeAlias

from wtool.values import dataclass

Kind: TypeAlias = Literal[
    "kept", "rewritten", "averaged", "merged", "pooled", "set", "follows", "reset", "taken", "patched", "reshaped",
    "recast", "stored", "quantised", "added", "removed",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Action:
    """What becomes of a tensor.

    Attributes:
        kind: `kept`; `rewritten`: single values are new; `averaged`, `merged` or `pooled` from several models; `set` to
            a constant or to given values; `follows`: it takes the new values of another tensor; `reset`: state of an
            optimizer starts anew; `taken` from another model; `patched`; `reshaped`; `recast`: it has another number
            type; `stored` in another way; `quantised`; `added`; `removed`.
        text: the same in words, with details.
        selected: how many values the operation was about; None where nothing is counted.
        rewritten: how many of them are written; None where nothing is counted.
        zeros: how many of them are zero now; None where nothing is counted.
    """

    kind: Kind
    text: str
    selected: int | None = None
    rewritten: int | None = None
    zeros: int | None = None

    def __str__(self) -> str:
        return self.text


KEPT = Action("kept", "kept")
PATCHED = Action("patched", "patched")
ADDED = Action("added", "new")
REMOVED = Action("removed", "left out")
