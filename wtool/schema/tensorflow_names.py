"""What TensorFlow resolves by name and calculates with; made by `python -m tests.resolved_names`."""

from __future__ import annotations

CALLS = frozenset(
    """
    __operators__.add __operators__.eq __operators__.getitem __operators__.ne __operators__.ragged_getitem abs
    accumulate_n acos acosh add add_check_numerics_ops add_n angle approx_top_k arg_max arg_min argmax argmin
    argsort as_string asin asinh assert_equal assert_greater assert_greater_equal assert_integer assert_less
    assert_less_equal assert_near assert_negative assert_non_negative assert_non_positive assert_none_equal
    assert_positive assert_proper_iterable assert_rank assert_rank_at_least assert_rank_in assert_same_float_dtype
    assert_scalar assert_type atan atan2 atanh audio.decode_wav audio.encode_wav batch_gather batch_to_space
    batch_to_space_nd betainc bincount bitcast bitwise.bitwise_and bitwise.bitwise_or bitwise.bitwise_xor
    bitwise.invert bitwise.left_shift bitwise.right_shift boolean_mask broadcast_dynamic_shape
    broadcast_static_shape broadcast_to cast ceil check_numerics cholesky cholesky_solve clip_by_average_norm
    clip_by_global_norm clip_by_norm clip_by_value complex concat confusion_matrix conj constant conv
    conv2d_backprop_filter_v2 conv2d_backprop_input_v2 convert_to_tensor cos cosh count_nonzero cross cumprod cumsum
    debugging.assert_all_finite debugging.assert_equal debugging.assert_greater debugging.assert_greater_equal
    debugging.assert_integer debugging.assert_less debugging.assert_less_equal debugging.assert_near
    debugging.assert_negative debugging.assert_non_negative debugging.assert_non_positive
    debugging.assert_none_equal debugging.assert_positive debugging.assert_proper_iterable debugging.assert_rank
    debugging.assert_rank_at_least debugging.assert_rank_in debugging.assert_same_float_dtype
    debugging.assert_scalar debugging.assert_shapes debugging.assert_type debugging.check_numerics
    debugging.is_finite debugging.is_inf debugging.is_nan debugging.is_non_decreasing debugging.is_numeric_tensor
    debugging.is_strictly_increasing decode_base64 depth_to_space dequantize deserialize_many_sparse diag diag_part
    digamma div div_no_nan divide dtypes.as_string dtypes.cast dtypes.complex dtypes.saturate_cast edit_distance eig
    eigvals einsum encode_base64 ensure_shape equal erf erfc exp expand_dims experimental.numpy.abs
    experimental.numpy.absolute experimental.numpy.add experimental.numpy.all experimental.numpy.allclose
    experimental.numpy.amax experimental.numpy.amin experimental.numpy.angle experimental.numpy.any
    experimental.numpy.append experimental.numpy.arange experimental.numpy.arccos experimental.numpy.arccosh
    experimental.numpy.arcsin experimental.numpy.arcsinh experimental.numpy.arctan experimental.numpy.arctan2
    experimental.numpy.arctanh experimental.numpy.argmax experimental.numpy.argmin experimental.numpy.argsort
    experimental.numpy.around experimental.numpy.array experimental.numpy.array_equal experimental.numpy.asanyarray
    experimental.numpy.asarray experimental.numpy.ascontiguousarray experimental.numpy.atleast_1d
    experimental.numpy.atleast_2d experimental.numpy.atleast_3d experimental.numpy.average
    experimental.numpy.bitwise_and experimental.numpy.bitwise_not experimental.numpy.bitwise_or
    experimental.numpy.bitwise_xor experimental.numpy.broadcast_arrays experimental.numpy.broadcast_to
    experimental.numpy.cbrt experimental.numpy.ceil experimental.numpy.clip experimental.numpy.compress
    experimental.numpy.concatenate experimental.numpy.conj experimental.numpy.conjugate experimental.numpy.copy
    experimental.numpy.cos experimental.numpy.cosh experimental.numpy.count_nonzero experimental.numpy.cross
    experimental.numpy.cumprod experimental.numpy.cumsum experimental.numpy.deg2rad experimental.numpy.diag
    experimental.numpy.diag_indices experimental.numpy.diagflat experimental.numpy.diagonal experimental.numpy.diff
    experimental.numpy.divide experimental.numpy.divmod experimental.numpy.dot experimental.numpy.dsplit
    experimental.numpy.dstack experimental.numpy.einsum experimental.numpy.empty experimental.numpy.empty_like
    experimental.numpy.equal experimental.numpy.exp experimental.numpy.exp2 experimental.numpy.expand_dims
    experimental.numpy.expm1 experimental.numpy.eye experimental.numpy.fabs experimental.numpy.fix
    experimental.numpy.flatten experimental.numpy.flip experimental.numpy.fliplr experimental.numpy.flipud
    experimental.numpy.float_power experimental.numpy.floor experimental.numpy.floor_divide experimental.numpy.full
    experimental.numpy.full_like experimental.numpy.gcd experimental.numpy.geomspace experimental.numpy.greater
    experimental.numpy.greater_equal experimental.numpy.heaviside experimental.numpy.hsplit
    experimental.numpy.hstack experimental.numpy.hypot experimental.numpy.identity experimental.numpy.imag
    experimental.numpy.inner experimental.numpy.isclose experimental.numpy.iscomplex experimental.numpy.iscomplexobj
    experimental.numpy.isfinite experimental.numpy.isinf experimental.numpy.isnan experimental.numpy.isneginf
    experimental.numpy.isposinf experimental.numpy.isreal experimental.numpy.isrealobj experimental.numpy.isscalar
    experimental.numpy.ix_ experimental.numpy.kron experimental.numpy.lcm experimental.numpy.less
    experimental.numpy.less_equal experimental.numpy.linspace experimental.numpy.log experimental.numpy.log10
    experimental.numpy.log1p experimental.numpy.log2 experimental.numpy.logaddexp experimental.numpy.logaddexp2
    experimental.numpy.logical_and experimental.numpy.logical_not experimental.numpy.logical_or
    experimental.numpy.logical_xor experimental.numpy.logspace experimental.numpy.matmul experimental.numpy.max
    experimental.numpy.maximum experimental.numpy.mean experimental.numpy.meshgrid experimental.numpy.min
    experimental.numpy.minimum experimental.numpy.mod experimental.numpy.moveaxis experimental.numpy.multiply
    experimental.numpy.nanmean experimental.numpy.nanprod experimental.numpy.nansum experimental.numpy.ndim
    experimental.numpy.negative experimental.numpy.nextafter experimental.numpy.nonzero experimental.numpy.not_equal
    experimental.numpy.ones experimental.numpy.ones_like experimental.numpy.outer experimental.numpy.pad
    experimental.numpy.polyval experimental.numpy.positive experimental.numpy.power experimental.numpy.prod
    experimental.numpy.ptp experimental.numpy.rad2deg experimental.numpy.ravel experimental.numpy.real
    experimental.numpy.reciprocal experimental.numpy.remainder experimental.numpy.repeat experimental.numpy.reshape
    experimental.numpy.roll experimental.numpy.rot90 experimental.numpy.round experimental.numpy.select
    experimental.numpy.shape experimental.numpy.sign experimental.numpy.signbit experimental.numpy.sin
    experimental.numpy.sinc experimental.numpy.sinh experimental.numpy.size experimental.numpy.sort
    experimental.numpy.split experimental.numpy.sqrt experimental.numpy.square experimental.numpy.squeeze
    experimental.numpy.stack experimental.numpy.std experimental.numpy.subtract experimental.numpy.sum
    experimental.numpy.swapaxes experimental.numpy.take experimental.numpy.take_along_axis experimental.numpy.tan
    experimental.numpy.tanh experimental.numpy.tensordot experimental.numpy.tile experimental.numpy.trace
    experimental.numpy.transpose experimental.numpy.tri experimental.numpy.tril experimental.numpy.triu
    experimental.numpy.true_divide experimental.numpy.vander experimental.numpy.var experimental.numpy.vdot
    experimental.numpy.vsplit experimental.numpy.vstack experimental.numpy.where experimental.numpy.zeros
    experimental.numpy.zeros_like expm1 extract_image_patches extract_volume_patches eye
    fake_quant_with_min_max_args fake_quant_with_min_max_args_gradient fake_quant_with_min_max_vars
    fake_quant_with_min_max_vars_gradient fake_quant_with_min_max_vars_per_channel
    fake_quant_with_min_max_vars_per_channel_gradient fft fft2d fft3d fftnd fill fingerprint floor floor_div
    floordiv floormod gather gather_nd global_norm greater greater_equal guarantee_const histogram_fixed_width
    histogram_fixed_width_bins identity identity_n ifft ifft2d ifft3d ifftnd igamma igammac imag
    image.adjust_brightness image.adjust_contrast image.adjust_gamma image.adjust_hue image.adjust_jpeg_quality
    image.adjust_saturation image.central_crop image.combined_non_max_suppression image.convert_image_dtype
    image.crop_and_resize image.crop_to_bounding_box image.decode_and_crop_jpeg image.decode_bmp image.decode_gif
    image.decode_image image.decode_jpeg image.decode_jxl image.decode_png image.decode_webp
    image.draw_bounding_boxes image.encode_jpeg image.encode_png image.extract_glimpse image.extract_image_patches
    image.extract_jpeg_shape image.extract_patches image.flip_left_right image.flip_up_down
    image.generate_bounding_box_proposals image.grayscale_to_rgb image.hsv_to_rgb image.image_gradients
    image.is_jpeg image.non_max_suppression image.non_max_suppression_overlaps image.non_max_suppression_padded
    image.non_max_suppression_with_scores image.pad_to_bounding_box image.per_image_standardization image.psnr
    image.random_brightness image.random_contrast image.random_crop image.random_flip_left_right
    image.random_flip_up_down image.random_hue image.random_jpeg_quality image.random_saturation image.resize
    image.resize_area image.resize_bicubic image.resize_bilinear image.resize_image_with_crop_or_pad
    image.resize_image_with_pad image.resize_images image.resize_nearest_neighbor image.resize_with_crop_or_pad
    image.resize_with_pad image.rgb_to_grayscale image.rgb_to_hsv image.rgb_to_yiq image.rgb_to_yuv image.rot90
    image.sample_distorted_bounding_box image.sobel_edges image.ssim image.ssim_multiscale
    image.stateless_random_brightness image.stateless_random_contrast image.stateless_random_crop
    image.stateless_random_flip_left_right image.stateless_random_flip_up_down image.stateless_random_hue
    image.stateless_random_jpeg_quality image.stateless_random_saturation
    image.stateless_sample_distorted_bounding_box image.total_variation image.transpose image.transpose_image
    image.yiq_to_rgb image.yuv_to_rgb invert_permutation io.decode_and_crop_jpeg io.decode_base64 io.decode_bmp
    io.decode_gif io.decode_image io.decode_jpeg io.decode_jxl io.decode_png io.decode_webp
    io.deserialize_many_sparse io.encode_base64 io.encode_jpeg io.encode_png io.extract_jpeg_shape io.is_jpeg
    io.serialize_many_sparse io.serialize_sparse irfftnd is_finite is_inf is_nan is_non_decreasing is_numeric_tensor
    is_strictly_increasing lbeta less less_equal lgamma lin_space linalg.adjoint linalg.band_part
    linalg.banded_triangular_solve linalg.cholesky linalg.cholesky_solve linalg.cross linalg.det linalg.diag
    linalg.diag_part linalg.eig linalg.eigh linalg.eigh_tridiagonal linalg.eigvals linalg.eigvalsh linalg.einsum
    linalg.expm linalg.eye linalg.global_norm linalg.inv linalg.l2_normalize linalg.logdet linalg.logm linalg.lstsq
    linalg.lu linalg.lu_matrix_inverse linalg.lu_reconstruct linalg.lu_solve linalg.matmul linalg.matrix_rank
    linalg.matrix_transpose linalg.matvec linalg.norm linalg.normalize linalg.pinv linalg.qr linalg.set_diag
    linalg.slogdet linalg.solve linalg.sqrtm linalg.svd linalg.tensor_diag linalg.tensor_diag_part linalg.tensordot
    linalg.trace linalg.transpose linalg.triangular_solve linalg.tridiagonal_matmul linalg.tridiagonal_solve
    linspace log log1p log_sigmoid logical_and logical_not logical_or logical_xor manip.batch_to_space_nd
    manip.gather_nd manip.reshape manip.reverse manip.roll manip.scatter_nd manip.space_to_batch_nd manip.tile
    math.abs math.accumulate_n math.acos math.acosh math.add math.add_n math.angle math.approx_max_k
    math.approx_min_k math.argmax math.argmin math.asin math.asinh math.atan math.atan2 math.atanh math.bessel_i0
    math.bessel_i0e math.bessel_i1 math.bessel_i1e math.betainc math.bincount math.ceil math.confusion_matrix
    math.conj math.cos math.cosh math.count_nonzero math.cumprod math.cumsum math.cumulative_logsumexp math.digamma
    math.divide math.divide_no_nan math.equal math.erf math.erfc math.erfcinv math.erfinv math.exp math.expm1
    math.floor math.floordiv math.floormod math.greater math.greater_equal math.igamma math.igammac math.imag
    math.in_top_k math.invert_permutation math.is_finite math.is_inf math.is_nan math.is_non_decreasing
    math.is_strictly_increasing math.l2_normalize math.lbeta math.less math.less_equal math.lgamma math.log
    math.log1p math.log_sigmoid math.log_softmax math.logical_and math.logical_not math.logical_or math.logical_xor
    math.maximum math.minimum math.mod math.multiply math.multiply_no_nan math.ndtri math.negative math.nextafter
    math.not_equal math.polygamma math.polyval math.pow math.real math.reciprocal math.reciprocal_no_nan
    math.reduce_all math.reduce_any math.reduce_euclidean_norm math.reduce_logsumexp math.reduce_max
    math.reduce_mean math.reduce_min math.reduce_prod math.reduce_std math.reduce_sum math.reduce_variance math.rint
    math.round math.rsqrt math.scalar_mul math.segment_max math.segment_mean math.segment_min math.segment_prod
    math.segment_sum math.sigmoid math.sign math.sin math.sinh math.sobol_sample math.softmax math.softplus
    math.softsign math.special.bessel_i0 math.special.bessel_i0e math.special.bessel_i1 math.special.bessel_i1e
    math.special.bessel_j0 math.special.bessel_j1 math.special.bessel_k0 math.special.bessel_k0e
    math.special.bessel_k1 math.special.bessel_k1e math.special.bessel_y0 math.special.bessel_y1 math.special.dawsn
    math.special.expint math.special.fresnel_cos math.special.fresnel_sin math.special.spence math.sqrt math.square
    math.squared_difference math.subtract math.tan math.tanh math.top_k math.truediv math.unsorted_segment_max
    math.unsorted_segment_mean math.unsorted_segment_min math.unsorted_segment_prod math.unsorted_segment_sqrt_n
    math.unsorted_segment_sum math.xdivy math.xlog1py math.xlogy math.zero_fraction math.zeta matmul
    matrix_band_part matrix_determinant matrix_diag matrix_diag_part matrix_inverse matrix_set_diag matrix_solve
    matrix_solve_ls matrix_square_root matrix_transpose matrix_triangular_solve maximum meshgrid minimum mod
    multinomial multiply negative nn.approx_max_k nn.approx_min_k nn.atrous_conv2d nn.atrous_conv2d_transpose
    nn.avg_pool nn.avg_pool1d nn.avg_pool2d nn.avg_pool3d nn.avg_pool_v2 nn.batch_norm_with_global_normalization
    nn.batch_normalization nn.bias_add nn.collapse_repeated nn.conv1d nn.conv1d_transpose nn.conv2d
    nn.conv2d_backprop_filter nn.conv2d_backprop_input nn.conv2d_transpose nn.conv3d nn.conv3d_backprop_filter
    nn.conv3d_backprop_filter_v2 nn.conv3d_transpose nn.conv_transpose nn.convolution nn.crelu
    nn.ctc_beam_search_decoder nn.ctc_beam_search_decoder_v2 nn.ctc_greedy_decoder nn.ctc_loss nn.ctc_loss_v2
    nn.ctc_unique_labels nn.depth_to_space nn.depthwise_conv2d nn.depthwise_conv2d_backprop_filter
    nn.depthwise_conv2d_backprop_input nn.depthwise_conv2d_native nn.depthwise_conv2d_native_backprop_filter
    nn.depthwise_conv2d_native_backprop_input nn.dilation2d nn.dropout nn.elu nn.embedding_lookup
    nn.embedding_lookup_sparse nn.erosion2d nn.experimental.general_dropout nn.experimental.stateless_dropout
    nn.fractional_avg_pool nn.fractional_max_pool nn.fused_batch_norm nn.gelu nn.in_top_k nn.isotonic_regression
    nn.l2_loss nn.l2_normalize nn.leaky_relu nn.local_response_normalization nn.log_poisson_loss nn.log_softmax
    nn.lrn nn.max_pool nn.max_pool1d nn.max_pool2d nn.max_pool3d nn.max_pool_v2 nn.max_pool_with_argmax nn.moments
    nn.nce_loss nn.normalize_moments nn.pool nn.quantized_avg_pool nn.quantized_conv2d nn.quantized_max_pool
    nn.quantized_relu_x nn.relu nn.relu6 nn.relu_layer nn.safe_embedding_lookup_sparse nn.sampled_softmax_loss
    nn.selu nn.separable_conv2d nn.sigmoid nn.sigmoid_cross_entropy_with_logits nn.silu nn.softmax
    nn.softmax_cross_entropy_with_logits nn.softmax_cross_entropy_with_logits_v2 nn.softplus nn.softsign
    nn.space_to_batch nn.space_to_depth nn.sparse_softmax_cross_entropy_with_logits nn.sufficient_statistics
    nn.swish nn.tanh nn.top_k nn.weighted_cross_entropy_with_logits nn.weighted_moments nn.with_space_to_batch
    nn.xw_plus_b nn.zero_fraction norm not_equal one_hot ones ones_like pad parallel_stack polygamma pow qr
    quantization.dequantize quantization.fake_quant_with_min_max_args
    quantization.fake_quant_with_min_max_args_gradient quantization.fake_quant_with_min_max_vars
    quantization.fake_quant_with_min_max_vars_gradient quantization.fake_quant_with_min_max_vars_per_channel
    quantization.fake_quant_with_min_max_vars_per_channel_gradient quantization.quantize
    quantization.quantize_and_dequantize quantization.quantize_and_dequantize_v2 quantization.quantized_concat
    quantize quantize_v2 quantized_concat ragged.boolean_mask ragged.constant ragged.constant_value ragged.cross
    ragged.cross_hashed ragged.map_flat_values ragged.placeholder ragged.range ragged.row_splits_to_segment_ids
    ragged.segment_ids_to_row_splits ragged.stack ragged.stack_dynamic_partitions ragged_fill_empty_rows
    ragged_fill_empty_rows_grad random.categorical random.experimental.index_shuffle
    random.experimental.stateless_fold_in random.experimental.stateless_shuffle random.experimental.stateless_split
    random.fold_in random.gamma random.multinomial random.normal random.poisson random.shuffle random.split
    random.stateless_binomial random.stateless_categorical random.stateless_gamma random.stateless_multinomial
    random.stateless_normal random.stateless_parameterized_truncated_normal random.stateless_poisson
    random.stateless_truncated_normal random.stateless_uniform random.truncated_normal random.uniform random_crop
    random_gamma random_index_shuffle random_normal random_poisson random_shuffle random_uniform range rank real
    realdiv reciprocal reduce_all reduce_any reduce_join reduce_logsumexp reduce_max reduce_mean reduce_min
    reduce_prod reduce_sum regex_replace repeat required_space_to_batch_paddings reshape reverse reverse_sequence
    reverse_v2 rfftnd rint roll round rsqrt saturate_cast scalar_mul scatter_nd searchsorted segment_max
    segment_mean segment_min segment_prod segment_sum self_adjoint_eig self_adjoint_eigvals sequence_mask
    serialize_many_sparse serialize_sparse setdiff1d sets.difference sets.intersection sets.set_difference
    sets.set_intersection sets.set_size sets.set_union sets.size sets.union shape shape_n sigmoid sign signal.dct
    signal.fft signal.fft2d signal.fft3d signal.fftnd signal.fftshift signal.frame signal.hamming_window
    signal.hann_window signal.idct signal.ifft signal.ifft2d signal.ifft3d signal.ifftnd signal.ifftshift
    signal.inverse_mdct signal.inverse_stft signal.inverse_stft_window_fn signal.irfft signal.irfft2d signal.irfft3d
    signal.irfftnd signal.kaiser_bessel_derived_window signal.kaiser_window signal.linear_to_mel_weight_matrix
    signal.mdct signal.mfccs_from_log_mel_spectrograms signal.overlap_and_add signal.rfft signal.rfft2d
    signal.rfft3d signal.rfftnd signal.stft signal.vorbis_window sin sinh size slice sort space_to_batch
    space_to_batch_nd space_to_depth sparse.add sparse.bincount sparse.concat sparse.cross sparse.cross_hashed
    sparse.expand_dims sparse.eye sparse.fill_empty_rows sparse.from_dense sparse.map_values sparse.mask
    sparse.matmul sparse.maximum sparse.merge sparse.minimum sparse.placeholder sparse.reduce_max
    sparse.reduce_max_sparse sparse.reduce_sum sparse.reduce_sum_sparse sparse.reorder sparse.reset_shape
    sparse.reshape sparse.retain sparse.sampled_addmm sparse.segment_mean sparse.segment_sqrt_n sparse.segment_sum
    sparse.slice sparse.softmax sparse.sparse_dense_matmul sparse.split sparse.to_dense sparse.to_indicator
    sparse.transpose sparse_add sparse_concat sparse_fill_empty_rows sparse_mask sparse_matmul sparse_maximum
    sparse_merge sparse_minimum sparse_placeholder sparse_reduce_max sparse_reduce_max_sparse sparse_reduce_sum
    sparse_reduce_sum_sparse sparse_reorder sparse_reset_shape sparse_reshape sparse_retain sparse_segment_mean
    sparse_segment_sqrt_n sparse_segment_sum sparse_slice sparse_softmax sparse_split sparse_tensor_dense_matmul
    sparse_tensor_to_dense sparse_to_dense sparse_to_indicator sparse_transpose spectral.dct spectral.fft
    spectral.fft2d spectral.fft3d spectral.idct spectral.ifft spectral.ifft2d spectral.ifft3d spectral.irfft
    spectral.irfft2d spectral.irfft3d spectral.rfft spectral.rfft2d spectral.rfft3d split sqrt square
    squared_difference squeeze stack stop_gradient strided_slice string_join string_split string_strip
    string_to_hash_bucket string_to_hash_bucket_fast string_to_hash_bucket_strong string_to_number strings.as_string
    strings.bytes_split strings.format strings.join strings.length strings.lower strings.ngrams strings.reduce_join
    strings.regex_full_match strings.regex_replace strings.split strings.strip strings.substr strings.to_hash_bucket
    strings.to_hash_bucket_fast strings.to_hash_bucket_strong strings.to_number strings.unicode_decode
    strings.unicode_decode_with_offsets strings.unicode_encode strings.unicode_script strings.unicode_split
    strings.unicode_split_with_offsets strings.unicode_transcode strings.unsorted_segment_join strings.upper substr
    subtract svd tan tanh tensor_scatter_add tensor_scatter_nd_add tensor_scatter_nd_max tensor_scatter_nd_min
    tensor_scatter_nd_sub tensor_scatter_nd_update tensor_scatter_sub tensor_scatter_update tensordot tile
    to_bfloat16 to_complex128 to_complex64 to_double to_float to_int32 to_int64 trace transpose truediv
    truncated_normal truncatediv truncatemod unique unique_with_counts unravel_index unsorted_segment_max
    unsorted_segment_mean unsorted_segment_min unsorted_segment_prod unsorted_segment_sqrt_n unsorted_segment_sum
    unstack verify_tensor_all_finite where where_v2 zeros zeros_like zeta
    """.split()  # noqa: SIM905
)
"""Functions that calculate: they stand in graphs of Keras 2 by these names."""

NODES = frozenset(
    """
    Abs AccumulateNV2 Acos Acosh Add AddN AddV2 AdjustContrast AdjustContrastv2 AdjustHue AdjustSaturation All Angle
    Any ApproximateEqual ApproxTopK ArgMax ArgMin Asin Asinh AsString Atan Atan2 Atanh AudioSpectrogram AvgPool
    AvgPool3D AvgPool3DGrad AvgPoolGrad BandedTriangularSolve BatchCholesky BatchCholeskyGrad BatchFFT BatchFFT2D
    BatchFFT3D BatchIFFT BatchIFFT2D BatchIFFT3D BatchMatMul BatchMatMulV2 BatchMatMulV3 BatchMatrixBandPart
    BatchMatrixDeterminant BatchMatrixDiag BatchMatrixDiagPart BatchMatrixInverse BatchMatrixSetDiag
    BatchMatrixSolve BatchMatrixSolveLs BatchMatrixTriangularSolve BatchNormWithGlobalNormalization
    BatchNormWithGlobalNormalizationGrad BatchSelfAdjointEig BatchSelfAdjointEigV2 BatchSvd BatchToSpace
    BatchToSpaceND BesselI0 BesselI0e BesselI1 BesselI1e BesselJ0 BesselJ1 BesselK0 BesselK0e BesselK1 BesselK1e
    BesselY0 BesselY1 Betainc BiasAdd BiasAddGrad BiasAddV1 Bincount Bitcast BitwiseAnd BitwiseOr BitwiseXor
    BroadcastArgs BroadcastGradientArgs BroadcastTo Bucketize Cast Ceil CheckNumerics CheckNumericsV2 Cholesky
    CholeskyGrad ClipByValue CombinedNonMaxSuppression Complex ComplexAbs Concat ConcatOffset ConcatV2 Conj
    ConjugateTranspose Const Conv Conv2D Conv2DBackpropFilter Conv2DBackpropFilterV2 Conv2DBackpropInput
    Conv2DBackpropInputV2 Conv3D Conv3DBackpropFilter Conv3DBackpropFilterV2 Conv3DBackpropInput
    Conv3DBackpropInputV2 Cos Cosh CropAndResize CropAndResizeGradBoxes CropAndResizeGradImage Cross
    CTCBeamSearchDecoder CTCGreedyDecoder CTCLoss CTCLossV2 Cumprod Cumsum CumulativeLogsumexp DataFormatDimMap
    DataFormatVecPermute Dawsn DecodeAndCropJpeg DecodeBase64 DecodeBmp DecodeGif DecodeImage DecodeJpeg DecodeJxl
    DecodePng DecodeWav DecodeWebP DeepCopy DenseBincount DenseCountSparseOutput DenseToDenseSetOperation
    DenseToSparseSetOperation DepthToSpace DepthwiseConv2dNative DepthwiseConv2dNativeBackpropFilter
    DepthwiseConv2dNativeBackpropInput Dequantize DeserializeManySparse DeserializeSparse Diag DiagPart Digamma
    Dilation2D Dilation2DBackpropFilter Dilation2DBackpropInput Div DivNoNan DrawBoundingBoxes DrawBoundingBoxesV2
    EditDistance Eig Einsum Elu EluGrad Empty EncodeBase64 EncodeJpeg EncodeJpegVariableQuality EncodePng EncodeWav
    EnsureShape Equal Erf Erfc Erfinv EuclideanNorm Exp ExpandDims Expint Expm1 ExtractGlimpse ExtractGlimpseV2
    ExtractImagePatches ExtractJpegShape ExtractVolumePatches FakeQuantWithMinMaxArgs
    FakeQuantWithMinMaxArgsGradient FakeQuantWithMinMaxVars FakeQuantWithMinMaxVarsGradient
    FakeQuantWithMinMaxVarsPerChannel FakeQuantWithMinMaxVarsPerChannelGradient FFT FFT2D FFT3D FFTND Fill
    Fingerprint Floor FloorDiv FloorMod FractionalAvgPool FractionalAvgPoolGrad FractionalMaxPool
    FractionalMaxPoolGrad FresnelCos FresnelSin FusedBatchNorm FusedBatchNormGrad FusedBatchNormGradV2
    FusedBatchNormGradV3 FusedBatchNormV2 FusedBatchNormV3 FusedPadConv2D FusedResizeAndPadConv2D Gather GatherNd
    GatherV2 GenerateBoundingBoxProposals Greater GreaterEqual GuaranteeConst HistogramFixedWidth HSVToRGB Identity
    IdentityN IFFT IFFT2D IFFT3D IFFTND Igamma Igammac IgammaGradA Imag ImageProjectiveTransformV2
    ImageProjectiveTransformV3 InplaceAdd InplaceSub InplaceUpdate InTopK InTopKV2 Inv Invert InvertPermutation
    InvGrad IRFFT IRFFT2D IRFFT3D IRFFTND IsFinite IsInf IsNan IsotonicRegression L2Loss LeakyRelu LeakyReluGrad
    LeftShift Less LessEqual Lgamma LinSpace ListDiff Log Log1p LogicalAnd LogicalNot LogicalOr LogMatrixDeterminant
    LogSoftmax LowerBound LRN LRNGrad Lu MatMul MatrixBandPart MatrixDeterminant MatrixDiag MatrixDiagPart
    MatrixDiagPartV2 MatrixDiagPartV3 MatrixDiagV2 MatrixDiagV3 MatrixExponential MatrixInverse MatrixLogarithm
    MatrixSetDiag MatrixSetDiagV2 MatrixSetDiagV3 MatrixSolve MatrixSolveLs MatrixSquareRoot MatrixTriangularSolve
    Max Maximum MaxPool MaxPool3D MaxPool3DGrad MaxPool3DGradGrad MaxPoolGrad MaxPoolGradGrad MaxPoolGradGradV2
    MaxPoolGradGradWithArgmax MaxPoolGradV2 MaxPoolGradWithArgmax MaxPoolV2 MaxPoolWithArgmax Mean Mfcc Min Minimum
    MirrorPad MirrorPadGrad Mod Mul MulNoNan Multinomial Ndtri Neg NextAfter NonMaxSuppression NonMaxSuppressionV2
    NonMaxSuppressionV3 NonMaxSuppressionV4 NonMaxSuppressionV5 NonMaxSuppressionWithOverlaps NotEqual NthElement
    OneHot OnesLike Pack Pad PadV2 ParallelConcat ParameterizedTruncatedNormal Polygamma PopulationCount Pow
    PreventGradient Prod Qr QuantizeAndDequantize QuantizeAndDequantizeV2 QuantizeAndDequantizeV3
    QuantizeAndDequantizeV4 QuantizeAndDequantizeV4Grad QuantizedAdd QuantizedAvgPool
    QuantizedBatchNormWithGlobalNormalization QuantizedBiasAdd QuantizedConcat QuantizedConv2D
    QuantizedConv2DAndRelu QuantizedConv2DAndReluAndRequantize QuantizedConv2DAndRequantize
    QuantizedConv2DPerChannel QuantizedConv2DWithBias QuantizedConv2DWithBiasAndRelu
    QuantizedConv2DWithBiasAndReluAndRequantize QuantizedConv2DWithBiasAndRequantize
    QuantizedConv2DWithBiasSignedSumAndReluAndRequantize QuantizedConv2DWithBiasSumAndRelu
    QuantizedConv2DWithBiasSumAndReluAndRequantize QuantizedDepthwiseConv2D QuantizedDepthwiseConv2DWithBias
    QuantizedDepthwiseConv2DWithBiasAndRelu QuantizedDepthwiseConv2DWithBiasAndReluAndRequantize
    QuantizedInstanceNorm QuantizedMatMul QuantizedMatMulWithBias QuantizedMatMulWithBiasAndDequantize
    QuantizedMatMulWithBiasAndRelu QuantizedMatMulWithBiasAndReluAndRequantize QuantizedMatMulWithBiasAndRequantize
    QuantizedMaxPool QuantizedMul QuantizeDownAndShrinkRange QuantizedRelu QuantizedRelu6 QuantizedReluX
    QuantizedReshape QuantizedResizeBilinear QuantizeV2 RaggedBincount RaggedCountSparseOutput RaggedCross
    RaggedFillEmptyRows RaggedFillEmptyRowsGrad RaggedGather RaggedRange RaggedTensorToSparse RaggedTensorToTensor
    RandomCrop RandomGamma RandomGammaGrad RandomIndexShuffle RandomPoisson RandomPoissonV2 RandomShuffle
    RandomStandardNormal RandomUniform RandomUniformInt Range Rank Real RealDiv Reciprocal ReciprocalGrad ReduceJoin
    RegexFullMatch RegexReplace Relu Relu6 Relu6Grad ReluGrad RequantizationRange RequantizationRangePerChannel
    Requantize RequantizePerChannel Reshape ResizeArea ResizeBicubic ResizeBicubicGrad ResizeBilinear
    ResizeBilinearGrad ResizeNearestNeighbor ResizeNearestNeighborGrad ResourceStridedSliceAssign Reverse
    ReverseSequence ReverseV2 RFFT RFFT2D RFFT3D RFFTND RGBToHSV RightShift Rint Roll Round Rsqrt RsqrtGrad
    SampleDistortedBoundingBox SampleDistortedBoundingBoxV2 ScaleAndTranslate ScaleAndTranslateGrad ScatterNd
    ScatterNdNonAliasingAdd SegmentMax SegmentMaxV2 SegmentMean SegmentMin SegmentMinV2 SegmentProd SegmentProdV2
    SegmentSum SegmentSumV2 Select SelectV2 SelfAdjointEig SelfAdjointEigV2 Selu SeluGrad SerializeManySparse
    SerializeSparse SetSize Shape ShapeN Sigmoid SigmoidGrad Sign Sin Sinh Size Slice Snapshot SobolSample Softmax
    SoftmaxCrossEntropyWithLogits Softplus SoftplusGrad Softsign SoftsignGrad SpaceToBatch SpaceToBatchND
    SpaceToDepth SparseAdd SparseAddGrad SparseBincount SparseConcat SparseCountSparseOutput SparseCross
    SparseCrossHashed SparseCrossV2 SparseDenseCwiseAdd SparseDenseCwiseDiv SparseDenseCwiseMul SparseFillEmptyRows
    SparseFillEmptyRowsGrad SparseMatMul SparseReduceMax SparseReduceMaxSparse SparseReduceSum SparseReduceSumSparse
    SparseReorder SparseReshape SparseSegmentMean SparseSegmentMeanGrad SparseSegmentMeanGradV2
    SparseSegmentMeanWithNumSegments SparseSegmentSqrtN SparseSegmentSqrtNGrad SparseSegmentSqrtNGradV2
    SparseSegmentSqrtNWithNumSegments SparseSegmentSum SparseSegmentSumGrad SparseSegmentSumGradV2
    SparseSegmentSumWithNumSegments SparseSlice SparseSliceGrad SparseSoftmax SparseSoftmaxCrossEntropyWithLogits
    SparseSparseMaximum SparseSparseMinimum SparseSplit SparseTensorDenseAdd SparseTensorDenseMatMul SparseToDense
    SparseToSparseSetOperation Spence Split SplitV Sqrt SqrtGrad Square SquaredDifference Squeeze
    StatelessMultinomial StatelessParameterizedTruncatedNormal StatelessRandomBinomial StatelessRandomGammaV2
    StatelessRandomGammaV3 StatelessRandomGetAlg StatelessRandomGetKeyCounter StatelessRandomGetKeyCounterAlg
    StatelessRandomNormal StatelessRandomNormalV2 StatelessRandomPoisson StatelessRandomUniform
    StatelessRandomUniformFullInt StatelessRandomUniformFullIntV2 StatelessRandomUniformInt
    StatelessRandomUniformIntV2 StatelessRandomUniformV2 StatelessSampleDistortedBoundingBox StatelessShuffle
    StatelessTruncatedNormal StatelessTruncatedNormalV2 StaticRegexFullMatch StaticRegexReplace StopGradient
    StridedSlice StridedSliceAssign StridedSliceGrad StringFormat StringJoin StringLength StringLower StringNGrams
    StringSplit StringSplitV2 StringStrip StringToHashBucket StringToHashBucketFast StringToHashBucketStrong
    StringUpper Sub Substr Sum Svd Tan Tanh TanhGrad TensorScatterAdd TensorScatterMax TensorScatterMin
    TensorScatterSub TensorScatterUpdate TensorStridedSliceUpdate Tile TileGrad TopK TopKV2 Transpose
    TridiagonalMatMul TridiagonalSolve TruncateDiv TruncatedNormal TruncateMod UnicodeDecode
    UnicodeDecodeWithOffsets UnicodeEncode UnicodeScript UnicodeTranscode Unique UniqueV2 UniqueWithCounts
    UniqueWithCountsV2 Unpack UnravelIndex UnsortedSegmentJoin UnsortedSegmentMax UnsortedSegmentMin
    UnsortedSegmentProd UnsortedSegmentSum UpperBound Where Xdivy Xlog1py Xlogy ZerosLike Zeta
    """.split()  # noqa: SIM905
)
"""Operations that calculate, as `NodeDef` calls them."""
