"""Every layer of tf_keras in several configurations, each with the shapes of its inputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

SPACE = (7, 6, 5)


@dataclass(frozen=True)
class Case:
    """A layer of tf_keras.

    Attributes:
        kind: its class.
        settings: what it is made with; a pair of class and settings stands for a layer.
        shapes: of its inputs, without the batch.
        dtype: of its inputs.
        values: that its inputs have; None for random numbers.
        call: further arguments of the call.
    """

    kind: str
    settings: dict[str, Any] = field(default_factory=dict)
    shapes: Sequence[tuple[int, ...]] = ((4,),)
    dtype: str = "float32"
    values: Any = None
    call: dict[str, Any] = field(default_factory=dict)


def images(n: int, channels: int = 4) -> tuple[tuple[int, ...]]:
    return ((*SPACE[:n], channels),)


STEPS = ((5, 4),)


def kernels() -> Iterator[Case]:
    for activation in (
        None, "relu", "sigmoid", "tanh", "softmax", "elu", "selu", "exponential", "gelu", "hard_sigmoid", "mish",
        "softplus", "softsign", "swish", "linear",
    ):  # fmt: skip
        yield Case("Dense", {"units": 3, "activation": activation}, STEPS)
        yield Case("Activation", {"activation": activation or "linear"}, STEPS)
    yield Case("Dense", {
        "units": 3, "use_bias": False, "kernel_regularizer": "l2", "kernel_constraint": "max_norm",
        "activity_regularizer": "l1", "kernel_initializer": "he_normal", "name": "named", "trainable": False,
    })  # fmt: skip
    yield Case("Dense", {"units": 3, "dtype": "float64"})
    yield Case("Dense", {"units": 3, "dtype": "mixed_float16", "activation": "hard_sigmoid"})
    yield Case("EinsumDense", {"equation": "abc,cd->abd", "output_shape": (None, 3), "bias_axes": "d"}, STEPS)
    for n in (1, 2, 3):
        yield Case(f"Conv{n}D", {"filters": 3, "kernel_size": 3, "activation": "hard_sigmoid"}, images(n))
        yield Case(f"Conv{n}D", {"filters": 4, "kernel_size": 2, "strides": 2, "padding": "same"}, images(n))
        yield Case(f"Conv{n}D", {"filters": 4, "kernel_size": 2, "dilation_rate": 2, "use_bias": False}, images(n))
        yield Case(f"Conv{n}DTranspose", {"filters": 3, "kernel_size": 3, "strides": 2}, images(n))
        settings = {"filters": 3, "kernel_size": 3, "strides": 2, "padding": "same", "output_padding": 1}
        yield Case(f"Conv{n}DTranspose", settings, images(n))
    yield Case("Conv1D", {"filters": 3, "kernel_size": 3, "padding": "causal"}, images(1))
    for n in (1, 2):
        yield Case(f"DepthwiseConv{n}D", {"kernel_size": 3, "depth_multiplier": 2, "activation": "relu"}, images(n))
        yield Case(f"DepthwiseConv{n}D", {"kernel_size": 3, "strides": 2, "padding": "same"}, images(n))
        yield Case(f"SeparableConv{n}D", {"filters": 3, "kernel_size": 3, "depth_multiplier": 2}, images(n))
        yield Case(f"SeparableConv{n}D", {"filters": 3, "kernel_size": 3, "activation": "hard_sigmoid"}, images(n))


def recurrent() -> Iterator[Case]:
    for kind in ("SimpleRNN", "LSTM", "GRU"):
        yield Case(kind, {"units": 3}, STEPS)
        yield Case(kind, {"units": 3, "return_sequences": True, "go_backwards": True, "activation": "relu"}, STEPS)
        yield Case(kind, {"units": 3, "use_bias": False, "dropout": 0.2, "recurrent_dropout": 0.1}, STEPS)
        yield Case(kind, {"units": 3, "unroll": True, "activation": "hard_sigmoid"}, STEPS)
        yield Case(kind, {"units": 3, "return_state": True}, STEPS)
        yield Case("RNN", {"cell": (f"{kind}Cell", {"units": 3}), "return_sequences": True}, STEPS)
    for kind in ("LSTM", "GRU"):
        settings = {"units": 3, "recurrent_activation": "hard_sigmoid", "return_sequences": True}
        yield Case(kind, settings, STEPS)
        yield Case(kind, {**settings, "activation": "hard_sigmoid", "implementation": 1}, STEPS)
        yield Case("Bidirectional", {"layer": (kind, settings)}, STEPS)
        yield Case("RNN", {"cell": (f"{kind}Cell", {"units": 3, "recurrent_activation": "hard_sigmoid"})}, STEPS)
    yield Case("LSTM", {"units": 3, "unit_forget_bias": False}, STEPS)
    yield Case("GRU", {"units": 3, "reset_after": False}, STEPS)
    yield Case("GRU", {"units": 3, "reset_after": False, "recurrent_activation": "hard_sigmoid"}, STEPS)
    cells = [("LSTMCell", {"units": 3}), ("GRUCell", {"units": 2, "reset_after": False})]
    yield Case("RNN", {"cell": ("StackedRNNCells", {"cells": cells})}, STEPS)
    yield Case("RNN", {"cell": cells, "return_state": True}, STEPS)
    for n in (1, 2, 3):
        settings = {"filters": 2, "kernel_size": 2}
        yield Case(f"ConvLSTM{n}D", settings, ((3, *SPACE[:n], 2),))
        settings |= {"padding": "same", "return_sequences": True, "recurrent_activation": "sigmoid"}
        yield Case(f"ConvLSTM{n}D", settings, ((3, *SPACE[:n], 2),))
    for mode in ("sum", "mul", "ave", None):
        yield Case("Bidirectional", {"layer": ("GRU", {"units": 3}), "merge_mode": mode}, STEPS)
    backward = ("LSTM", {"units": 3, "go_backwards": True, "activation": "relu"})
    yield Case("Bidirectional", {"layer": ("LSTM", {"units": 3}), "backward_layer": backward}, STEPS)
    backward = ("GRU", {"units": 4, "go_backwards": True})
    yield Case("Bidirectional", {"layer": ("LSTM", {"units": 3}), "backward_layer": backward}, STEPS)
    yield Case("TimeDistributed", {"layer": ("Dense", {"units": 3, "activation": "hard_sigmoid"})}, STEPS)
    yield Case("TimeDistributed", {"layer": ("DepthwiseConv2D", {"kernel_size": 2})}, ((3, 5, 5, 2),))
    yield Case("SpectralNormalization", {"layer": ("Conv2D", {"filters": 3, "kernel_size": 2})}, images(2))


def attending() -> Iterator[Case]:
    both = ((5, 4), (6, 4))
    yield Case("MultiHeadAttention", {"num_heads": 2, "key_dim": 3}, both)
    yield Case("MultiHeadAttention", {"num_heads": 2, "key_dim": 3, "value_dim": 5, "use_bias": False}, both)
    yield Case("MultiHeadAttention", {"num_heads": 2, "key_dim": 3, "output_shape": 6, "dropout": 0.1}, both)
    yield Case("MultiHeadAttention", {"num_heads": 2, "key_dim": 3, "attention_axes": (1, 2)}, ((3, 2, 4), (3, 2, 4)))
    yield Case("Attention", {}, both)
    yield Case("Attention", {"use_scale": True, "score_mode": "dot"}, both)
    yield Case("Attention", {"score_mode": "concat", "dropout": 0.1}, both)
    yield Case("AdditiveAttention", {}, both)
    yield Case("AdditiveAttention", {"use_scale": False}, both)


def normalizing() -> Iterator[Case]:
    yield Case("BatchNormalization", {}, images(2))
    yield Case("BatchNormalization", {"axis": 1, "scale": False, "momentum": 0.9, "epsilon": 1e-2}, images(2))
    yield Case("BatchNormalization", {"center": False, "synchronized": True}, images(2))
    yield Case("BatchNormalization", {"dtype": "float16"}, images(2))
    yield Case("SyncBatchNormalization", {}, images(2))
    yield Case("LayerNormalization", {}, images(2))
    yield Case("LayerNormalization", {"axis": [1, 2, 3]}, images(2))
    yield Case("LayerNormalization", {"axis": [2], "center": False, "scale": False}, images(2))
    yield Case("GroupNormalization", {"groups": 2}, images(2))
    yield Case("GroupNormalization", {"groups": -1, "axis": 1}, ((6, 4),))
    yield Case("UnitNormalization", {}, STEPS)
    yield Case("UnitNormalization", {"axis": [1, 2]}, STEPS)
    yield Case("Normalization", {"mean": 1.0, "variance": 2.0}, STEPS)
    yield Case("Normalization", {"mean": [1.0, 2.0, 3.0, 4.0], "variance": [2.0] * 4, "invert": True}, STEPS)
    yield Case("Normalization", {"axis": [1, 2]}, STEPS)
    yield Case("Normalization", {"axis": None}, STEPS)
    yield Case("Softmax", {}, STEPS)
    yield Case("Softmax", {"axis": [1, 2]}, STEPS)


def each_value() -> Iterator[Case]:
    yield Case("ReLU", {"max_value": 0.7, "negative_slope": 0.2, "threshold": 0.1}, STEPS)
    yield Case("ReLU", {}, STEPS)
    yield Case("LeakyReLU", {}, STEPS)
    yield Case("LeakyReLU", {"alpha": 0.1}, STEPS)
    yield Case("ELU", {"alpha": 0.5}, STEPS)
    yield Case("PReLU", {}, STEPS)
    yield Case("PReLU", {"shared_axes": [1, 2]}, images(2))
    for theta in (0.5, 0.0):
        values = [[-1.0, 0.0, 0.5, 0.25], [0.50000006, 0.49999997, 1.0, 7.0]]
        yield Case("ThresholdedReLU", {"theta": theta}, values=values)
    for name in ("Dropout", "GaussianDropout", "AlphaDropout"):
        yield Case(name, {"rate": 0.3}, STEPS)
    yield Case("Dropout", {"rate": 0.3, "noise_shape": (None, 1, 4), "seed": 3}, STEPS)
    yield Case("GaussianNoise", {"stddev": 0.3}, STEPS)
    for n in (1, 2, 3):
        yield Case(f"SpatialDropout{n}D", {"rate": 0.3}, images(n))
    yield Case("Identity", {}, STEPS)
    yield Case("ActivityRegularization", {"l1": 0.1, "l2": 0.2}, STEPS)
    yield Case("Masking", {"mask_value": 1.0}, STEPS)
    yield Case("Rescaling", {"scale": 2.0, "offset": 1.0}, STEPS)
    yield Case("Rescaling", {"scale": [2.0, 1.0, 3.0, 4.0], "offset": [1.0] * 4}, STEPS)


def moving() -> Iterator[Case]:
    for n in (1, 2, 3):
        for name in ("Max", "Average"):
            yield Case(f"{name}Pooling{n}D", {}, images(n))
            yield Case(f"{name}Pooling{n}D", {"pool_size": 3, "strides": 2, "padding": "same"}, images(n))
            yield Case(f"Global{name}Pooling{n}D", {}, images(n))
            yield Case(f"Global{name}Pooling{n}D", {"keepdims": True, "data_format": "channels_first"}, images(n))
        yield Case(f"ZeroPadding{n}D", {"padding": 2}, images(n))
        yield Case(f"Cropping{n}D", {"cropping": 1}, images(n))
        yield Case(f"UpSampling{n}D", {"size": 2}, images(n))
    yield Case("ZeroPadding2D", {"padding": ((1, 0), (2, 3))}, images(2))
    for interpolation in ("bilinear", "bicubic", "lanczos3", "lanczos5", "area"):
        yield Case("UpSampling2D", {"size": (2, 3), "interpolation": interpolation}, images(2))
    yield Case("Flatten", {}, images(2))
    yield Case("Flatten", {"data_format": "channels_first"}, images(2))
    yield Case("Reshape", {"target_shape": (2, -1)}, STEPS)
    yield Case("Permute", {"dims": (2, 1)}, STEPS)
    yield Case("RepeatVector", {"n": 3})
    for name in ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"):
        yield Case(name, {}, (*STEPS, *STEPS))
    yield Case("Concatenate", {"axis": 1}, ((5, 4), (3, 4)))
    yield Case("Dot", {"axes": 2}, (*STEPS, *STEPS))
    yield Case("Dot", {"axes": (1, 1), "normalize": True}, (*STEPS, *STEPS))


def preparing() -> Iterator[Case]:
    yield Case("Embedding", {"input_dim": 5, "output_dim": 3}, ((4,),), "int32", [[0, 1, 4, 3]])
    settings = {"input_dim": 5, "output_dim": 3, "mask_zero": True, "input_length": 4}
    yield Case("Embedding", settings, ((4,),), "float32", [[0.0, 1.0, 4.0, 3.0]])
    for interpolation in ("bilinear", "nearest", "bicubic", "lanczos3", "lanczos5", "area"):
        yield Case("Resizing", {"height": 9, "width": 4, "interpolation": interpolation}, images(2))
    yield Case("Resizing", {"height": 4, "width": 4, "crop_to_aspect_ratio": True}, images(2))
    yield Case("CenterCrop", {"height": 4, "width": 3}, images(2))
    yield Case("CenterCrop", {"height": 9, "width": 9}, images(2))
    for name, settings in (
        ("RandomCrop", {"height": 4, "width": 4}), ("RandomFlip", {}), ("RandomRotation", {"factor": 0.2}),
        ("RandomTranslation", {"height_factor": 0.2, "width_factor": (-0.1, 0.2)}),
        ("RandomZoom", {"height_factor": 0.2}), ("RandomContrast", {"factor": 0.2}),
        ("RandomBrightness", {"factor": 0.2, "value_range": (0, 1)}),
    ):  # fmt: skip
        yield Case(name, settings, images(2, 3))
    bins = [[-2.0, 0.5, 0.7, 1.0], [1.5, 3.0, 0.4999, 2.0]]
    for mode in ("int", "one_hot", "multi_hot", "count"):
        settings = {"bin_boundaries": [0.5, 1.0, 2.0], "output_mode": mode}
        yield Case("Discretization", settings, ((4,),) if mode != "one_hot" else ((1,),), values=(
            bins if mode != "one_hot" else [[0.5], [1.5]]
        ))  # fmt: skip
    whole = [[0, 1, 2, 2], [3, 3, 0, 1]]
    for mode in ("multi_hot", "count"):
        yield Case("CategoryEncoding", {"num_tokens": 4, "output_mode": mode}, ((4,),), "int64", whole)
    yield Case("CategoryEncoding", {"num_tokens": 4, "output_mode": "one_hot"}, ((1,),), "int64", [[1], [3]])
    yield Case("Hashing", {"num_bins": 7}, ((4,),), "int64", whole)
    yield Case("Hashing", {"num_bins": 7, "salt": 3}, ((2,),), "string", [["a", "b"], ["c", "a"]])
    yield Case("Hashing", {"num_bins": 7, "mask_value": 0}, ((4,),), "int64", whole)
    yield Case("HashedCrossing", {"num_bins": 9}, ((1,), (1,)), "int64", [[1], [3]])
    yield Case("HashedCrossing", {"num_bins": 9, "output_mode": "one_hot"}, ((1,), (1,)), "int64", [[1], [3]])
    for mode in ("int", "multi_hot", "count"):
        settings = {"vocabulary": [2, 3, 9], "output_mode": mode, "num_oov_indices": 2}
        yield Case("IntegerLookup", settings, ((4,),), "int64", whole)
    yield Case("IntegerLookup", {"vocabulary": [2, 3, 9], "invert": True}, ((4,),), "int64", whole)
    words = [["a", "b"], ["zz", "a"]]
    for mode in ("int", "multi_hot", "count"):
        settings = {"vocabulary": ["b", "a"], "output_mode": mode, "num_oov_indices": 2}
        yield Case("StringLookup", settings, ((2,),), "string", words)
    settings = {"vocabulary": ["b", "a"], "output_mode": "tf_idf", "idf_weights": [0.5, 2.0]}
    yield Case("StringLookup", settings, ((2,),), "string", words)
    yield Case("StringLookup", {"vocabulary": ["b", "a"], "mask_token": "", "invert": True}, ((4,),), "int64", whole)
    texts = [["Ab b, c!"], ["c c d"]]
    for settings in (
        {}, {"output_sequence_length": 5}, {"ngrams": 2}, {"output_mode": "count"}, {"output_mode": "multi_hot"},
        {"split": "character", "standardize": "lower"}, {"output_mode": "tf_idf", "idf_weights": [0.5, 2.0, 1.0]},
    ):  # fmt: skip
        vocabulary = {"vocabulary": ["b", "c", "ab"]}
        yield Case("TextVectorization", {**vocabulary, **settings}, ((1,),), "string", texts)


CASES = [
    *kernels(), *recurrent(), *attending(), *normalizing(), *each_value(), *moving(), *preparing(),
]  # fmt: skip
