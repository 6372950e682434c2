"""Kernels of PyTorch with their axes as Keras has them."""

from __future__ import annotations

from wtool.dtypes import Array

Shape = tuple[int, ...]


def axes_of(rank: int) -> Shape:
    """Returns the axes of a kernel of PyTorch, (outputs, inputs, *window), in Keras's order (*window, inputs, outputs).

    Of two axes this is the transposition, of four OIHW -> HWIO. Kernels of transposed convolutions are
    (inputs, outputs, *window) in PyTorch and (*window, outputs, inputs) in Keras, so that the order is the same.
    """
    return (*range(2, rank), 1, 0) if rank >= 2 else tuple(range(rank))


def transposed_shape(shape: Shape, wanted: Shape) -> Shape:
    """Returns the shape that a PyTorch kernel of this shape gets where `wanted` is the shape of Keras's kernel."""
    new = tuple(shape[axis] for axis in axes_of(len(shape)))
    return wanted if _is_depthwise(new, wanted) else new


def transposed(kernel: Array, wanted: Shape) -> Array:
    """Returns a PyTorch kernel as Keras has it.

    Args:
        kernel: shape (outputs, inputs, *window).
        wanted: shape of Keras's kernel, (*window, inputs, outputs); of a depthwise convolution (*window, channels,
            multiplier), where PyTorch has (channels * multiplier, 1, *window).
    """
    new: Array = kernel.transpose(axes_of(kernel.ndim))
    return new.reshape(wanted if _is_depthwise(new.shape, wanted) else new.shape)


def _is_depthwise(shape: Shape, wanted: Shape) -> bool:
    """Returns whether (*window, 1, channels * multiplier) stands against (*window, channels, multiplier)."""
    is_alike = len(shape) == len(wanted) > 2 and shape[:-2] == wanted[:-2]
    return is_alike and shape[-2] == 1 and shape[-1] == wanted[-2] * wanted[-1]
