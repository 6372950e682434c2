"""Writing a model that is composed of the tensors of a checkpoint, in a format of its own choice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace

from wtool.checkpoint.composition import Composition, Outline
from wtool.checkpoint.lineage import Record
from wtool.checkpoint.model import Checkpoint, Slot, Tensor
from wtool.checkpoint.structure import Fresh
from wtool.checkpoint.unfilled import Rebuilt, arrays_of, unfilled
from wtool.checkpoint.writers import WRITERS
from wtool.errors import Refused, a_few
from wtool.io.places import Target
from wtool.schema.archive_members import CONFIG


def compose(
    base: Checkpoint, composition: Composition, target: Target, lineage: Sequence[Record], stack: ExitStack
) -> Rebuilt:
    """Start writing a composed model to `target`.

    Args:
        base: the checkpoint of whose tensors the model is composed; it stays open until the model is published.
        composition: the model.
        target: where the model goes.
        lineage: see `patch.rewrite`.
        stack: throws drafts away when it closes.

    Raises:
        Refused: the new file would not be one that can be read, or a variable would have another place in it.
        WtoolError: the target cannot be written.
    """
    begin = WRITERS[composition.format].begin
    if keeps_bytes(base, composition):
        return Rebuilt(begin(_same(base, composition), composition, target, lineage, stack), ())
    made, outlines = _made(base, composition, stack)
    output = begin(made, composition, target, lineage, stack)
    files = enumerate(zip(made.indexes, outlines, strict=True))
    arrays = (array for shard, (index, outline) in files for array in arrays_of(index, outline.skeleton, shard))
    return Rebuilt(output, tuple(arrays))


def check_composition(base: Checkpoint, composition: Composition, stack: ExitStack) -> Checkpoint:
    """Returns the composed model without its values, as wtool reads it.

    Raises:
        Refused: the new file would not be one that can be read, or a variable would have another place in it.
    """
    return _same(base, composition) if keeps_bytes(base, composition) else _made(base, composition, stack)[0]


def keeps_bytes(base: Checkpoint, composition: Composition) -> bool:
    """Returns whether the HDF5 file of a composed model is that of the base, to the byte.

    It is where both files have the layout of Keras 3, and the architecture and all arrays stay.
    """
    single = ("keras", "unzipped", "weights.h5")
    if base.format not in single or composition.format not in single or composition.config is not base.config:
        return False
    if composition.config is None and composition.format != "weights.h5":
        return False
    slots = [source for own in composition.slots.values() for _, source in own]
    same = [
        source for path, source in composition.variables.items() if isinstance(source, Tensor) and source.path == path
    ]
    return len(same) == len(composition.variables) and _ids(base.tensors) == _ids([*same, *slots])


def _ids(sources: Sequence[Tensor | Fresh]) -> set[int]:
    return {id(each) for each in sources}


def _same(base: Checkpoint, composition: Composition) -> Checkpoint:
    return replace(base, format=composition.format, keras_version=composition.keras_version)


def _made(base: Checkpoint, composition: Composition, stack: ExitStack) -> tuple[Checkpoint, tuple[Outline, ...]]:
    writer = WRITERS[composition.format]
    outlines = writer.outlines(base, composition)
    files = [unfilled(outline.skeleton, base.name, stack) for outline in outlines]
    regions, indexes = (tuple(each) for each in zip(*files, strict=True))
    contents = writer.read(indexes, composition)
    if wrong := list(_misread(contents.tensors, outlines, composition)):
        all_slots = composition.can_drop_slots and all(path.startswith("optimizer") for path, _ in wrong)
        way_out = "; --optimizer drop leaves the state of the optimizer out" if all_slots else ""
        told = a_few([words for _, words in wrong])
        raise Refused(f"the new file would be read otherwise than it is meant: {told}{way_out}")
    texts = dict(base.texts)
    if composition.config is not base.config:
        texts.pop(CONFIG, None)
    made = replace(
        base, format=composition.format, keras_version=composition.keras_version, config=composition.config,
        contents=contents, regions=regions, indexes=indexes, texts=texts,
    )  # fmt: skip
    return (made if writer.contain is None else writer.contain(made, composition, stack)), outlines


def _misread(
    tensors: Sequence[Tensor], outlines: Sequence[Outline], composition: Composition
) -> Iterator[tuple[str, str]]:
    """Yields the arrays of new files that wtool would take for something else than they are: paths, and words.

    Keras tells many variables apart only by their order. So a value in another variable's place would be noticed by
    nobody.
    """
    meanings = {path: meaning for outline in outlines for path, meaning in outline.meanings.items()}
    sources = {path: source for outline in outlines for path, source in outline.skeleton.sources.items()}
    paths = {id(source): path for path, source in composition.variables.items()}
    unnamed = {
        tensor.path: paths[id(sources[tensor.stored])]
        for tensor in tensors
        if tensor.stored in meanings and meanings[tensor.stored] is None
    }
    for tensor in tensors:
        if tensor.stored not in meanings:
            yield tensor.stored, f"{tensor.stored} would be {tensor.path}"
            continue
        meaning = meanings.pop(tensor.stored)
        is_same = isinstance(meaning, Slot) == (tensor.slot is not None) and (
            meaning is None or _name(meaning) == (_told(tensor.slot, unnamed) if tensor.slot else tensor.path)
        )
        if not is_same:
            yield tensor.stored, f"{_words(meaning)} would be {tensor.path}"
        elif tensor.dtype != sources[tensor.stored].dtype:
            yield tensor.stored, f"{tensor.path} would hold {tensor.dtype}, not {sources[tensor.stored].dtype}"
    for path, meaning in meanings.items():
        yield path, f"{path} would not be {_words(meaning)}"


def _name(meaning: str | Slot) -> str | tuple[str, str | None]:
    return meaning if isinstance(meaning, str) else (meaning.name, meaning.weight)


def _told(slot: Slot, unnamed: Mapping[str, str]) -> tuple[str, str | None]:
    """Returns what a new file says of a slot; `unnamed` has the paths of weights that the file calls by numbers."""
    return slot.name, unnamed.get(slot.weight or "", slot.weight)


def _words(meaning: str | Slot | None) -> str:
    if isinstance(meaning, Slot):
        return f"the optimizer's {meaning.name}" + (f" of {meaning.weight}" if meaning.weight else "")
    return meaning or "a variable of a custom class"
