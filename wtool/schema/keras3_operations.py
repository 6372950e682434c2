"""The operations of Keras 3: the modules that have them (a test holds them against Keras), and shapes behind some."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wtool.schema.inbound_nodes import is_of_keras3, is_tensor
from wtool.schema.layers import PartialShape
from wtool.schema.layers.output_shapes import merged

_NAMES = {
    "core": """
        AssociativeScan Cast Cond ConvertToTensor ForiLoop Map SaturateCast Scan Scatter ScatterUpdate Slice
        SliceUpdate StopGradient Switch Unstack VectorizedMap WhileLoop
    """,
    "einops": """
        Rearrange
    """,
    "image": """
        AffineTransform CropImages ElasticTransform ExtractPatches GaussianBlur HSVToRGB MapCoordinates PadImages
        PerspectiveTransform RGBToGrayscale RGBToHSV Resize SSIM ScaleAndTranslate SobelEdges
    """,
    "linalg": """
        Cholesky CholeskyInverse Det Eig Eigh Inv JVP Lstsq LuFactor MatrixRank Norm Pinv Qr SVD Solve
        SolveTriangular
    """,
    "math": """
        CDist Erf Erfc Erfinv ExtractSequences FFT FFT2 IFFT2 IRFFT ISTFT InTopK Logdet Logsumexp RFFT Rsqrt STFT
        SegmentMax SegmentMin SegmentProd SegmentReduction SegmentSum TopK ViewAsComplex ViewAsReal
    """,
    "nn": """
        AdaptiveAveragePool AdaptiveMaxPool AveragePool BatchNorm BinaryCrossentropy CTCDecode CTCLoss
        CategoricalCrossentropy Celu Conv ConvTranspose DepthToSpace DepthwiseConv DotProductAttention Elu Fold Gelu
        Glu HardShrink HardSigmoid HardSilu HardTanh LayerNorm LeakyRelu LogSigmoid LogSoftmax MaxPool Moments
        MultiHot Normalize OneHot PSNR Polar RMSNorm Relu Relu6 Selu SeparableConv Sigmoid Silu SoftShrink Softmax
        Softplus Softsign SpaceToDepth SparseCategoricalCrossentropy SparsePlus SparseSigmoid Sparsemax Squareplus
        TanhShrink Threshold Unfold
    """,
    "numpy": """
        Abs Absolute Add All AllClose Amax Amin Angle Any Append Arange Arccos Arccosh Arcsin Arcsinh Arctan Arctan2
        Arctanh Argmax Argmin Argpartition Argsort Array ArraySplit Average Bincount BitwiseAnd BitwiseInvert
        BitwiseLeftShift BitwiseNot BitwiseOr BitwiseRightShift BitwiseXor BroadcastTo Cbrt Ceil Clip Concatenate
        Conj Conjugate Copy Corrcoef Correlate Cos Cosh CountNonzero Cross Cumprod Cumsum Deg2rad Diag Diagflat
        Diagonal Diff Digitize Divide DivideNoNan Dot Dsplit Dstack Einsum EmptyLike Equal Exp Exp2 ExpandDims Expm1
        Fabs Flip Fliplr Flipud Floor FloorDivide Fmax Fmin Fmod Full FullLike Gcd Geomspace GetItem Greater
        GreaterEqual Heaviside Histogram Hsplit Hstack Hypot I0 Imag Inner IsIn Isclose Isfinite Isinf Isnan
        Isneginf Isposinf Isreal Kron Lcm Ldexp LeftShift Less LessEqual Linspace Log Log10 Log1p Log2 Logaddexp
        Logaddexp2 LogicalAnd LogicalNot LogicalOr LogicalXor Logspace Matmul Max Maximum Mean Median Meshgrid Min
        Minimum Mod Moveaxis Multiply NanToNum Nanargmax Nanargmin Nancumprod Nancumsum Nanmax Nanmean Nanmedian
        Nanmin Nanpercentile Nanprod Nanquantile Nanstd Nansum Nanvar Ndim Negative Nextafter Nonzero NotEqual
        OnesLike Outer Pad Percentile Power Prod Ptp Quantile Rad2deg Ravel Real Reciprocal Repeat Reshape
        RightShift Roll Rot90 Round SearchSorted Select Sign Signbit Sin Sinc Sinh Size Slogdet Sort Split Sqrt
        Square Squeeze Stack Std Subtract Sum Swapaxes Take TakeAlongAxis Tan Tanh Tensordot Tile Trace Transpose
        Trapezoid Tril Triu TrueDivide Trunc Unique UnravelIndex Vander Var Vdot View Vsplit Vstack Where ZerosLike
    """,
}

MODULES = {name: f"keras.src.ops.{module}" for module, names in _NAMES.items() for name in names.split()}
"""Class of an operation -> the module that has it."""

ELEMENTWISE = frozenset(
    """
    Abs Absolute Add Cast Celu Clip Cos Divide Elu Erf Exp Expm1 Gelu HardSigmoid HardSilu HardTanh LeakyRelu Log Log1p
    LogSigmoid LogSoftmax Maximum Minimum Multiply Negative Power Reciprocal Relu Relu6 Rsqrt Selu Sigmoid Sign Silu Sin
    Softmax Softplus Softsign Sqrt Square StopGradient Subtract Tanh TrueDivide
    """.split()  # noqa: SIM905
)
"""Operations whose result has the shape of what they take, tensors of several shapes made alike."""

FINITE = ELEMENTWISE - frozenset(
    "Divide Exp Expm1 Log Log1p LogSoftmax Power Reciprocal Rsqrt Softmax Sqrt TrueDivide".split()  # noqa: SIM905
)
"""Those of them that work on each value alone, and give a number for every number."""


def numbers_beside(entry: Mapping[str, Any]) -> list[Any] | None:
    """Returns what an operation takes beside tensors: single numbers and words; None where it takes more than these."""
    nodes = entry.get("inbound_nodes")
    calls = [node for node in nodes if is_of_keras3(node)] if isinstance(nodes, list) else []
    taken = [each for node in calls for each in (*node["args"], *node["kwargs"].values())]
    beside = [each for each in taken if not (isinstance(each, Mapping) and is_tensor(each))]
    return None if any(isinstance(each, (list, Mapping)) for each in beside) else beside


def shape_behind(entry: Mapping[str, Any], inputs: Sequence[PartialShape | None]) -> PartialShape | None:
    """Returns the shape that an operation gives, from the shapes of the tensors that it takes; None where not known.

    Args:
        entry: of the operation, in the configuration of its model.
        inputs: shapes of the tensors. What else it takes has to be single numbers and words.
    """
    known = [shape for shape in inputs if shape is not None]
    if entry.get("class_name") not in ELEMENTWISE or not known or len(known) < len(inputs):
        return None
    return None if numbers_beside(entry) is None else merged(known[0], {}, known)
