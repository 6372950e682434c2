"""What Keras 3 and Keras 2 resolve by name as parts of models; made by `python -m tests.resolved_names`."""

from __future__ import annotations

CLASSES = frozenset(
    """
    _ConfusionMatrixConditionCount _IoUBase AbsMaxQuantizer AbstractRNNCell Accuracy Activation
    ActivityRegularization Adadelta Adafactor Adagrad Adam Adamax AdamW AdaptiveAveragePooling1D
    AdaptiveAveragePooling2D AdaptiveAveragePooling3D AdaptiveMaxPooling1D AdaptiveMaxPooling2D AdaptiveMaxPooling3D
    Add AdditiveAttention AddLoss AddMetric AlphaDropout Attention AUC AugMix AutoContrast Average AveragePooling1D
    AveragePooling2D AveragePooling3D AvgPool1D AvgPool2D AvgPool3D AWQConfig AWQDTypePolicy
    BaseAdaptiveAveragePooling BaseAdaptiveMaxPooling BaseAdaptivePooling BaseConv BaseConvTranspose
    BaseDepthwiseConv BaseGlobalPooling BaseImagePreprocessingLayer BaseOptimizer BasePooling BaseRandomLayer
    BaseSeparableConv BaseSpatialDropout BatchNormalization BatchNormalizationBase BatchNormalizationV1
    BatchNormalizationV2 BCE Bidirectional BinaryAccuracy BinaryCrossentropy BinaryFocalCrossentropy BinaryIoU
    CategoricalAccuracy CategoricalCrossentropy CategoricalFocalCrossentropy CategoricalGeneralizedCrossEntropy
    CategoricalHinge CategoryEncoding CenterCrop Circle Concatenate ConcordanceCorrelation Constant ConstantV2
    Constraint ContrastLimitedAdaptiveHistogramEqualization Conv1D Conv1DTranspose Conv2D Conv2DCell Conv2DTranspose
    Conv3D Conv3DTranspose ConvLSTM ConvLSTM1D ConvLSTM2D ConvLSTM3D ConvLSTMCell Convolution1D
    Convolution1DTranspose Convolution2D Convolution2DTranspose Convolution3D Convolution3DTranspose CosineDecay
    CosineDecayRestarts CosineSimilarity Cropping1D Cropping2D Cropping3D Cross CTC CuDNNGRU CuDNNLSTM CutMix
    DataLayer Dense DenseFeatures DepthwiseConv1D DepthwiseConv2D DeviceWrapper Dice Discretization Dot Dropout
    DropoutWrapper DTypePolicy DTypePolicyMap DynamicEmbedding DynamicLookup DynamicLossScale EinsumDense ELU
    Embedding Equalization ExponentialDecay F1Score FakeQuantWithMinMaxVars FalseNegatives FalsePositives FBetaScore
    Feature FeatureSpace FixedLossScale Flatten FlaxLayer Float8QuantizationConfig FloatDTypePolicy Ftrl Functional
    GaussianDropout GaussianNoise GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D
    GlobalAvgPool1D GlobalAvgPool2D GlobalAvgPool3D GlobalMaxPool1D GlobalMaxPool2D GlobalMaxPool3D
    GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D glorot_normalV2 glorot_uniformV2 GlorotNormal
    GlorotNormalV2 GlorotUniform GlorotUniformV2 GPTQConfig GPTQDTypePolicy GroupedQueryAttention GroupNormalization
    GroupQueryAttention GRU GRUCell GRUCellV1 GRUCellV2 GRUV1 GRUV2 HashedCrossing Hashing he_normalV2 he_uniformV2
    HeNormal HeNormalV2 HeUniform HeUniformV2 Highway Hinge Huber Identity IdentityInitializer IdentityV2
    IndexLookup Initializer InputLayer InputSpec Int4DTypePolicy Int4QuantizationConfig Int8QuantizationConfig
    IntegerLookup InverseTimeDecay IoU JaxLayer KerasTensor KLDivergence L1 L1L2 L2 Lamb Lambda Layer
    LayerNormalization LeakyReLU LearningRateSchedule lecun_normalV2 lecun_uniformV2 LecunNormal LecunNormalV2
    LecunUniform LecunUniformV2 LinearCosineDecay LinearModel Lion LocallyConnected1D LocallyConnected2D LogCosh
    LogCoshError Loss LossFunctionWrapper LossScaleOptimizer LossScaleOptimizerV1 LossScaleOptimizerV3 LSTM LSTMCell
    LSTMCellV1 LSTMCellV2 LSTMV1 LSTMV2 MAE MAPE Masking Maximum MaxNorm MaxNumBoundingBoxes MaxoutDense MaxPool1D
    MaxPool2D MaxPool3D MaxPooling1D MaxPooling2D MaxPooling3D Mean MeanAbsoluteError MeanAbsolutePercentageError
    MeanIoU MeanMetricWrapper MeanRelativeError MeanSquaredError MeanSquaredLogarithmicError MeanTensor
    MelSpectrogram Merge Metric Minimum MinMaxNorm Mish MixUp Model MSE MSLE MultiHeadAttention MultiOptimizer
    Multiply Muon Nadam NoisyLinearCosineDecay NonNeg Normalization OneHotIoU OneHotMeanIoU Ones OnesV2 Optimizer
    OptimizerMap Orthogonal OrthogonalInitializer OrthogonalRegularizer OrthogonalV2 PearsonCorrelation Permute
    PiecewiseConstantDecay Pipeline Poisson Policy PolicyV1 PolynomialDecay Precision PrecisionAtRecall PReLU
    PreprocessingLayer PyMetric QuantizationConfig QuantizedDTypePolicy QuantizedFloat8DTypePolicy Quantizer R2Score
    RadialConstraint RandAugment RandomBrightness RandomColorDegeneration RandomColorJitter RandomContrast
    RandomCrop RandomElasticTransform RandomErasing RandomFlip RandomFourierFeatures RandomGaussianBlur
    RandomGrayscale RandomHeight RandomHue RandomInvert RandomNormal RandomNormalV2 RandomPerspective
    RandomPosterization RandomRotation RandomSaturation RandomSharpness RandomShear RandomTranslation RandomUniform
    RandomUniformV2 RandomWidth RandomZoom Recall RecallAtPrecision Reduce Reduction Regularizer ReLU RepeatVector
    Rescaling Reshape ResidualWrapper Resizing ReversibleEmbedding RMSNormalization RMSprop RNN RootMeanSquaredError
    ScheduleFreeAdamW SeedGenerator SensitivityAtSpecificity SensitivitySpecificityBase SeparableConv1D
    SeparableConv2D SeparableConvolution1D SeparableConvolution2D SequenceFeatures Sequential SGD
    SharpnessAwareMinimization SimpleRNN SimpleRNNCell SlicingOpLambda Softmax Solarization
    SparseCategoricalAccuracy SparseCategoricalCrossentropy SparseTopKCategoricalAccuracy SpatialDropout1D
    SpatialDropout2D SpatialDropout3D SpecificityAtSensitivity SpectralNormalization SquaredHinge StackedRNNCells
    STFT STFTInitializer STFTSpectrogram StringLookup Subtract Sum SumOverBatchSize SumOverBatchSizeMetricWrapper
    SyncBatchNormalization TensorFlowOpLayer TextVectorization TFDConcat TFDIdentity TFOpLambda TFOptimizer
    TFSMLayer ThresholdedReLU TimeDistributed TopKCategoricalAccuracy TorchModuleWrapper TrueNegatives TruePositives
    TruncatedNormal TruncatedNormalV2 Tversky UnitNorm UnitNormalization UpSampling1D UpSampling2D UpSampling3D
    Variable VarianceScaling VarianceScalingV2 WarmUp WideDeepModel Wrapper ZeroPadding1D ZeroPadding2D
    ZeroPadding3D Zeros ZerosV2
    """.split()  # noqa: SIM905
)
"""Classes whose objects are parts of models or of their training."""

OPTIMIZERS = frozenset(
    """
    Adadelta Adafactor Adagrad Adam Adamax AdamW BaseOptimizer Ftrl Lamb Lion LossScaleOptimizer MultiOptimizer Muon
    Nadam Optimizer OptimizerMap RMSprop ScheduleFreeAdamW SGD
    """.split()  # noqa: SIM905
)
"""Optimizers; TensorFlow 2.11 and 2.12 write them as `Custom>Adam`."""

FUNCTIONS = frozenset(
    """
    BCE bce binary_accuracy binary_crossentropy binary_focal_crossentropy categorical_accuracy
    categorical_crossentropy categorical_focal_crossentropy categorical_generalized_cross_entropy categorical_hinge
    celu circle concordance_correlation cosine cosine_proximity cosine_similarity ctc dice elu exponential gelu glu
    hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh hinge huber kl_divergence KLD kld
    kullback_leibler_divergence leaky_relu linear log_cosh log_sigmoid log_softmax logcosh MAE mae MAPE mape
    mean_absolute_error mean_absolute_percentage_error mean_squared_error mean_squared_logarithmic_error mish MSE
    mse MSLE msle pearson_correlation poisson relu relu6 selu sigmoid silu soft_shrink softmax softplus softsign
    sparse_categorical_accuracy sparse_categorical_crossentropy sparse_plus sparse_sigmoid
    sparse_top_k_categorical_accuracy sparsemax squared_hinge squareplus swish tanh tanh_shrink threshold
    top_k_categorical_accuracy tversky
    """.split()  # noqa: SIM905
)
"""Activations, losses and metrics."""

SHORT = frozenset(
    """
    abs_max_quantizer acc accuracy adadelta adafactor adagrad adam adamax adamw auc awq_config bce binary_accuracy
    binary_crossentropy binary_io_u categorical_accuracy categorical_crossentropy categorical_hinge ce
    concordance_correlation constant constraint cosine_similarity crossentropy f1_score f_beta_score false_negatives
    false_positives float8_quantization_config ftrl glorot_normal glorot_uniform he_normal he_uniform hinge identity
    initializer int4_quantization_config int8_quantization_config io_u kl_divergence l1 l1_l2 l1l2 l2 lecun_normal
    lecun_uniform lion log_cosh_error lossscaleoptimizer mae mape max_norm mean mean_absolute_error
    mean_absolute_percentage_error mean_io_u mean_metric_wrapper mean_squared_error mean_squared_logarithmic_error
    metric min_max_norm mse msle multioptimizer muon nadam non_neg none normal one one_hot_io_u one_hot_mean_io_u
    ones optimizer optimizermap orthogonal orthogonal_regularizer pearson_correlation poisson precision
    precision_at_recall quantization_config quantizer r2_score radial_constraint random_normal random_uniform recall
    recall_at_precision regularizer rmsprop root_mean_squared_error schedulefreeadamw sensitivity_at_specificity sgd
    sparse_categorical_accuracy sparse_categorical_crossentropy sparse_top_k_categorical_accuracy
    specificity_at_sensitivity squared_hinge stft sum top_k_categorical_accuracy true_negatives true_positives
    truncated_normal uniform unit_norm variance_scaling zero zeros
    """.split()  # noqa: SIM905
)
"""Names in small letters by which files call classes, and what makes initializers."""

OPERATIONS = frozenset(
    """
    Abs Absolute AdaptiveAveragePool AdaptiveMaxPool Add AffineTransform All AllClose Amax Amin Angle Any Append
    Arange Arccos Arccosh Arcsin Arcsinh Arctan Arctan2 Arctanh Argmax Argmin Argpartition Argsort Array ArraySplit
    AssociativeScan Average AveragePool BatchNorm BinaryCrossentropy Bincount BitwiseAnd BitwiseInvert
    BitwiseLeftShift BitwiseNot BitwiseOr BitwiseRightShift BitwiseXor BroadcastTo Cast CategoricalCrossentropy Cbrt
    CDist Ceil Celu Cholesky CholeskyInverse Clip Concatenate Cond Conj Conjugate Conv ConvertToTensor ConvTranspose
    Copy Corrcoef Correlate Cos Cosh CountNonzero CropImages Cross CTCDecode CTCLoss Cumprod Cumsum Deg2rad
    DepthToSpace DepthwiseConv Det Diag Diagflat Diagonal Diff Digitize Divide DivideNoNan Dot DotProductAttention
    Dsplit Dstack Eig Eigh Einsum ElasticTransform Elu EmptyLike Equal Erf Erfc Erfinv Exp Exp2 ExpandDims Expm1
    ExtractPatches ExtractSequences Fabs FFT FFT2 Flip Fliplr Flipud Floor FloorDivide Fmax Fmin Fmod Fold ForiLoop
    Full FullLike Function GaussianBlur Gcd Gelu Geomspace GetItem Glu Greater GreaterEqual HardShrink HardSigmoid
    HardSilu HardTanh Heaviside Histogram Hsplit Hstack HSVToRGB Hypot I0 IFFT2 Imag Inner InTopK Inv IRFFT Isclose
    Isfinite IsIn Isinf Isnan Isneginf Isposinf Isreal ISTFT JVP Kron LayerNorm Lcm Ldexp LeakyRelu LeftShift Less
    LessEqual Linspace Log Log10 Log1p Log2 Logaddexp Logaddexp2 Logdet LogicalAnd LogicalNot LogicalOr LogicalXor
    LogSigmoid LogSoftmax Logspace Logsumexp Lstsq LuFactor Map MapCoordinates Matmul MatrixRank Max Maximum MaxPool
    Mean Median Meshgrid Min Minimum Mod Moments Moveaxis MultiHot Multiply Nanargmax Nanargmin Nancumprod Nancumsum
    Nanmax Nanmean Nanmedian Nanmin Nanpercentile Nanprod Nanquantile Nanstd Nansum NanToNum Nanvar Ndim Negative
    Nextafter Nonzero Norm Normalize NotEqual OneHot OnesLike Operation Outer Pad PadImages Percentile
    PerspectiveTransform Pinv Polar Power Prod PSNR Ptp Qr Quantile Rad2deg Ravel Real Rearrange Reciprocal Relu
    Relu6 Repeat Reshape Resize RFFT RGBToGrayscale RGBToHSV RightShift RMSNorm Roll Rot90 Round Rsqrt SaturateCast
    ScaleAndTranslate Scan Scatter ScatterUpdate SearchSorted SegmentMax SegmentMin SegmentProd SegmentReduction
    SegmentSum Select Selu SeparableConv Sigmoid Sign Signbit Silu Sin Sinc Sinh Size Slice SliceUpdate Slogdet
    SobelEdges Softmax Softplus SoftShrink Softsign Solve SolveTriangular Sort SpaceToDepth
    SparseCategoricalCrossentropy Sparsemax SparsePlus SparseSigmoid Split Sqrt Square Squareplus Squeeze SSIM Stack
    Std STFT StopGradient Subtract Sum SVD Swapaxes Switch Take TakeAlongAxis Tan Tanh TanhShrink Tensordot
    Threshold Tile TopK Trace Transpose Trapezoid Tril Triu TrueDivide Trunc Unfold Unique UnravelIndex Unstack
    Vander Var Vdot VectorizedMap View ViewAsComplex ViewAsReal Vsplit Vstack Where WhileLoop ZerosLike
    """.split()  # noqa: SIM905
)
"""Operations that stand in the graph of a functional model, between its layers."""

CALLS = frozenset(
    """
    abs absolute adaptive_average_pool adaptive_max_pool add all allclose amax amin angle any append arange arccos
    arccosh arcsin arcsinh arctan arctan2 arctanh argmax argmin argpartition argsort array array_split
    associative_scan average average_pool bartlett batch_normalization binary_crossentropy bincount bitwise_and
    bitwise_invert bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift bitwise_xor blackman broadcast_to
    cast categorical_crossentropy cbrt cdist ceil celu cholesky cholesky_inverse clip concatenate cond conj
    conjugate conv conv_transpose convert_to_numpy convert_to_tensor copy corrcoef correlate cos cosh count_nonzero
    cross ctc_decode ctc_loss cumprod cumsum custom_gradient deg2rad depth_to_space depthwise_conv det diag diagflat
    diagonal diff digitize divide divide_no_nan dot dot_product_attention dsplit dstack dtype eig eigh einsum elu
    empty empty_like equal erf erfc erfinv exp exp2 expand_dims expm1 extract_sequences eye fabs fft fft2 flip
    fliplr flipud floor floor_divide fmax fmin fmod fold fori_loop full full_like gcd gelu geomspace get_item glu
    greater greater_equal hamming hanning hard_shrink hard_sigmoid hard_silu hard_tanh heaviside histogram hsplit
    hstack hypot i0 identity ifft2 imag image.affine_transform image.crop_images image.elastic_transform
    image.extract_patches image.extract_patches_3d image.gaussian_blur image.hsv_to_rgb image.map_coordinates
    image.pad_images image.perspective_transform image.resize image.rgb_to_grayscale image.rgb_to_hsv
    image.scale_and_translate image.sobel_edges image.ssim in_top_k inner inv irfft is_tensor isclose isfinite isin
    isinf isnan isneginf isposinf isreal istft jvp kaiser kron layer_normalization lcm ldexp leaky_relu left_shift
    less less_equal linspace log log10 log1p log2 log_sigmoid log_softmax logaddexp logaddexp2 logdet logical_and
    logical_not logical_or logical_xor logspace logsumexp lstsq lu_factor map matmul matrix_rank max max_pool
    maximum mean median meshgrid min minimum mod moments moveaxis multi_hot multiply nan_to_num nanargmax nanargmin
    nancumprod nancumsum nanmax nanmean nanmedian nanmin nanpercentile nanprod nanquantile nanstd nansum nanvar ndim
    negative nextafter nonzero norm normalize not_equal one_hot ones ones_like outer pad percentile pinv polar power
    prod psnr ptp qr quantile rad2deg ravel real rearrange reciprocal relu relu6 repeat reshape rfft right_shift
    rms_normalization roll rot90 round rsqrt saturate_cast scan scatter scatter_update searchsorted segment_max
    segment_min segment_prod segment_sum select selu separable_conv shape sigmoid sign signbit silu sin sinc sinh
    size slice slice_update slogdet soft_shrink softmax softplus softsign solve solve_triangular sort space_to_depth
    sparse_categorical_crossentropy sparse_plus sparse_sigmoid sparsemax split sqrt square squareplus squeeze stack
    std stft stop_gradient subtract sum svd swapaxes switch take take_along_axis tan tanh tanh_shrink tensordot
    threshold tile top_k trace transpose trapezoid tri tril triu true_divide trunc unfold unique unravel_index
    unstack vander var vdot vectorize vectorized_map view view_as_complex view_as_real vsplit vstack where
    while_loop zeros zeros_like
    """.split()  # noqa: SIM905
)
"""Functions of `keras.ops`."""

BACKEND = frozenset(
    """
    abs all any arange argmax argmin batch_dot batch_flatten batch_normalization bias_add binary_crossentropy
    binary_focal_crossentropy cast cast_to_floatx categorical_crossentropy categorical_focal_crossentropy clip
    concatenate constant conv1d conv2d conv2d_transpose conv3d cos ctc_batch_cost ctc_decode
    ctc_label_dense_to_sparse cumprod cumsum depthwise_conv2d dot dropout elu equal exp expand_dims eye flatten
    gather get_session greater greater_equal hard_sigmoid in_top_k is_float_dtype is_int_dtype l2_normalize less
    less_equal local_conv1d local_conv2d log max maximum mean min minimum normalize_batch_in_training not_equal
    one_hot ones ones_like permute_dimensions pool2d pool3d pow prod random_bernoulli random_binomial random_normal
    random_uniform relu repeat repeat_elements reshape resize_images resize_volumes result_type reverse round
    separable_conv2d set_session shape sigmoid sign sin softmax softplus softsign sparse_categorical_crossentropy
    spatial_2d_padding spatial_3d_padding sqrt square squeeze stack std stop_gradient sum tanh temporal_padding tile
    to_dense transpose truncated_normal var zeros zeros_like
    """.split()  # noqa: SIM905
)
"""Functions of `keras.backend` that calculate."""
