"""THE table of rules: what an upgrade does to a configuration, or refuses, each rule under its name.

Whoever notes a change or a refusal names one of these rules; the reference page has the table. A rule with `drops` or
`renames` is done by `settings.plain_rules`; what the others do is in the module that notes their name.
"""

from __future__ import annotations

from wtool.values import dataclass

CONVOLUTIONS = (
    "Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose",
    "DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D",
)  # fmt: skip
CELLS = ("SimpleRNNCell", "LSTMCell", "GRUCell")
RECURRENT = ("SimpleRNN", "LSTM", "GRU", "RNN", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D")
CUDNN = ("CuDNNLSTM", "CuDNNGRU")
RANDOM = (
    "RandomBrightness", "RandomContrast", "RandomCrop", "RandomFlip", "RandomRotation", "RandomTranslation",
    "RandomZoom",
)  # fmt: skip
SPATIAL_DROPOUT = ("SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D")
LOOKUPS = ("IntegerLookup", "StringLookup", "TextVectorization")
GONE = {
    "LocallyConnected1D": "Keras 3 has no layer whose kernel differs from place to place",
    "LocallyConnected2D": "Keras 3 has no layer whose kernel differs from place to place",
    "RandomHeight": "Keras 3 has no layer that draws the height of its output",
    "RandomWidth": "Keras 3 has no layer that draws the width of its output",
    "DenseFeatures": "Keras 3 has no feature columns",
    "SequenceFeatures": "Keras 3 has no feature columns",
    "RandomFourierFeatures": "Keras 3 has no such layer",
    "AbstractRNNCell": "Keras 3 has no such class",
    "DynamicEmbedding": "Keras 3 has no such layer",
    "DynamicLookup": "Keras 3 has no such layer",
    "CategoryCrossing": "Keras 3 has HashedCrossing only, whose results differ",
    "PreprocessingLayer": "Keras 3 has no such class",
    "Merge": "Keras 3 has no layer that takes the way of merging as a setting",
}
"""Class of Keras 2 that Keras 3 does not have, and that nothing in Keras 3 can stand for -> why."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of the upgrade.

    Attributes:
        name: of the rule, in results and in the docs.
        text: what the rule does, or why it refuses: one sentence.
        classes: of Keras 2 that the rule is for; empty where it is for all of them, or for the model itself.
        drops: settings that Keras 3 does not have, and that change nothing there.
        renames: setting of Keras 2 and its name in Keras 3.
        refuses: whether a layer that the rule meets cannot be kept.
    """

    name: str
    text: str
    classes: tuple[str, ...] = ()
    drops: tuple[str, ...] = ()
    renames: tuple[tuple[str, str], ...] = ()
    refuses: bool = False


_PLAIN = (
    Rule(
        "input of the layer", "A layer does not say any more what it takes: an InputLayer does.",
        drops=("batch_input_shape", "input_dtype", "input_length", "input_shape", "batch_size", "dynamic"),
    ),
    Rule(
        "convolution", "Transposed, depthwise and separable convolutions have no groups, and no settings of a kernel "
        "that they do not have.", CONVOLUTIONS, drops=("groups",),
    ),
    Rule(
        "unused kernel", "Depthwise and separable convolutions have no settings of a kernel that they do not have.",
        CONVOLUTIONS[3:], drops=("kernel_initializer", "kernel_regularizer", "kernel_constraint"),
    ),
    Rule("unused filters", "A depthwise convolution has no filters of its own.", CONVOLUTIONS[3:5], drops=("filters",)),
    Rule(
        "way of computing", "Recurrent layers do not say any more how they are computed.",
        (*RECURRENT, *CELLS, *CUDNN), drops=("implementation",),
    ),
    Rule("unrolled", "Convolving recurrent layers are never unrolled.", RECURRENT[4:], drops=("unroll",)),
    Rule("random numbers", "Random layers do not say any more how they draw.", RANDOM, drops=("rng_type",)),
    Rule(
        "spatial dropout", "Spatial dropout has neither the shape of its noise nor a trainable flag as a setting.",
        SPATIAL_DROPOUT, drops=("noise_shape", "trainable"),
    ),
    Rule("sparse embeddings", "An Embedding's gradients are as the optimizer wants them.", ("Embedding",), ("sparse",)),
    Rule(
        "fused normalization", "BatchNormalization does not say any more how it is computed.",
        ("BatchNormalization", "SyncBatchNormalization"), drops=("fused", "virtual_batch_size", "adjustment"),
    ),
    Rule(
        "threshold", "ThresholdedReLU becomes ReLU, which calls its theta threshold.", ("ThresholdedReLU",),
        renames=(("theta", "threshold"),),
    ),
    Rule(
        "slope", "LeakyReLU calls its slope negative_slope.", ("LeakyReLU",), renames=(("alpha", "negative_slope"),),
    ),
)  # fmt: skip

_DONE_ELSEWHERE = (
    Rule("form", "Entries are written as Keras 3 writes them, with the module of their class."),
    Rule("input shape", "The input shape of a Sequential model's first layer becomes an InputLayer before that layer."),
    Rule("name", "A slash in the name of a layer becomes `_`, with a number where another layer has that name; a "
         "Concatenate that may join masks is not called as Keras 3 calls what joins them."),
    Rule("inferred input shape", "A Sequential model without an input shape takes what its first kernel takes."),
    Rule("dtype", "A dtype policy is written as its name; layers that name no dtype get that of the model's input."),
    Rule(
        "hard_sigmoid",
        "Keras 2 means clip(0.2 x + 0.5, 0, 1), Keras 3 clip(x / 6 + 0.5, 0, 1): the activation becomes a small model "
        "of Rescaling and ReLU, wherever it stands, which Keras 3.10 and newer load. Weights stay as they are.",
    ),
    Rule("reset gate", "A GRU without `reset_after` resets before its recurrent kernel.", ("GRU", "GRUCell")),
    Rule("cuDNN", "The layers that ran on cuDNN alone become LSTM and GRU; their arrays are laid out anew.", CUDNN),
    Rule("one axis", "A list of one axis becomes that axis."),
    Rule("sorted axes", "Axes are sorted, and gamma and beta have the shape that Keras 3 makes for sorted axes.",
         ("LayerNormalization",)),
    Rule("bins", "Discretization's dtype is that of its input: whole numbers would be cut off.", ("Discretization",)),
    Rule("statistics", "In half precision, BatchNormalization keeps its numbers in float32, as a mixed policy says.",
         ("BatchNormalization", "SyncBatchNormalization")),
    Rule("synchronized", "It becomes a synchronized BatchNormalization.", ("SyncBatchNormalization",)),
    Rule("shapes of attention", "The shapes of query, key and value move to `build_config`.", ("MultiHeadAttention",)),
    Rule("frozen", "What is inside a layer that is not trainable says so itself, as Keras 3 wants."),
    Rule("causal attention", "That attention is causal is said with the call, not by a setting.",
         ("Attention", "AdditiveAttention")),
    Rule("random crop", "RandomCrop is followed by Resizing: in Keras 3 it crops in training only.", ("RandomCrop",)),
    Rule("old name", "Keras 2 had another name for what the setting means.", (*LOOKUPS, "CategoryEncoding")),
    Rule("size of the vocabulary", "A lookup that gives indices does not say any more how many words it has.", LOOKUPS),
    Rule("old names", "Settings under the names of Keras 1 get those of today."),
    Rule("old arrays", "The arrays of Keras 1, and the kernels of its Theano backend, are laid out anew."),
    Rule("decay", "An optimizer's `decay` becomes an InverseTimeDecay of its learning rate: the same numbers."),
    Rule("clipnorm", "The `clipnorm` of a Keras that was no part of TensorFlow becomes `global_clipnorm`."),
    Rule("scale of the loss", "A fixed scale of the loss becomes `loss_scale_factor` of the optimizer itself."),
    Rule(
        "layer of an application",
        "Layers of keras.applications without a public name are found by their module.",
        ("LayerScale", "StochasticDepth", "CustomScaleLayer"),
    ),
    Rule("custom class", "The entry of a class that is not Keras's own is kept, under its registered name."),
    Rule("written mask", "A mask that Keras 3 would make otherwise becomes an argument of the call."),
    Rule("replaced", "The user's entry takes the place of the layer."),
    Rule("operation", "An operation of TensorFlow becomes operations of Keras 3 that compute the same.",
         ("TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer")),
)  # fmt: skip

_REFUSING = (
    Rule("no input shape", "A Sequential model that never stored an input shape has to be told one.", refuses=True),
    Rule("Lambda", "A Lambda is code, which wtool does not run; only its author can say what stands for it.",
         ("Lambda",), refuses=True),
    Rule("no such layer", "Keras 3 has no such layer.", tuple(GONE), refuses=True),
    Rule("time first", "Keras 3 has no recurrent layers whose first axis is the time.", RECURRENT, refuses=True),
    Rule("constants", "Keras 3 has no constants of recurrent layers.", RECURRENT, refuses=True),
    Rule("virtual batches", "Keras 3 has no virtual batches.", ("BatchNormalization",), refuses=True),
    Rule("equal names", "The name of a layer is the path of what is inside another layer.", refuses=True),
    Rule("late scores", "Keras 3 does not find the scores of a call whose layer gave none when it was called first.",
         ("Attention", "AdditiveAttention", "MultiHeadAttention"), refuses=True),
    Rule("other mask", "Keras 3 would make another mask, and the mask cannot be written into the graph.", refuses=True),
    Rule("training call", "Keras 3 runs what is called with training=True as in inference where the model predicts.",
         refuses=True),
    Rule("robust masking", "Keras 3 has no robust masking.", ("Softmax", "MultiHeadAttention"), refuses=True),
    Rule("ragged input", "Layers of Keras 3 take no ragged tensors.", ("InputLayer", "TextVectorization"),
         refuses=True),
    Rule("learned bins", "Bins that were learned are stored as a summary, not as boundaries.", ("Discretization",),
         refuses=True),
    Rule("unknown operation", "No operation of Keras 3 is known to compute the same.",
         ("TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer", "ClassMethod", "InstanceMethod", "InstanceProperty"),
         refuses=True),
    Rule("callable setting", "A setting that is code cannot be kept.", refuses=True),
    Rule("unknown setting", "Keras 3 does not take this value of the setting.", refuses=True),
    Rule("vocabulary", "What lookup tables learned lies in files of the archive, which only a .keras model has.",
         ("StringLookup", "IntegerLookup", "TextVectorization"), refuses=True),
    Rule("vocabulary elsewhere", "A vocabulary is in a file outside the model, or in the graph of a SavedModel.",
         LOOKUPS, refuses=True),
    Rule("untold attributes",
         "An .h5 file does not tell the attributes in which a custom layer holds its layers, and a .keras file has to.",
         refuses=True),
    Rule("untold order",
         "An .h5 file lists weights in an order that only the code of a custom class tells, or Keras cannot load them.",
         refuses=True),
    Rule("unfit replacement",
         "What takes the place of a layer has to take and give its tensors, with settings that Keras 3 knows.",
         refuses=True),
    Rule("unused wish", "What the user says of a layer has to name one.", refuses=True),
)  # fmt: skip

PLAIN: tuple[Rule, ...] = _PLAIN
"""The rules that drop and rename settings and do nothing else."""

RULES: dict[str, Rule] = {rule.name: rule for rule in (*_PLAIN, *_DONE_ELSEWHERE, *_REFUSING)}
"""Name of a rule -> the rule."""
