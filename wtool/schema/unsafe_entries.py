"""Unsafe entries of a configuration: objects of JSON that Keras makes classes, functions and graphs of.

Names that are known to be parts of models come from Keras's own tables (`keras_names`, `tensorflow_names`); every other
name is told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from wtool.schema import tensorflow_names
from wtool.schema.keras_names import BACKEND, CALLS, CLASSES, FUNCTIONS, OPERATIONS, OPTIMIZERS
from wtool.schema.layers import OWN_FUNCTION, built_in, original
from wtool.schema.node_def import Unreadable, read_node
from wtool.schema.sizes import oversized
from wtool.schema.unsafe_place import PlacedValue, UnsafePart, cut, is_address, is_path_out, quoted

_CODE = {
    "__lambda__": "a lambda of marshalled Python bytecode",
    "TorchModuleWrapper": "a TorchModuleWrapper, whose module is a Python pickle",
    "TFSMLayer": "a TFSMLayer, which runs a TensorFlow graph from elsewhere",
    "JaxLayer": "a JaxLayer, which calls functions of its own",
    "FlaxLayer": "a FlaxLayer, which calls a module of its own",
}

_STORED = {
    "Lambda": (
        ("function", "function_type", "module"),
        ("output_shape", "output_shape_type", "output_shape_module"),
        ("mask", "mask_type", "mask_module"),
    ),
    "DropoutWrapper": (("dropout_state_filter_visitor", "dropout_fn_type", "dropout_module"),),
    "ResidualWrapper": (("residual_function", "residual_fn_type", "residual_module"),),
}
"""Classes in which Keras 2 stores functions -> keys of each function, of its type and of its module."""

_TENSORFLOW = (
    "TFOpLambda",
    "SlicingOpLambda",
    "TensorFlowOpLayer",
    "ClassMethod",
    "InstanceMethod",
    "InstanceProperty",
)
"""Classes that do with TensorFlow what their settings say."""

RUNNING = frozenset({*_CODE, *_STORED, *_TENSORFLOW})
"""Classes that run what their settings say."""

_DATA = (
    "__keras_tensor__", "__tensor__", "__tf_tensor__", "__numpy__", "__bytes__", "__ellipsis__", "__slice__",
    "__tuple__", "__typespec__", "__lambda__", "TensorShape", "TypeSpec", "CompositeTensor", "function", "slice",
    "Ellipsis",
)  # fmt: skip
"""Class names that are no classes."""

_OF_MODELS = (
    "layers", "models", "engine", "initializers", "regularizers", "constraints", "optimizers", "optimizer_v2", "losses",
    "metrics", "activations", "dtype_policies", "mixed_precision", "quantizers", "random", "ops", "utils", "trainers",
)  # fmt: skip
"""Keras's modules in which parts of models are."""

_CALLS_OF = {
    "activations": FUNCTIONS,
    "losses": FUNCTIONS,
    "metrics": FUNCTIONS,
    "ops": frozenset(name.rpartition(".")[2] for name in CALLS),
    "backend": BACKEND,
}
"""Keras's modules whose functions are parts of models, and those functions: others fetch, load and configure."""

_RAGGED = frozenset(
    """
    bounding_shape dense_shape flat_values indices merge_dims nested_row_lengths nested_row_splits
    nested_value_rowids nrows row_lengths row_limits row_splits row_starts to_sparse to_tensor value_rowids values
    with_flat_values with_row_splits_dtype with_values
    """.split()  # noqa: SIM905
)
"""What Keras 2 puts into graphs of the methods and properties of ragged and sparse tensors."""

_COMPAT = re.compile(r"^compat\.v[12]\.")  # the same modules once more


def entry_parts(place: PlacedValue) -> Iterator[UnsafePart]:
    """Yields the unsafe parts of a JSON object of which Keras would make something."""
    entry = place.value
    class_name, settings = entry.get("class_name"), entry.get("config")
    if "class_name" not in entry:
        return
    if not isinstance(class_name, str):
        yield place.unsafe("imports", f"something whose class is called {quoted(class_name)}")
        return
    kind = class_name.removeprefix("keras>")
    if kind in _CODE:
        yield place.unsafe("runs", _CODE[kind])
    elif kind == "__typespec__":
        what = f"a type called {quoted(entry.get('spec_name'))} from module {quoted(entry.get('module'))}"
        yield place.unsafe("imports", what)
    elif kind == "TypeSpec":
        spec = entry.get("type_spec")
        if not isinstance(spec, str) or not spec.startswith("tf."):
            yield place.unsafe("imports", f"a type registered as {quoted(spec)}")
    elif kind == "function":
        yield from _function(place, entry)
    else:
        yield from _class(place, entry, kind)
    if isinstance(settings, Mapping):
        yield from _settings(place, kind, settings)
    for below, count in oversized(entry):
        yield place.unsafe("allocates", f"{count:,} values by one setting, more than models need", *below)


def _settings(place: PlacedValue, kind: str, settings: Mapping[str, Any]) -> Iterator[UnsafePart]:
    for keys in _STORED.get(kind, ()):
        yield from _stored(place, kind, settings, keys)
    if kind in _TENSORFLOW:
        yield from _tensorflow(place, kind, settings)
    name = settings.get("name")
    if isinstance(name, str) and is_path_out(name):
        yield place.unsafe("names", f"a name that leads out of a folder: {quoted(name)}", "config", "name")


def _stored(
    place: PlacedValue, kind: str, settings: Mapping[str, Any], keys: tuple[str, str, str]
) -> Iterator[UnsafePart]:
    """Yields unsafe functions in the settings of a layer of Keras 2; in Keras 3 a function is an entry of its own."""
    name, type_of, module_of = keys
    value = settings.get(name)
    is_code = isinstance(value, list) and value and isinstance(value[0], str)
    if is_code or (value is not None and settings.get(type_of) == "lambda"):
        yield place.unsafe("runs", f"a {kind} layer of marshalled Python bytecode", "config", name)
    elif isinstance(value, str):
        module = settings.get("module") or settings.get(module_of)
        if value not in FUNCTIONS or module:
            what = f"a {kind} layer that calls {quoted(value)} of module {quoted(module)}"
            yield place.unsafe("imports", what, "config", name)


def _tensorflow(place: PlacedValue, kind: str, settings: Mapping[str, Any]) -> Iterator[UnsafePart]:
    """Yields the function or operation of TensorFlow that a layer of Keras 2 calls by name, if it is unsafe."""
    if kind == "TensorFlowOpLayer":
        yield from _node(place, settings.get("node_def"))
        return
    if kind.startswith("Instance"):
        name = settings.get("attr_name")
        calculates = isinstance(name, str) and name in _RAGGED
    elif kind == "ClassMethod":
        name = f"{settings.get('cls_symbol')}.{settings.get('method_name')}"
        calculates = name.startswith("RaggedTensor.from_")
    else:
        name = settings.get("function")
        calculates = isinstance(name, str) and _calculates(_COMPAT.sub("", name))
    if not calculates:
        yield place.unsafe("runs", f"TensorFlow's {quoted(name)}, which is no calculation that is known", "config")


def _calculates(function: str) -> bool:
    """Returns whether a function of TensorFlow, or of Keras inside TensorFlow, calculates and does nothing else."""
    room, _, name = function.rpartition(".")
    if room == "raw_ops":
        return name in tensorflow_names.NODES
    if room.startswith("keras."):
        return name in _CALLS_OF.get(room.removeprefix("keras."), ())
    return function in tensorflow_names.CALLS


def _node(place: PlacedValue, value: Any) -> Iterator[UnsafePart]:
    try:
        node = read_node(value)
    except Unreadable:
        yield place.unsafe("runs", f"a graph's node that cannot be read, {quoted(value)}", "config", "node_def")
        return
    if node.op not in tensorflow_names.NODES or node.calls:
        what = f"TensorFlow's {quoted(node.op)}, which is no calculation that is known"
        yield place.unsafe("runs", what, "config", "node_def")
    for text in filter(is_address, node.strings):
        yield place.unsafe("refers", f"the address {quoted(text)}", "config", "node_def")


def _function(place: PlacedValue, entry: Mapping[str, Any]) -> Iterator[UnsafePart]:
    name, module = entry.get("config"), entry.get("module")
    if isinstance(name, Mapping):
        name = name.get("name")
    rooms, registered = _rooms(module), entry.get("registered_name")
    known = isinstance(name, str) and name in (*FUNCTIONS, OWN_FUNCTION)
    if registered not in (None, "function", name, f"keras>{name}"):
        yield place.unsafe("imports", f"a function registered as {quoted(registered)}")
    elif module in (None, "builtins") or rooms == []:
        if not known:
            yield place.unsafe("imports", f"the function {quoted(name)}, which is not Keras's")
    elif rooms is None:
        yield place.unsafe("imports", f"the function {quoted(name)} of module {quoted(module)}")
    elif not isinstance(name, str) or name.rpartition(">")[2] not in _functions_of(rooms):
        yield place.unsafe("runs", f"{cut(str(module))}.{cut(str(name))}, which is no part of a model")


def _functions_of(rooms: list[str]) -> frozenset[str]:
    if rooms[-1] == "backend" and rooms[0] in ("backend", "legacy", "_legacy"):
        return BACKEND
    return _CALLS_OF.get(rooms[0], frozenset())


def _is_own(module: Any, kind: str, registered: Any) -> bool:
    """Returns whether a class is a layer of `wtool.layers`, by all of its names, or a layer that these replace.

    Keras looks up a name without a module only among what the user registered, so nothing is imported for it.
    """
    if module is None and original(kind, module, registered) is not None:
        return True
    if module is None:
        return kind.startswith("wtool>") and built_in(kind) == kind and registered in (None, kind)
    own = f"wtool>{kind}"
    modules = ("wtool.layers.autorot", "wtool.layers.linked", "wtool.layers.recurrent")
    return module in modules and registered == own and built_in(own) == own


def _class(place: PlacedValue, entry: Mapping[str, Any], kind: str) -> Iterator[UnsafePart]:
    module, registered = entry.get("module"), entry.get("registered_name")
    if _is_own(module, kind, registered):
        return
    rooms = _rooms(module)
    package, _, plain = kind.rpartition(">")
    known = plain in CLASSES or plain in OPERATIONS or kind in _DATA or built_in(plain) is not None or plain in RUNNING
    own = package in ("", "keras") or (package == "Custom" and plain in OPTIMIZERS)
    other_name = registered not in (None, kind, plain, f"keras>{plain}")
    if module is not None and rooms is None:
        yield place.unsafe("imports", f"{cut(kind)} of module {quoted(module)}")
    elif rooms is not None and not (known and (not rooms or rooms[0] in _OF_MODELS)):
        yield place.unsafe("runs", f"{cut(str(module))}.{cut(kind)}, which is no part of a model")
    elif other_name:
        yield place.unsafe("imports", f"{cut(kind)}, registered as {quoted(registered)}")
    elif not own:
        yield place.unsafe("imports", f"{cut(plain)}, registered as {quoted(kind)}")
    elif not known:
        yield place.unsafe("imports", f"{quoted(kind)}, which is not Keras's")


def _rooms(module: Any) -> list[str] | None:
    """Returns the parts of a module's name below `keras`; None for a module that is not Keras's."""
    if not isinstance(module, str):
        return None
    first, *rest = module[:1000].split(".")
    if first == "tensorflow" and "keras" in rest:
        rest = rest[rest.index("keras") + 1 :]
    elif first not in ("keras", "tf_keras"):
        return None
    while rest and rest[0] in ("src", "api", "_v1", "_v2", "keras", "python"):
        rest = rest[1:]
    return rest
