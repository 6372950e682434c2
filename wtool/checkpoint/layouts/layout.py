"""What a layout tells the opener: which files have it, how they are called, and how they are opened."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from wtool.checkpoint.model import Checkpoint
from wtool.io.source import Source


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
        extensions: name of each format with this layout (`Checkpoint.format`) -> extensions under which Keras opens a
            file of that format, the usual one first.
        recognises: whether a file has this layout, by its bytes alone.
        open: opens a file that was recognised; raises `Refused`.
        configurations: what a file says of its model, whatever else is wrong with it, as (label, parsed JSON).
    """

    extensions: Mapping[str, tuple[str, ...]]
    recognises: Callable[[Source], bool]
    open: Callable[[Source, Opening], Checkpoint]
    configurations: Callable[[Source, Opening], list[tuple[str, dict[str, Any]]]]
