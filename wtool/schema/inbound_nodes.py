"""The calls of a functional model's layers, as `inbound_nodes` of its configuration notes them: the one parser.

Keras 3 notes a call as `{"args": [...], "kwargs": {...}}`, with each tensor as a `__keras_tensor__`. Keras 2 notes the
call's first argument, with each tensor as `[layer, call, output, {other arguments}]`; the other arguments stand beside
the first tensor and may hold more tensors, as `[layer, call, output]`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from wtool.errors import Refused
from wtool.values import dataclass

Key = tuple[str, int, int]
"""A tensor: name of the layer that makes it, index of the call, index of the output."""

CallKey = tuple[str, int]
"""The name of a layer, and the index of one of its calls."""

START: Key = ("", 0, 0)
"""What goes into a Sequential model."""


@dataclass(eq=False)
class Ref:
    """Where a call, or a model's list of outputs, names a tensor.

    Attributes:
        place: the list `[name, call, output, ...]` in the configuration; None in Sequential models.
        word: position or name of the argument.
        told: what Keras 3 says beside it: shape and dtype.
    """

    place: list[Any] | None
    word: int | str = 0
    told: dict[str, Any] | None = None
    start: Key = START

    @property
    def key(self) -> Key:
        """The tensor."""
        return self.start if self.place is None else (self.place[0], self.place[1], self.place[2])

    def point(self, key: Key) -> None:
        """Name another tensor."""
        if self.place is None:
            self.start = key
        else:
            self.place[:3] = key


def layer_name(entry: Mapping[str, Any]) -> str:
    """What a layer is called in the graph of its model."""
    return str(entry.get("name") or layer_settings(entry).get("name") or "")


def layer_settings(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """A layer's settings; none where they are no mapping."""
    settings = entry.get("config")
    return settings if isinstance(settings, Mapping) else {}


def _nodes(name: str, entry: Mapping[str, Any]) -> list[Any]:
    """The nodes of a layer, one for each call."""
    nodes = entry.get("inbound_nodes") or []
    if not isinstance(nodes, list):
        raise Refused(f"the calls of layer {name} are {nodes!r:.60}, which is no list")
    return nodes


def calls_of(entries: Mapping[str, Mapping[str, Any]], outputs: Sequence[Ref]) -> dict[CallKey, tuple[Any, list[Ref]]]:
    """Every call of some layers: its node, and the tensors that it takes.

    Args:
        entries: name of a layer -> its entry.
        outputs: where the model names its outputs.

    Raises:
        Refused: a node names something that is no tensor.
    """
    nodes = {
        name: [(node, list(refs_of_node(node))) for node in _nodes(name, entry)] for name, entry in entries.items()
    }
    taken = [ref.key for each in nodes.values() for _, refs in each for ref in refs] + [ref.key for ref in outputs]
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    for name, number, _ in taken:
        first[name] = min(number, first.get(name, number))
        last[name] = max(number, last.get(name, number))
    return {
        (name, number): call
        for name, each in nodes.items()
        for number, call in enumerate(each, _start(entries[name], len(each), first.get(name, 0), last.get(name, 0)))
    }


def _start(entry: Mapping[str, Any], count: int, first: int, last: int) -> int:
    """The index of a layer's first call: models, of an author's own class too, may be counted from 1."""
    return first if _is_model(entry) or last == count else 0


def _is_model(entry: Mapping[str, Any]) -> bool:
    """Whether an entry is a model, whose making Keras 2 may have counted as its first call."""
    return isinstance(entry.get("config"), list) or "layers" in layer_settings(entry)


def refs_of_node(node: Any) -> Iterator[Ref]:
    """The tensors that a call takes, in the order in which Keras lists them.

    Raises:
        Refused: the node names something that is no tensor.
    """
    if is_of_keras3(node):
        for number, each in enumerate(node["args"]):
            yield from _tensors(each, number)
        for word in sorted(node["kwargs"]):
            yield from _tensors(node["kwargs"][word], word)
        return
    for each in _first_argument(node):
        if not _is_constant(each):
            yield Ref(each, 0)
        for word, value in sorted(_others(each).items()):
            yield from refs_of(value, word)


def refs_of(value: Any, word: int | str = 0) -> Iterator[Ref]:
    """The tensors in an argument of Keras 2, or in a model's `input_layers` and `output_layers`."""
    for each in _leaves(value):
        if _is_key(each):
            yield Ref(each, word)
        elif isinstance(each, Mapping):
            yield _told(each, word)


def arguments_of(node: Any) -> dict[int | str, Any]:
    """What Keras 2 notes of a call: the arguments behind the first one, and that one where it is a constant."""
    found: dict[int | str, Any] = {}
    for place in () if is_of_keras3(node) else _first_argument(node):
        found.update(_others(place))
        if _is_constant(place):
            found[0] = place[2]
    return found


def filled(value: Any, tensor: Callable[[Key], Any], constant: Callable[[Any], Any] | None = None) -> Any:
    """Returns an argument of Keras 2 with something else in the place of each tensor and of each constant.

    Args:
        value: the argument, however nested.
        tensor: gives what stands for a tensor.
        constant: gives what stands for a constant in a call's first argument; lists that look like one are lists if
            this is None.
    """
    if constant is not None and _is_constant(value):
        return constant(value[2])
    if _is_key(value):
        return tensor((value[0], value[1], value[2]))
    if isinstance(value, list):
        return [filled(each, tensor, constant) for each in value]
    if isinstance(value, Mapping):
        return {name: filled(each, tensor, constant) for name, each in value.items()}
    return value


def is_of_keras3(node: Any) -> bool:
    """Whether a call is noted as Keras 3 does; in Keras 2 a mapping is the structure of the call's first argument."""
    return isinstance(node, Mapping) and isinstance(node.get("args"), list) and isinstance(node.get("kwargs"), Mapping)


def _tensors(value: Any, word: int | str) -> Iterator[Ref]:
    """The tensors in an argument of Keras 3, in which a list like `["a", 0, 0]` is no tensor."""
    for each in _leaves(value, keys=False):
        if isinstance(each, Mapping):
            yield _told(each, word)


def _told(tensor: Any, word: int | str) -> Ref:
    """Where Keras 3 names a tensor."""
    history = tensor["config"].get("keras_history")
    if not _is_key(history):
        raise Refused(f"a tensor of the configuration has the history {history!r:.60}")
    return Ref(history, word, tensor["config"])


def _first_argument(node: Any) -> Iterator[list[Any]]:
    """The tensors of a call's first argument in Keras 2, each `[layer, call, output, other arguments]`.

    Keras puts a list around a single one for layers, but not for operations of TensorFlow, and leaves structures as
    they are. A constant is called `_CONSTANT_VALUE`, and has its value in the place of the output.
    """
    for each in _leaves(node):
        if not _is_constant(each) and not _is_key(each):
            raise Refused(f"a layer's inputs are {each!r:.60}, which is no reference to a tensor")
        yield each


def _leaves(value: Any, keys: bool = True) -> Iterator[Any]:
    """What nested lists and mappings hold, in Keras's order: mappings by their sorted names.

    Tensors of Keras 3, and with `keys` those and the constants of Keras 2, are not looked into.
    """
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, list) and not (keys and (_is_key(each) or _is_constant(each))):
            waiting += each[::-1]
        elif isinstance(each, Mapping) and not is_tensor(each):
            waiting += [each[name] for name in sorted(each, reverse=True)]
        else:
            yield each


def is_tensor(value: Mapping[str, Any]) -> bool:
    """Returns whether a mapping in a call of Keras 3 stands for a tensor."""
    return value.get("class_name") == "__keras_tensor__" and isinstance(value.get("config"), Mapping)


def _is_key(value: Any) -> bool:
    if not isinstance(value, list) or len(value) < 3:
        return False
    return isinstance(value[0], str) and type(value[1]) is int and type(value[2]) is int and not _is_constant(value)


def _is_constant(value: Any) -> bool:
    return isinstance(value, list) and len(value) >= 3 and value[0] == "_CONSTANT_VALUE"


def _others(place: list[Any]) -> dict[Any, Any]:
    """The other arguments of a call, as noted beside a tensor of the first one."""
    return place[3] if len(place) > 3 and isinstance(place[3], dict) else {}
