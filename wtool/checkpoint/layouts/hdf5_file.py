"""Single HDF5 files: whole models (`.h5`), and weights of Keras 3 (`.weights.h5`) and of older versions.

The groups and attributes at the root tell which of these a file is. What the names inside mean is in `keras3` and
`legacy`.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from wtool.checkpoint.indexing import indexed
from wtool.checkpoint.layouts import keras3
from wtool.checkpoint.layouts.layout import Opening
from wtool.checkpoint.layouts.registry import HDF5
from wtool.checkpoint.lineage import lineage_in
from wtool.checkpoint.model import Checkpoint
from wtool.errors import Differs, Refused
from wtool.hdf5.reader import Value
from wtool.io.json_text import parse_as_python, parse_object
from wtool.io.source import Region, Source
from wtool.io.zip_reader import opens_as_zip


def opened(source: Source, opening: Opening) -> Checkpoint:
    """Open an HDF5 file.

    Raises:
        Differs: the file is a zip archive as well.
        Refused: the file is damaged or hostile, or Keras did not write it.
    """
    if opens_as_zip(source):
        raise Differs("both an HDF5 file and a zip archive: no telling which is meant")
    like = opening.like
    same = like if like is not None and like.format in HDF5 else None
    region, index = indexed(Region(source, 0, source.size), opening, same)
    root = index.groups.get("", {})
    config = None
    if same and index is same.indexes[0]:
        kind, version, config, contents = same.format, same.keras_version, same.config, same.contents
    elif "model_config" in root or "model_weights" in index.groups:
        kind, version = "h5", _text(root, "keras_version")
        config = parse_object(_text(root, "model_config") or "", "the attribute model_config")
        training = _text(root, "training_config")
        parsed = parse_object(training, "the attribute training_config") if training else None
        contents = _legacy().contents(index, config, parsed, version)
    elif "layer_names" in root or "layer_names0" in root:
        kind, version = "h5-weights", _text(root, "keras_version")
        contents = _legacy().contents(index, None, None, version)
    elif any(path == "vars" or path.endswith("/vars") for path in index.groups):
        kind, version = "weights.h5", None
        contents = keras3.contents(index, None, None)
    else:
        raise Refused("an HDF5 file, but none that Keras wrote: it has neither layer_names nor vars groups")
    return Checkpoint(
        name=source.name, format=kind, keras_version=version, config=config, contents=contents,
        lineage=lineage_in(root), sources=(source,), regions=(region,), indexes=(index,),
        notes=contents.notes, closing=opening.stack.pop_all(),
    )  # fmt: skip


def _legacy() -> Any:
    from wtool.checkpoint.layouts import legacy  # seldom needed: Keras 3 names weights in another way

    return legacy


def training_config(checkpoint: Checkpoint) -> dict[str, object] | None:
    """Returns how a whole-model `.h5` says that it was compiled, or None."""
    text = _text(checkpoint.indexes[0].groups.get("", {}), "training_config") if checkpoint.format == "h5" else None
    return parse_object(text, "the attribute training_config") if text else None


def configurations(source: Source, opening: Opening) -> list[tuple[str, dict[str, Any]]]:
    """Returns the configurations of the model and of its training, whatever else is wrong with the file."""
    found: list[tuple[str, dict[str, Any]]] = []
    _, index = indexed(Region(source, 0, source.size), opening)
    for label, name in (("", "model_config"), ("training_config", "training_config")):
        with suppress(Refused):
            found.append((label, parse_as_python(_text(index.groups.get("", {}), name) or "", name)))
    return found


def _text(attributes: Mapping[str, Value], name: str) -> str | None:
    value = attributes.get(name)
    if isinstance(value, bytes):
        value = value.decode("utf-8", errors="surrogateescape")
    if value is not None and not isinstance(value, str):
        raise Refused(f"the attribute {name} is not a text")
    return value
