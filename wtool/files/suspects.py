"""What a model's configuration would have Keras run, import or fetch. It is read as data: nothing is resolved.

Keras resolves names by importing the module that the file names, unless they are its own or registered; Lambda layers
carry marshalled bytecode, TorchModuleWrapper a pickle, TFSMLayer the path of a graph. `safe_mode` stops some of it in
some versions: CVE-2024-3660, 2025-1550, 2025-8747, 2025-9905, 2025-9906, 2025-49655, 2026-1462.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from wtool.files.keras_names import FUNCTIONS, OPERATIONS, OPTIMIZERS
from wtool.files.variables import built_in


@dataclass(frozen=True, slots=True)
class Suspect:
    """Something that loading the file could do.

    Attributes:
        kind: `runs` (code in the file, or a function that is no part of a model), `imports` (names outside Keras),
            `refers` (files and addresses), `names` (names that are paths).
        where: path in the configuration, `config.layers[1].config.function`.
        what: for people.
    """

    kind: str
    where: str
    what: str


_CODE = {
    "__lambda__": "a lambda of marshalled Python bytecode",
    "TorchModuleWrapper": "a TorchModuleWrapper, whose module is a Python pickle",
    "TFSMLayer": "a TFSMLayer, which runs a TensorFlow graph from elsewhere",
    "JaxLayer": "a JaxLayer, which calls functions of its own",
    "FlaxLayer": "a FlaxLayer, which calls a module of its own",
}

_OF_MODELS = (
    "layers", "models", "engine", "initializers", "regularizers", "constraints", "optimizers", "optimizer_v2", "losses",
    "metrics", "activations", "dtype_policies", "mixed_precision", "quantizers", "random", "ops",
)  # fmt: skip
"""Keras's modules whose classes are parts of models."""

_OF_FUNCTIONS = ("activations", "losses", "metrics", "ops")
"""Keras's modules whose functions are parts of models: others fetch, load and configure."""

_PLACES = ("layers", "layer", "cell", "cells", "backward_layer", "forward_layer")
_NOT_CALCULATING = (
    "", "io", "raw_ops", "data", "saved_model", "summary", "compat", "debugging", "py_function", "numpy_function",
    "py_func", "load_library", "load_op_library", "print",
)  # fmt: skip
"""TensorFlow's modules and functions that do more than calculate."""

_FILES = ("vocabulary", "filepath", "file_path", "origin", "idf_weights", "asset", "fname")
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


def suspects(config: Any, where: str = "") -> Iterator[Suspect]:
    """Everything of this sort in a configuration, nested however deep.

    Args:
        config: parsed JSON: `config.json`, `model_config` or `training_config`.
        where: what comes before the paths.
    """
    waiting: list[tuple[Any, str, str]] = [(config, where, "")]
    while waiting:
        value, path, key = waiting.pop()
        if isinstance(value, Mapping):
            yield from _entry(value, path, key)
            children = [(child, f"{path}.{name}" if path else str(name), str(name)) for name, child in value.items()]
        elif isinstance(value, list):
            children = [(child, f"{path}[{number}]", key) for number, child in enumerate(value)]
        else:
            children = []
            if isinstance(value, str):
                yield from _text(value, path, key)
        waiting += reversed(children)


def _entry(entry: Mapping[str, Any], path: str, key: str) -> Iterator[Suspect]:
    """What a JSON object is, where Keras would make something of it."""
    class_name = entry.get("class_name")
    if not isinstance(class_name, str):
        return
    settings = entry.get("config")
    if class_name in _CODE:
        yield Suspect("runs", path, _CODE[class_name])
    elif class_name == "Lambda" and isinstance(settings, Mapping):
        yield from _lambda(settings, f"{path}.config")
    elif class_name in ("TFOpLambda", "SlicingOpLambda") and isinstance(settings, Mapping):
        yield from _tensorflow_function(settings, f"{path}.config")
    elif class_name == "__typespec__":
        yield Suspect("imports", path, f"a type called {entry.get('spec_name')} from module {entry.get('module')}")
    elif class_name == "function":
        yield from _function(entry, path)
    else:
        yield from _class(entry, class_name, path, key)
    name = settings.get("name") if isinstance(settings, Mapping) else None
    if isinstance(name, str) and is_path_out(name):
        yield Suspect("names", f"{path}.config.name", f"a name that leads out of a folder: {name!r:.80}")


def _lambda(settings: Mapping[str, Any], path: str) -> Iterator[Suspect]:
    """A Lambda layer, as Keras 2 writes it; in Keras 3 its function is an entry of its own."""
    for name in ("function", "output_shape", "mask"):
        value = settings.get(name)
        if isinstance(value, list) and value and isinstance(value[0], str):
            yield Suspect("runs", f"{path}.{name}", "a Lambda layer of marshalled Python bytecode")
        elif isinstance(value, str) and value not in FUNCTIONS:
            module = settings.get("module") or settings.get(f"{name}_module")
            yield Suspect("imports", f"{path}.{name}", f"a Lambda layer that calls {value!r:.80} of module {module}")


def _tensorflow_function(settings: Mapping[str, Any], path: str) -> Iterator[Suspect]:
    """A function of TensorFlow that stands in a graph of Keras 2, by name: harmless ones calculate."""
    name = settings.get("function")
    parts = name.split(".") if isinstance(name, str) else [""]
    if parts[0] in _NOT_CALCULATING or parts[-1] in _NOT_CALCULATING:
        yield Suspect("runs", f"{path}.function", f"TensorFlow's {name!r:.80}, which is no calculation")


def _function(entry: Mapping[str, Any], path: str) -> Iterator[Suspect]:
    name = entry.get("config")
    if isinstance(name, Mapping):
        name = name.get("name")
    module = entry.get("module")
    rooms = _rooms(module)
    if module in (None, "builtins") or rooms == []:
        if name not in FUNCTIONS:
            yield Suspect("imports", path, f"the function {name!r:.80}, which is not Keras's")
    elif rooms is None:
        yield Suspect("imports", path, f"the function {name!r:.80} of module {module!r:.80}")
    elif rooms[0] not in _OF_FUNCTIONS or not _is_plain(name) or name in ("get", "serialize", "deserialize"):
        yield Suspect("runs", path, f"{module}.{name}, which is no part of a model")


def _class(entry: Mapping[str, Any], class_name: str, path: str, key: str) -> Iterator[Suspect]:
    module, registered = entry.get("module"), entry.get("registered_name")
    rooms = _rooms(module)
    package = class_name.rpartition(">")[0]
    if isinstance(registered, str) and ">" in registered and not registered.startswith("keras>"):
        yield Suspect("imports", path, f"{class_name}, registered as {registered!r:.80}")
    elif module is not None and rooms is None:
        yield Suspect("imports", path, f"{class_name} of module {module!r:.80}")
    elif rooms is not None and not (_is_plain(class_name) and (not rooms or rooms[0] in _OF_MODELS)):
        yield Suspect("runs", path, f"{module}.{class_name}, which is no part of a model")
    elif package not in ("", "keras") and not (package == "Custom" and class_name.partition(">")[2] in OPTIMIZERS):
        yield Suspect("imports", path, f"{class_name.rpartition('>')[2]}, registered as {class_name!r:.80}")
    elif module is None and key in _PLACES and class_name not in OPERATIONS and built_in(class_name) is None:
        yield Suspect("imports", path, f"{class_name!r:.80}, which is not Keras's")


def _rooms(module: Any) -> list[str] | None:
    """The parts of a module's name below `keras`; None if it is not Keras's."""
    if not isinstance(module, str):
        return None
    first, *rest = module.split(".")
    if first == "tensorflow" and "keras" in rest:
        rest = rest[rest.index("keras") + 1 :]
    elif first not in ("keras", "tf_keras"):
        return None
    while rest and rest[0] in ("src", "api", "_v1", "_v2", "keras", "python"):
        rest = rest[1:]
    return rest


def _is_plain(name: Any) -> bool:
    """Whether it is one name: a dotted one would lead on into other modules."""
    return isinstance(name, str) and name.rpartition(">")[2].isidentifier()


def _text(value: str, path: str, key: str) -> Iterator[Suspect]:
    if _ADDRESS.match(value):
        yield Suspect("refers", path, f"the address {value!r:.120}")
    elif key in _FILES and not path.endswith("]"):
        yield Suspect("refers", path, f"the file {value!r:.120}")


def is_path_out(name: str) -> bool:
    """Whether a name, taken as a path, would lead out of the folder that it is joined to."""
    parts = re.split(r"[/\\]", name)
    return ".." in parts or name.startswith(("/", "\\")) or re.match(r"[A-Za-z]:[/\\]", name) is not None
