"""What Keras 2 tells of a model in a SavedModel: the file `keras_metadata.pb`.

The file is a message `SavedMetadata`. Each node is an object that Keras saved: its number and path in the object graph,
what it is, and JSON that describes it. The first node is the model.

Source: tf_keras/protobuf/saved_metadata.proto, tf_keras/saving/legacy/saved_model/.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from wtool.errors import Refused
from wtool.io.json_text import parse_as_python
from wtool.io.protobuf import Message, NotProtobuf
from wtool.schema.keras2_json import with_decoded_marks

ROOT = "root"
"""Path of the model."""

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
        nodes = [_node(each) for each in Message(message).messages(1)]
    except NotProtobuf as error:
        raise Refused(f"damaged: its keras_metadata.pb has {error}") from None
    root = next((each for number, _, each in nodes if number == 0), None)
    if root is None or root.path != ROOT:
        raise Refused("its keras_metadata.pb does not tell of the model itself; what was saved is no Keras model")
    kind = next(kind for number, kind, _ in nodes if number == 0)
    layers = {number: each for number, kind, each in nodes if kind.startswith("_tf_keras") and "metric" not in kind}
    return _model(kind, root.metadata, layers)


def _node(message: Message) -> tuple[int, str, SavedLayer]:
    """Returns the number of a node, what it is, and the layer."""
    path = message.text(3)
    metadata = with_decoded_marks(parse_as_python(message.data(5) or b"{}", f"what it tells of {path!r:.80}"))
    assert isinstance(metadata, dict)
    return message.number(2), message.text(4), SavedLayer(path, metadata)


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
        raise Refused("its keras_metadata.pb does not tell the version of Keras")
    return SavedKerasModel(entry, training if isinstance(training, dict) else None, version, layers)
