"""A call of one of TensorFlow's operations, and the operations of Keras 3 that take its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, replace
from typing import Any

from wtool.schema.layers import PartialShape
from wtool.schema.operations import shape_of_constant
from wtool.schema.upgrade.names import Names
from wtool.schema.upgrade.specs import Spec, Tensor
from wtool.values import dataclass

Entry = dict[str, Any]


class Cannot(Exception):
    """Raised by a rule where an operation cannot be kept; the text says why, as the end of a sentence."""


@dataclass(eq=False)
class OperationCall:
    """One call of an operation of TensorFlow.

    Attributes:
        function: the last part of TensorFlow's name of the operation.
        first: the first argument, with a `Tensor` in the place of each tensor.
        others: the other arguments by their names in TensorFlow, likewise.
        name: of the layer in the new model.
        free: names that the new model has not taken.
        entries: the operations of Keras 3, in the order of their calls.
        read: names of the arguments that a rule has looked at.
    """

    function: str
    first: Any
    others: Mapping[str, Any]
    name: str
    free: Names
    entries: list[Entry] = field(default_factory=list)
    read: set[str] = field(default_factory=set)

    def get(self, *words: str, default: Any = None) -> Any:
        """Returns an argument by one of its names; the default where it is not given, or null."""
        self.read.update(words)
        return next((self.others[word] for word in words if self.others.get(word) is not None), default)

    def only(self, **defaults: Any) -> None:
        """Raises Cannot if one of some arguments is not its default, which no operation of Keras 3 follows."""
        for word, default in defaults.items():
            if self.get(word, default=default) != default:
                raise Cannot(f"is called with {word}={self.get(word)!r:.40}")

    @property
    def x(self) -> Tensor:
        """The only tensor that is the first argument."""
        return self.tensor(self.first)

    def tensor(self, value: Any) -> Tensor:
        """Returns an argument that has to be a tensor of the graph."""
        if not isinstance(value, Tensor):
            raise Cannot(f"takes {value!r:.40} in the place of a tensor")
        if value.key is None:
            raise Cannot("takes the size of a tensor as an array")
        return value

    def op(self, kind: str, *args: Any, spec: Spec, kwargs: Mapping[str, Any] | None = None, **config: Any) -> Tensor:
        """Puts an operation of Keras 3 into the graph. Returns its first output.

        Args:
            kind: module and class, `numpy.Add`; of a layer, `layers.Reshape`.
            args: what the operation takes: tensors, numbers, lists.
            spec: of the output.
            kwargs: what it takes by name.
            config: its settings.
        """
        room, _, class_name = kind.partition(".")
        name = self.free.free(f"{self.name}_{class_name.lower()}")
        node = {"args": [noted(each) for each in args], "kwargs": noted(dict(kwargs or {}))}
        self.entries.append(
            {
                "module": "keras.layers" if room == "layers" else f"keras.src.ops.{room}",
                "class_name": class_name,
                "config": {**config, "name": name},
                "registered_name": None if room == "layers" else class_name,
                "name": name,
                "inbound_nodes": [node],
            }
        )
        return Tensor((name, 0, 0), replace(spec, value=None))

    def each(self, kind: str, x: Tensor, dtype: str | None = None, **config: Any) -> Tensor:
        """Puts an operation on each value alone into the graph. Returns its output."""
        return self.op(kind, x, spec=replace(x.spec, dtype=dtype or x.spec.dtype), **config)

    def pair(self, kind: str, a: Any, b: Any, dtype: str | None = None) -> Tensor:
        """Puts an operation on the values of two operands into the graph. Returns its output."""
        like = next((each for each in (a, b) if isinstance(each, Tensor) and each.key is not None), None)
        if like is None:
            raise Cannot("takes no tensor")
        a, b = self.operand(a, like), self.operand(b, like)
        return self.op(kind, a, b, spec=spec_of(a, b, dtype=dtype or like.spec.dtype))

    def operand(self, value: Any, like: Tensor) -> Any:
        """Returns an operand: a tensor, a number, or an array of constants of the dtype that TensorFlow gives them."""
        if isinstance(value, Tensor) and value.key is None:
            value = self.known(value)
        if isinstance(value, (list, tuple)):
            if any(not isinstance(each, (int, float)) for each in _flat(value)):
                raise Cannot("takes an array of tensors and numbers")
            if not _fits(value, shape_of_constant(list(value))):
                raise Cannot("takes an array whose rows differ in length")
            return Constant(_as_lists(value), like.spec.dtype or "float32")
        if not isinstance(value, (Tensor, int, float)):
            raise Cannot(f"takes {value!r:.40} as a number")
        return value

    def known(self, value: Any) -> Any:
        """Returns the numbers in an argument, as nested lists.

        Raises:
            Cannot: one of them is known only when the model runs.
        """
        found = self.sizes(value)
        if any(not isinstance(each, (int, float)) for each in _flat(found)):
            raise Cannot("depends on a size that is known only when the model runs")
        return found

    def sizes(self, value: Any) -> Any:
        """Returns the numbers in an argument as nested lists, with BATCH and None for what is not known yet."""
        if isinstance(value, Tensor):
            if value.key is not None:
                raise Cannot("takes a tensor where an operation of Keras 3 takes numbers")
            return _as_lists(value.spec.value)
        if isinstance(value, (list, tuple)):
            return [self.sizes(each) for each in value]
        return value

    def whole(self, value: Any) -> int:
        """Returns an argument that has to be one known whole number."""
        found = self.known(value)
        found = found[0] if isinstance(found, list) and len(found) == 1 else found
        if type(found) is not int:
            raise Cannot(f"takes {found!r:.40} in the place of a whole number")
        return found

    def axes(self, value: Any, rank: int | None) -> list[int] | None:
        """Returns axes counted from the first one; None where all are meant."""
        if value is None:
            return None
        found = self.known(value)
        return [self.axis(each, rank) for each in (found if isinstance(found, list) else [found])]

    def axis(self, value: Any, rank: int | None) -> int:
        """Returns an axis counted from the first one, where the rank is known."""
        found = self.whole(value)
        if rank is not None and not -rank <= found < rank:
            raise Cannot(f"has an axis {found} that its input has not")
        return found if rank is None else found % rank


@dataclass(frozen=True, slots=True)
class Constant:
    """An array of constants among the arguments of an operation.

    Attributes:
        value: nested lists.
        dtype: of the array.
    """

    value: Any
    dtype: str


def broadcast(shapes: Sequence[PartialShape | None]) -> PartialShape | None:
    """Returns the shape of what operands of some shapes make together; None where one of them is not known."""
    known = [shape for shape in shapes if shape is not None]
    if len(known) < len(shapes):
        return None
    rank = max(map(len, known))
    aligned = [(1,) * (rank - len(shape)) + tuple(shape) for shape in known]
    return tuple(_common(sizes) for sizes in zip(*aligned, strict=True))


def _common(sizes: Sequence[int | None]) -> int | None:
    large = [size for size in sizes if size not in (None, 1)]
    return large[0] if large else None if None in sizes else 1


def shape_of(operand: Any) -> PartialShape | None:
    """Returns the shape of an operand: a tensor, an array of constants, a number."""
    if isinstance(operand, Tensor):
        return operand.spec.shape
    return shape_of_constant(operand.value) if isinstance(operand, Constant) else ()


def spec_of(*operands: Any, dtype: str | None) -> Spec:
    """Returns what is known of the values that operands make together, position by position."""
    shape = broadcast([shape_of(operand) for operand in operands])
    specs = [each.spec for each in operands if isinstance(each, Tensor)]
    batch = shape is not None and any(spec.batch and len(spec.shape or ()) == len(shape) for spec in specs)
    return Spec(shape, dtype, batch)


def _flat(value: Any) -> Iterator[Any]:
    if isinstance(value, (list, tuple)):
        for each in value:
            yield from _flat(each)
    else:
        yield value


def _fits(value: Any, shape: PartialShape) -> bool:
    """Whether nested lists have a shape in all of their parts."""
    if not isinstance(value, (list, tuple)):
        return shape == ()
    return len(shape) > 0 and len(value) == shape[0] and all(_fits(each, shape[1:]) for each in value)


def _as_lists(value: Any) -> Any:
    return [_as_lists(each) for each in value] if isinstance(value, (list, tuple)) else value


def noted(value: Any) -> Any:
    """Returns an argument as Keras 3 notes it."""
    if isinstance(value, Tensor):
        return value.entry
    if isinstance(value, Constant):
        kind = "__tensor__" if value.dtype == "bfloat16" else "__numpy__"
        return {"class_name": kind, "config": {"value": value.value, "dtype": value.dtype}}
    if isinstance(value, slice):
        config = {"start": value.start, "stop": value.stop, "step": value.step}
        return {"class_name": "__slice__", "config": config}
    if value is Ellipsis:
        return {"class_name": "__ellipsis__", "config": {}}
    if isinstance(value, list):
        return [noted(each) for each in value]
    if isinstance(value, dict):
        return {word: noted(each) for word, each in value.items()}
    return value
