"""What TensorFlow's operations on images are in Keras 3: resized, pooled, regrouped."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from wtool.schema.layers import PartialShape
from wtool.schema.upgrade.operation_call import Cannot, OperationCall
from wtool.schema.upgrade.operation_moves import known_shape
from wtool.schema.upgrade.operation_rules import Rule, converted
from wtool.schema.upgrade.specs import Spec, Tensor


def _resized(at: OperationCall) -> Tensor:
    at.only(preserve_aspect_ratio=False)
    x, size = at.x, at.known(at.get("size"))
    method = str(at.get("method", default="bilinear")).lower()
    shape = known_shape(x)
    if method not in ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5") or len(shape) != 4:
        raise Cannot(f"is resized by {method!r:.40}")
    if not isinstance(size, list) or len(size) != 2 or any(type(each) is not int for each in size):
        raise Cannot(f"is resized to {size!r:.40}")
    if method != "nearest" and x.spec.dtype != "float32":  # TensorFlow gives float32 whatever it gets
        x = converted(at, x, "float32")
    spec = Spec((shape[0], *size, shape[3]), x.spec.dtype, x.spec.batch)
    antialias = bool(at.get("antialias", default=False))
    return at.op(
        "image.Resize", x, spec=spec, size=size, interpolation=method, antialias=antialias, data_format="channels_last"
    )


def _pooled(kind: str) -> Rule:
    def rule(at: OperationCall) -> Tensor:
        x = at.x
        shape, padding = known_shape(x), str(at.get("padding", default="")).lower()
        if len(shape) != 4 or padding not in ("same", "valid") or at.get("data_format", default="NHWC") != "NHWC":
            raise Cannot("pools otherwise than images whose channels stand last")
        sizes, strides = (_of_two(at.known(at.get(word))) for word in ("ksize", "strides"))
        windows = zip(shape[1:3], sizes, strides, strict=True)
        space = [_slid(size, window, stride, padding) for size, window, stride in windows]
        spec = Spec((shape[0], *space, shape[3]), x.spec.dtype, x.spec.batch)
        return at.op(kind, x, spec=spec, pool_size=sizes, strides=strides, padding=padding, data_format="channels_last")

    return rule


def _of_two(value: Any) -> list[int]:
    """Returns a window's size or steps for both axes of an image."""
    value = value if isinstance(value, list) else [value]
    value = value * 2 if len(value) == 1 else value[1:3] if len(value) == 4 and value[0] == value[3] == 1 else value
    if len(value) != 2 or any(type(each) is not int or each < 1 for each in value):
        raise Cannot(f"pools windows of {value!r:.40}")
    return list(value)


def _slid(size: int | None, window: int, stride: int, padding: str) -> int | None:
    if size is None:
        return None
    return -(-size // stride) if padding == "same" else max(0, -(-(size - window + 1) // stride))


def _to_space(at: OperationCall) -> Tensor:
    """Channels become blocks of positions: by moving axes, and by an operation of Keras 3.14 for images of any size."""
    (batch, height, width, channels), block = _image(at), at.whole(at.get("block_size"))
    if block < 2 or channels is None or channels % block**2:
        raise Cannot(f"makes blocks of {block} positions of {channels} channels")
    left = channels // block**2
    if height is None or width is None:
        space = [None if size is None else size * block for size in (height, width)]
        spec = Spec((batch, *space, left), at.x.spec.dtype, at.x.spec.batch)
        return at.op("nn.DepthToSpace", at.x, spec=spec, block_size=block, data_format="channels_last")
    return _regrouped(at, [height, width, block, block, left], [height * block, width * block, left])


def _to_depth(at: OperationCall) -> Tensor:
    """Blocks of positions become channels: by moving axes, and by an operation of Keras 3.14 for images of any size."""
    (batch, height, width, channels), block = _image(at), at.whole(at.get("block_size"))
    if block < 2 or channels is None or any(size is not None and size % block for size in (height, width)):
        raise Cannot(f"makes channels of blocks of {block} positions")
    more = channels * block**2
    if height is None or width is None:
        space = [None if size is None else size // block for size in (height, width)]
        spec = Spec((batch, *space, more), at.x.spec.dtype, at.x.spec.batch)
        return at.op("nn.SpaceToDepth", at.x, spec=spec, block_size=block, data_format="channels_last")
    high, wide = height // block, width // block
    return _regrouped(at, [high, block, wide, block, channels], [high, wide, more])


def _image(at: OperationCall) -> PartialShape:
    """Returns the shape of images whose channels stand last."""
    shape = known_shape(at.x)
    if len(shape) != 4 or at.get("data_format", default="NHWC") != "NHWC":
        raise Cannot("takes other tensors than images whose channels stand last")
    return shape


def _regrouped(at: OperationCall, parts: list[int], target: list[int]) -> Tensor:
    """Puts the exchange of the third and the fourth of six axes between two reshapes into the graph."""
    x, batch = at.x, known_shape(at.x)[0]
    spec = Spec((batch, *parts), x.spec.dtype, x.spec.batch)
    split = at.op("numpy.Reshape", x, spec=spec, newshape=[-1, *parts])
    moved = (batch, parts[0], parts[2], parts[1], *parts[3:])
    turned = at.op("numpy.Transpose", split, spec=replace(spec, shape=moved), axes=[0, 1, 3, 2, 4, 5])
    return at.op("numpy.Reshape", turned, spec=replace(spec, shape=(batch, *target)), newshape=[-1, *target])


def _flipped(axis: int) -> Rule:
    return lambda at: at.each("numpy.Flip", at.x, axis=len(known_shape(at.x)) + axis)


IMAGES: dict[str, Rule] = {
    "resize": _resized,
    "depth_to_space": _to_space,
    "space_to_depth": _to_depth,
    "flip_left_right": _flipped(-2),
    "flip_up_down": _flipped(-3),
    **dict.fromkeys(("max_pool", "max_pool2d"), _pooled("nn.MaxPool")),
    **dict.fromkeys(("avg_pool", "avg_pool2d"), _pooled("nn.AveragePool")),
}
"""Last part of the name of an operation of TensorFlow -> the rule that puts operations of Keras 3 in its place."""
