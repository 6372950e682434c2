"""What a layer's settings demand of its stored variables: shapes and dtypes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wtool.errors import Differs, Refused
from wtool.hdf5.reader import Dataset
from wtool.schema.config import Node
from wtool.schema.layers import Shape, quantisation

Pattern = tuple[int | None, ...]

COUNTERS = ("count", "pruning_step")
_INTEGERS = frozenset(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))
_NUMBERS = _INTEGERS | {"float16", "float32", "float64", "bfloat16", "bool"}
_FLOAT8 = ("float8_e4m3fn", "float8_e5m2", "float8_e4m3", "float8_e4m3fnuz", "float8_e5m2fnuz")
_PACKED = {"bfloat16": "opaque2", **dict.fromkeys(_FLOAT8, "opaque1")}


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
    if isinstance(named, str) and named in _PACKED and dataset.dtype in (_PACKED[named], named):
        return named
    if named in _PACKED or isinstance(named, tuple):  # Keras compares lists of one text like the text
        raise Differs(f"{dataset.path} is marked as {named!r:.60} but stored as {dataset.dtype}")
    if dataset.dtype in _NUMBERS:
        return dataset.dtype
    if dataset.dtype.startswith("opaque"):
        if policy is not None and _PACKED.get(policy) == dataset.dtype:
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
    for name, wanted in _demands(node, shapes).items():
        shape = shapes.get(name)
        if shape is None or (len(shape) == len(wanted) and all(b in (None, a) for a, b in zip(shape, wanted))):  # noqa: B905
            continue
        text = "x".join("?" if n is None else str(n) for n in wanted) or "a single value"
        found = "x".join(map(str, shape)) or "a single value"
        raise Refused(f"{stored[name]} ({node.name}/{name}) is {found}, but the configuration demands {text}")


def _demands(node: Node, shapes: Mapping[str, Shape]) -> dict[str, Pattern]:
    config, class_name = node.config, node.class_name
    if not node.unsure and quantisation(config)[0] not in (None, "int8", "float8"):
        return {}
    match class_name:
        case "Dense":
            units = _count(config, "units", node.name)
            return {"kernel": (_last(node.input_shape), units), "bias": (units,)}
        case "Embedding":
            table = (_count(config, "input_dim", node.name), _count(config, "output_dim", node.name))
            return {"embeddings": table}
        case "SimpleRNNCell" | "LSTMCell" | "GRUCell":
            return _recurrent(node, shapes)
        case "ConvLSTMCell":
            size, filters = _sizes(node, len(shapes.get("kernel", ())) - 2), _count(config, "filters", node.name)
            wide = 4 * filters if filters is not None else None
            return {"kernel": (*size, None, wide), "recurrent_kernel": (*size, filters, wide), "bias": (wide,)}
        case "BatchNormalization" | "LayerNormalization" | "GroupNormalization" | "Normalization":
            first = next((shape for name, shape in shapes.items() if name != "count"), ())
            return {name: first for name in shapes if name != "count"}
    if class_name.rstrip("123D").endswith("Conv") or class_name.endswith("DTranspose"):
        return _convolution(node)
    return {}


def _recurrent(node: Node, shapes: Mapping[str, Shape]) -> dict[str, Pattern]:
    units = _count(node.config, "units", node.name)
    if units is None:
        return {}
    wide = units * {"SimpleRNNCell": 1, "LSTMCell": 4, "GRUCell": 3}[node.class_name]
    bias: Pattern = (wide,)
    reset_after = node.config.get("reset_after")
    if node.class_name == "GRUCell" and (reset_after or (reset_after is None and len(shapes.get("bias", ())) == 2)):
        bias = (2, wide)
    return {"kernel": (None, wide), "recurrent_kernel": (units, wide), "bias": bias}


def _convolution(node: Node) -> dict[str, Pattern]:
    config, class_name = node.config, node.class_name
    rank = int(class_name.removesuffix("Transpose")[-2])
    size = _sizes(node, rank)
    channels = _channels(node, rank)
    if class_name.startswith("Depthwise"):
        multiplier = _count(config, "depth_multiplier", node.name, 1)
        wide = channels * multiplier if channels is not None and multiplier is not None else None
        kernel: Pattern = (*size, channels, multiplier)
        return {"kernel": kernel, "depthwise_kernel": kernel, "bias": (wide,)}
    filters = _count(config, "filters", node.name)
    if class_name.startswith("Separable"):
        multiplier = _count(config, "depth_multiplier", node.name, 1)
        return {
            "depthwise_kernel": (*size, channels, multiplier),
            "pointwise_kernel": (*(1,) * rank, None, filters),
            "bias": (filters,),
        }
    if class_name.endswith("Transpose"):
        return {"kernel": (*size, filters, channels), "bias": (filters,)}
    groups = _count(config, "groups", node.name, 1) or 1
    inner = channels // groups if channels is not None else None
    return {"kernel": (*size, inner, filters), "bias": (filters,)}


def _sizes(node: Node, rank: int) -> Pattern:
    size = node.config.get("kernel_size")
    if isinstance(size, int) and not isinstance(size, bool):
        return (size,) * rank
    if isinstance(size, list) and len(size) == rank and all(type(n) is int for n in size):
        return tuple(size)
    return (None,) * rank


def _channels(node: Node, rank: int) -> int | None:
    shape = node.input_shape
    if shape is None or len(shape) != rank + 2:
        return None
    return shape[1] if node.config.get("data_format") == "channels_first" else shape[-1]


def _count(config: Mapping[str, Any], setting: str, name: str, default: int | None = None) -> int | None:
    value = config.get(setting, default)
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    raise Refused(f"the configuration of {name} has {setting} = {value!r:.60}, which is no number")


def _last(shape: tuple[int | None, ...] | None) -> int | None:
    return shape[-1] if shape else None
