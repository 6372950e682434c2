"""What a layout tells the opener: which files have it, how they are called, and how they are opened."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from importlib import import_module
from typing import Any

from wtool.checkpoint.model import Checkpoint
from wtool.io.source import Source
from wtool.values import dataclass


@dataclass(frozen=True, slots=True)
class Opening:
    """How a file is to be opened.

    Attributes:
        stack: closes what was opened, where opening fails; the checkpoint takes over what the stack holds.
        like: an open checkpoint that probably has the same layout; where it does, its index serves this file too.
        drop: groups at the root of an HDF5 file that are left out, as if they had never been saved.
    """

    stack: ExitStack
    like: Checkpoint | None = None
    drop: tuple[str, ...] = ()

    def adopt(self, source: Source) -> Source:
        """Have the stack close a source; returns the source."""
        self.stack.callback(source.close)
        return source


@dataclass(frozen=True, slots=True)
class Layout:
    """How one kind of file names and stores the tensors of a model.

    Attributes:
        home: the module in this package that knows the layout, imported when a file with it is opened.
        extensions: name of each format with this layout (`Checkpoint.format`) -> extensions under which Keras opens a
            file of that format, the usual one first.
        recognises: whether a file has this layout, by its bytes alone.
    """

    home: str
    extensions: Mapping[str, tuple[str, ...]]
    recognises: Callable[[Source], bool]

    def open(self, source: Source, opening: Opening) -> Checkpoint:
        """Open a file that was recognised.

        Raises:
            Refused: it is no Keras model, damaged, or hostile.
        """
        found: Checkpoint = self._module().opened(source, opening)
        return found

    def configurations(self, source: Source, opening: Opening) -> list[tuple[str, dict[str, Any]]]:
        """Returns what a file says of its model, whatever else is wrong with it, as (label, parsed JSON)."""
        found: list[tuple[str, dict[str, Any]]] = self._module().configurations(source, opening)
        return found

    def _module(self) -> Any:
        return import_module(f"{__package__}.{self.home}")
