"""Checks of stored variables against the settings of their layer: shapes and dtypes."""

from __future__ import annotations

from collections.abc import Mapping

from wtool.errors import Differs, Refused
from wtool.hdf5.reader import Dataset
from wtool.schema.config import Node
from wtool.schema.layers import Built, PartialShape, Shape, entry_of, quantisation

COUNTERS = ("count", "pruning_step")
_INTEGERS = frozenset(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))
_NUMBERS = _INTEGERS | {"float16", "float32", "float64", "bfloat16", "bool"}
_FLOAT8 = ("float8_e4m3fn", "float8_e5m2", "float8_e4m3", "float8_e4m3fnuz", "float8_e5m2fnuz")
PACKED = {"bfloat16": "opaque2", **dict.fromkeys(_FLOAT8, "opaque1")}
"""Dtypes that HDF5 has no type for -> the opaque type that files have in their place."""


def stored_dtype(dataset: Dataset, policy: str | None = None) -> str:
    """The dtype of a stored array, by NumPy's or ml_dtypes' name.

    Args:
        dataset: the array; bfloat16 and float8 are opaque in HDF5, and an attribute names them.
        policy: the dtype that its layer's policy gives variables, for files whose opaque arrays have no attribute.

    Raises:
        Differs: its attribute names another type than it has; some versions of Keras follow one, some the other.
        Refused: it does not hold numbers.
    """
    named = dataset.attributes.get("dtype")
    if isinstance(named, str) and named in PACKED and dataset.dtype in (PACKED[named], named):
        return named
    if named in PACKED or isinstance(named, tuple):  # Keras compares lists of one text like the text
        raise Differs(f"{dataset.path} is marked as {named!r:.60} but stored as {dataset.dtype}")
    if dataset.dtype in _NUMBERS:
        return dataset.dtype
    if dataset.dtype.startswith("opaque"):
        if policy is not None and PACKED.get(policy) == dataset.dtype:
            return policy
        raise Refused(f"{dataset.path} holds {dataset.dtype[6:]}-byte values and nothing tells what they are")
    raise Refused(f"{dataset.path} holds {dataset.dtype} where numbers are expected")


def check_dtype(node: Node, name: str, dtype: str, stored: str) -> None:
    """Refuse integer codes in a layer that its settings do not call quantised.

    Raises:
        Refused: they are there.
    """
    policy = node.policy or "float32"
    if dtype in _INTEGERS and name not in COUNTERS and "int" not in policy and not node.quantised:
        raise Refused(f"{stored} ({node.name}/{name}) holds {dtype}, but by the configuration it is not quantised")


def check_shapes(node: Node, shapes: Mapping[str, Shape], stored: Mapping[str, str]) -> None:
    """Refuse variables whose shapes contradict the settings of their layer.

    Args:
        node: the layer.
        shapes: of its variables, by Keras's names.
        stored: where each is in the file, for the error.

    Raises:
        Refused: a contradiction, or a setting that is no number.
    """
    for name, wanted in _demanded(node, shapes).items():
        shape = shapes.get(name)
        if shape is None or (len(shape) == len(wanted) and all(b in (None, a) for a, b in zip(shape, wanted))):  # noqa: B905
            continue
        text = "x".join("?" if n is None else str(n) for n in wanted) or "a single value"
        found = "x".join(map(str, shape)) or "a single value"
        raise Refused(f"{stored[name]} ({node.name}/{name}) is {found}, but the configuration demands {text}")


def _demanded(node: Node, shapes: Mapping[str, Shape]) -> Mapping[str, PartialShape]:
    """The shapes that the layer's settings demand, of the variables that they tell of."""
    if not node.unsure and quantisation(node.config)[0] not in (None, "int8", "float8"):
        return {}
    entry = entry_of(node.kind) if node.kind is not None else None
    if entry is None or entry.variable_shapes is None:
        return {}
    return entry.variable_shapes(Built(node.name, node.config, node.input_shape, shapes))
