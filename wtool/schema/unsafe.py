"""What a model's configuration would have Keras run, import or fetch. It is read as data: nothing is resolved.

Keras resolves names by importing the module that the file names, unless they are its own or registered; Lambda layers
carry marshalled bytecode, TorchModuleWrapper a pickle, TFSMLayer the path of a graph. `safe_mode` stops some of it in
some versions: CVE-2024-3660, 2025-1550, 2025-8747, 2025-9905, 2025-9906, 2025-49655, 2026-1462. So whatever is not
known to be a part of models is told. The names that are known are made from Keras's own tables (`keras_names`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from wtool.schema import tensorflow_names
from wtool.schema.keras2_json import decoded, is_marked
from wtool.schema.keras_names import BACKEND, CALLS, CLASSES, FUNCTIONS, OPERATIONS, OPTIMIZERS, SHORT
from wtool.schema.layers import OWN_FUNCTION, built_in, original
from wtool.schema.node_def import Unreadable, read_node
from wtool.schema.sizes import oversized


@dataclass(frozen=True, slots=True)
class UnsafePart:
    """Something that loading the file could do.

    Attributes:
        kind: `runs` (code in the file, or a function that is no part of a model), `imports` (names outside Keras),
            `refers` (files and addresses), `names` (names that are paths), `allocates` (more memory than models need).
        where: path in the configuration, `config.layers[1].config.function`.
        what: for people.
    """

    kind: str
    where: str
    what: str


@dataclass(frozen=True, slots=True)
class _Value:
    """A value and where it is: its key or number, and what it is in."""

    value: Any
    key: str | int
    above: _Value | None
    slot: str = ""

    @property
    def path(self) -> str:
        parts: list[str] = []
        place: _Value | None = self
        while place is not None:
            parts.append(f"[{place.key}]" if isinstance(place.key, int) else f".{_cut(place.key)}")
            place = place.above
        return "".join(reversed(parts)).strip(".")

    def suspect(self, kind: str, what: str, *below: str) -> UnsafePart:
        """Something about it, or about what is below it."""
        return UnsafePart(kind, ".".join((self.path, *below)), what)


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

_CALLED = (
    "activation",
    "recurrent_activation",
    "loss",
    "metrics",
    "weighted_metrics",
    "fn",
    "optimizer",
    "inner_optimizer",
)
_MADE = re.compile(r".*_(initializer|regularizer|constraint|quantizer)$")
_FILES = ("vocabulary", "vocabulary_file", "filepath", "file_path", "origin", "idf_weights", "asset", "fname")
_DTYPE = re.compile(r"[\w/.-]*")
_ADDRESS = re.compile(r"(?<![a-z0-9+.-])[a-z][a-z0-9+.-]{0,30}\Z", re.IGNORECASE)
_OUT = re.compile(r"(?:^|[/\\])\.\.(?:[/\\]|$)|^[/\\]|^[A-Za-z]:[/\\]")
_KNOWN = {name.lower().replace("_", "") for name in (*CLASSES, *FUNCTIONS, *SHORT)}


def unsafe_parts(config: Any, where: str = "") -> Iterator[UnsafePart]:
    """Everything of this sort in a configuration, nested however deep.

    Args:
        config: parsed JSON: `config.json`, `model_config` or `training_config`.
        where: what comes before the paths.
    """
    marks: list[Any] = []
    told = set()
    for found in _walked(config, where, marks):
        told.add(hash(found))
        yield found
    if marks:
        yield from (found for found in _walked(decoded(config), where, []) if hash(found) not in told)


def _walked(config: Any, where: str, marks: list[Any]) -> Iterator[UnsafePart]:
    """Everything in a configuration as it stands; `marks` gets objects that Keras 2 would turn into other values."""
    waiting = [_Value(config, where, None)]
    while waiting:
        place = waiting.pop()
        value = place.value
        if isinstance(value, Mapping):
            if is_marked(value):
                marks.append(value)
            yield from _entry(place)
            waiting += [_below(child, str(name), place) for name, child in reversed(list(value.items()))]
            yield from (place.suspect("refers", f"the address {_shown(name)}") for name in value if _is_address(name))
        elif isinstance(value, list):
            waiting += [_below(child, number, place) for number, child in reversed(list(enumerate(value)))]
        elif isinstance(value, str):
            yield from _text(place)


def _below(value: Any, key: str | int, above: _Value) -> _Value:
    """What is inside; lists and plain dictionaries of functions hold functions, and those of words words."""
    slot = above.slot
    if isinstance(key, str) and ("class_name" in above.value or not slot or key in _CALLED):
        slot = key if key in (*_CALLED, *_FILES, "dtype", "constants") or _MADE.match(key) else ""
    return _Value(value, key, above, slot)


def _entry(place: _Value) -> Iterator[UnsafePart]:
    """What a JSON object is, where Keras would make something of it."""
    entry = place.value
    class_name, settings = entry.get("class_name"), entry.get("config")
    if "class_name" not in entry:
        return
    if not isinstance(class_name, str):
        yield place.suspect("imports", f"something whose class is called {_shown(class_name)}")
        return
    kind = class_name.removeprefix("keras>")
    if kind in _CODE:
        yield place.suspect("runs", _CODE[kind])
    elif kind == "__typespec__":
        what = f"a type called {_shown(entry.get('spec_name'))} from module {_shown(entry.get('module'))}"
        yield place.suspect("imports", what)
    elif kind == "TypeSpec":
        spec = entry.get("type_spec")
        if not isinstance(spec, str) or not spec.startswith("tf."):
            yield place.suspect("imports", f"a type registered as {_shown(spec)}")
    elif kind == "function":
        yield from _function(place, entry)
    else:
        yield from _class(place, entry, kind)
    if isinstance(settings, Mapping):
        yield from _settings(place, kind, settings)
    for below, count in oversized(entry):
        yield place.suspect("allocates", f"{count:,} values by one setting, more than models need", *below)


def _settings(place: _Value, kind: str, settings: Mapping[str, Any]) -> Iterator[UnsafePart]:
    for keys in _STORED.get(kind, ()):
        yield from _stored(place, kind, settings, keys)
    if kind in _TENSORFLOW:
        yield from _tensorflow(place, kind, settings)
    name = settings.get("name")
    if isinstance(name, str) and is_path_out(name):
        yield place.suspect("names", f"a name that leads out of a folder: {_shown(name)}", "config", "name")


def _stored(place: _Value, kind: str, settings: Mapping[str, Any], keys: tuple[str, str, str]) -> Iterator[UnsafePart]:
    """A function in a layer, as Keras 2 writes it; in Keras 3 it is an entry of its own."""
    name, type_of, module_of = keys
    value = settings.get(name)
    is_code = isinstance(value, list) and value and isinstance(value[0], str)
    if is_code or (value is not None and settings.get(type_of) == "lambda"):
        yield place.suspect("runs", f"a {kind} layer of marshalled Python bytecode", "config", name)
    elif isinstance(value, str):
        module = settings.get("module") or settings.get(module_of)
        if value not in FUNCTIONS or module:
            what = f"a {kind} layer that calls {_shown(value)} of module {_shown(module)}"
            yield place.suspect("imports", what, "config", name)


def _tensorflow(place: _Value, kind: str, settings: Mapping[str, Any]) -> Iterator[UnsafePart]:
    """A function or operation of TensorFlow that stands in a graph of Keras 2, by name."""
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
        yield place.suspect("runs", f"TensorFlow's {_shown(name)}, which is no calculation that is known", "config")


def _calculates(function: str) -> bool:
    """Whether a function of TensorFlow, or of Keras as a part of it, calculates and does nothing else."""
    room, _, name = function.rpartition(".")
    if room == "raw_ops":
        return name in tensorflow_names.NODES
    if room.startswith("keras."):
        return name in _CALLS_OF.get(room.removeprefix("keras."), ())
    return function in tensorflow_names.CALLS


def _node(place: _Value, value: Any) -> Iterator[UnsafePart]:
    try:
        node = read_node(value)
    except Unreadable:
        yield place.suspect("runs", f"a graph's node that cannot be read, {_shown(value)}", "config", "node_def")
        return
    if node.op not in tensorflow_names.NODES or node.calls:
        what = f"TensorFlow's {_shown(node.op)}, which is no calculation that is known"
        yield place.suspect("runs", what, "config", "node_def")
    for text in filter(_is_address, node.strings):
        yield place.suspect("refers", f"the address {_shown(text)}", "config", "node_def")


def _function(place: _Value, entry: Mapping[str, Any]) -> Iterator[UnsafePart]:
    name, module = entry.get("config"), entry.get("module")
    if isinstance(name, Mapping):
        name = name.get("name")
    rooms, registered = _rooms(module), entry.get("registered_name")
    known = isinstance(name, str) and name in (*FUNCTIONS, OWN_FUNCTION)
    if registered not in (None, "function", name, f"keras>{name}"):
        yield place.suspect("imports", f"a function registered as {_shown(registered)}")
    elif module in (None, "builtins") or rooms == []:
        if not known:
            yield place.suspect("imports", f"the function {_shown(name)}, which is not Keras's")
    elif rooms is None:
        yield place.suspect("imports", f"the function {_shown(name)} of module {_shown(module)}")
    elif not isinstance(name, str) or name.rpartition(">")[2] not in _functions_of(rooms):
        yield place.suspect("runs", f"{_cut(str(module))}.{_cut(str(name))}, which is no part of a model")


def _functions_of(rooms: list[str]) -> frozenset[str]:
    if rooms[-1] == "backend" and rooms[0] in ("backend", "legacy", "_legacy"):
        return BACKEND
    return _CALLS_OF.get(rooms[0], frozenset())


def _is_own(module: Any, kind: str, registered: Any) -> bool:
    """Whether it is a layer of `wtool.layers`, by all of its names, or one that they stand in for.

    Keras looks up a name without a module only among what the user registered, so nothing is imported for it.
    """
    if module is None and original(kind, module, registered) is not None:
        return True
    if module is None:
        return kind.startswith("wtool>") and built_in(kind) == kind and registered in (None, kind)
    own = f"wtool>{kind}"
    modules = ("wtool.layers.autorot", "wtool.layers.linked", "wtool.layers.recurrent")
    return module in modules and registered == own and built_in(own) == own


def _class(place: _Value, entry: Mapping[str, Any], kind: str) -> Iterator[UnsafePart]:
    module, registered = entry.get("module"), entry.get("registered_name")
    if _is_own(module, kind, registered):
        return
    rooms = _rooms(module)
    package, _, plain = kind.rpartition(">")
    known = plain in CLASSES or plain in OPERATIONS or kind in _DATA or built_in(plain) is not None or plain in RUNNING
    own = package in ("", "keras") or (package == "Custom" and plain in OPTIMIZERS)
    other_name = registered not in (None, kind, plain, f"keras>{plain}")
    if module is not None and rooms is None:
        yield place.suspect("imports", f"{_cut(kind)} of module {_shown(module)}")
    elif rooms is not None and not (known and (not rooms or rooms[0] in _OF_MODELS)):
        yield place.suspect("runs", f"{_cut(str(module))}.{_cut(kind)}, which is no part of a model")
    elif other_name:
        yield place.suspect("imports", f"{_cut(kind)}, registered as {_shown(registered)}")
    elif not own:
        yield place.suspect("imports", f"{_cut(plain)}, registered as {_shown(kind)}")
    elif not known:
        yield place.suspect("imports", f"{_shown(kind)}, which is not Keras's")


def _rooms(module: Any) -> list[str] | None:
    """The parts of a module's name below `keras`; None if it is not Keras's."""
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


def _text(place: _Value) -> Iterator[UnsafePart]:
    value, slot = place.value, place.slot
    if slot in _FILES:
        if isinstance(place.key, str):  # a list is words, not files
            what = "address" if _is_address(value) else "file"
            yield place.suspect("refers", f"the {what} {_shown(value)}")
    elif _is_address(value):
        yield place.suspect("refers", f"the address {_shown(value)}")
    elif slot == "constants":
        if is_path_out(value):
            yield place.suspect("refers", f"the file {_shown(value)}")
    elif slot == "dtype":
        if not _DTYPE.fullmatch(value):
            yield place.suspect("imports", f"{_shown(value)}, which is not Keras's")
    elif slot and value[:200].lower().replace("_", "") not in _KNOWN:
        yield place.suspect("imports", f"{_shown(value)}, which is not Keras's")


def _is_address(text: str) -> bool:
    """Whether `scheme://` is in it anywhere."""
    at = text.find("://")
    while at >= 0:
        if _ADDRESS.search(text[max(0, at - 32) : at]):
            return True
        at = text.find("://", at + 3)
    return False


def _cut(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}..."


def _shown(value: Any) -> str:
    return repr(_cut(value) if isinstance(value, str) else value if value is None else type(value).__name__)


def is_path_out(name: str) -> bool:
    """Whether a name, taken as a path, would lead out of the folder that it is joined to."""
    return _OUT.search(name) is not None
