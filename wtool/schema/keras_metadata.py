"""What Keras 2 tells of a model in a SavedModel: `keras_metadata.pb`, or up to TensorFlow 2.4 `saved_model.pb` itself.

The former is a message `SavedMetadata`. Each node is an object that Keras saved: its number and path in the object
graph, what it is, and JSON that describes it. Node 0 is the model. Older versions keep the same JSON in the objects of
the SavedModel. The graph of operations beside them is passed over.

Source: tf_keras/protobuf/saved_metadata.proto, tf_keras/saving/legacy/saved_model/, and the files saved_model.proto,
meta_graph.proto and saved_object_graph.proto of tensorflow/core/protobuf/.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

from wtool.errors import Refused
from wtool.io.json_text import parse_as_python
from wtool.io.protobuf import Message, NotProtobuf
from wtool.schema.keras2_json import with_decoded_marks
from wtool.values import dataclass

KERAS = "_tf_keras"
"""Beginning of what Keras calls its objects."""

MODELS = ("_tf_keras_network", "_tf_keras_sequential", "_tf_keras_model")
"""What Keras calls models: functional ones, Sequential ones, and those of a class of the user's."""

WAY_OUT = "load it with the Keras that saved it and save its layers as a functional model, or use TFSMLayer in Keras 3"


@dataclass(frozen=True, slots=True)
class SavedLayer:
    """A layer of a SavedModel: its path (`root.layer-1.cell`), and what Keras tells of it."""

    path: str
    metadata: dict[str, Any]


@dataclass(frozen=True, slots=True)
class SavedKerasModel:
    """What the metadata of a SavedModel tell of the model.

    Attributes:
        config: the architecture, as an `.h5` has it (class and settings).
        training: how the model was compiled, as an `.h5` has it; None where it was not.
        keras_version: version of the Keras that saved the model.
        layers: number of each layer in the object graph -> the layer.
    """

    config: dict[str, Any]
    training: dict[str, Any] | None
    keras_version: str
    layers: dict[int, SavedLayer]


def read_keras_metadata(message: bytes) -> SavedKerasModel:
    """Returns what `keras_metadata.pb` tells of a model.

    Raises:
        Refused: the message is none that Keras writes, or the model is of a class that only its author knows.
    """
    try:
        nodes = [
            _Node(each.number(2), each.text(4), each.text(3), each.data(5)) for each in Message(message).messages(1)
        ]
    except NotProtobuf as error:
        raise Refused(f"damaged: its keras_metadata.pb has {error}") from None
    return _told(nodes)


def read_saved_model(message: bytes) -> SavedKerasModel | None:
    """Returns what the objects in `saved_model.pb` tell of a model; None where Keras has told nothing there.

    Raises:
        Refused: the message is none that TensorFlow writes, or the model is of a class that only its author knows.
    """
    try:
        objects = [graph.message(7).messages(1) for graph in Message(message).messages(2)][:1]
        users = [(number, each.message(4)) for number, each in enumerate(chain(*objects))]
        nodes = [_Node(number, user.text(1), f"object {number}", user.data(3)) for number, user in users]
    except NotProtobuf as error:
        raise Refused(f"damaged: its saved_model.pb has {error}") from None
    nodes = [each for each in nodes if each.metadata and each.kind.startswith(KERAS)]
    return _told(nodes) if nodes else None


@dataclass(frozen=True, slots=True)
class _Node:
    """An object of Keras: its number, what it is, its path, and JSON."""

    number: int
    kind: str
    path: str
    metadata: bytes

    def layer(self) -> SavedLayer:
        """Returns the layer that the node is."""
        metadata = with_decoded_marks(parse_as_python(self.metadata or b"{}", f"what it tells of {self.path!r:.80}"))
        assert isinstance(metadata, dict)
        return SavedLayer(self.path, metadata)


def _told(nodes: Sequence[_Node]) -> SavedKerasModel:
    root = next((each for each in nodes if each.number == 0), None)
    if root is None:
        raise Refused("its metadata do not tell of the model itself: what was saved is no Keras model")
    layers = {each.number: each.layer() for each in nodes if each.kind.startswith(KERAS) and "metric" not in each.kind}
    return _model(root.kind, root.layer().metadata, layers)


def _model(kind: str, metadata: dict[str, Any], layers: dict[int, SavedLayer]) -> SavedKerasModel:
    class_name = metadata.get("class_name")
    entry = metadata.get("model_config")
    if kind not in MODELS:
        raise Refused(f"what was saved is {class_name!r:.60}, which is no Keras model but a part of one; {WAY_OUT}")
    if kind == "_tf_keras_model" or not isinstance(entry, dict) or not isinstance(entry.get("config"), dict):
        raise Refused(
            f"the model is of the class {class_name!r:.60}, whose layers only its code connects: nothing tells its "
            f"architecture; {WAY_OUT}"
        )
    training, version = metadata.get("training_config"), metadata.get("keras_version")
    if not isinstance(version, str):
        raise Refused("its metadata do not tell the version of Keras")
    whole = metadata.get("config")
    if isinstance(whole, dict) and _hides_vocabulary(entry):
        entry = {**entry, "config": whole}
    return SavedKerasModel(entry, training if isinstance(training, dict) else None, version, layers)


def _hides_vocabulary(value: Any) -> bool:
    """Returns whether a part of an architecture has a lookup whose vocabulary Keras has taken out of its settings.

    Keras does so while it saves the lookup, and `model_config` comes after that; `config` was made before.
    Source: `VocabularySavedModelSaver` of tf_keras/src/saving/legacy/saved_model/layer_serialization.py.
    """
    if isinstance(value, list):
        return any(map(_hides_vocabulary, value))
    if not isinstance(value, dict):
        return False
    is_hidden = value.get("has_input_vocabulary") is True and value.get("vocabulary") is None
    return is_hidden or any(map(_hides_vocabulary, value.values()))
