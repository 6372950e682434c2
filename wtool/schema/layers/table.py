"""THE table of layers: one entry for each class of any Keras version, of `wtool.layers` and of tfmot.

Whoever asks what a layer is asks here. A new layer is one entry (and its test); where its variables, shapes or ranges
follow a rule that is not there yet, the rule goes into the module that has the others of its kind.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from wtool.schema.layers import multiply_adds as products
from wtool.schema.layers import output_ranges as ranges
from wtool.schema.layers import output_shapes as outputs
from wtool.schema.layers import specs, variable_shapes
from wtool.schema.layers.entry import LayerClass, Part

_BIAS = ("use_bias",)
_QUANTISED = ("use_bias", "quantization", "lora")
_DENSE_LORA = "lora_kernel_a/2 lora_kernel_b/2"

# Layers with a kernel that end in an activation.
_kernel = partial(LayerClass, ends_in_activation=True, output_range=ranges.activated)


def _kernels() -> Iterator[LayerClass]:
    yield _kernel(
        "Dense", variables=specs.dense, flags=_QUANTISED, lora=_DENSE_LORA, variable_shapes=variable_shapes.dense,
        output_shape=outputs.dense, multiply_adds=products.dense, channels="dense", rotates=True,
    )  # fmt: skip
    yield LayerClass(  # of Keras 3.16
        "TernaryDense", variables=specs.dense, flags=_QUANTISED, output_range=ranges.activated
    )
    yield _kernel(
        "EinsumDense", variables=specs.einsum, flags=("bias_axes", "quantization", "lora"),
        lora="lora_kernel_a lora_kernel_b", output_shape=outputs.einsum, multiply_adds=products.einsum,
        channels="einsum",
    )  # fmt: skip
    for n in (1, 2, 3):
        yield _kernel(
            f"Conv{n}D", variables=specs.convolution(n + 2),
            flags=("use_bias", "lora", "keras1") if n == 1 else ("use_bias", "lora"),
            lora="lora_kernel_a lora_kernel_b/2", variable_shapes=variable_shapes.convolution(n),
            output_shape=outputs.convolved, rank=n + 2, multiply_adds=products.convolution, channels="convolution",
            rotates=True,
            aliases=(f"Convolution{n}D",),
        )  # fmt: skip
    for n in (1, 2, 3):
        yield _kernel(
            f"Conv{n}DTranspose", variables=specs.convolution(n + 2), flags=_BIAS,
            variable_shapes=variable_shapes.transposed(n), output_shape=outputs.transposed, rank=n + 2,
            multiply_adds=products.transposed, channels="transposed convolution", rotates=True,
            aliases=(f"Convolution{n}DTranspose", *(("Deconvolution2D",) if n == 2 else ())),
        )  # fmt: skip
    for n in (1, 2):
        yield _kernel(
            f"SeparableConv{n}D", variables=specs.separable(n + 2), flags=_BIAS,
            variable_shapes=variable_shapes.separable(n), output_shape=outputs.convolved, rank=n + 2,
            multiply_adds=products.separable, channels="separable", rotates=True,
            aliases=(f"SeparableConvolution{n}D",),
        )  # fmt: skip
    for n in (1, 2):
        yield _kernel(
            f"DepthwiseConv{n}D", variables=specs.depthwise(n + 2), flags=("use_bias", "keras2"),
            variable_shapes=variable_shapes.depthwise(n), output_shape=outputs.depthwise, rank=n + 2,
            multiply_adds=products.depthwise, channels="depthwise", rotates=True,
            aliases=("DepthwiseConvolution2D",) if n == 2 else (),
        )  # fmt: skip
    for n in (1, 2):
        yield LayerClass(
            f"LocallyConnected{n}D", variables=specs.local, flags=_BIAS, output_shape=outputs.convolved,
            multiply_adds=products.convolution, output_range=ranges.activated,
        )  # fmt: skip


def _recurrent() -> Iterator[LayerClass]:
    states = {
        "SimpleRNN": ranges.simple_recurrent, "LSTM": ranges.long_short_term, "GRU": ranges.gated_recurrent,
    }  # fmt: skip
    in_keras1 = {"SimpleRNN": "", "LSTM": "icfo", "GRU": "zrh"}
    for name, gates in (("SimpleRNN", 1), ("LSTM", 4), ("GRU", 3)):
        yield LayerClass(
            f"{name}Cell", variables=specs.cell, flags=_BIAS, variable_shapes=variable_shapes.recurrent_cell(gates),
            multiply_adds=products.recurrent_cell(gates), channels="recurrent",
        )  # fmt: skip
        yield LayerClass(
            name, output_shape=outputs.recurrent, rank=3, multiply_adds=products.recurrent(gates),
            output_range=states[name], channels="recurrent", rotates=True,
            parts=(Part("cell", f"{name}Cell"),), variables=specs.gates(in_keras1[name]),
            flags=("keras1",) if in_keras1[name] else (),
        )  # fmt: skip
    for name, gates in (("CuDNNLSTM", 4), ("CuDNNGRU", 3)):
        yield LayerClass(
            name, variables="kernel/2 recurrent_kernel/2 bias", output_shape=outputs.recurrent, rank=3,
            multiply_adds=products.recurrent(gates), channels="recurrent",
        )  # fmt: skip
    yield LayerClass(
        "ConvLSTMCell", variables=specs.cell, flags=_BIAS, variable_shapes=variable_shapes.convolving_cell,
        channels="convolving recurrent",
    )  # fmt: skip
    for n in (1, 2, 3):
        yield LayerClass(
            f"ConvLSTM{n}D", output_shape=outputs.convolving_recurrent, multiply_adds=products.convolving_recurrent,
            output_range=ranges.long_short_term, channels="convolving recurrent", parts=(Part("cell", "ConvLSTMCell"),),
        )  # fmt: skip
    yield LayerClass("RNN", rank=3, channels="own cell", wraps="cell")
    yield LayerClass("StackedRNNCells", wraps="cells")
    yield LayerClass("Bidirectional", rank=3, channels="both ways", wraps="both ways")


def _projections(*attributes: str) -> tuple[Part, ...]:
    """The layers of an attention layer, in the order of creation, by the attributes under which files have them."""
    names = ("query", "key", "gate", "value", "attention_output")
    return tuple(Part(attribute, "EinsumDense", name) for attribute, name in zip(attributes, names, strict=True))


def _attending() -> Iterator[LayerClass]:
    projecting = partial(LayerClass, output_shape=outputs.attended, channels="attention")
    yield projecting(  # Keras finds these layers by public properties, which its walk through attributes meets first
        "MultiHeadAttention",
        multiply_adds=products.attention,
        parts=_projections("query_dense", "key_dense", "_gate_dense", "value_dense", "output_dense"),
    )
    yield projecting(
        "GroupQueryAttention", multiply_adds=products.grouped_attention,
        python_name="GroupedQueryAttention", aliases=("GroupedQueryAttention",),
        parts=_projections("_query_dense", "_key_dense", "_gate_dense", "_value_dense", "_output_dense"),
    )  # fmt: skip
    yield LayerClass(
        "Attention", variables=specs.attention, flags=("use_scale", "concat"), output_shape=outputs.dot_attended,
        multiply_adds=products.dot_attention,
    )  # fmt: skip
    yield LayerClass(
        "AdditiveAttention", variables=specs.additive_attention, flags=("use_additive_scale",),
        output_shape=outputs.dot_attended, multiply_adds=products.additive_attention,
    )  # fmt: skip


def _embedding() -> Iterator[LayerClass]:
    lora = "lora_embeddings_a/2 lora_embeddings_b/2"
    yield LayerClass(
        "Embedding", variables=specs.embedding, flags=("quantization", "lora"), lora=lora,
        variable_shapes=variable_shapes.embedding, output_shape=outputs.embedded, multiply_adds=products.nothing,
    )  # fmt: skip
    yield LayerClass(
        "ReversibleEmbedding", variables=specs.reversible_embedding, flags=("tie_weights", "quantization", "lora"),
        lora=lora, multiply_adds=products.reversible_embedding,
    )  # fmt: skip


# Layers that multiply nothing: the kernels of transforms like Resizing are no weights.
_plain = partial(LayerClass, multiply_adds=products.nothing)

# Layers that leave the shape as it is.
_same = partial(_plain, output_shape=outputs.same, keeps_axes=True)


def _normalizing() -> Iterator[LayerClass]:
    for name in ("BatchNormalization", "SyncBatchNormalization"):
        yield _same(
            name, variables=specs.batch_normalization, flags=("scale", "center", "renorm"),
            variable_shapes=variable_shapes.alike, channels="batch normalization",
            aliases=("BatchNormalizationV1", "BatchNormalizationV2") if name == "BatchNormalization" else (),
        )  # fmt: skip
    yield _same(
        "LayerNormalization", variables=specs.layer_normalization, flags=("scale", "center", "rms_scaling"),
        variable_shapes=variable_shapes.alike, channels="normalization",
    )  # fmt: skip
    yield _same(
        "GroupNormalization", variables=specs.affine, flags=("scale", "center"), variable_shapes=variable_shapes.alike
    )
    yield _same("RMSNormalization", variables="scale", channels="normalization")
    yield _same("UnitNormalization", output_range=ranges.unit, channels="normalization")
    yield _same("Normalization", variables=specs.normalization, flags=("given",), variable_shapes=variable_shapes.alike)
    yield LayerClass("SpectralNormalization", variables="kernel= vector_u/2!", wraps="layer")


def _each_value() -> Iterator[LayerClass]:
    yield _same("Activation", output_range=ranges.activated, channels="activation")
    yield _same("ReLU", output_range=ranges.rectified, channels="each value")
    for name in ("ELU", "LeakyReLU", "ThresholdedReLU", "GaussianNoise", "GaussianDropout", "AlphaDropout"):
        yield _same(name, channels="each value")
    for name in ("Identity", "Dropout", *(f"SpatialDropout{n}D" for n in (1, 2, 3))):
        yield _same(name, output_range=ranges.passed, channels="each value")
    yield _same("PReLU", variables="alpha", channels="slopes")
    yield _same("Softmax", output_range=ranges.shares, channels="normalization")
    yield _same("Rescaling", channels="rescaling")
    yield _same("ActivityRegularization", output_range=ranges.passed)
    yield _same("Masking", output_range=ranges.with_zero)


def _merging() -> Iterator[LayerClass]:
    merging = partial(_plain, output_shape=outputs.merged, keeps_axes=True, channels="merge")
    for name in ("Add", "Multiply", "Subtract"):
        yield merging(name)
    for name in ("Average", "Maximum", "Minimum"):
        yield merging(name, output_range=ranges.joined)
    yield _plain(
        "Concatenate", output_shape=outputs.concatenated, output_range=ranges.joined, keeps_axes=True,
        channels="concatenate",
    )  # fmt: skip
    yield LayerClass("Dot", output_shape=outputs.dotted, multiply_adds=products.dotted)


def _moving() -> Iterator[LayerClass]:
    for n in (1, 2, 3):
        for name in ("Max", "Average"):
            short = f"{name[:3].replace('Ave', 'Avg')}Pool{n}D"
            yield _plain(
                f"{name}Pooling{n}D", output_shape=outputs.pooled, rank=n + 2, output_range=ranges.passed,
                channels="space", aliases=(short,),
            )  # fmt: skip
            yield _plain(
                f"Global{name}Pooling{n}D", output_shape=outputs.pooled_whole, rank=n + 2, output_range=ranges.passed,
                channels="global pooling", aliases=(f"Global{short}",),
            )  # fmt: skip
            yield _plain(
                f"Adaptive{name}Pooling{n}D", output_shape=outputs.pooled_to, rank=n + 2, output_range=ranges.passed,
                channels="space",
            )  # fmt: skip
        yield _plain(f"ZeroPadding{n}D", output_shape=outputs.padded, output_range=ranges.with_zero, channels="space")
        yield _plain(f"Cropping{n}D", output_shape=outputs.cropped, output_range=ranges.passed, channels="space")
        yield _plain(f"UpSampling{n}D", output_shape=outputs.enlarged, output_range=ranges.enlarged, channels="space")
    yield _plain(
        "Flatten", output_shape=outputs.flattened, rank=2, output_range=ranges.passed, channels="flatten"
    )  # the output has this rank, whatever the input's is
    yield _plain("Reshape", output_shape=outputs.reshaped, output_range=ranges.passed, channels="reshape")
    yield _plain("Permute", output_shape=outputs.permuted, output_range=ranges.passed, channels="permute")
    yield _plain("RepeatVector", output_shape=outputs.repeated, output_range=ranges.passed, channels="repeat")


def _preparing() -> Iterator[LayerClass]:
    for name in ("IntegerLookup", "StringLookup"):
        yield _plain(name, variables=specs.lookup, flags=("idf",), output_shape=outputs.looked_up)
    yield _plain(
        "TextVectorization", variables=specs.lookup, flags=("idf",), parts=(Part("_lookup_layer", "StringLookup"),),
        output_shape=outputs.words,
    )  # fmt: skip
    yield _plain("Discretization", variables=specs.bins, flags=("learned",))
    yield LayerClass("STFTSpectrogram", variables="real_kernel/3 imag_kernel/3")
    yield LayerClass("MelSpectrogram")
    names = """
        AugMix AutoContrast CategoryCrossing CategoryEncoding CenterCrop ContrastLimitedAdaptiveHistogramEqualization
        CutMix Equalization HashedCrossing Hashing MaxNumBoundingBoxes MixUp RandAugment
        RandomBrightness RandomColorDegeneration RandomColorJitter RandomContrast RandomCrop RandomElasticTransform
        RandomErasing RandomFlip RandomGaussianBlur RandomGrayscale RandomHeight RandomHue RandomInvert
        RandomPerspective RandomPosterization RandomRotation RandomSaturation RandomSharpness RandomShear
        RandomTranslation RandomWidth RandomZoom Resizing Solarization
    """
    yield from map(_plain, names.split())


def _holding() -> Iterator[LayerClass]:
    """Models, what else holds layers, and what is no layer's own."""
    yield from map(LayerClass, ("Functional", "Sequential", "Model", "Pipeline", "InputLayer"))
    yield LayerClass("TimeDistributed", channels="each step", wraps="each step")
    yield LayerClass("tfmot>PruneLowMagnitude", variables=specs.masks, flags=("masks",), wraps="masked")
    yield from map(LayerClass, ("TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer"))
    yield LayerClass("Lambda", variables=None)  # its variables are in its author's code


def _own() -> Iterator[LayerClass]:
    """The linked activations of `wtool.layers`; the Auto-Rotating layers follow from their parents."""
    linked = partial(_plain, output_shape=outputs.linked)
    for name in ("LKReLU", "LKSELU", "LKSwish"):
        yield linked(f"wtool>{name}", channels="linked")
    yield linked("wtool>LKPReLU", variables=specs.slopes, flags=("slopes",), channels="linked slopes")
    yield linked("wtool>Linked", output_range=ranges.activated, channels="linked")


def _rotating(parents: Iterator[LayerClass]) -> Iterator[LayerClass]:
    for entry in parents:
        yield entry
        if entry.rotates:
            yield replace(entry, name=f"wtool>AutoRot{entry.name}", rotates=False, aliases=())


def _all() -> Iterator[LayerClass]:
    yield from _rotating(_kernels())
    yield from _rotating(_recurrent())
    for family in (_attending, _embedding, _normalizing, _each_value, _merging, _moving, _preparing, _holding, _own):
        yield from family()


TABLE: dict[str, LayerClass] = {entry.name: entry for entry in _all()}
"""Name of a class -> its entry."""

_ALIASES = {alias: entry.name for entry in TABLE.values() for alias in entry.aliases}

LINKED = tuple(name.removeprefix("wtool>") for name, entry in TABLE.items() if entry.channels.startswith("linked"))
"""The linked activations of `wtool.layers`."""

ROTATING = tuple(name for name, entry in TABLE.items() if entry.rotates)
"""Layers that have an Auto-Rotating variant in `wtool.layers`, called AutoRot and their name."""

VARIANTS = ("linked", "autorot", "plain", *LINKED, *(f"AutoRot{name}" for name in ROTATING))
"""What `wtool swap` makes of layers."""


def entry_of(class_name: str) -> LayerClass | None:
    """Returns the entry of a class by its usual name or an alias; None if the table has none."""
    return TABLE.get(_ALIASES.get(class_name, class_name))
