"""The result of a conversion, and the error where a model cannot be converted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, Literal

from wtool.argument_names import for_reader
from wtool.errors import WtoolError
from wtool.schema.upgrade.upgraded import Change
from wtool.values import dataclass


@dataclass(frozen=True, slots=True)
class Converted:
    """What was done to a model, or would be.

    Attributes:
        model: path.
        output: path of the result, `-` for standard output; None where nothing is written.
        is_new: whether there was anything to convert; False for a model that has the wanted format already.
        skipped: the output was there already, made of the same input in the same way.
        format: of the result.
        changes: what the rules changed, layer by layer.
        notes: what is worth knowing, one line each.
        verified: what was compared, and how far the outputs differ; None where nothing was.
    """

    model: str
    output: str | None
    is_new: bool = True
    skipped: bool = False
    format: str = "keras"
    changes: tuple[Change, ...] = ()
    notes: tuple[str, ...] = ()
    verified: str | None = None

    TOLD: ClassVar[tuple[str, ...]] = ("outcome",)

    @property
    def outcome(self) -> Literal["converted", "skipped", "nothing"]:
        """What came of the model: `nothing` where there was nothing to convert."""
        if self.skipped:
            return "skipped"
        return "converted" if self.is_new else "nothing"


class Unconvertible(WtoolError):
    """A model that cannot be converted without its user: `refused` tells why, or else the message alone."""

    def __init__(self, message: str, refused: Sequence[Change] = ()) -> None:
        super().__init__(message)
        self._refused = tuple(refused)

    @property
    def refused(self) -> tuple[Change, ...]:
        """Each layer that no rule can keep, with the reason and what to do; empty where the message tells all."""
        return tuple(replace(each, text=for_reader(each.text)) for each in self._refused)
