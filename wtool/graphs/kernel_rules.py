"""Propagation rules for layers with kernels: the axes of their weights that follow a change of their inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from wtool.graphs.equations import equation_of
from wtool.graphs.layer_changes import (
    COPY,
    INPUT,
    ZERO,
    AxisEdit,
    Case,
    Input,
    LayerChange,
    Stuck,
    has_a_group_for_each_channel,
    mixing,
    refuse_quantised,
)
from wtool.graphs.reindex import Reindex


def _dense(case: Case) -> LayerChange:
    refuse_quantised(case)
    if case.at.axis != case.rank - 1:
        return LayerChange(case.at)
    names = ("kernel", "lora_kernel_a") if case.config.get("lora_rank") else ("kernel",)
    return LayerChange(None, tuple(AxisEdit(name, 0, case.at.source, INPUT) for name in names))


def _convolution(case: Case) -> LayerChange:
    refuse_quantised(case)
    case.need_channels()
    if has_a_group_for_each_channel(case.config, case.shape):
        count = len(case.at.source)
        edits = AxisEdit("kernel", -1, case.at.source, COPY), AxisEdit("bias", 0, case.at.source, ZERO)
        return LayerChange(case.at, edits, {"groups": count, "filters": count}, mixing(case.config))
    if case.config.get("groups", 1) != 1:
        raise Stuck("its channels are in groups")
    names = ("kernel", "lora_kernel_a") if case.config.get("lora_rank") else ("kernel",)
    axis = case.rank - (1 if case.channels == "transposed convolution" else 2)
    return LayerChange(None, tuple(AxisEdit(name, axis, case.at.source, INPUT) for name in names))


def _multiplied(case: Case) -> Reindex:
    """Every input channel has `depth_multiplier` output channels."""
    return case.at.blocks(1, int(case.config.get("depth_multiplier") or 1))


def _depthwise(case: Case) -> LayerChange:
    case.need_channels()
    mixes = mixing(case.config)
    many = _multiplied(case)
    names = ("kernel", "depthwise_kernel")
    edits = [AxisEdit(name, case.rank - 2, case.at.source, COPY) for name in names]
    return LayerChange(many, (*edits, AxisEdit("bias", 0, many.source, ZERO)), mixes=mixes)


def _separable(case: Case) -> LayerChange:
    case.need_channels()
    depthwise = AxisEdit("depthwise_kernel", case.rank - 2, case.at.source, COPY)
    return LayerChange(None, (depthwise, AxisEdit("pointwise_kernel", case.rank - 2, _multiplied(case).source, INPUT)))


def _einsum(case: Case) -> LayerChange:
    refuse_quantised(case)
    equation = equation_of(case.config)
    if equation is None or len(equation.taken) != case.rank or "..." in equation.taken:
        raise Stuck(f"its equation is {case.config.get('equation')!r:.40}")
    kernel, made = equation.kernel, equation.made
    letter = equation.taken[case.at.axis]
    if letter in made and (letter in kernel or letter in str(case.config.get("bias_axes") or "")):
        raise Stuck("it has weights of their own for these channels")
    if letter in made:
        mixes = mixing(case.config)
        at, told = case.at.at(made.index(letter)), case.config.get("output_shape")
        sizes = told if isinstance(told, list) else [told]
        new = [len(at.source) if axis == at.axis and size else size for axis, size in enumerate(sizes, 1)]
        return LayerChange(at, settings={"output_shape": new}, mixes=mixes)
    if letter not in kernel:
        raise Stuck("it adds these channels up")
    return LayerChange(None, (AxisEdit("kernel", kernel.index(letter), case.at.source, INPUT),))


def recurrent(case: Case) -> LayerChange:
    """Returns the change of a recurrent layer: new rows of its kernel; its states do not change.

    Raises:
        Stuck: the change is along the steps.
    """
    if case.at.axis != 2:
        raise Stuck("it works along the axis that changes")
    return LayerChange(None, (AxisEdit("kernel", 0, case.at.source, INPUT),))


def _convolving_recurrent(case: Case) -> LayerChange:
    case.need_channels()
    return LayerChange(None, (AxisEdit("kernel", case.rank - 3, case.at.source, INPUT),))


def attention(kind: str, config: Mapping[str, Any], inputs: Sequence[Input]) -> LayerChange:
    """Returns the change of attention with projections of query, value and key.

    The output is as wide as the query, unless its width is set; so the width is set to what it was.

    Raises:
        Stuck: an input has changed along another axis than the last, or the layer's width cannot be set.
    """
    edits: list[AxisEdit] = []
    settings: dict[str, Any] = {}
    positions: dict[int | str, str] = {0: "query", 1: "value", 2: "key"}
    words = [positions.get(each.word, str(each.word)) for each in inputs]
    if words == ["query", "query"]:  # Keras 2 lists positional tensors
        words = ["query", "value"]
    for word, each in zip(words, inputs, strict=True):
        if each.reindex is None:
            continue
        if word not in ("query", "value", "key") or each.shape is None or each.reindex.axis != len(each.shape) - 1:
            raise Stuck(f"its {word} does not change along the last axis")
        parts = [word]
        if word == "query" and config.get("use_gate"):
            parts.append("gate")
        if word == "value" and "key" not in words:
            parts.append("key")
        edits += [AxisEdit("kernel", 0, each.reindex.source, INPUT, part) for part in parts]
        if word == "query" and kind == "GroupQueryAttention":
            raise Stuck("its output is as wide as its query")
        if word == "query" and not config.get("output_shape"):
            settings["output_shape"] = [each.reindex.size]
        elif word == "query" and not each.reindex.grows and config["output_shape"] == [len(each.reindex.source)]:
            settings["output_shape"] = None  # it is as wide as the query again
    return LayerChange(None, tuple(edits), settings)


KERNEL_RULES: dict[str, Callable[[Case], LayerChange]] = {
    "dense": _dense,
    "einsum": _einsum,
    "convolution": _convolution,
    "transposed convolution": _convolution,
    "depthwise": _depthwise,
    "separable": _separable,
    "recurrent": recurrent,
    "convolving recurrent": _convolving_recurrent,
}
"""How a layer treats channels, as the table of layers names it -> the rule."""
