"""Multiply-adds and activations against Keras: layers of ones, whose outputs add up to them, and published models."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np
import pytest

from tests.schema.test_layers_in_keras import images
from wtool.schema.costs import Costs, costs_of

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("quiet_keras")]
keras = pytest.importorskip("keras")
layers = keras.layers


def costs(model: Any, *inputs: tuple[int | None, ...]) -> Costs:
    return costs_of(json.loads(json.dumps(keras.saving.serialize_keras_object(model))), inputs)


def around(layer: Any, shapes: Sequence[tuple[int, ...]]) -> Any:
    """A model of one layer, which takes inputs of such shapes, the batch left out."""
    inputs = [keras.Input(shape) for shape in shapes]
    taken = inputs[0] if len(inputs) == 1 else inputs
    return keras.Model(taken, layer(taken))


def of_ones(model: Any) -> Any:
    """The outputs of a model whose weights and inputs are ones: each multiply-add of a linear layer adds 1 to them."""
    for weight in model.weights:
        weight.assign(np.zeros(weight.shape) if weight.name == "bias" else np.ones(weight.shape))
    inputs = [np.ones((1, *each.shape[1:]), "float32") for each in model.inputs]
    return keras.ops.convert_to_numpy(model(inputs if len(inputs) > 1 else inputs[0]))


LINEAR: dict[str, tuple[Callable[[], Any], list[tuple[int, ...]]]] = {
    "Dense": (lambda: layers.Dense(3), [(5,)]),
    "Dense, steps": (lambda: layers.Dense(3, use_bias=False), [(4, 2, 5)]),
    "EinsumDense": (lambda: layers.EinsumDense("abc,cde->abde", (None, 3, 2)), [(4, 5)]),
    "EinsumDense, two axes": (lambda: layers.EinsumDense("abcd,cde->abe", (None, 6), bias_axes="e"), [(3, 4, 5)]),
    "EinsumDense, dots in front": (lambda: layers.EinsumDense("...x,xy->...y", 7), [(2, 3, 5)]),
    "EinsumDense, dots behind": (lambda: layers.EinsumDense("ab...,bc->ac...", 7), [(2, 3, 5)]),
    "Dot": (lambda: layers.Dot(axes=(2, 1)), [(3, 4), (4, 5)]),
    "Dot, one axis": (lambda: layers.Dot(axes=-1), [(6,), (6,)]),
    "TimeDistributed": (lambda: layers.TimeDistributed(layers.Conv2D(3, 2)), [(3, 5, 5, 2)]),
    "TimeDistributed, model": (
        lambda: layers.TimeDistributed(keras.Sequential([keras.Input((4,)), layers.Dense(3)])),
        [(5, 4)],
    ),
}
for n in (1, 2, 3):
    LINEAR |= {
        f"Conv{n}D": (lambda n=n: getattr(layers, f"Conv{n}D")(3, 2), [images(n)[1:]]),
        f"Conv{n}D, groups": (
            lambda n=n: getattr(layers, f"Conv{n}D")(6, 3, strides=2, groups=2),
            [images(n, 4)[1:]],
        ),
        f"Conv{n}D, dilated": (lambda n=n: getattr(layers, f"Conv{n}D")(3, 2, dilation_rate=2), [images(n)[1:]]),
        f"Conv{n}DTranspose": (lambda n=n: getattr(layers, f"Conv{n}DTranspose")(3, 2, strides=2), [images(n)[1:]]),
    }
for n in (1, 2):
    LINEAR[f"DepthwiseConv{n}D"] = (
        lambda n=n: getattr(layers, f"DepthwiseConv{n}D")(3, depth_multiplier=2),
        [images(n)[1:]],
    )


@pytest.mark.parametrize("case", LINEAR)
def test_each_multiply_add_of_ones_adds_one_to_the_outputs(case: str) -> None:
    make, shapes = LINEAR[case]
    model = around(make(), shapes)
    outputs = of_ones(model)
    assert costs(model).multiply_adds == outputs.sum(dtype="float64")
    assert costs(model).activations == outputs.size


def sizes(layer: Any, *names: str) -> int:
    """The number of values in the weights of a layer that have such names, or in all of its kernels."""
    chosen = [weight for weight in layer.weights if weight.name.endswith(names or ("kernel",))]
    assert chosen
    return sum(prod(weight.shape) for weight in chosen)


RECURRENT: dict[str, Callable[[], Any]] = {
    "SimpleRNN": lambda: layers.SimpleRNN(3),
    "LSTM": lambda: layers.LSTM(3, return_sequences=True),
    "GRU": lambda: layers.GRU(3, reset_after=False),
    "Bidirectional": lambda: layers.Bidirectional(layers.GRU(3), merge_mode="sum"),
    "Bidirectional, two layers": lambda: layers.Bidirectional(
        layers.LSTM(3), backward_layer=layers.LSTM(3, go_backwards=True)
    ),
    "RNN": lambda: layers.RNN(layers.GRUCell(3)),
    "RNN, stacked": lambda: layers.RNN([layers.LSTMCell(3), layers.SimpleRNNCell(4)], return_sequences=True),
}


@pytest.mark.parametrize("case", RECURRENT)
def test_recurrent_layers_use_each_weight_once_a_step(case: str) -> None:
    model = around(RECURRENT[case](), [(6, 5)])
    assert costs(model).multiply_adds == 6 * sizes(model.layers[-1])
    assert costs(model).activations == prod(model.output.shape[1:])


def test_states_are_activations_too() -> None:
    start = keras.Input((6, 5))
    outputs = layers.LSTM(3, return_sequences=True, return_state=True)(start)
    assert costs(keras.Model(start, outputs)).activations == 6 * 3 + 2 * 3


@pytest.mark.parametrize("n", [1, 2, 3])
def test_convolving_recurrent_layers(n: int) -> None:
    model = around(getattr(layers, f"ConvLSTM{n}D")(2, 3, strides=2, padding="same"), [(4, *images(n)[1:])])
    positions = prod(model.output.shape[1:-1])
    assert costs(model).multiply_adds == 4 * positions * sizes(model.layers[-1])


@pytest.mark.parametrize("n", [1, 2])
def test_separable_convolutions(n: int) -> None:
    layer = getattr(layers, f"SeparableConv{n}D")(5, 3, strides=2, padding="same", depth_multiplier=2)
    model = around(layer, [images(n)[1:]])
    assert costs(model).multiply_adds == prod(model.output.shape[1:-1]) * sizes(layer)


def attending(layer: Any, shapes: Sequence[tuple[int, ...]]) -> tuple[int | None, int]:
    """The multiply-adds of an attention layer, and those of its projections, a kernel at each position."""
    inputs = [keras.Input(shape) for shape in shapes]
    words = ("query", "value", "key")
    model = keras.Model(inputs, layer(**dict(zip(words, inputs, strict=False))))
    named = dict(zip(words, shapes, strict=False))
    named = {"key": named["value"], "gate": named["query"], "attention_output": named["query"], **named}
    projected = 0
    for each in layer._flatten_layers(include_self=False, recursive=True):
        if isinstance(each, layers.EinsumDense):
            projected += prod(named[each.name][:-1]) * prod(each.kernel.shape)
    return costs(model).multiply_adds, projected


def test_attention() -> None:
    layer = layers.MultiHeadAttention(2, 3, value_dim=5, output_shape=7)
    found, projected = attending(layer, [(6, 8), (4, 9), (4, 10)])
    assert found == projected + 6 * 4 * 2 * (3 + 5)


def test_attention_along_one_axis() -> None:
    found, projected = attending(layers.MultiHeadAttention(2, 3, attention_axes=(2,)), [(6, 5, 8), (6, 4, 8)])
    assert found == projected + 6 * (5 * 4) * 2 * (3 + 3)


def test_attention_of_groups() -> None:
    found, projected = attending(layers.GroupQueryAttention(3, 4, 2, use_gate=True), [(6, 8), (5, 8)])
    assert found == projected + 6 * 5 * 4 * (3 + 3)


def test_attention_without_projections() -> None:
    shapes = [(6, 8), (5, 7), (5, 8)]
    assert costs(around(layers.Attention(), shapes)).multiply_adds == 6 * 5 * (8 + 7)
    assert costs(around(layers.Attention(score_mode="concat"), shapes)).multiply_adds == 6 * 5 * 7
    assert costs(around(layers.AdditiveAttention(), shapes)).multiply_adds == 6 * 5 * (8 + 7)
    assert costs(around(layers.AdditiveAttention(use_scale=False), shapes)).multiply_adds == 6 * 5 * 7


OPERATIONS: dict[str, Callable[[Any], Any]] = {
    name: getattr(keras.ops, name)
    for name in """
        absolute cos elu erf exp expm1 gelu hard_sigmoid hard_silu hard_tanh leaky_relu log log1p log_sigmoid
        log_softmax negative reciprocal relu relu6 rsqrt selu sigmoid sign silu sin softmax softplus softsign sqrt
        square stop_gradient tanh
    """.split()  # noqa: SIM905
} | {
    "add": lambda x: x + layers.Dense(5)(x),
    "add of columns": lambda x: layers.Dense(1)(x) + x,
    "subtract": lambda x: 1.0 - x,
    "multiply": lambda x: x * 2.0,
    "divide": lambda x: keras.ops.divide(x, layers.Dense(1)(x)),
    "true divide": lambda x: x / 2.0,
    "power": lambda x: x**2,
    "maximum": lambda x: keras.ops.maximum(x, 0.0),
    "minimum": lambda x: keras.ops.minimum(x, 0.0),
    "clip": lambda x: keras.ops.clip(x, 0.0, 1.0),
    "cast": lambda x: keras.ops.cast(x, "float16"),
    "celu": lambda x: keras.ops.celu(x),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_at_the_end_gives_what_it_takes(name: str) -> None:
    start = keras.Input((4, 5))
    model = keras.Model(start, OPERATIONS[name](start))
    assert costs(model).layers[-1].output == model.output.shape
    assert costs(model).activations is not None


def test_an_operation_with_an_array_is_not_told() -> None:
    start = keras.Input((4, 1))
    model = keras.Model(start, keras.ops.multiply(start, np.ones((1, 1, 3), "float32")))
    assert costs(model).layers[-1].output is None


PUBLISHED = {"ResNet50": 3.86e9, "MobileNetV2": 0.301e9, "VGG16": 15.47e9}
"""Application -> its multiply-adds for an image, as its paper or later ones have them, biases left out."""


LARGE = """
    VGG16 DenseNet121 EfficientNetB0 EfficientNetV2B0 InceptionV3 MobileNet NASNetMobile ResNet50V2 Xception
""".split()  # noqa: SIM905


@pytest.mark.parametrize(
    "name", ["ResNet50", "MobileNetV2", *(pytest.param(name, marks=pytest.mark.slow) for name in LARGE)]
)
def test_published_models(name: str) -> None:
    model = getattr(keras.applications, name)(weights=None)
    found = costs(model)
    assert found.multiply_adds == at_each_position(model)
    assert found.multiply_adds == pytest.approx(PUBLISHED.get(name, found.multiply_adds), rel=2e-3)
    called = [layer for layer in model.layers if not isinstance(layer, layers.InputLayer)]
    assert found.activations == sum(prod(layer.output.shape[1:]) for layer in called)


def at_each_position(model: Any) -> int:
    """Each kernel once at each position of its layer's output, from the live model."""
    kernels = [layer for layer in model.layers if any(weight.name.endswith("kernel") for weight in layer.weights)]
    return sum(prod(layer.output.shape[1:-1]) * sizes(layer) for layer in kernels)


def test_a_model_for_images_of_any_size() -> None:
    open_, closed = (
        keras.applications.MobileNetV3Small(weights=None, input_shape=(size, size, 3)) for size in (None, 96)
    )
    found = costs(open_)
    assert found.multiply_adds is None
    assert any("not told" in layer.unknown for layer in found.layers)
    told = costs(open_, (None, 96, 96, 3))
    assert told.inputs == ((None, 96, 96, 3),)
    assert told.multiply_adds == costs(closed).multiply_adds == at_each_position(closed)
    assert told.activations == costs(closed).activations


def test_an_application_of_keras_2() -> None:
    tf_keras = pytest.importorskip("tf_keras")
    model = tf_keras.applications.MobileNet(weights=None)
    config = json.loads(model.to_json())
    kernels = [each for each in model.layers if any("kernel" in weight.name for weight in each.weights)]
    expected = sum(prod(each.output_shape[1:-1]) * prod(each.weights[0].shape) for each in kernels)
    assert costs_of(config).multiply_adds == expected
    assert costs_of(config).activations == sum(prod(each.output_shape[1:]) for each in model.layers[1:])
