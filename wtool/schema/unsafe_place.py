"""Places in a configuration, and the unsafe parts that are found there."""

from __future__ import annotations

import re
from typing import Any

from wtool.values import dataclass

_ADDRESS = re.compile(r"(?<![a-z0-9+.-])[a-z][a-z0-9+.-]{0,30}\Z", re.IGNORECASE)
_OUT = re.compile(r"(?:^|[/\\])\.\.(?:[/\\]|$)|^[/\\]|^[A-Za-z]:[/\\]")


@dataclass(frozen=True, slots=True)
class UnsafePart:
    """Something that loading the file could run, import or fetch.

    Attributes:
        kind: `runs` (code in the file, or a function that is no part of a model), `imports` (names outside Keras),
            `refers` (files and addresses), `names` (names that are paths), `allocates` (more memory than models need).
        where: path in the configuration, `config.layers[1].config.function`.
        what: description for people.
    """

    kind: str
    where: str
    what: str


@dataclass(frozen=True, slots=True)
class PlacedValue:
    """A value in a configuration, and where it stands.

    Attributes:
        value: parsed JSON.
        key: its key or index in the value around it.
        above: the value around it; None for the whole configuration.
        slot: the setting that the value belongs to, where that decides what Keras does with a text.
    """

    value: Any
    key: str | int
    above: PlacedValue | None
    slot: str = ""

    @property
    def path(self) -> str:
        """Where the value stands, as in `config.layers[1].config.function`."""
        parts: list[str] = []
        place: PlacedValue | None = self
        while place is not None:
            parts.append(f"[{place.key}]" if isinstance(place.key, int) else f".{cut(place.key)}")
            place = place.above
        return "".join(reversed(parts)).strip(".")

    def unsafe(self, kind: str, what: str, *below: str) -> UnsafePart:
        """Returns an unsafe part at this place, or at the given keys below it."""
        return UnsafePart(kind, ".".join((self.path, *below)), what)


def is_address(text: str) -> bool:
    """Returns whether `scheme://` stands anywhere in a text."""
    at = text.find("://")
    while at >= 0:
        if _ADDRESS.search(text[max(0, at - 32) : at]):
            return True
        at = text.find("://", at + 3)
    return False


def cut(text: str) -> str:
    """Returns a text from a file, shortened to 80 characters."""
    return text if len(text) <= 80 else f"{text[:77]}..."


def quoted(value: Any) -> str:
    """Returns how a message shows a value from a file: texts quoted and shortened, other values by their type."""
    return repr(cut(value) if isinstance(value, str) else value if value is None else type(value).__name__)


def is_path_out(name: str) -> bool:
    """Returns whether a name, taken as a path, would lead out of the folder that it is joined to."""
    return _OUT.search(name) is not None
