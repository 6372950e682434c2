"""Which variables the classes of layers have, as rules from settings to a short notation.

A variable is written name/rank, with ! if it is not trainable, ~ if it is trainable without slots of optimizers, and =
if it is stored here but owned elsewhere.
"""

from __future__ import annotations

from wtool.schema.layers.entry import Flags, VariablesRule

_FLOAT8 = (
    "inputs_scale/0~ inputs_amax_history/1~ kernel_scale/0~ kernel_amax_history/1~ "
    "outputs_grad_scale/0~ outputs_grad_amax_history/1~"
)


def dense(flags: Flags, rank: int | None = 2) -> str:
    """Dense, and with `rank=None` EinsumDense, in each of the forms that quantisation gives them."""
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


def einsum(flags: Flags) -> str:
    """EinsumDense, whose kernel and bias have any rank."""
    return dense(flags, None)


def convolution(rank: int) -> VariablesRule:
    """Returns the rule for a convolution whose kernel has this rank, and one more for a Conv1D of Keras 1."""

    def spec(flags: Flags) -> str:
        kernel = f"kernel/{rank + bool(flags.get('keras1'))}{'!' if flags.get('lora') else ''}"
        return f"{kernel} {'bias/1' if flags['use_bias'] else ''}"

    return spec


def depthwise(rank: int) -> VariablesRule:
    """Returns the rule for a depthwise convolution; Keras 2 gives its kernel another name."""

    def spec(flags: Flags) -> str:
        kernel = "depthwise_kernel" if flags["keras2"] else "kernel"
        return f"{kernel}/{rank} {'bias/1' if flags['use_bias'] else ''}"

    return spec


def separable(rank: int) -> VariablesRule:
    """Returns the rule for a separable convolution."""
    return lambda f: f"depthwise_kernel/{rank} pointwise_kernel/{rank} {'bias/1' if f['use_bias'] else ''}"


def local(flags: Flags) -> str:
    """LocallyConnected1D and 2D, whose kernel depends on the implementation."""
    return f"kernel {'bias' if flags['use_bias'] else ''}"


def embedding(flags: Flags) -> str:
    """Embedding."""
    match flags["quantization"]:
        case "int8" | "int4":
            return "embeddings/2! embeddings_scale!"
        case "int4_grouped":
            return "embeddings/2! embeddings_scale/2! embeddings_zero/2! g_idx/1!"
    return f"embeddings/2{'!' if flags['lora'] else ''}"


def reversible_embedding(flags: Flags) -> str:
    """ReversibleEmbedding, which may have a table of its own for the way back."""
    own = embedding(flags)
    if flags["tie_weights"]:
        return own
    match flags["quantization"]:
        case "int8" | "int4":
            return own + " reverse_embeddings/2! reverse_embeddings_scale!"
        case "int4_grouped":
            return own + " reverse_embeddings/2! reverse_embeddings_scale/2! reverse_embeddings_zero/2!"
    return own + " reverse_embeddings/2"


def batch_normalization(flags: Flags) -> str:
    """BatchNormalization; renormalisation is of Keras 2."""
    renorm = "moving_stddev! renorm_mean! renorm_stddev!" if flags["renorm"] else ""
    return f"{affine(flags)} moving_mean! moving_variance! {renorm}"


def affine(flags: Flags) -> str:
    """GroupNormalization: a factor and a summand, each where it is wanted."""
    return f"{'gamma' if flags['scale'] else ''} {'beta' if flags['center'] else ''}"


def layer_normalization(flags: Flags) -> str:
    """LayerNormalization; by the root mean square it has a factor only."""
    return "gamma" if flags["rms_scaling"] else affine(flags)


def cell(flags: Flags) -> str:
    """The cells of recurrent layers."""
    return f"kernel recurrent_kernel {'bias' if flags['use_bias'] else ''}"


def gates(names: str) -> VariablesRule:
    """Returns the rule for a layer of which Keras 1 stored arrays for each gate; later its cell has them all."""
    spec = " ".join(f"W_{name}/2 U_{name}/2 b_{name}/1" for name in names)
    return lambda flags: spec if flags.get("keras1") else ""


def attention(flags: Flags) -> str:
    """Attention."""
    return f"{'scale/0' if flags['use_scale'] else ''} {'concat_score_weight/0' if flags['concat'] else ''}"


def additive_attention(flags: Flags) -> str:
    """AdditiveAttention."""
    return "scale/1" if flags["use_additive_scale"] else ""


def normalization(flags: Flags) -> str:
    """Normalization, which has no variables where it was given mean and variance."""
    return "" if flags["given"] else "mean! variance! count/0!"


def lookup(flags: Flags) -> str:
    """StringLookup and the like, which have weights for one output mode."""
    return "idf_weights/1!" if flags["idf"] else ""


def bins(flags: Flags) -> str:
    """Discretization, which keeps a summary of what it learned from data."""
    return "summary/2!" if flags["learned"] else ""


def slopes(flags: Flags) -> str:
    """LKPReLU; linked_neurons did not save its slopes."""
    return "alpha linked_alpha" if flags["slopes"] else ""


def masks(flags: Flags) -> str:
    """PruneLowMagnitude of TensorFlow's toolkit for pruning: a mask for each matrix of the layer inside."""
    tails = ["", "_1", "_2", "_3"][: flags["masks"]]
    each = (f"mask{tail}! threshold{tail}/0!" for tail in tails)
    return " ".join((*(f"weight{tail}=" for tail in tails), *each, "pruning_step/0!"))
