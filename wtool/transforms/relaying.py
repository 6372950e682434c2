"""Arrays of old Kerases laid out as Keras 3 has them: pure functions, each from the old arrays to the new one.

Sources: `preprocess_weights_for_loading` and `_convert_rnn_weights` of tf_keras/src/saving/legacy/hdf5_format.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np


def cudnn_kernel(kernel: np.ndarray, gates: int) -> np.ndarray:
    """Returns an input kernel (inputs, gates * units) of cuDNN as LSTM and GRU have it.

    cuDNN stores the block of each gate, (inputs, units), column by column.
    """
    blocks = np.split(kernel, gates, axis=1)
    return np.hstack([block.T.reshape(block.shape, order="F") for block in blocks])


def cudnn_recurrent_kernel(kernel: np.ndarray, gates: int) -> np.ndarray:
    """Returns a recurrent kernel (units, gates * units) of cuDNN as LSTM and GRU have it: each block transposed."""
    return np.hstack([block.T for block in np.split(kernel, gates, axis=1)])


def cudnn_bias_lstm(bias: np.ndarray) -> np.ndarray:
    """Returns the biases (4 * units,) of an LSTM: the sum of the two biases that cuDNN has, (8 * units,)."""
    first, second = np.split(bias, 2)
    both: np.ndarray = first + second
    return both


def cudnn_bias_gru(bias: np.ndarray) -> np.ndarray:
    """Returns the biases (2, 3 * units) of a GRU: the two biases that cuDNN has, one behind the other, (6 * units,)."""
    return bias.reshape(2, -1)


def joined(*arrays: np.ndarray) -> np.ndarray:
    """Returns arrays side by side along the last axis: Keras 1 stored one for each gate."""
    return np.concatenate(arrays, axis=-1)


def relaid(
    kernel: np.ndarray, axes: Sequence[int] | None = None, drop: int | None = None, turned: bool = False
) -> np.ndarray:
    """Returns the kernel of a convolution as Keras 3 has it, (window, inputs, outputs).

    Args:
        kernel: as it was stored.
        axes: of the old kernel, in the order of the new one; None if they stand as in the new one.
        drop: axis of length 1, of the kernel with its new order, that the new kernel does not have.
        turned: whether the kernel was used back to front along each axis of the window, as Theano did.
    """
    new = kernel if axes is None else np.transpose(kernel, tuple(axes))
    new = new if drop is None else np.squeeze(new, drop)
    return np.flip(new, tuple(range(new.ndim - 2))) if turned else new


def reshaped(array: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Returns the same numbers in the same order, in another shape."""
    return array.reshape(tuple(shape))


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (cudnn_kernel, cudnn_recurrent_kernel, cudnn_bias_lstm, cudnn_bias_gru, joined, relaid, reshaped)
}
"""Name of a function, as in `ArrayChange` -> the function: from arrays, and further arguments by name, to an array."""
