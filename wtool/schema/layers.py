"""Which variables a Keras layer has: their names, in the order of the file and in the order of creation."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any

from wtool.errors import Refused

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable as Keras creates it.

    Attributes:
        name: Keras's own name, which is also its role.
        trainable: unless its layer is frozen.
        rank: None where it depends on the input.
        slots: False where optimizers keep none, though it is trainable (scales of float8 training).
        alias: another owner's variable, stored here a second time.
    """

    name: str
    trainable: bool = True
    rank: int | None = None
    slots: bool = True
    alias: bool = False


@dataclass(frozen=True, slots=True)
class Variables:
    """The variables of one layer.

    Attributes:
        saved: in the order of Keras-3 files (`vars/0`, `vars/1`, ...).
        created: in the order of legacy files and of optimizer slots; with LoRA factors, which Keras-3 files leave out.
    """

    saved: tuple[Variable, ...]
    created: tuple[Variable, ...]

    @property
    def weights(self) -> tuple[Variable, ...]:
        """In the order of a live layer's `weights`: a kernel that LoRA froze stays where it was."""
        adapted = [variable for variable in self.created if variable.name.startswith("lora_")]
        if not adapted or any(variable.name.endswith("_scale") for variable in self.saved):
            return self.created
        return (*self.saved, *adapted)


# Notation: name/rank, with ! not trainable, ~ trainable without slots, = stored here, owned elsewhere.
_TOKEN = re.compile(r"(?P<name>\w+)(?:/(?P<rank>\d))?(?P<mark>[!~=]?)$")


@cache
def _parse(spec: str, lora: str) -> Variables:
    saved = tuple(_variable(token) for token in spec.split())
    natural = saved + tuple(_variable(token) for token in lora.split())
    created = [v for v in natural if v.trainable] + [v for v in natural if not v.trainable]
    return Variables(saved, tuple(created))


def _variable(token: str) -> Variable:
    match = _TOKEN.match(token)
    assert match is not None, token
    rank, mark = match["rank"], match["mark"]
    return Variable(match["name"], mark != "!", int(rank) if rank else None, mark != "~", mark == "=")


Flags = Mapping[str, Any]

_FLOAT8 = (
    "inputs_scale/0~ inputs_amax_history/1~ kernel_scale/0~ kernel_amax_history/1~ "
    "outputs_grad_scale/0~ outputs_grad_amax_history/1~"
)


def _dense(flags: Flags, rank: int | None = 2) -> str:
    kernel = "kernel" if rank is None else f"kernel/{rank}"
    bias = ("bias" if rank is None else "bias/1") if flags["use_bias"] else ""
    match flags["quantization"]:
        case "int8" | "int4" | "ternary":
            return f"{kernel}! {bias} kernel_scale!"
        case "int4_grouped":
            return f"kernel/2! {bias} kernel_scale/2! kernel_zero/2! g_idx/1!"
        case "float8":
            return f"{kernel} {bias} {_FLOAT8}"
        case "gptq" | "gptq_zero" | "awq" | "awq_zero" as mode:
            zero = ("zero_point/2!" if rank is None else "kernel_zero/2!") if mode.endswith("_zero") else ""
            scales = "awq_scales/1!" if mode.startswith("awq") else ""
            return f"{bias} quantized_kernel/2! kernel_scale/2! {zero} {scales} g_idx/1!"
    return f"{kernel}{'!' if flags['lora'] else ''} {bias}"


def _conv(rank: int) -> Callable[[Flags], str]:
    def spec(flags: Flags) -> str:
        return f"kernel/{rank}{'!' if flags['lora'] else ''} {'bias/1' if flags['use_bias'] else ''}"

    return spec


def _plain_conv(rank: int) -> Callable[[Flags], str]:
    return lambda flags: f"kernel/{rank} {'bias/1' if flags['use_bias'] else ''}"


def _depthwise(rank: int) -> Callable[[Flags], str]:
    def spec(flags: Flags) -> str:
        kernel = "depthwise_kernel" if flags["keras2"] else "kernel"
        return f"{kernel}/{rank} {'bias/1' if flags['use_bias'] else ''}"

    return spec


def _separable(rank: int) -> Callable[[Flags], str]:
    return lambda f: f"depthwise_kernel/{rank} pointwise_kernel/{rank} {'bias/1' if f['use_bias'] else ''}"


def _local(flags: Flags) -> str:
    return f"kernel {'bias' if flags['use_bias'] else ''}"


def _embedding(flags: Flags) -> str:
    match flags["quantization"]:
        case "int8" | "int4":
            return "embeddings/2! embeddings_scale!"
        case "int4_grouped":
            return "embeddings/2! embeddings_scale/2! embeddings_zero/2! g_idx/1!"
    return f"embeddings/2{'!' if flags['lora'] else ''}"


def _reversible(flags: Flags) -> str:
    own = _embedding(flags)
    if flags["tie_weights"]:
        return own
    match flags["quantization"]:
        case "int8" | "int4":
            return own + " reverse_embeddings/2! reverse_embeddings_scale!"
        case "int4_grouped":
            return own + " reverse_embeddings/2! reverse_embeddings_scale/2! reverse_embeddings_zero/2!"
    return own + " reverse_embeddings/2"


def _batch_norm(flags: Flags) -> str:
    renorm = "moving_stddev! renorm_mean! renorm_stddev!" if flags["renorm"] else ""
    return f"{_affine(flags)} moving_mean! moving_variance! {renorm}"


def _affine(flags: Flags) -> str:
    return f"{'gamma' if flags['scale'] else ''} {'beta' if flags['center'] else ''}"


def _layer_norm(flags: Flags) -> str:
    return "gamma" if flags["rms_scaling"] else _affine(flags)


def _cell(flags: Flags) -> str:
    return f"kernel recurrent_kernel {'bias' if flags['use_bias'] else ''}"


def _attention(flags: Flags) -> str:
    return f"{'scale/0' if flags['use_scale'] else ''} {'concat_score_weight/0' if flags['concat'] else ''}"


def _additive(flags: Flags) -> str:
    return "scale/1" if flags["use_additive_scale"] else ""


def _normalization(flags: Flags) -> str:
    return "" if flags["given"] else "mean! variance! count/0!"


def _lookup(flags: Flags) -> str:
    return "idf_weights/1!" if flags["idf"] else ""


def _masks(flags: Flags) -> str:
    tails = ["", "_1", "_2", "_3"][: flags["masks"]]
    masks = (f"mask{tail}! threshold{tail}/0!" for tail in tails)
    return " ".join((*(f"weight{tail}=" for tail in tails), *masks, "pruning_step/0!"))


def _spec(text: str) -> Callable[[Flags], str]:
    return lambda _: text


_CONV = ("use_bias", "lora")
_QUANTISED = ("use_bias", "quantization", "lora")
_TABLE: dict[str, tuple[Callable[[Flags], str], tuple[str, ...]]] = {
    "Dense": (_dense, _QUANTISED),
    "TernaryDense": (_dense, _QUANTISED),  # of Keras 3.16
    "EinsumDense": (lambda flags: _dense(flags, None), ("bias_axes", *_QUANTISED[1:])),
    "Embedding": (_embedding, ("quantization", "lora")),
    "ReversibleEmbedding": (_reversible, ("tie_weights", "quantization", "lora")),
    **{f"Conv{n}D": (_conv(n + 2), _CONV) for n in (1, 2, 3)},
    **{f"Conv{n}DTranspose": (_plain_conv(n + 2), ("use_bias",)) for n in (1, 2, 3)},
    **{f"DepthwiseConv{n}D": (_depthwise(n + 2), ("use_bias", "keras2")) for n in (1, 2)},
    **{f"SeparableConv{n}D": (_separable(n + 2), ("use_bias",)) for n in (1, 2)},
    **{f"LocallyConnected{n}D": (_local, ("use_bias",)) for n in (1, 2)},
    "BatchNormalization": (_batch_norm, ("scale", "center", "renorm")),
    "SyncBatchNormalization": (_batch_norm, ("scale", "center", "renorm")),
    "LayerNormalization": (_layer_norm, ("scale", "center", "rms_scaling")),
    "GroupNormalization": (_affine, ("scale", "center")),
    "RMSNormalization": (_spec("scale"), ()),
    "SpectralNormalization": (_spec("kernel= vector_u/2!"), ()),
    "PReLU": (_spec("alpha"), ()),
    **{f"{name}Cell": (_cell, ("use_bias",)) for name in ("SimpleRNN", "LSTM", "GRU", "ConvLSTM")},
    **{name: (_spec("kernel/2 recurrent_kernel/2 bias"), ()) for name in ("CuDNNLSTM", "CuDNNGRU")},
    "Attention": (_attention, ("use_scale", "concat")),
    "AdditiveAttention": (_additive, ("use_additive_scale",)),
    "Normalization": (_normalization, ("given",)),
    "STFTSpectrogram": (_spec("real_kernel/3 imag_kernel/3"), ()),
    "IntegerLookup": (_lookup, ("idf",)),
    "StringLookup": (_lookup, ("idf",)),
    "TextVectorization": (_lookup, ("idf",)),
    "wtool>LKPReLU": (lambda flags: "alpha linked_alpha" if flags["slopes"] else "", ("slopes",)),
    "tfmot>PruneLowMagnitude": (_masks, ("masks",)),
}

_ROTATING = (
    "Dense", "Conv1D", "Conv2D", "Conv3D", "Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose", "SeparableConv1D",
    "SeparableConv2D", "DepthwiseConv1D", "DepthwiseConv2D",
)  # fmt: skip
_TABLE |= {f"wtool>AutoRot{name}": _TABLE[name] for name in _ROTATING}

_LORA = {
    "Dense": "lora_kernel_a/2 lora_kernel_b/2",
    "EinsumDense": "lora_kernel_a lora_kernel_b",
    "Embedding": "lora_embeddings_a/2 lora_embeddings_b/2",
    "ReversibleEmbedding": "lora_embeddings_a/2 lora_embeddings_b/2",
    "Conv1D": "lora_kernel_a lora_kernel_b/2",
    "Conv2D": "lora_kernel_a lora_kernel_b/2",
    "Conv3D": "lora_kernel_a lora_kernel_b/2",
}

_LORA |= {f"wtool>AutoRot{name}": spec for name, spec in _LORA.items() if name in _ROTATING}

_WITHOUT_VARIABLES = """
    Activation ActivityRegularization AdaptiveAveragePooling1D AdaptiveAveragePooling2D AdaptiveAveragePooling3D
    AdaptiveMaxPooling1D AdaptiveMaxPooling2D AdaptiveMaxPooling3D Add AlphaDropout AugMix AutoContrast Average
    AveragePooling1D AveragePooling2D AveragePooling3D Bidirectional CategoryCrossing CategoryEncoding CenterCrop
    Concatenate ContrastLimitedAdaptiveHistogramEqualization ConvLSTM1D ConvLSTM2D ConvLSTM3D Cropping1D Cropping2D
    Cropping3D CutMix Discretization Dot Dropout ELU Equalization Flatten Functional GRU GaussianDropout GaussianNoise
    GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D GlobalMaxPooling1D GlobalMaxPooling2D
    GlobalMaxPooling3D GroupQueryAttention HashedCrossing Hashing Identity InputLayer LSTM LeakyReLU Masking
    MaxNumBoundingBoxes MaxPooling1D MaxPooling2D MaxPooling3D Maximum MelSpectrogram Minimum MixUp Model
    MultiHeadAttention Multiply Permute Pipeline RNN RandAugment RandomBrightness RandomColorDegeneration
    RandomColorJitter RandomContrast RandomCrop RandomElasticTransform RandomErasing RandomFlip RandomGaussianBlur
    RandomGrayscale RandomHeight RandomHue RandomInvert RandomPerspective RandomPosterization RandomRotation
    RandomSaturation RandomSharpness RandomShear RandomTranslation RandomWidth RandomZoom ReLU RepeatVector Rescaling
    Reshape Resizing Sequential SimpleRNN SlicingOpLambda Softmax Solarization SpatialDropout1D SpatialDropout2D
    SpatialDropout3D StackedRNNCells Subtract TFOpLambda TensorFlowOpLayer ThresholdedReLU TimeDistributed
    UnitNormalization UpSampling1D UpSampling2D UpSampling3D ZeroPadding1D ZeroPadding2D ZeroPadding3D
"""
_OWN = tuple(
    f"wtool>{name}"
    for name in ("LKReLU", "LKSELU", "LKSwish", "Linked", "AutoRotSimpleRNN", "AutoRotLSTM", "AutoRotGRU")
)
_WITHOUT = frozenset((*_WITHOUT_VARIABLES.split(), *_OWN))

OWN_FUNCTION = "wtool>arctan"
"""The activation that wtool registers, as files call it."""

ORIGINALS = {
    "arpkeras": frozenset(("AutoRotDense", "AutoRotConv1D", "AutoRotConv2D", "AutoRotConv3D")),
    "linked_neurons": frozenset(("LKReLU", "LKSELU", "LKSwish", "LKPReLU")),
}
"""Package -> its layers. Files name them without a package; the layers of wtool with these names take their place."""

_ALIASES = {
    **{f"Convolution{n}D{tail}": f"Conv{n}D{tail}" for n in (1, 2, 3) for tail in ("", "Transpose")},
    **{f"SeparableConvolution{n}D": f"SeparableConv{n}D" for n in (1, 2)},
    "DepthwiseConvolution2D": "DepthwiseConv2D",
    "Deconvolution2D": "Conv2DTranspose",
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
    "GroupedQueryAttention": "GroupQueryAttention",
}

QUANTISED = ("int8", "int4", "int4_grouped", "float8", "gptq", "gptq_zero", "awq", "awq_zero")


def built_in(class_name: str) -> str | None:
    """The usual name of a built-in class of any Keras version, or of a layer of another package; else None.

    The latter have their package in front: `wtool>LKPReLU`, and `tfmot>PruneLowMagnitude` of TensorFlow's toolkit for
    pruning.
    """
    name = _ALIASES.get(class_name, class_name)
    return name if name in _TABLE or name in _WITHOUT or name == "Lambda" else None


def original(class_name: Any, module: Any, registered: Any) -> str | None:
    """The package that a layer is of, where it is one of the original Auto-Rotating and linked layers; else None.

    Args:
        class_name, module, registered: what the configuration calls it; files of Keras 2 have the class's name only.
    """
    package = next((package for package, names in ORIGINALS.items() if str(class_name) in names), None)
    home = module.partition(".")[0].lower() if isinstance(module, str) else None
    return package if home in (None, package) and registered in (None, class_name) else None


def variants(class_name: str, config: Mapping[str, Any] | None, keras2: bool = False) -> tuple[Variables, ...] | None:
    """The sets of variables that a built-in layer may have, the likeliest first; None if the class is unknown.

    A configuration leaves one or a few (they differ between Keras versions); without one, every combination of the
    flags that decide is tried.

    Raises:
        Refused: a flag in the configuration is not what Keras takes there.
    """
    name = built_in(class_name)
    if name is None or name == "Lambda":
        return None
    if name in _WITHOUT:
        return (_parse("", ""),)
    spec, names = _TABLE[name]
    choices = [_choices(flag, config, keras2) for flag in names]
    found: dict[Variables, None] = {}
    for values in product(*choices):
        flags = dict(zip(names, values, strict=True))
        flags.setdefault("use_bias", flags.get("bias_axes"))
        found[_parse(spec(flags), _LORA.get(name, "") if flags.get("lora") else "")] = None
    return tuple(found)


def _choices(flag: str, config: Mapping[str, Any] | None, keras2: bool) -> Sequence[Any]:
    match flag:
        case "keras2":
            return (keras2,)
        case "masks":
            return (1, 0, 2, 3, 4)  # one for each matrix of the layer inside
        case "quantization":
            return (None, *QUANTISED) if config is None else quantisation(config)
        case "bias_axes":
            return (True, False) if config is None else (bool(config.get("bias_axes")),)
        case "lora":
            return (False,) if config is None else (bool(config.get("lora_rank")),)
        case "concat":
            return (False, True) if config is None else (config.get("score_mode") == "concat",)
        case "slopes":  # those of linked_neurons, whose configurations tell nothing, are in files of Keras 2.3 only
            return (True,) if config is None or "alpha_initializer" in config else (True, False)
        case "given":
            return (False, True) if config is None else (config.get("mean") is not None,)
        case "idf":
            return (False, True) if config is None or config.get("output_mode") in ("tf_idf", "tf-idf") else (False,)
    default = flag not in ("renorm", "rms_scaling", "use_scale")
    if config is None:
        return (default, not default)
    return (_boolean(config, "use_scale" if flag == "use_additive_scale" else flag, default),)


def _boolean(config: Mapping[str, Any], flag: str, default: bool) -> bool:
    value = config.get(flag, default)
    if value is None or isinstance(value, bool) or (isinstance(value, int) and value in (0, 1)):
        return bool(value)
    raise Refused(f"the model's configuration has {flag} = {value!r:.60}, which is neither true nor false")


def quantisation(config: Mapping[str, Any]) -> tuple[str | None, ...]:
    """How a layer is quantised, as its dtype policy says: one or more forms that its files may have."""
    policy = config.get("dtype")
    if isinstance(policy, Mapping):
        if policy.get("class_name") == "DTypePolicyMap":
            return (None, *QUANTISED)
        inner = policy.get("config")
        settings = inner if isinstance(inner, Mapping) else {}
        mode = settings.get("mode") or settings.get("name")
    else:
        mode = policy
    mode = mode if isinstance(mode, str) else ""
    kind = re.split(r"[/_]", mode, maxsplit=1)[0]
    forms: dict[str, tuple[str | None, ...]] = {
        "int8": ("int8",) if "from" in mode or isinstance(policy, Mapping) else (None,),
        "int4": ("int4_grouped", "int4"),
        "ternary": ("ternary",),
        "float8": ("float8",),
        "gptq": ("gptq_zero", "gptq"),
        "awq": ("awq_zero", "awq"),
    }
    return forms.get(kind, (None,))


def fitting(choices: Sequence[Variables], shapes: Sequence[Shape]) -> Variables | None:
    """The first set of variables whose number and ranks are those of the stored shapes, in the order of the file."""
    for choice in choices:
        if len(choice.saved) == len(shapes) and all(
            variable.rank in (None, len(shape)) for variable, shape in zip(choice.saved, shapes, strict=True)
        ):
            return choice
    return None


def role_of(shape: Shape, name: str, own_class: bool) -> str:
    """The role of a variable of an unknown layer: by its rank, where its name is not one of Keras's.

    Args:
        shape: of the variable.
        name: what the file calls it; a number tells nothing.
        own_class: the layer is of a class of its author's. Then the names of statistics alone are Keras's, so that one
            model has the same roles in files that tell names and in those that tell none.
    """
    plain = re.sub(r"_\d+$", "", name)
    if plain in (STATISTICS if own_class else _names()):
        return plain
    return "kernel" if len(shape) >= 2 else "bias" if len(shape) == 1 else "unknown"


STATISTICS = ("moving_mean", "moving_variance")
MATRICES = ("kernel", "recurrent_kernel", "pointwise_kernel", "embeddings")
"""What wrappers store a second time: spectral normalisation one of the layer inside, tfmot all."""


@cache
def _names() -> frozenset[str]:
    """What Keras calls the variables of its layers."""
    choices = (variants(name, None, keras2) or () for name in _TABLE for keras2 in (False, True))
    return frozenset(v.name for each in choices for choice in each for v in choice.created)


@cache
def snake_case(class_name: str) -> str:
    """A class's name as Keras writes it in files: `Conv2DTranspose` -> `conv2d_transpose`.

    Source: keras/src/utils/naming.py, to_snake_case; the one public class whose Python name differs.
    """
    name = "GroupedQueryAttention" if class_name == "GroupQueryAttention" else re.sub(r"\W+", "", class_name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


@cache
def _snakes() -> dict[str, str]:
    return {snake_case(name.rpartition(">")[2]): name for name in (*_TABLE, *sorted(_WITHOUT), "Lambda")}


def class_of_group(group: str) -> str | None:
    """The built-in class that a group's name tells: `conv2d_1` -> `Conv2D`; None if it tells none."""
    return _snakes().get(re.sub(r"_\d+$", "", group)) or _snakes().get(group)
