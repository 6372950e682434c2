"""TensorFlow's operations in graphs that tf_keras builds compute the same as operations of Keras 3."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from tests.schema.upgrade.twins import assert_same, twin, upgraded
from wtool.schema.unsafe import unsafe_parts

pytestmark = pytest.mark.tensorflow
tf = pytest.importorskip("tensorflow")
keras2 = pytest.importorskip("tf_keras")
L, K = keras2.layers, keras2.backend

Behind = Callable[[Any], Any]
ROW = np.linspace(-1, 2, 4).astype("float32")
MATRIX = np.linspace(-1, 1, 12).reshape(4, 3).astype("float32")


def whole(x: Any) -> Any:
    return tf.cast(x * 3.0, "int32")


EACH = "abs atan cos erf exp expm1 floor negative round sigmoid sign sin sinh softplus square tanh"
OF_POSITIVE = "log log1p reciprocal rsqrt sqrt"
OF_NN = "elu gelu leaky_relu log_softmax relu relu6 selu silu softmax softplus softsign swish"
REDUCTIONS = "logsumexp max mean min prod std sum variance"


def named(module: Any, names: str, *, start: str = "", **arguments: Any) -> dict[str, Behind]:
    """Functions of a module of TensorFlow by their names."""
    end = " kept" if "keepdims" in arguments else ""
    return {f"{start}{name}{end}": partial(getattr(module, start + name), **arguments) for name in names.split()}


def of_positive(function: Behind) -> Behind:
    return lambda x: function(tf.abs(x) + 0.1)


OPERATIONS: dict[str, Behind] = {
    **named(tf.math, EACH),
    **{f"of nn: {name}": function for name, function in named(tf.nn, OF_NN).items()},
    **{name: of_positive(function) for name, function in named(tf.math, OF_POSITIVE).items()},
    **named(tf.math, REDUCTIONS, start="reduce_", axis=1),
    **named(tf.math, REDUCTIONS, start="reduce_", axis=[1, -1], keepdims=True),
    "reduce all": lambda x: x - tf.reduce_max(x),
    "reduce any": lambda x: tf.cast(tf.reduce_any(x > 0.5, axis=-1), "float32"),
    "add": lambda x: x + 2.0,
    "number first": lambda x: 2.0 - x,
    "whole number": lambda x: x * 2,
    "itself": lambda x: x + x * x,
    "array": lambda x: x - ROW,
    "array first": lambda x: ROW / (tf.abs(x) + 1.0),
    "larger array": lambda x: x[:, :1, 0] + np.ones((2, 1, 4), "float32"),
    "power": lambda x: x**2,
    "divide": lambda x: x / 4.0,
    "floor divide": lambda x: x // 0.3,
    "remainder": lambda x: x % 0.7,
    "maximum": lambda x: tf.maximum(x, 0.1),
    "minimum": lambda x: tf.minimum(0.1, x),
    "atan2": lambda x: tf.atan2(x, x + 1.0),
    "divide or zero": lambda x: tf.math.divide_no_nan(x, tf.nn.relu(x)),
    "squared difference": lambda x: tf.math.squared_difference(x, 1.0),
    "sum of several": lambda x: tf.add_n([x, x, x * x]),
    "sum of one": lambda x: tf.add_n([x]),
    "greater": lambda x: x > 0.2,
    "comparisons": lambda x: tf.logical_or(tf.logical_and(x >= 0, x <= 1.0), tf.logical_not(x < -0.5)),
    "not equal": lambda x: tf.not_equal(tf.nn.relu(x), 0.0),
    "where": lambda x: tf.where(x > 0, x, 0.0),
    "where of tensors": lambda x: tf.where(x > 0, tf.sin(x), x[:, :1]),
    "where of numbers": lambda x: tf.where(x > 0, 1.0, -1.0),
    "clip": lambda x: tf.clip_by_value(x, -0.1, 0.5),
    "clip to arrays": lambda x: tf.clip_by_value(x, -ROW - 2.0, ROW + 2.0),
    "leaky": lambda x: tf.nn.leaky_relu(x, alpha=0.3),
    "approximate gelu": lambda x: tf.nn.gelu(x, approximate=True),
    "silu with a slope": lambda x: tf.nn.silu(x, beta=1.5),
    "softmax along": lambda x: tf.nn.softmax(x, axis=1),
    "hard sigmoid of Keras": keras2.activations.hard_sigmoid,
    "bias": lambda x: tf.nn.bias_add(x, ROW),
    "cast to half": lambda x: tf.cast(x, "float16") * 2.0 + np.arange(4.0),
    "cast to whole numbers": whole,
    "whole numbers": lambda x: tf.maximum(whole(x) * 2 - whole(x) // 2, 1),
    "quotient of whole numbers": lambda x: whole(x) / 4,
    "quotient of small numbers": lambda x: 1 / (tf.cast(tf.abs(x), "int8") + 1),
    "sum of whole numbers": lambda x: tf.reduce_sum(whole(x), axis=1),
    "clip whole numbers": lambda x: tf.clip_by_value(whole(x), 0, 2),
    "power of whole numbers": lambda x: whole(x) ** 2,
    "identity": lambda x: tf.identity(x),
    "no gradient": lambda x: tf.stop_gradient(x),
    "like": lambda x: tf.ones_like(x) * 2.0 + tf.zeros_like(x),
    "like of another dtype": lambda x: tf.ones_like(x, dtype="int32"),
    "norm": lambda x: tf.norm(x, axis=-1),
    "norm of rows": lambda x: tf.norm(x, ord=1, axis=1, keepdims=True),
    "normalize": lambda x: tf.math.l2_normalize(x, axis=-1),
    "normalize small": lambda x: tf.math.l2_normalize(x * 1e-8, axis=[1, 2], epsilon=1e-10),
    "moments": lambda x: tf.nn.moments(x, [1])[1],
    "cumulative": lambda x: tf.cumsum(x, axis=1),
    "cumulative from behind": lambda x: tf.math.cumprod(x, axis=-1, reverse=True),
    "reshape": lambda x: tf.reshape(x, [-1, 20]),
    "reshape the batch": lambda x: tf.reshape(x, [-1, 2]),
    "reshape by a size": lambda x: tf.reshape(x, [tf.shape(x)[0], 20]),
    "reshape by a size and the rest": lambda x: tf.reshape(x, [tf.shape(x)[0], -1, 2]),
    "reshape by sizes": lambda x: tf.reshape(x, [tf.shape(x)[0], tf.shape(x)[1] * tf.shape(x)[2] // 2, 2]),
    "reshape by a stack": lambda x: tf.reshape(x, tf.stack([tf.shape(x)[0], 4, tf.shape(x)[1]])),
    "reshape by parts of a shape": lambda x: tf.reshape(x, tf.concat([tf.shape(x)[:1], [2, 10]], axis=0)),
    "reshape twice": lambda x: tf.reshape(tf.reshape(x, [-1, 4]) * 2.0, [-1, 5, 4]),
    "size in a product": lambda x: x / tf.sqrt(tf.cast(tf.shape(x)[-1], "float32")),
    "heads": lambda x: tf.transpose(tf.reshape(x, [tf.shape(x)[0], -1, 2, 2]), [0, 2, 1, 3]),
    "dot": lambda x: K.dot(x, tf.constant(MATRIX)),
    "batch dot": lambda x: K.batch_dot(x, x, axes=2),
    "expand": lambda x: tf.expand_dims(x, 1),
    "expand last": lambda x: tf.expand_dims(x, -1),
    "squeeze": lambda x: tf.squeeze(x[:, :1], 1),
    "squeeze last": lambda x: tf.squeeze(x[..., :1], [-1]),
    "transpose": lambda x: tf.transpose(x, [0, 2, 1]),
    "transpose all": lambda x: tf.transpose(tf.transpose(x)),
    "concat": lambda x: tf.concat([x, x * 2.0], -1),
    "concat an array": lambda x: tf.concat([x[:1], np.ones((1, 5, 4), "float32")], 0),
    "stack": lambda x: tf.stack([x, x * 2.0], axis=1),
    "unstack": lambda x: tf.unstack(x, axis=1),
    "split": lambda x: tf.split(x, 2, axis=-1),
    "split by sizes": lambda x: tf.split(x, [1, 2, -1], axis=1),
    "slice": lambda x: x[:, 1:4],
    "slice backwards": lambda x: x[:, ::-2, -3:-1],
    "slice one": lambda x: x[:, -1],
    "slice with all": lambda x: x[:, tf.newaxis, ..., 1],
    "slice of examples": lambda x: x[1:, 0],
    "first example": lambda x: x[0],
    "slice by a size": lambda x: x[:, : tf.shape(x)[2]],
    "window": lambda x: tf.slice(x, [0, 1, 0], [-1, 2, -1]),
    "tile": lambda x: tf.tile(x, [1, 2, 1]),
    "repeat": lambda x: tf.repeat(x, 2, axis=-1),
    "pad": lambda x: tf.pad(x, [[0, 0], [1, 2], [0, 0]]),
    "pad with a number": lambda x: tf.pad(x, [[0, 0], [1, 2], [0, 0]], constant_values=3.0),
    "reflect": lambda x: tf.pad(x, [[0, 0], [1, 2], [0, 0]], "REFLECT"),
    "symmetric": lambda x: tf.pad(x, [[0, 0], [1, 2], [0, 0]], mode="SYMMETRIC"),
    "reverse": lambda x: tf.reverse(x, [1, -1]),
    "roll": lambda x: tf.roll(x, [1, -1], [1, 2]),
    "broadcast": lambda x: x[:1] + tf.broadcast_to(x[0, :1], [5, 4]),
    "gather": lambda x: tf.gather(x, [0, 2], axis=1),
    "gather one": lambda x: tf.gather(x, 2, axis=-1),
    "one hot": lambda x: tf.one_hot(tf.argmax(x, -1), 4),
    "one hot along": lambda x: tf.one_hot(whole(x), 3, axis=1, dtype="int32"),
    "argmax": lambda x: tf.argmax(x, axis=1),
    "argmin of the first": lambda x: tf.argmin(x, output_type="int32"),
    "largest": lambda x: list(tf.math.top_k(x, 2)),
    "matmul": lambda x: tf.matmul(x, x, transpose_b=True),
    "matmul of turned": lambda x: tf.matmul(x, x, transpose_a=True),
    "matmul with an array": lambda x: tf.matmul(x, tf.constant(MATRIX)),
    "matmul with a turned array": lambda x: tf.matmul(x, tf.constant(MATRIX.T), transpose_b=True),
    "tensordot": lambda x: tf.tensordot(x, tf.constant(MATRIX), 1),
    "tensordot along": lambda x: tf.tensordot(x, tf.constant(np.ones((5, 2, 4), "float32")), [[1, 2], [0, 2]]),
    "resize": lambda x: tf.image.resize(x[..., tf.newaxis], [3, 6]),
    "resize by the nearest": lambda x: tf.image.resize(whole(x)[..., tf.newaxis], [10, 8], method="nearest"),
    "resize half": lambda x: tf.image.resize(tf.cast(x, "float16")[..., tf.newaxis], [7, 9], method="bicubic"),
    "resize antialiased": lambda x: tf.image.resize(x[..., tf.newaxis], [2, 2], antialias=True),
    "resize images": lambda x: K.resize_images(x[..., tf.newaxis], 2, 2, "channels_last", interpolation="bilinear"),
    "max pool": lambda x: tf.nn.max_pool2d(x[..., tf.newaxis], 2, 2, "SAME"),
    "average pool": lambda x: tf.nn.avg_pool2d(x[..., tf.newaxis], [1, 3, 2, 1], [1, 2, 1, 1], "VALID"),
    "depth to space": lambda x: tf.nn.depth_to_space(tf.stack([x, x * 2.0, x * 3.0, -x], -1), 2),
    "space to depth": lambda x: tf.nn.space_to_depth(x[:, :4, :, tf.newaxis] * ROW, 2),
    "flip": lambda x: tf.image.flip_left_right(x[..., tf.newaxis]) - tf.image.flip_up_down(x[..., tf.newaxis]),
    "both signs": lambda x: tf.nn.crelu(x, axis=1),
    "attention": lambda x: tf.matmul(tf.nn.softmax(tf.matmul(x, x, transpose_b=True) / 2.0), L.Dense(3)(x)),
}  # fmt: skip


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_computes_the_same(name: str) -> None:
    x = keras2.Input((5, 4))
    old = keras2.Model(x, OPERATIONS[name](x))
    result = upgraded(old)
    assert_same(old, twin(old, result), 2e-3 if "half" in name else 1e-5)
    assert not list(unsafe_parts(result.config))


REFUSED: dict[str, tuple[Behind, str]] = {
    "einsum": (lambda x: tf.einsum("abc,abd->acd", x, x), "saved without its tensors"),
    "equal": (lambda x: x == 0, "saved without its second operand"),
    "random": (lambda x: tf.nn.dropout(x, 0.5), "is TensorFlow's nn.dropout"),
    "strings": (lambda x: tf.strings.length(tf.strings.as_string(x)), "is TensorFlow's strings.as_string"),
    "size": (lambda x: tf.broadcast_to(x[0], [tf.shape(x)[0], 5, 4]), "known only when the model runs"),
    "size as an output": (lambda x: tf.shape(x), "gives as a tensor"),
    "mean of whole numbers": (lambda x: tf.reduce_mean(whole(x), axis=1), "rounds a mean of int32"),
    "positions": (lambda x: tf.where(x > 0), "gives positions"),
    "exclusive sum": (lambda x: tf.cumsum(x, 1, exclusive=True), "exclusive=True"),
    "area": (lambda x: tf.image.resize(x[..., tf.newaxis], [2, 2], method="area"), "resized by 'area'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_kept_is_refused_by_name(name: str) -> None:
    behind, reason = REFUSED[name]
    x = keras2.Input((5, 4))
    refused = upgraded(keras2.Model(x, behind(x))).refused
    assert refused, refused
    assert reason in " ".join(each.text for each in refused)


def test_all_that_cannot_be_kept_is_told_at_once() -> None:
    x = keras2.Input((5, 4))
    refused = upgraded(keras2.Model(x, tf.nn.dropout(tf.cumsum(tf.math.angle(x), 1, exclusive=True), 0.5))).refused
    names = [each.layer.rstrip("_0123456789") for each in refused]
    assert names == ["tf.math.angle", "tf.math.cumsum", "tf.nn.dropout"]


NODES: dict[str, Behind] = {
    **{name: OPERATIONS[name] for name in ("abs", "sigmoid", "tanh", "exp", "softplus", "erf", "floor")},
    "Relu6": tf.nn.relu6,
    "LeakyRelu": lambda x: tf.raw_ops.LeakyRelu(features=x, alpha=0.3),
    "Softmax": tf.nn.softmax,
    "AddV2": lambda x: x + 2.0,
    "AddV2 of an array": lambda x: ROW + x,
    "Sub": lambda x: 2.0 - x,
    "Mul": lambda x: x * x,
    "RealDiv": lambda x: x / 3.0,
    "Maximum": lambda x: tf.maximum(0.1, x),
    "GreaterEqual": lambda x: x >= 0.1,
    "Mean": lambda x: tf.reduce_mean(x, axis=[1, 2], keepdims=True),
    "Sum": lambda x: tf.reduce_sum(x, axis=1),
    "Max": lambda x: tf.reduce_max(x, axis=-1),
    "BiasAdd": lambda x: tf.nn.bias_add(x, ROW),
    "AddN": lambda x: tf.add_n([x, x]),
    "Cast": lambda x: tf.cast(x, "float64"),
    "Clip": lambda x: tf.raw_ops.ClipByValue(t=x, clip_value_min=-0.1, clip_value_max=0.5),
    "Cumsum": lambda x: tf.cumsum(x, 1, reverse=True),
    "Reshape": lambda x: tf.reshape(x, [-1, 20]),
    "ExpandDims": lambda x: tf.expand_dims(x, -1),
    "Transpose": lambda x: tf.transpose(x, [0, 2, 1]),
    "ConcatV2": lambda x: tf.concat([x, x], axis=1),
    "Pack": lambda x: tf.stack([x, x, x], axis=1),
    "Unpack": lambda x: tf.unstack(x, axis=2),
    "Split": lambda x: tf.split(x, 2, axis=-1),
    "SplitV": lambda x: tf.split(x, [1, 4], axis=1),
    "Tile": lambda x: tf.tile(x, [1, 1, 2]),
    "PadV2": lambda x: tf.pad(x, [[0, 0], [1, 0], [0, 2]], constant_values=1.0),
    "MirrorPad": lambda x: tf.pad(x, [[0, 0], [1, 0], [0, 2]], "REFLECT"),
    "ReverseV2": lambda x: tf.reverse(x, [1]),
    "StridedSlice": lambda x: x[:, 1:-1, tf.newaxis, ..., 0],
    "StridedSlice backwards": lambda x: x[:, ::-2, 1:3],
    "GatherV2": lambda x: tf.gather(x, [3, 0], axis=-1),
    "ArgMax": lambda x: tf.argmax(x, axis=-1),
    "TopKV2": lambda x: list(tf.math.top_k(x, 3)),
    "BatchMatMulV2": lambda x: tf.matmul(x, x, adjoint_b=True),
}


def node_layer(function: Behind) -> Any:
    """The layer for the last node of a graph, as TensorFlow 2.3 makes it; nodes before that are constants."""
    with tf.Graph().as_default() as graph:
        x = tf.compat.v1.placeholder("float32", [None, 5, 4])
        made = function(x)
        node = (made[0] if isinstance(made, list) else made).op
        stored = {at: each for at, each in enumerate(node.inputs) if each.op.type != "Placeholder"}
        constants = {at: tf.get_static_value(each) for at, each in stored.items()}
    assert len([each for each in graph.get_operations() if each.type not in ("Const", "Placeholder")]) == 1
    module = importlib.import_module("tf_keras.src.engine.base_layer")
    layer = module.TensorFlowOpLayer(node.node_def.SerializeToString(), node.name, constants)
    return layer, len(node.inputs) - len(constants)


@pytest.mark.parametrize("name", NODES)
def test_a_node_of_a_graph_computes_the_same(name: str) -> None:
    x = keras2.Input((5, 4))
    layer, many = node_layer(NODES[name])
    old = keras2.Model(x, layer([x] * many if many > 1 else x))
    assert_same(old, twin(old))
