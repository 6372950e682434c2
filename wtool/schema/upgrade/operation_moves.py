"""What TensorFlow's operations on shapes and places are in Keras 3: reshaped, joined, cut, padded, looked up."""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate
from math import prod
from typing import Any

from wtool.dtypes import is_floating
from wtool.schema.layers import PartialShape
from wtool.schema.operations import kept_axes
from wtool.schema.upgrade.operation_call import Cannot, OperationCall, broadcast, shape_of
from wtool.schema.upgrade.operation_rules import Rule, converted
from wtool.schema.upgrade.specs import BATCH, Spec, Tensor


def _rank(x: Tensor) -> int | None:
    return None if x.spec.shape is None else len(x.spec.shape)


def known_shape(x: Tensor) -> PartialShape:
    """Returns the shape of a tensor; Cannot where its rank is not known."""
    if x.spec.shape is None:
        raise Cannot("takes a tensor whose shape the configuration does not tell")
    return x.spec.shape


def _reshaped(at: OperationCall) -> Tensor:
    x, target = at.x, at.sizes(at.get("shape"))
    if not isinstance(target, list) or any(isinstance(size, list) for size in target):
        raise Cannot(f"makes the shape {target!r:.40}")
    shape = x.spec.shape
    inner = None if shape is None or None in shape[1:] else prod(size or 0 for size in shape[1:])
    open_sizes = [place for place, size in enumerate(target) if type(size) is not int or size < 0]
    known = prod(size for place, size in enumerate(target) if place not in open_sizes)
    if len(open_sizes) == 2 and target[0] == BATCH and x.spec.batch and inner is not None and known:
        target[open_sizes.pop()] = inner // known  # the one that is left out; the other one is the batch
        known = inner
    if len(open_sizes) == 2 and target[0] == BATCH and x.spec.batch:
        return _reshaped_but_for_the_batch(at, [size if type(size) is int else -1 for size in target[1:]])
    if len(open_sizes) > 1:
        raise Cannot("makes a shape of several sizes that are known only when the model runs")
    batch = x.spec.batch and open_sizes == [0] and (target[0] == BATCH or inner == known)
    new = [-1 if place in open_sizes else size for place, size in enumerate(target)]
    return at.op("numpy.Reshape", x, spec=Spec(_resolved(shape, new), x.spec.dtype, batch), newshape=new)


def _reshaped_but_for_the_batch(at: OperationCall, target: list[int]) -> Tensor:
    """Puts a layer into the graph that keeps the batch, which Keras 3's operation cannot where a size is left out."""
    dtype = at.x.spec.dtype if is_floating(at.x.spec.dtype or "") else "float32"  # layers cast floating inputs alone
    spec = Spec((None, *(size if size >= 0 else None for size in target)), at.x.spec.dtype, True)
    return at.op("layers.Reshape", at.x, spec=spec, target_shape=target, dtype=dtype)


def _resolved(shape: PartialShape | None, target: list[int]) -> PartialShape:
    """Returns a new shape with the size that is left out, if that is known."""
    if -1 not in target:
        return tuple(target)
    known = prod(size for size in target if size != -1)
    left = None if shape is None or None in shape or not known else prod(size or 0 for size in shape) // known
    return tuple(left if size == -1 else size for size in target)


def _expanded(at: OperationCall) -> Tensor:
    x = at.x
    rank = _rank(x)
    axis = at.axis(at.get("axis", "dim"), None if rank is None else rank + 1)
    shape = None if rank is None else (*known_shape(x)[:axis], 1, *known_shape(x)[axis:])
    return at.op("numpy.ExpandDims", x, spec=Spec(shape, x.spec.dtype, x.spec.batch and axis > 0), axis=axis)


def _squeezed(at: OperationCall) -> Tensor:
    x = at.x
    shape = known_shape(x)
    axes = at.axes(at.get("axis", "squeeze_dims"), len(shape))
    if not axes:
        if None in shape:
            raise Cannot("takes out every axis of one position, which depends on the number of examples")
        axes = [axis for axis, size in enumerate(shape) if size == 1]
    left = tuple(size for axis, size in enumerate(shape) if axis not in axes)
    return at.op("numpy.Squeeze", x, spec=Spec(left, x.spec.dtype, x.spec.batch and 0 not in axes), axis=axes)


def _transposed(at: OperationCall) -> Tensor:
    at.only(conjugate=False)
    x = at.x
    shape = known_shape(x)
    axes = at.axes(at.get("perm"), len(shape)) or list(range(len(shape)))[::-1]
    if sorted(axes) != list(range(len(shape))):
        raise Cannot(f"brings the axes into the order {axes!r:.40}")
    spec = Spec(tuple(shape[axis] for axis in axes), x.spec.dtype, x.spec.batch and axes[0] == 0)
    return at.op("numpy.Transpose", x, spec=spec, axes=axes)


def _several(at: OperationCall) -> tuple[list[Any], Tensor]:
    """Returns the tensors and constants that are the first argument, and one that is a tensor."""
    first = at.first if isinstance(at.first, list) else [at.first]
    like = next((each for each in first if isinstance(each, Tensor) and each.key is not None), None)
    if like is None:
        raise Cannot("takes no tensor")
    return [at.operand(each, like) for each in first], like


def _concatenated(at: OperationCall) -> Tensor:
    parts, like = _several(at)
    axis = at.axis(at.get("axis", "concat_dim"), _rank(like))
    shapes = [part.spec.shape if isinstance(part, Tensor) else None for part in parts]
    shape = _joined([each for each in shapes if each is not None], axis) if None not in shapes else None
    return at.op("numpy.Concatenate", parts, spec=Spec(shape, like.spec.dtype, _batch(parts, axis)), axis=axis)


def _joined(shapes: list[PartialShape], axis: int) -> PartialShape | None:
    if len({len(shape) for shape in shapes}) != 1:
        return None
    sizes = [shape[axis] for shape in shapes]
    total = None if None in sizes else sum(size or 0 for size in sizes)
    rest = [next((size for size in each if size is not None), None) for each in zip(*shapes, strict=True)]
    return (*rest[:axis], total, *rest[axis + 1 :])


def _batch(parts: list[Any], axis: int) -> bool:
    return axis > 0 and any(part.spec.batch for part in parts if isinstance(part, Tensor))


def _stacked(at: OperationCall) -> Tensor:
    parts, like = _several(at)
    shapes = [part.spec.shape for part in parts if isinstance(part, Tensor)]
    rank = _rank(like)
    axis = at.axis(at.get("axis", default=0), None if rank is None else rank + 1)
    shape = broadcast(shapes)
    shape = None if shape is None else (*shape[:axis], len(parts), *shape[axis:])
    return at.op("numpy.Stack", parts, spec=Spec(shape, like.spec.dtype, _batch(parts, axis)), axis=axis)


def _unstacked(at: OperationCall) -> list[Tensor]:
    x = at.x
    shape = known_shape(x)
    axis = at.axis(at.get("axis", default=0), len(shape))
    count = shape[axis] if at.get("num") is None else at.whole(at.get("num"))
    if count is None or not 0 < count <= MAX_PARTS:
        raise Cannot("takes a tensor apart into a number of parts that is not known")
    spec = Spec((*shape[:axis], *shape[axis + 1 :]), x.spec.dtype, x.spec.batch and axis > 0)
    before = [slice(None)] * axis
    return [at.op("numpy.GetItem", x, [*before, place], spec=spec) for place in range(count)]


MAX_PARTS = 1000
"""Into so many parts at most a tensor is taken apart."""


def _split(at: OperationCall) -> list[Tensor]:
    x = at.x
    axis = at.axis(at.get("axis", "split_dim", default=0), _rank(x))
    size = None if x.spec.shape is None else x.spec.shape[axis]
    told = at.known(at.get("num_or_size_splits"))
    if type(told) is int and 0 < told <= MAX_PARTS:
        sections: Any = told
        sizes: list[Any] = [None if size is None else size // told] * told
    elif isinstance(told, list) and 0 < len(told) <= MAX_PARTS and all(type(each) is int for each in told):
        if -1 in told and size is None:
            raise Cannot("splits off the rest of an axis whose size is not known")
        rest = (size or 0) - sum(each for each in told if each >= 0)
        sizes = [rest if each == -1 else each for each in told]
        sections = list(accumulate(sizes[:-1]))
    else:
        raise Cannot(f"splits into {told!r:.40}")
    first = at.op("numpy.Split", x, spec=_sized(x, axis, sizes[0]), indices_or_sections=sections, axis=axis)
    name, call, _ = first.key or ("", 0, 0)
    return [Tensor((name, call, place), _sized(x, axis, each)) for place, each in enumerate(sizes)]


def _sized(x: Tensor, axis: int, size: int | None) -> Spec:
    """Returns what is known of a tensor when one axis of `x` has another size."""
    shape = x.spec.shape
    new = None if shape is None else (*shape[:axis], size, *shape[axis + 1 :])
    return Spec(new, x.spec.dtype, x.spec.batch and axis > 0)


def _sliced(at: OperationCall) -> Tensor:
    spec = at.get("slice_spec")
    if isinstance(spec, Tensor) and spec.key is not None:
        raise Cannot("takes the positions that another tensor says")
    parts = spec if isinstance(spec, list) else [spec]
    return _cut(at, [_known_part(at, part) for part in parts])


def _known_part(at: OperationCall, part: Any) -> Any:
    if isinstance(part, dict) and "class_name" not in part:
        return {word: None if each is None else at.whole(each) for word, each in part.items()}
    return at.whole(part) if isinstance(part, Tensor) else part


def _cut(at: OperationCall, parts: list[Any]) -> Tensor:
    """Puts the taking of a part of a tensor into the graph, as `kept_axes` reads the parts of a key."""
    x = at.x
    shape = x.spec.shape
    kept = kept_axes(parts, len(parts) if shape is None else len(shape))
    if kept is None:
        raise Cannot("takes a part of a tensor in a way that is not known")
    key = [_key(part) for part in parts]
    if shape is None:
        return at.op("numpy.GetItem", x, key, spec=Spec(None, x.spec.dtype))
    new = tuple(1 if axis is None else _length(shape[axis], part) for axis, part in kept)
    batch = x.spec.batch and bool(kept) and kept[0] == (0, slice(None))
    return at.op("numpy.GetItem", x, key, spec=Spec(new, x.spec.dtype, batch))


def _length(size: int | None, part: slice) -> int | None:
    """Returns how many values a slice takes of an axis. `len` of a range is limited, and the sizes in files are not."""
    if size is None:
        return None
    start, stop, step = part.indices(size)
    return max(0, -((start - stop) // step))


def _key(part: Any) -> Any:
    if part is None or type(part) is int:
        return part
    is_slice = isinstance(part, dict) and "class_name" not in part
    return slice(part["start"], part["stop"], part["step"]) if is_slice else Ellipsis


def _window(at: OperationCall) -> Tensor:
    begin, size = at.known(at.get("begin")), at.known(at.get("size"))
    if not isinstance(begin, list) or not isinstance(size, list) or len(begin) != len(size):
        raise Cannot("takes a window that is not known")
    ends = [None if many == -1 else first + many for first, many in zip(begin, size, strict=True)]
    return _cut(at, [{"start": a or None, "stop": b, "step": None} for a, b in zip(begin, ends, strict=True)])


def _tiled(at: OperationCall) -> Tensor:
    x, many = at.x, at.known(at.get("multiples"))
    shape = x.spec.shape
    if not isinstance(many, list) or (shape is not None and len(many) != len(shape)):
        raise Cannot(f"is tiled {many!r:.40} times")
    new = None if shape is None else tuple(_times(size, each) for size, each in zip(shape, many, strict=True))
    spec = Spec(new, x.spec.dtype, x.spec.batch and many[:1] == [1])
    return at.op("numpy.Tile", x, spec=spec, repeats=many)


def _times(size: int | None, factor: int) -> int | None:
    return None if size is None else size * factor


def _repeated(at: OperationCall) -> Tensor:
    x, many = at.x, at.known(at.get("repeats"))
    shape = known_shape(x)
    if at.get("axis") is None or type(many) is not int:
        raise Cannot("repeats values otherwise than each of an axis as often")
    axis = at.axis(at.get("axis"), len(shape))
    return at.op("numpy.Repeat", x, spec=_sized(x, axis, _times(shape[axis], many)), repeats=many, axis=axis)


def _padded(at: OperationCall) -> Tensor:
    x, widths = at.x, at.known(at.get("paddings"))
    mode, value = str(at.get("mode", default="CONSTANT")).lower(), at.known(at.get("constant_values", default=0))
    shape = x.spec.shape
    pairs = isinstance(widths, list) and all(isinstance(each, list) and len(each) == 2 for each in widths)
    if not pairs or mode not in ("constant", "reflect", "symmetric") or (shape and len(shape) != len(widths)):
        raise Cannot(f"pads {widths!r:.40} with {mode!r:.20}")
    grown = None
    if shape is not None:
        grown = tuple(None if size is None else size + sum(each) for size, each in zip(shape, widths, strict=True))
    spec = Spec(grown, x.spec.dtype, x.spec.batch and widths[:1] == [[0, 0]])
    kwargs = {"constant_values": value} if mode == "constant" and value else {}
    return at.op("numpy.Pad", x, spec=spec, kwargs=kwargs, pad_width=widths, mode=mode)


def _on_axes(kind: str, **more: str) -> Rule:
    """Returns the rule of an operation that moves values along several axes, one behind the other."""

    def rule(at: OperationCall) -> Tensor:
        x = at.x
        axes = at.axes(at.get("axis"), _rank(x))
        if not axes:
            raise Cannot("moves values along no axis")
        amounts = {new: at.known(at.get(old)) for new, old in more.items()}
        if any(isinstance(amount, list) and len(amount) != len(axes) for amount in amounts.values()):
            raise Cannot("moves values along axes by another number of steps")
        for place, axis in enumerate(axes):
            each = {word: amount[place] if isinstance(amount, list) else amount for word, amount in amounts.items()}
            x = at.each(kind, x, axis=axis, **each)
        return x

    return rule


def _broadcast_to(at: OperationCall) -> Tensor:
    x, shape = at.x, at.known(at.get("shape"))
    if not isinstance(shape, list) or any(type(size) is not int for size in shape):
        raise Cannot(f"makes the shape {shape!r:.40}")
    return at.op("numpy.BroadcastTo", x, spec=Spec(tuple(shape), x.spec.dtype), shape=shape)


def _gathered(at: OperationCall) -> Tensor:
    at.only(batch_dims=0)
    x, indices = at.x, at.get("indices")
    shape = known_shape(x)
    axis = at.axis(at.get("axis", default=0), len(shape))
    found = at.operand(indices, Tensor(("", 0, 0), Spec((), "int32")))
    inner = shape_of(found)
    new = None if inner is None else (*shape[:axis], *inner, *shape[axis + 1 :])
    batch = x.spec.batch and axis > 0
    return at.op("numpy.Take", x, found, spec=Spec(new, x.spec.dtype, batch), axis=axis)


def _one_hot(at: OperationCall) -> Tensor:
    at.only(on_value=1, off_value=0)
    x, depth, dtype = at.x, at.whole(at.get("depth")), at.get("dtype", default="float32")
    rank = _rank(x)
    axis = at.axis(at.get("axis", default=-1), None if rank is None else rank + 1)
    shape = None if rank is None else (*known_shape(x)[:axis], depth, *known_shape(x)[axis:])
    spec = Spec(shape, dtype, x.spec.batch and axis > 0)
    last = axis if axis != rank else -1  # Keras 3 takes the place behind the last axis only by this number
    return at.op("nn.OneHot", x, spec=spec, num_classes=depth, axis=last, dtype=dtype)


def _place_of(kind: str) -> Rule:
    def rule(at: OperationCall) -> Tensor:
        x, dtype = at.x, at.get("output_type", default="int64")
        shape = known_shape(x)
        axis = at.axis(at.get("axis", "dimension", default=0), len(shape))
        left = (*shape[:axis], *shape[axis + 1 :])
        found = at.op(kind, x, spec=Spec(left, "int32", x.spec.batch and axis > 0), axis=axis, keepdims=False)
        return converted(at, found, dtype) if dtype != "int32" else found

    return rule


def _largest(at: OperationCall) -> list[Tensor]:
    at.only(index_type="int32")
    x, count = at.x, at.whole(at.get("k", default=1))
    shape = None if x.spec.shape is None else (*x.spec.shape[:-1], count)
    values = at.op(
        "math.TopK", x, spec=replace(x.spec, shape=shape), k=count, sorted=bool(at.get("sorted", default=True))
    )
    name, call, _ = values.key or ("", 0, 0)
    return [values, Tensor((name, call, 1), Spec(shape, "int32", x.spec.batch))]


MOVES: dict[str, Rule] = {
    "reshape": _reshaped, "expand_dims": _expanded, "squeeze": _squeezed, "transpose": _transposed,
    "concat": _concatenated, "stack": _stacked, "unstack": _unstacked, "split": _split, "getitem": _sliced,
    "slice": _window, "tile": _tiled, "repeat": _repeated, "pad": _padded, "reverse": _on_axes("numpy.Flip"),
    "roll": _on_axes("numpy.Roll", shift="shift"), "broadcast_to": _broadcast_to, "gather": _gathered,
    "one_hot": _one_hot, "argmax": _place_of("numpy.Argmax"), "argmin": _place_of("numpy.Argmin"),
    "top_k": _largest,
}  # fmt: skip
"""Last part of the name of an operation of TensorFlow -> the rule that puts operations of Keras 3 in its place."""
