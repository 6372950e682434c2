"""Numbers in a configuration for which Keras would allocate memory, whatever the file holds."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Any

from wtool.schema.node_def import Unreadable, read_node

MAX_CONFIGURED = 1 << 30
"""Values that one setting of a layer or operation may ask for: a number of units, a shape, paddings. The largest real
ones are volumes of some hundred million voxels and vocabularies of ten million rows; this many values of float32 take
4 GiB, and Keras allocates them before it reads any weight."""

SIZES = frozenset(
    """
    batch_input_shape batch_shape cropping depth_multiplier dilation_rate filters groups head_dim height input_dim
    input_length input_shape intermediate_dim key_dim kernel_size n num_heads num_key_value_heads num_query_heads
    output_dim output_padding output_sequence_length output_shape padding pool_size rank shape size strides
    target_shape units value_dim width
    """.split()  # noqa: SIM905
)
"""Settings of layers that are counts of values, or shapes."""

ALLOCATING = re.compile(
    r"(?:^|[._])(?:zeros|ones|fill|full|eye|identity|tri|tile|repeat|repeat_elements|range|arange|linspace|logspace|geomspace"
    r"|broadcast_to|pad|pad_to_bounding_box|resize\w*|one_hot|multi_hot|sequence_mask|bincount|histogram|scatter|scatter_nd"
    r"|unsorted_segment_\w+|segment_\w+|normal|uniform|truncated_normal|gamma|poisson|categorical|to_dense|fold"
    r"|random_normal|random_uniform|spatial_[23]d_padding|temporal_padding)$"
)
"""Functions of TensorFlow and Keras whose results are as large as their arguments say."""

MAKERS = frozenset(
    """
    Arange Bincount BroadcastTo Eye Fold Full FullLike Geomspace Histogram Identity Linspace Logspace MultiHot
    OneHot Ones Pad Repeat Resize Scatter SegmentMax SegmentMin SegmentProd SegmentSum Tile Tri Zeros
    """.split()  # noqa: SIM905
)
"""Operations of Keras 3 whose results are as large as their arguments say."""

NODES = frozenset(
    """
    BroadcastTo Bincount DenseBincount Fill LinSpace MirrorPad OneHot Pad PadV2 ParameterizedTruncatedNormal Range
    RandomGamma RandomPoissonV2 RandomStandardNormal RandomUniform RandomUniformInt ResizeArea ResizeBicubic
    ResizeBilinear ResizeNearestNeighbor ScatterNd SparseToDense StatelessRandomNormal StatelessRandomUniform Tile
    TruncatedNormal UnsortedSegmentMax UnsortedSegmentMin UnsortedSegmentProd UnsortedSegmentSum
    """.split()  # noqa: SIM905
)
"""Operations of TensorFlow whose results are as large as their arguments say."""

VALUES = frozenset("constant_values fill_value maxval mean minval off_value on_value seed stddev value".split())  # noqa: SIM905
"""Arguments of these operations that are values and not sizes."""

RANK = 64  # numbers in a list that are a shape or paddings; longer lists are values
DEPTH = 4  # lists inside lists that may be one


def oversized(entry: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], int]]:
    """Yields, for each setting of an entry that asks for too much, the keys below the entry, and the number of values.

    Args:
        entry: of a layer or an operation, in a configuration.
    """
    settings = entry.get("config")
    settings = settings if isinstance(settings, Mapping) else {}
    kind, called = entry.get("class_name"), settings.get("function")
    makes = kind in MAKERS or (isinstance(called, str) and ALLOCATING.search(called[:200]) is not None)
    node = settings.get("node_def")
    makes = makes or (kind == "TensorFlowOpLayer" and _makes(node))
    for name, value in settings.items():
        if name in SIZES or (makes and name not in VALUES):
            yield from _above(value, ("config", name))
    constants = settings.get("constants")
    for name, value in constants.items() if makes and isinstance(constants, Mapping) else ():
        yield from _above(value, ("config", "constants", str(name)))
    if makes:
        for number, value in enumerate(_arguments(entry.get("inbound_nodes"))):
            yield from _above(value, ("inbound_nodes", f"[{number}]"))


def _makes(node: Any) -> bool:
    try:
        return read_node(node).op in NODES
    except Unreadable:
        return False


def _above(value: Any, where: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], int]]:
    count = size_of(value)
    if count > MAX_CONFIGURED:
        yield where, count


def size_of(value: Any) -> int:
    """Returns the product of the numbers in a size, a shape or paddings; 0 for any other value."""
    product = 1
    count = 0
    waiting = [(value, 0)]
    while waiting:
        each, depth = waiting.pop()
        if isinstance(each, list) and depth < DEPTH and len(each) <= RANK:
            waiting += [(inner, depth + 1) for inner in each]
        elif type(each) is int or (isinstance(each, float) and isfinite(each)):
            count += 1
            product *= max(1, min(abs(int(each)), 1 << 64))
        elif each is not None:
            return 0
    return product if 0 < count <= RANK else 0


def _arguments(nodes: Any) -> Iterator[Any]:
    """Yields the sizes among arguments of calls, as Keras 2 (`[[name, node, tensor, kwargs]]`) and 3 write them."""
    waiting = [nodes]
    while waiting:
        each = waiting.pop()
        if isinstance(each, Mapping):
            for name, value in each.items():
                if name not in VALUES:
                    waiting.append(value)
        elif isinstance(each, list) and not size_of(each):
            waiting += each
        else:
            yield each
