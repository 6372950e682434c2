"""The one opener: from a path to an open checkpoint, decided by what the file holds and never by its suffix.

Only this module takes the path of a model. Which files have which layout is told by `layouts.registry`.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, suppress
from dataclasses import replace

from wtool.checkpoint import other_formats
from wtool.checkpoint.layouts.keras_archive import folder_configurations, open_folder
from wtool.checkpoint.layouts.layout import Layout, Opening
from wtool.checkpoint.layouts.registry import ALL, EXTENSIONS, LAYOUTS, extension
from wtool.checkpoint.layouts.signs import index_of
from wtool.checkpoint.model import GZIP, Checkpoint
from wtool.checkpoint.optimizer.lost import noted
from wtool.checkpoint.unzipped import is_saved_model
from wtool.errors import Missing, Note, Refused, WtoolError
from wtool.io import tree
from wtool.io.addresses import is_address, local_path, without_query
from wtool.io.descriptor import source_of
from wtool.io.source import Source

OPTIMIZER_GROUPS = ("optimizer", "optimizer_weights")
"""Groups at the root of HDF5 files in which Keras stores an optimizer's state."""


def open_checkpoint(
    path: str, like: Checkpoint | None = None, drop_optimizer: bool = False, foreign: bool = False
) -> Checkpoint:
    """Open a saved Keras model or weights file, reading its index but not its weights.

    Args:
        path: a file, the folder of an unzipped model, or `-` for standard input.
        like: an open checkpoint that probably has the same layout; where it does, its index serves this file too.
        drop_optimizer: leave the optimizer's state out, as if it had never been saved.
        foreign: open also what wtool reads and never writes: SavedModels and checkpoints of TensorFlow. The path of
            such a checkpoint is that of its index, or the prefix of its files.

    Returns:
        The open checkpoint, which the caller closes.

    Raises:
        Refused: the file is no Keras model, damaged, or hostile.
        WtoolError: the file is missing or unreadable.
    """
    path = local_path(os.fspath(path))
    try:
        with ExitStack() as stack:
            opening = Opening(stack, like, OPTIMIZER_GROUPS if drop_optimizer else ())
            return (_folder if os.path.isdir(path) else _file)(path, opening, foreign)
    except WtoolError as error:
        raise error.about(without_query(path)) from None


def _folder(path: str, opening: Opening, foreign: bool) -> Checkpoint:
    """Open an unzipped model, or a SavedModel."""
    if not foreign or not is_saved_model(path):
        return _with_compression(open_folder(path, opening))
    if is_address(path):
        raise Refused(other_formats.ELSEWHERE)
    from wtool.checkpoint.layouts import tensorflow  # seldom needed

    return tensorflow.open_saved_model(path, opening)


def _file(path: str, opening: Opening, foreign: bool) -> Checkpoint:
    """Open a file; in a store, only asking for it tells that a name is a folder's."""
    index = index_of(path)
    if index is not None and not foreign:
        raise Refused(other_formats.CHECKPOINT)
    try:
        source = opening.adopt(source_of(index or path))
    except Missing:
        if is_address(path) and tree.is_folder(path):
            return _folder(path, opening, foreign)
        raise
    layout = _layout_of(source)
    if layout is not None:
        return _noted(_with_compression(layout.open(source, opening)), source, opening)
    if foreign:
        from wtool.checkpoint.layouts import tensorflow  # seldom needed

        if tensorflow.recognises(source):
            if is_address(path):
                raise Refused(other_formats.ELSEWHERE)
            return tensorflow.open_bundle(source, path, opening)
    raise Refused(other_formats.described(source))


def _noted(found: Checkpoint, source: Source, opening: Opening) -> Checkpoint:
    """Returns a checkpoint, which has taken over the open files, with what is to be said of it."""
    opening.stack.callback(found.close)
    told = noted(replace(found, notes=(*found.notes, *_name_notes(source.name, found.format))))
    opening.stack.pop_all()
    return told


def _with_compression(found: Checkpoint) -> Checkpoint:
    return replace(found, compression=GZIP) if any(index.stored for index in found.indexes) else found


def _layout_of(source: Source) -> Layout | None:
    return next((layout for layout in LAYOUTS if layout.recognises(source)), None)


def _name_notes(name: str, kind: str) -> tuple[Note, ...]:
    """Returns what is to be said of a name whose ending promises Keras another format than the file has."""
    ending = extension(name)
    if ending not in ALL or ending in EXTENSIONS[kind]:
        return ()
    if ending == ".keras" and kind.startswith("h5"):
        return (Note("HDF5 under a name in .keras, as TensorFlow 2.12 and older wrote it; Keras 3 wants .h5", "note"),)
    usual = EXTENSIONS[kind][0]
    wanted = f"such files end in {usual}" if kind == "safetensors" else f"Keras expects {usual}"
    return (Note(f"its name ends in {ending}, but its format is {kind}: {wanted}", "odd"),)


class Opener:
    """Opens checkpoints one after the other; the last with another layout stays open, to serve those that follow."""

    def __init__(self) -> None:
        self._last: Checkpoint | None = None

    def open(self, path: str, stack: ExitStack, drop_optimizer: bool = False, foreign: bool = False) -> Checkpoint:
        """Open a checkpoint like `open_checkpoint`.

        Args:
            path: see `open_checkpoint`.
            stack: when it closes, the checkpoint is closed, or kept open by this opener to serve those that follow.
            drop_optimizer, foreign: see `open_checkpoint`.
        """
        found = open_checkpoint(path, self._last, drop_optimizer, foreign)
        if self._last is not None and found.indexes and found.indexes[0] is self._last.indexes[0]:
            return stack.enter_context(found)
        stack.callback(self._keep, found)
        return found

    def _keep(self, checkpoint: Checkpoint) -> None:
        self.close()
        self._last = checkpoint

    def close(self) -> None:
        """Close the checkpoint that is still open."""
        if self._last is not None:
            self._last.close()
            self._last = None

    def __enter__(self) -> Opener:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def configurations(path: str) -> list[tuple[str, dict[str, object]]]:
    """Returns what a file says of its model, whatever else is wrong with the file, as (label, parsed JSON).

    Keras reads these configurations, and acts on them, before it looks at the weights.
    """
    path = local_path(path)
    with ExitStack() as stack, suppress(WtoolError, UnicodeError, LookupError):
        opening = Opening(stack)
        if tree.is_folder(path):
            return folder_configurations(path, opening)
        source = opening.adopt(source_of(path))
        layout = _layout_of(source)
        if layout is not None:
            return layout.configurations(source, opening)
    return []
