"""What TensorFlow's products of matrices and tensors are in Keras 3."""

from __future__ import annotations

from typing import Any

from wtool.schema.upgrade.operation_call import Cannot, Constant, OperationCall, broadcast, shape_of
from wtool.schema.upgrade.operation_moves import known_shape
from wtool.schema.upgrade.operation_rules import Rule
from wtool.schema.upgrade.specs import Spec, Tensor


def _multiplied(at: OperationCall) -> Tensor:
    at.only(a_is_sparse=False, b_is_sparse=False, output_type=None)
    like = next((each for each in (at.first, at.get("b")) if isinstance(each, Tensor) and each.key is not None), None)
    if like is None:
        raise Cannot("takes no tensor")
    a, b = (at.operand(each, like) for each in (at.first, at.get("b")))
    if () in (shape_of(a), shape_of(b)):
        raise Cannot("multiplies a matrix by a number")
    a = _turned(at, a) if at.get("transpose_a") or at.get("adjoint_a") else a
    b = _turned(at, b) if at.get("transpose_b") or at.get("adjoint_b") else b
    left, right = (shape_of(each) for each in (a, b))
    shape = None
    if left is not None and right is not None and len(left) > 1 and len(right) > 1:
        outer = broadcast([left[:-2], right[:-2]])
        shape = None if outer is None else (*outer, left[-2], right[-1])
    tensors = [each.spec for each in (a, b) if isinstance(each, Tensor)]
    batch = any(spec.batch and shape is not None and len(spec.shape or ()) == len(shape) > 2 for spec in tensors)
    if shape is not None and len(shape) == 2:
        batch = isinstance(a, Tensor) and a.spec.batch
    return at.op("numpy.Matmul", a, b, spec=Spec(shape, like.spec.dtype, batch))


def _turned(at: OperationCall, x: Any) -> Any:
    """Returns an operand with its last two axes exchanged."""
    if isinstance(x, Constant):
        if len(shape_of(x) or ()) != 2:
            raise Cannot("turns an array of constants of more than two axes")
        return Constant([list(each) for each in zip(*x.value, strict=True)], x.dtype)
    shape = x.spec.shape
    new = None if shape is None or len(shape) < 2 else (*shape[:-2], shape[-1], shape[-2])
    batch = x.spec.batch and new is not None and len(new) > 2
    return at.op("numpy.Swapaxes", x, spec=Spec(new, x.spec.dtype, batch), axis1=-2, axis2=-1)


def _tensordot(at: OperationCall) -> Tensor:
    x, axes = at.x, at.known(at.get("axes"))
    other = at.operand(at.get("b"), x)
    left, right = known_shape(x), shape_of(other)
    if right is None:
        raise Cannot("takes a tensor whose shape the configuration does not tell")
    if type(axes) is int and 0 <= axes <= min(len(left), len(right)):
        gone = [list(range(len(left) - axes, len(left))), list(range(axes))]
    elif isinstance(axes, list) and len(axes) == 2:
        gone = [at.axes(each, len(shape)) or [] for each, shape in zip(axes, (left, right), strict=True)]
    else:
        raise Cannot(f"is multiplied along the axes {axes!r:.40}")
    shape = (
        *(size for axis, size in enumerate(left) if axis not in gone[0]),
        *(size for axis, size in enumerate(right) if axis not in gone[1]),
    )
    batch = x.spec.batch and 0 not in gone[0]
    return at.op("numpy.Tensordot", x, other, spec=Spec(shape, x.spec.dtype, batch), axes=gone)


PRODUCTS: dict[str, Rule] = {"matmul": _multiplied, "tensordot": _tensordot}
"""Last part of the name of an operation of TensorFlow -> the rule that puts operations of Keras 3 in its place."""
