"""What Keras quantises: scales of einsum equations, attention, dtype policies; against Keras where it tells."""

from __future__ import annotations

import random
import warnings
from typing import Any

import numpy as np
import pytest

from wtool.schema.config import Node, read_architecture
from wtool.schema.quantising import Grouping, einsum_grouping, groupings, policy_name, quantised_policy, targets
from wtool.transforms.quantising import arranged


def equation(source: random.Random) -> tuple[str, dict[str, int]]:
    """An einsum equation of two operands, and the length of each axis."""
    letters = list("abcdefg")
    source.shuffle(letters)
    inputs = letters[: source.randint(1, 4)]
    kernel = [*source.sample(inputs, source.randint(1, len(inputs))), *letters[5 : 5 + source.randint(0, 2)]]
    source.shuffle(kernel)
    both = list(dict.fromkeys([*inputs, *kernel]))
    outputs = source.sample(both, source.randint(1, len(both)))
    return f"{''.join(inputs)},{''.join(kernel)}->{''.join(outputs)}", {
        label: source.choice((1, 2, 3)) for label in both
    }


@pytest.mark.tensorflow
@pytest.mark.parametrize("seed", range(12))
def test_scales_of_any_equation_are_those_of_keras(seed: int) -> None:
    import keras

    source = random.Random(seed)
    supported = 0
    for _ in range(15):
        text, sizes = equation(source)
        inputs, kernel, outputs = text.replace("->", ",").split(",")
        shape = tuple(sizes[label] for label in kernel)
        found = einsum_grouping(text, shape)
        try:
            layer = keras.layers.EinsumDense(text, output_shape=[sizes[label] for label in outputs][1:] or 1)
            layer.build([sizes[label] for label in inputs])
            if tuple(layer.kernel.shape) != shape:
                continue
        except Exception:
            continue  # Keras builds no such layer
        values = np.random.default_rng(seed).standard_normal(shape).astype("float32")
        layer._kernel.assign(values)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                layer.quantize("int8")
        except Exception:
            assert found is None, text
            continue
        assert found is not None, text
        supported += 1
        scales = np.float32(127) / (np.abs(values).max(axis=found.axes, keepdims=True) + np.float32(1e-7))
        assert found.shape == tuple(layer.kernel_scale.shape), text
        assert np.array_equal(arranged(scales, found.order, found.shape), layer.kernel_scale.numpy()), text
    assert supported


@pytest.mark.parametrize(
    ("text", "shape", "expected"),
    [
        ("abc,cd->abd", (3, 5), Grouping((0,), (0, 1), (1, 1, 5))),
        ("abcd,cde->abe", (2, 3, 5), Grouping((0, 1), (0, 1, 2), (1, 1, 5))),
        ("ab,bc->ac", (3, 5, 1), None),
        ("...b,bc->...c", (3, 5), None),
        ("ab,bb->ab", (3, 3), None),
        ("ab", (3,), None),
        ("a" * 100_000 + ",b->a", (3,), None),
    ],
)
def test_equations(text: str, shape: tuple[int, ...], expected: Grouping | None) -> None:
    found = einsum_grouping(text, shape)
    if expected is None:
        assert found is None
        return
    assert found is not None
    assert (found.axes, found.shape) == (expected.axes, expected.shape)


@pytest.mark.parametrize(
    ("policy", "name"),
    [
        ("float32", "float32"),
        ({"class_name": "DTypePolicy", "config": {"name": "mixed_bfloat16"}}, "mixed_bfloat16"),
        ({"class_name": "FloatDTypePolicy", "config": {"name": "float64"}}, "float64"),
        ({"class_name": "Own", "config": {"name": "float64"}}, None),
        ({"class_name": "DTypePolicy", "config": {"name": ["float32"]}}, None),
        ({"class_name": "DTypePolicy", "config": 7}, None),
        (None, None),
        (7, None),
    ],
)
def test_names_of_policies(policy: Any, name: str | None) -> None:
    assert policy_name(policy) == name
    assert quantised_policy(policy)["config"] == {"mode": "int8", "source_name": name}


def model(class_name: str, **settings: Any) -> Node:
    layer = {"class_name": class_name, "config": {"name": "layer", **settings}}
    return read_architecture({"class_name": "Sequential", "config": {"name": "m", "layers": [layer]}}, "3.15.1")[0]


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        ("float32", None),
        (None, None),
        ("mixed_float16", "no layer that computes in float16"),
        ({"class_name": "DTypePolicy", "config": {"name": "float16"}}, "no layer that computes in float16"),
        ("int8_from_float32", "quantised already"),
        ({"class_name": "DTypePolicyMap", "config": {}}, "a map of several policies"),
        ({"class_name": "Own", "config": {}}, "its dtype policy is"),
        ("float8", "quantised already"),
        (["float32"], "its dtype policy is"),
        ("int32", "its dtype policy is 'int32'"),
    ],
)
def test_reasons_of_policies(policy: Any, reason: str | None) -> None:
    (target,) = targets(model("Dense", units=2, dtype=policy))
    assert (target.reason is None) == (reason is None)
    assert (reason or "") in (target.reason or "")


def test_shapes_of_strangers_are_told() -> None:
    (target,) = targets(model("Dense", units=2, dtype="float32"))
    for shapes, reason in (
        ({}, "the file has no kernel"),
        ({"kernel": (0, 2)}, "its kernel is empty"),
        ({"kernel": (2,)}, "its kernel is no matrix"),
    ):
        assert reason in str(groupings(target, shapes))
    (target,) = targets(model("EinsumDense", equation=7, output_shape=[2], dtype="float32"))
    assert "does not tell" in str(groupings(target, {"kernel": (2, 2)}))
    found = list(targets(model("MultiHeadAttention", num_heads=2, key_dim=2, dtype="float32")))
    assert {each.path for each in found} == {f"layer/{name}" for name in ("query", "key", "value", "attention_output")}
    assert all("does not tell the rank" in str(groupings(each, {"kernel": (2, 2, 2)})) for each in found)
