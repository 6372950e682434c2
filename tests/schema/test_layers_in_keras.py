"""The table of layers against Keras: every public layer is in it, and what it says of one is what Keras makes."""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest

from wtool.schema.config import read_architecture
from wtool.schema.layers import (
    TABLE,
    Built,
    class_of,
    count_of_outputs,
    entry_of,
    fitting,
    holds_kernel,
    output_range,
    output_shape,
)

pytestmark = pytest.mark.tensorflow
keras = pytest.importorskip("keras")
wtool_layers = pytest.importorskip("wtool.layers")
ops = keras.ops

NO_ENTRY = {
    "Layer": "the base of all layers",
    "Wrapper": "the base of wrappers",
    "JaxLayer": "its variables are in the author's code",
    "FlaxLayer": "its variables are in the author's code",
    "TorchModuleWrapper": "its variables are in the author's code",
    "TFSMLayer": "what it computes is in a SavedModel",
}
"""The public layers that the table cannot know, and why."""

SHAPE_UNKNOWN = ("Resizing",)
"""The layers among the cases whose output's shape the table does not tell."""

BOUNDED = ("tanh", "sigmoid", "hard_sigmoid", "softsign", "hard_tanh", "relu6", "softmax", "sparsemax")
GATES = ("sigmoid", "hard_sigmoid", "tanh", "relu", "linear", "softsign")
SPACE = (7, 6, 5)
INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5")

Case = tuple[str, dict[str, Any], Sequence[tuple[int, ...]]]


def images(n: int, channels: int = 4) -> tuple[int, ...]:
    return (2, *SPACE[:n], channels)


def kernels() -> Iterator[Case]:
    for activation in (*BOUNDED, "relu", None):
        yield "Dense", {"units": 3, "activation": activation}, [(2, 5)]
        yield "Activation", {"activation": activation or "linear"}, [(2, 5)]
    yield "Dense", {"units": 3, "use_bias": False}, [(2, 4, 5)]
    for activation in ("tanh", None):
        equation = {"equation": "abc,cd->abd", "output_shape": [None, 3], "bias_axes": "d", "activation": activation}
        yield "EinsumDense", equation, [(2, 4, 5)]
        for n in (1, 2, 3):
            settings = {"filters": 3, "kernel_size": 3, "activation": activation}
            yield f"Conv{n}D", settings, [images(n)]
            yield f"Conv{n}D", {**settings, "strides": 2, "padding": "same", "groups": 3}, [images(n, 6)]
            yield f"Conv{n}D", {**settings, "dilation_rate": 2, "use_bias": False}, [images(n)]
            yield f"Conv{n}DTranspose", {**settings, "strides": 2}, [images(n)]
        for n in (1, 2):
            settings = {"kernel_size": 2, "depth_multiplier": 3, "activation": activation}
            yield f"DepthwiseConv{n}D", settings, [images(n)]
            yield f"SeparableConv{n}D", {**settings, "filters": 5, "padding": "same"}, [images(n)]


def recurrent() -> Iterator[Case]:
    for activation in ("tanh", "sigmoid", "relu", "softsign"):
        yield "SimpleRNN", {"units": 3, "activation": activation}, [(2, 6, 4)]
        for gate in GATES if activation == "tanh" else ("sigmoid",):
            functions = {"activation": activation, "recurrent_activation": gate}
            yield "LSTM", {"units": 3, **functions}, [(2, 6, 4)]
            yield "GRU", {"units": 3, **functions}, [(2, 6, 4)]
            if gate in ("sigmoid", "relu"):
                settings = {"units": 3, **functions, "reset_after": False, "use_bias": False, "return_sequences": True}
                yield "GRU", settings, [(2, 6, 4), (2, 3)]
    for gate in ("sigmoid", "relu"):
        for n in (1, 2, 3):
            settings = {"filters": 2, "kernel_size": 2, "padding": "same", "recurrent_activation": gate}
            yield f"ConvLSTM{n}D", {**settings, "return_sequences": n == 2}, [(2, 3, *SPACE[:n], 2)]
    for sequences in (False, True):
        for class_name, settings in (("LSTM", {}), ("GRU", {"recurrent_activation": "relu"})):
            inner = {"units": 3, "return_sequences": sequences, **settings}
            for mode in ("concat", "ave", "sum"):
                yield "Bidirectional", {"layer": (class_name, inner), "merge_mode": mode}, [(2, 6, 4)]
        other = ("LSTM", {"units": 3, "return_sequences": sequences, "go_backwards": True, "activation": "relu"})
        both = {"layer": ("LSTM", {"units": 3, "return_sequences": sequences}), "backward_layer": other}
        yield "Bidirectional", both, [(2, 6, 4)]
        for cell in ("SimpleRNNCell", "LSTMCell", "GRUCell"):
            yield "RNN", {"cell": (cell, {"units": 3}), "return_sequences": sequences}, [(2, 6, 4)]
    yield "TimeDistributed", {"layer": ("Dense", {"units": 3, "activation": "tanh"})}, [(2, 6, 4)]
    yield "TimeDistributed", {"layer": ("UpSampling2D", {"interpolation": "bicubic"})}, [(2, 3, 4, 4, 2)]
    yield "TimeDistributed", {"layer": ("Flatten", {})}, [(2, 3, 4, 4, 2)]
    yield "SpectralNormalization", {"layer": ("Dense", {"units": 3, "activation": "sigmoid"})}, [(2, 4)]


def moving() -> Iterator[Case]:
    for n in (1, 2, 3):
        for name in ("Max", "Average"):
            yield f"{name}Pooling{n}D", {"pool_size": 2}, [images(n)]
            yield f"{name}Pooling{n}D", {"pool_size": 3, "strides": 2, "padding": "same"}, [images(n)]
            yield f"Global{name}Pooling{n}D", {}, [images(n)]
            yield f"Global{name}Pooling{n}D", {"keepdims": True}, [images(n)]
            yield f"Adaptive{name}Pooling{n}D", {"output_size": 3}, [images(n)]
            sizes = {"output_size": [2, 3, 1][:n], "data_format": "channels_first"}
            yield f"Adaptive{name}Pooling{n}D", sizes, [(2, 4, *SPACE[:n])]
        yield f"ZeroPadding{n}D", {"padding": 2}, [images(n)]
        yield f"Cropping{n}D", {"cropping": 1}, [images(n)]
        yield f"UpSampling{n}D", {"size": 2}, [images(n)]
        yield f"SpatialDropout{n}D", {"rate": 0.3}, [images(n)]
    for interpolation in INTERPOLATIONS:
        yield "UpSampling2D", {"size": 3, "interpolation": interpolation}, [images(2)]
        yield "Resizing", {"height": 9, "width": 11, "interpolation": interpolation}, [images(2)]
    yield "Flatten", {}, [images(2)]
    yield "Reshape", {"target_shape": [3, -1]}, [(2, 6, 4)]
    yield "Permute", {"dims": [2, 1]}, [(2, 6, 4)]
    yield "RepeatVector", {"n": 3}, [(2, 4)]
    yield "Masking", {"mask_value": 2.0}, [(2, 6, 4)]


def others() -> Iterator[Case]:
    for name in ("Average", "Maximum", "Minimum", "Add", "Multiply", "Subtract"):
        yield name, {}, [(2, 6, 4), (2, 6, 4)]
    yield "Concatenate", {"axis": 1}, [(2, 6, 4), (2, 3, 4)]
    for name in ("Identity", "LeakyReLU", "ELU", "PReLU", "UnitNormalization", "Softmax"):
        yield name, {}, [(2, 6, 4)]
    for rate in ("Dropout", "AlphaDropout", "GaussianDropout"):
        yield rate, {"rate": 0.5}, [(2, 6, 4)]
    yield "ActivityRegularization", {"l2": 0.1}, [(2, 6, 4)]
    yield "GaussianNoise", {"stddev": 0.5}, [(2, 6, 4)]
    yield "Rescaling", {"scale": 2.0}, [(2, 6, 4)]
    for most, slope, threshold in ((6.0, 0.0, 0.0), (2.0, 0.0, 1.0), (2.0, 0.3, 0.0), (None, 0.0, 0.0)):
        yield "ReLU", {"max_value": most, "negative_slope": slope, "threshold": threshold}, [(2, 6, 4)]
    for name in ("BatchNormalization", "LayerNormalization", "RMSNormalization", "GroupNormalization"):
        yield name, {"groups": 2} if name == "GroupNormalization" else {}, [(2, 6, 4)]
    yield "LayerNormalization", {"center": False}, [(2, 6, 4)]
    yield "MultiHeadAttention", {"num_heads": 2, "key_dim": 3}, [(2, 6, 4), (2, 5, 4)]
    gqa = {"head_dim": 3, "num_query_heads": 4, "num_key_value_heads": 2}
    yield "GroupQueryAttention", gqa, [(2, 6, 4), (2, 5, 4)]
    yield "Attention", {"use_scale": True, "score_mode": "concat"}, [(2, 6, 4), (2, 5, 4)]
    yield "AdditiveAttention", {}, [(2, 6, 4), (2, 5, 4)]
    for name, activation in (("LKReLU", None), ("LKSELU", None), ("LKSwish", None), ("Linked", "tanh")):
        yield name, {} if activation is None else {"activation": activation}, [(2, 6, 4)]
    yield "LKPReLU", {}, [(2, 6, 4)]
    limits = {"xmin_lim": 0.0, "xmax_lim": 1.0, "L": "auto"}
    yield "AutoRotDense", {"units": 3, "activation": "tanh", **limits}, [(2, 5)]
    yield "AutoRotConv2D", {"filters": 3, "kernel_size": 2, "activation": "sigmoid", **limits}, [images(2)]
    for name in ("AutoRotSimpleRNN", "AutoRotLSTM", "AutoRotGRU"):
        yield name, {"units": 3, **limits}, [(2, 6, 4)]


CASES = [*kernels(), *recurrent(), *moving(), *others()]
each_case = pytest.mark.parametrize(
    "number", range(len(CASES)), ids=[f"{number}-{case[0]}" for number, case in enumerate(CASES)]
)
INPUTS = ((-1.0, 1.0), (0.0, 1.0), (2.0, 3.0), (-300.0, 5.0))
"""The ranges that inputs are drawn from."""


def built(class_name: str, settings: dict[str, Any]) -> Any:
    if class_name.endswith("MaxPooling3D") and os.environ.get("TF_ENABLE_ONEDNN_OPTS") != "0":
        pytest.skip("oneDNN in TensorFlow 2.21 ends the process on some processors (SIGFPE)")
    given = {
        key: built(*value) if key in ("layer", "backward_layer", "cell") else value for key, value in settings.items()
    }
    home = keras.layers if hasattr(keras.layers, class_name) else wtool_layers
    return getattr(home, class_name)(**given)


def called(layer: Any, inputs: Sequence[Any]) -> Any:
    if class_of(entry(layer)) == "GRU" and len(inputs) > 1:
        return layer(inputs[0], initial_state=inputs[1])
    attention = entry_of(class_of(entry(layer)) or "")
    if attention is not None and attention.channels == "attention":
        return layer(*inputs)
    return layer(inputs[0] if len(inputs) == 1 else list(inputs))


def entry(layer: Any) -> dict[str, Any]:
    """What a file says of a layer."""
    said: dict[str, Any] = json.loads(json.dumps(keras.saving.serialize_keras_object(layer)))
    return said


def extreme(generator: np.random.Generator, shape: tuple[int, ...], low: float, high: float) -> Any:
    """Values of a range, half of them its ends, so that whatever overshoots does so."""
    values = generator.uniform(low, high, shape)
    ends = generator.choice([low, high], shape)
    return np.where(generator.random(shape) < 0.5, ends, values).astype("float32")


def scatter(layer: Any, generator: np.random.Generator) -> None:
    """Large weights of both signs, so that activations reach the ends of their ranges."""
    signed = ("kernel", "bias", "embeddings", "alpha", "gamma", "beta", "scale")
    for weight in layer.weights:
        if weight.name.endswith(signed):
            weight.assign(generator.normal(0, 3, weight.shape))


@cache
def made(number: int) -> tuple[Any, dict[str, Any], Any]:
    """The layer of a case, what a file says of it, and what it gives."""
    class_name, settings, shapes = CASES[number]
    layer = built(class_name, settings)
    generator = np.random.default_rng(5)
    values = called(layer, [extreme(generator, shape, -1.0, 1.0) for shape in shapes])
    return layer, entry(layer), values


def test_every_public_layer_is_in_the_table() -> None:
    missing = {
        name
        for name in dir(keras.layers)
        if inspect.isclass(each := getattr(keras.layers, name)) and issubclass(each, keras.layers.Layer)
        if entry_of(name) is None
    }
    assert missing == {name for name in NO_ENTRY if hasattr(keras.layers, name)}, "give these an entry and a case here"
    models = {name for name in ("Functional", "Sequential", "Model") if entry_of(name) is None}
    assert not models


def test_every_public_layer_of_keras_2_is_in_the_table() -> None:
    tf_keras = pytest.importorskip("tf_keras")
    bases = {"Layer", "Wrapper", "AbstractRNNCell", "DenseFeatures"}
    layers = tf_keras.layers
    missing = {
        name
        for name in dir(layers)
        if inspect.isclass(each := getattr(layers, name)) and issubclass(each, layers.Layer) and entry_of(name) is None
    }
    assert missing <= bases


def test_names_are_those_of_keras() -> None:
    for name in dir(keras.layers):
        each = getattr(keras.layers, name)
        known = entry_of(name) if inspect.isclass(each) else None
        if known is not None:
            assert each.__name__ in (known.name, known.python_name)


def test_every_class_that_claims_a_range_is_tried() -> None:
    claiming = {name.removeprefix("wtool>") for name, each in TABLE.items() if each.output_range is not None}
    of_keras_2 = {"LocallyConnected1D", "LocallyConnected2D"}
    like_their_parents = {name for name in claiming if name.startswith("AutoRot")}
    later = {name for name in claiming - {"Linked"} - like_their_parents if not hasattr(keras.layers, name)}
    assert claiming - of_keras_2 - like_their_parents - later <= {class_name for class_name, _, _ in CASES}
    assert later <= of_keras_2 | {"TernaryDense"}


@each_case
def test_outputs_are_within_the_claimed_range(number: int) -> None:
    shapes = CASES[number][2]
    layer, said, _ = made(number)
    generator = np.random.default_rng(7)
    for low, high in INPUTS:
        claimed = output_range(class_of(said), said["config"], [(low, high)] * len(shapes))
        if claimed is None:
            continue
        scatter(layer, generator)
        inputs = [extreme(generator, shape, low, high) for shape in shapes]
        values = np.asarray(ops.convert_to_numpy(called(layer, inputs)), "float64")
        slack = 1e-6 * max(map(abs, claimed))
        assert claimed[0] - slack <= values.min()
        assert values.max() <= claimed[1] + slack


CLAIMED = [
    ("Dense", {"units": 2, "activation": "tanh"}, (-1.0, 1.0)),
    ("LSTM", {"units": 2}, (-1.0, 1.0)),
    ("LSTM", {"units": 2, "recurrent_activation": "relu"}, None),
    ("GRU", {"units": 2, "recurrent_activation": "tanh"}, None),
    ("SimpleRNN", {"units": 2, "activation": "sigmoid"}, (0.0, 1.0)),
    ("ConvLSTM2D", {"filters": 2, "kernel_size": 2, "recurrent_activation": "linear"}, None),
    ("UpSampling2D", {"interpolation": "nearest"}, (2.0, 3.0)),
    ("UpSampling2D", {"interpolation": "bilinear"}, (2.0, 3.0)),
    ("UpSampling2D", {"interpolation": "bicubic"}, None),
    ("UpSampling2D", {"interpolation": "lanczos3"}, None),
    ("Resizing", {"height": 4, "width": 4, "interpolation": "bicubic"}, None),
    ("Masking", {}, (0.0, 3.0)),
    ("ZeroPadding2D", {}, (0.0, 3.0)),
    ("ReLU", {"max_value": 6.0}, (0.0, 6.0)),
    ("ReLU", {}, None),
    ("Bidirectional", {"layer": ("LSTM", {"units": 2, "activation": "relu"})}, None),
    ("Bidirectional", {"layer": ("LSTM", {"units": 2}), "merge_mode": "sum"}, None),
    ("Bidirectional", {"layer": ("LSTM", {"units": 2}), "merge_mode": "ave"}, (-1.0, 1.0)),
]


@pytest.mark.parametrize(("class_name", "settings", "claimed"), CLAIMED)
def test_the_ranges_that_are_claimed(class_name: str, settings: dict[str, Any], claimed: Any) -> None:
    said = entry(built(class_name, settings))
    assert output_range(class_of(said), said["config"], [(2.0, 3.0)]) == claimed


def test_a_gated_layer_without_bounds_leaves_the_range_of_its_activation() -> None:
    """Why such a layer claims no range: h = gate * tanh(c), and this gate is not bounded."""
    generator = np.random.default_rng(3)
    layer = keras.layers.LSTM(8, recurrent_activation="relu")
    inputs = extreme(generator, (16, 12, 4), -1.0, 1.0)
    layer(inputs)
    scatter(layer, generator)
    values = ops.convert_to_numpy(layer(inputs))
    assert np.abs(values).max() > 100


@pytest.mark.parametrize("interpolation", ["bicubic", "lanczos3", "lanczos5"])
def test_interpolation_with_negative_weights_leaves_the_range(interpolation: str) -> None:
    values = extreme(np.random.default_rng(1), (1, 6, 6, 1), 2.0, 3.0)
    found = ops.convert_to_numpy(keras.layers.UpSampling2D(3, interpolation=interpolation)(values))
    assert found.min() < 1.9
    assert found.max() > 3.1


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "area", "gaussian", "bicubic", "mitchellcubic"])
def test_interpolations_of_keras_2(interpolation: str) -> None:
    tf_keras = pytest.importorskip("tf_keras")
    values = extreme(np.random.default_rng(1), (1, 6, 6, 1), 2.0, 3.0)
    layer = tf_keras.layers.UpSampling2D(3, interpolation=interpolation)
    found = np.asarray(layer(values))
    stays = bool(found.min() >= 2 - 1e-5 and found.max() <= 3 + 1e-5)
    assert output_range("UpSampling2D", layer.get_config(), [(2.0, 3.0)]) == ((2.0, 3.0) if stays else None)


def test_sparsemax_of_keras_is_not_between_0_and_1() -> None:
    """Why it claims no range, although the function that it is called after is."""
    values = ops.convert_to_numpy(keras.activations.sparsemax(np.array([[-9.0, -9.1, -30.0]], "float32")))
    assert values.max() > 1
    assert output_range("Dense", {"activation": "sparsemax"}, [None]) is None


def test_the_range_of_wtools_own_function() -> None:
    claimed = output_range("Dense", {"activation": {"class_name": "function", "config": "wtool>arctan"}}, [None])
    assert claimed == pytest.approx((np.arctan(-np.inf), np.arctan(np.inf)))


def test_a_layer_of_its_authors_inside_a_wrapper_claims_no_range() -> None:
    inner = {"module": "mine", "class_name": "Dense", "registered_name": "mine>Dense", "config": {"activation": "tanh"}}
    assert output_range("TimeDistributed", {"layer": inner}, [(0.0, 1.0)]) is None
    assert output_shape("TimeDistributed", {"layer": inner}, [(2, 3, 4)]) is None


@each_case
def test_shapes_of_outputs_are_those_of_keras(number: int) -> None:
    _, said, values = made(number)
    told = output_shape(class_of(said), said["config"], list(CASES[number][2]))
    if told is None:
        assert CASES[number][0] in SHAPE_UNKNOWN
    else:
        assert len(told) == len(values.shape)
        assert all(one in (None, other) for one, other in zip(told, values.shape, strict=True))


@each_case
def test_the_number_of_outputs_is_that_of_keras(number: int) -> None:
    _, said, values = made(number)
    assert count_of_outputs(class_of(said), said["config"]) in (None, len(keras.tree.flatten(values)))


@pytest.mark.parametrize("class_name", ["SimpleRNN", "GRU", "LSTM", "ConvLSTM1D", "Bidirectional"])
def test_states_are_outputs(class_name: str) -> None:
    settings: dict[str, Any] = {"return_state": True}
    settings |= {"filters": 2, "kernel_size": 2} if class_name.startswith("Conv") else {"units": 2}
    if class_name == "Bidirectional":
        settings = {"layer": ("LSTM", settings), "merge_mode": None}
    layer = built(class_name, settings)
    values = layer(np.ones((2, 4, 5, 3) if class_name.startswith("Conv") else (2, 4, 3)))
    assert count_of_outputs(class_name, entry(layer)["config"]) == len(keras.tree.flatten(values))


@each_case
def test_layers_with_a_kernel_are_known_as_such(number: int) -> None:
    """Where a wrapper says so, it may be one around a layer without a kernel."""
    layer, said, _ = made(number)
    kind = class_of(said) or ""
    has = any(variable.name.endswith("kernel") for variable in layer.weights)
    assert holds_kernel(kind, said["config"]) == has or (bool(TABLE[kind].wraps) and not has)


@each_case
def test_variables_are_those_of_keras(number: int) -> None:
    """Names and order, and the shapes that the settings demand."""
    layer, said, _ = made(number)
    node, notes = read_architecture(said)
    assert notes == ()
    if node.children or node.variants is None:
        return  # tests/checkpoint hold what is inside others against files
    own = [variable for variable in layer.weights if "seed" not in variable.path]
    chosen = fitting(node.variants, [tuple(variable.shape) for variable in own])
    assert chosen is not None
    assert [each.name for each in chosen.weights] == [variable.name for variable in own]
    assert [each.trainable for each in chosen.weights] == [variable.trainable for variable in own]
    rule = TABLE[node.kind or ""].variable_shapes
    if rule is not None:
        stored = {variable.name: tuple(variable.shape) for variable in own}
        demanded = rule(Built(node.name, node.config, tuple(CASES[number][2][0]), stored))
        for name, shape in stored.items():
            wanted = demanded.get(name, (None,) * len(shape))
            assert len(wanted) == len(shape)
            assert all(one in (None, other) for one, other in zip(wanted, shape, strict=True)), name
