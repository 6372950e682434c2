"""Models and weights that TensorFlow stores: SavedModel folders of Keras 2, and checkpoints. They are only read.

A SavedModel has the architecture in `keras_metadata.pb` and the values in a tensor bundle in its folder `variables`. A
checkpoint (`model.save_weights("ckpt")`) is such a bundle alone. TensorFlow is not needed for either.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from wtool.checkpoint.layouts.layout import Opening
from wtool.checkpoint.layouts.shards import open_shard
from wtool.checkpoint.layouts.signs import INDEX
from wtool.checkpoint.layouts.tensorflow_layers import CHECKPOINT, Bundle, anonymous_contents, contents
from wtool.checkpoint.model import Checkpoint, Contents
from wtool.checkpoint.tensor_bundle import data_name, indexed_arrays, read_bundle, text_of
from wtool.checkpoint.unzipped import KERAS_METADATA, folder_inside, open_inside
from wtool.errors import Refused
from wtool.io.folders import Folder
from wtool.io.limits import MAX_MESSAGE
from wtool.io.sorted_table import is_sorted_table
from wtool.io.source import Region, Source
from wtool.schema.config import COMPILED
from wtool.schema.keras_metadata import SavedKerasModel, read_keras_metadata, read_saved_model
from wtool.schema.object_graph import read_object_graph

SAVED_MODEL = "saved-model"
FORMATS = (SAVED_MODEL, CHECKPOINT)
METADATA, GRAPHS, VARIABLES = KERAS_METADATA, "saved_model.pb", "variables"
GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
"""Name of the object graph among the tensors of a checkpoint, and of its bytes in `Checkpoint.texts`."""

KERAS_2 = "2"
"""The version that a checkpoint stands for, as it tells none: Keras 3 writes no checkpoints of TensorFlow."""

NOT_KERAS = (
    "a TensorFlow SavedModel without metadata of Keras: nothing tells its layers. keras.layers.TFSMLayer runs it as a "
    "single layer in Keras 3; for a real conversion, save the model again with the Keras that made it"
)


def open_saved_model(path: str, opening: Opening) -> Checkpoint:
    """Open the folder of a SavedModel that Keras 2 saved.

    Raises:
        Reaches: a file is a symbolic link.
        Refused: the model has no metadata of Keras, is of a class of the user's, or is damaged or hostile.
    """
    parts: dict[str, Source] = {}
    top = Folder.at(path)
    try:
        model = _model_in(path, top, parts, opening)
        folder = folder_inside(VARIABLES, top, VARIABLES)
    finally:
        top.close()

    def opened(name: str) -> Source:
        inner = f"{VARIABLES}/{name}"
        parts[inner] = opening.adopt(Source(open_inside(name, folder, inner), inner))
        return parts[inner]

    try:
        bundle, graph = _bundle(opened(VARIABLES + INDEX), opened)
    finally:
        folder.close()
    found = contents(bundle, model.config, model.keras_version, model)
    return _checkpoint(path, SAVED_MODEL, parts, bundle, graph, found, opening, model)


def _model_in(path: str, top: Folder, parts: dict[str, Source], opening: Opening) -> SavedKerasModel:
    """Returns what a SavedModel tells of its model; the file that tells it becomes one of the parts.

    Raises:
        Refused: no file tells of a model.
    """
    name = METADATA if os.path.lexists(os.path.join(path, METADATA)) else GRAPHS
    parts[name] = opening.adopt(Source(open_inside(name, top, name), name))
    message = _whole(parts[name])
    model = read_keras_metadata(message) if name == METADATA else read_saved_model(message)
    if model is None:
        raise Refused(NOT_KERAS)
    return model


def recognises(source: Source) -> bool:
    """Returns whether a file may be the index of a checkpoint."""
    return is_sorted_table(source)


def open_bundle(source: Source, name: str, opening: Opening) -> Checkpoint:
    """Open a checkpoint by its index, with the data files beside it.

    Args:
        source: the index.
        name: what the user calls the checkpoint: its index, or the prefix of its files.
        opening: adopts the data files.

    Raises:
        Refused: the index or a data file is damaged, hostile or missing, or holds no objects of Keras.
    """
    if not source.name.endswith(INDEX):
        raise Refused("the index of a TensorFlow checkpoint, without the ending .index by which its data are found")
    parts = {os.path.basename(source.name): source}

    def opened(name: str) -> Source:
        parts[name] = opening.adopt(open_shard(source.name, name))
        return parts[name]

    bundle, graph = _bundle(source, opened)
    return _checkpoint(name, CHECKPOINT, parts, bundle, graph, anonymous_contents(bundle), opening)


def completed_contents(base: Checkpoint, config: Mapping[str, Any], version: str) -> Contents:
    """Returns the contents of a checkpoint along an architecture.

    Args:
        base: the checkpoint.
        config: the architecture.
        version: of the Keras that wrote the architecture.
    """
    return contents(Bundle(base.indexes, read_object_graph(base.texts[GRAPH])), config, version)


def _whole(source: Source) -> bytes:
    if source.size > MAX_MESSAGE:
        raise Refused(f"its {source.name} is {source.size:,} bytes long; the limit is {MAX_MESSAGE:,}")
    return source.read(0, source.size)


def _bundle(index: Source, opened: Any) -> tuple[Bundle, bytes]:
    """Returns the arrays of a bundle with the object graph, and the graph's own bytes.

    Args:
        index: of the bundle.
        opened: opens the data file of a name, which lies beside the index.
    """
    entries, shards = read_bundle(index)
    prefix = os.path.basename(index.name).removesuffix(INDEX)
    data = [opened(data_name(prefix, shard, shards)) for shard in range(shards)]
    if GRAPH not in entries:
        raise Refused("a TensorFlow checkpoint without an object graph, as TensorFlow 1 wrote them: its names tell no "
                      "layers; load it with the code that wrote it")  # fmt: skip
    indexes = indexed_arrays(entries, data)
    graph = text_of(entries[GRAPH], data[entries[GRAPH].shard])
    return Bundle(indexes, read_object_graph(graph)), graph


def _checkpoint(
    name: str, kind: str, parts: Mapping[str, Source], bundle: Bundle, graph: bytes, found: Contents, opening: Opening,
    model: SavedKerasModel | None = None,
) -> Checkpoint:  # fmt: skip
    config = None
    if model is not None:
        config = {**model.config, **({COMPILED: model.training} if model.training else {})}
    data = [source for part, source in parts.items() if not part.endswith((INDEX, METADATA, GRAPHS))]
    return Checkpoint(
        name=name, format=kind, keras_version=model.keras_version if model else KERAS_2, config=config, contents=found,
        lineage=(), sources=tuple(parts.values()), regions=tuple(Region(each, 0, each.size) for each in data),
        indexes=bundle.indexes, parts=parts, texts={GRAPH: graph}, notes=found.notes, closing=opening.stack.pop_all(),
    )  # fmt: skip
