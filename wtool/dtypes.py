"""The number types of saved weights: NumPy's, and ml_dtypes' for bfloat16 and float8."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Array: TypeAlias = "NDArray[Any]"
NUMPY_FLOATS = frozenset({"float16", "float32", "float64"})
NUMPY_OTHERS = frozenset({"bool", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))})


@cache
def dtype_of(name: str) -> np.dtype[Any]:
    """The dtype that a tensor's `dtype` names; TypeError for names that are no number type."""
    if name in NUMPY_FLOATS or name in NUMPY_OTHERS:
        return np.dtype(name)
    if not is_floating(name):
        raise TypeError(f"no number type is called {name!r}")
    import ml_dtypes  # only where a file has them: NumPy's own types start faster

    dtype: np.dtype[Any] = np.dtype(getattr(ml_dtypes, name))
    return dtype


def is_floating(name: str) -> bool:
    """Whether values of this dtype can be averaged: floating point, of any width."""
    return name.startswith(("float", "bfloat"))


def largest(dtype: np.dtype[Any]) -> Array:
    """The largest finite value of a floating dtype, shape (1,)."""
    if dtype.name in NUMPY_FLOATS:
        return np.array([np.finfo(dtype).max])
    import ml_dtypes

    return np.array([ml_dtypes.finfo(dtype).max])  # type: ignore[no-untyped-call]


def round_into(out: Array, values: NDArray[np.float64]) -> None:
    """Put float64 values into an array of a narrower floating dtype, rounded once, to nearest, ties to even.

    ml_dtypes converts by way of float32, which would round twice. So the way to float32 is *to odd*: an inexact value
    takes the neighbour with an odd last bit, which keeps it off the halfway points of every narrower type
    (Boldo & Melquiond, "When double rounding is odd", 2005).
    """
    with np.errstate(over="ignore", invalid="ignore"):  # callers look for infinities and NaN themselves
        if out.dtype.name in NUMPY_FLOATS:
            np.copyto(out, values, casting="same_kind")
            return
        narrow = values.astype(np.float32)
        back = narrow.astype(np.float64)
        bits = narrow.view(np.int32)
        even_and_inexact = (back != values) & ~np.isnan(values) & (bits & 1 == 0)
        bits += np.where(even_and_inexact, np.where(np.abs(values) > np.abs(back), 1, -1), 0).astype(np.int32)
        out[...] = narrow.astype(out.dtype)
