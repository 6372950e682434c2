"""A child process: what the Keras that is installed here resolves by name, as JSON on standard output.

It looks into the deserialisers' own tables. `python -m tests.resolved_names_child keras` is for any Keras 3
that comes first on the path, `tf_keras` for Keras 2 and TensorFlow.
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
import sys
from collections.abc import Iterator
from typing import Any

ROOMS = (
    "activations", "constraints", "dtype_policies", "initializers", "layers", "losses", "metrics", "mixed_precision",
    "models", "optimizers", "quantizers", "regularizers",
)  # fmt: skip
"""Keras's modules whose tables hold parts of models."""

CALCULATING = frozenset(
    """
    array_ops array_ops_stack bincount_ops bitwise_ops check_ops clip_ops confusion_matrix ctc_ops embedding_ops
    gen_array_ops gen_audio_ops gen_bitwise_ops gen_count_ops gen_ctc_ops gen_image_ops gen_linalg_ops
    gen_manip_ops gen_math_ops gen_nn_ops gen_ragged_array_ops gen_ragged_conversion_ops gen_ragged_math_ops
    gen_random_index_shuffle_ops gen_random_ops gen_set_ops gen_sparse_ops gen_special_math_ops gen_spectral_ops
    gen_stateless_random_ops gen_stateless_random_ops_v2 gen_string_ops histogram_ops image_ops_impl
    linalg.linalg_impl linalg_ops manip_ops math_ops nn_impl nn_ops numerics numpy_ops.np_array_ops
    numpy_ops.np_math_ops quantize_ops random_crop_ops random_ops sets_impl signal.dct_ops signal.fft_ops
    signal.mel_ops signal.mfcc_ops signal.reconstruction_ops signal.shape_ops signal.spectral_ops
    signal.window_ops sort_ops sparse_ops special_math_ops stateless_random_ops string_ops tensor_getitem_override
    tensor_math_operator_overrides
    """.split()  # noqa: SIM905
)
"""TensorFlow's modules whose functions and operations calculate, and do nothing else but for those below."""

NOT_CALCULATING = re.compile(
    r"Debug|ImmutableConst|HostConst|Placeholder|SparseTensorsMap|SparseToTensorsMap|SparseFromTensorsMap|candidate_sampler"
    r"|fake_param|^placeholder|py_func|Variant|Ref"
)
"""Names in those modules of what reads memory or files, keeps state, or waits for something from outside."""


def resolved_by_keras() -> Iterator[tuple[str, str, str]]:
    """(kind, room, name) of what Keras 3 makes of names in files."""
    api_export = importlib.import_module("keras.src.api_export")
    for path, symbol in api_export.REGISTERED_NAMES_TO_OBJS.items():
        room, _, name = path.removeprefix("keras.").rpartition(".")
        yield _kind(symbol), room, name
    for room in ROOMS:
        tables = vars(importlib.import_module(f"keras.src.{room}")) if room != "mixed_precision" else {}
        for name, symbol in tables.get("ALL_OBJECTS_DICT", {}).items():
            if name:
                yield _kind(symbol), room, name
    saveable = importlib.import_module("keras.src.saving.keras_saveable").KerasSaveable
    for found in _below(saveable):
        if found.__module__.startswith("keras.src."):
            yield "class", found.__module__.split(".")[2], found.__name__


def resolved_by_tf_keras() -> Iterator[tuple[str, str, str]]:
    """(kind, room, name) of what Keras 2 makes of names in files; TensorFlow's are of the rooms `tf` and `nodes`."""
    importlib.import_module("tf_keras")
    layers = importlib.import_module("tf_keras.src.layers.serialization")
    initializers = importlib.import_module("tf_keras.src.initializers")
    for room, module in (("layers", layers), ("initializers", initializers)):
        module.populate_deserializable_objects()
        for name, symbol in module.LOCAL.ALL_OBJECTS.items():
            yield _kind(symbol), room, name
    tf_export = importlib.import_module("tensorflow.python.util.tf_export")
    for path, symbol in tf_export._NAME_TO_SYMBOL_MAPPING.items():
        plain = re.sub(r"^compat\.v[12]\.", "", path)
        room, _, name = plain.rpartition(".")
        if room.startswith("keras"):
            yield _kind(symbol), room.removeprefix("keras").removeprefix("."), name
        elif (
            callable(symbol)
            and not inspect.isclass(symbol)
            and _calculates(symbol)
            and not NOT_CALCULATING.search(plain)
        ):
            yield ("function", "nodes", name) if room == "raw_ops" else ("function", "tf", plain)


def _calculates(symbol: Any) -> bool:
    if inspect.isclass(symbol) or not callable(symbol):
        return False
    decorators = importlib.import_module("tensorflow.python.util.tf_decorator")
    module = getattr(decorators.unwrap(symbol)[1], "__module__", None) or ""
    below = module.removeprefix("tensorflow.python.ops.")
    constants = module in ("tensorflow.python.framework.constant_op", "tensorflow.python.framework.tensor_conversion")
    return below in CALCULATING or below.startswith("ragged.") or constants


def _kind(symbol: Any) -> str:
    return "class" if inspect.isclass(symbol) else "function"


def _below(cls: type) -> Iterator[type]:
    for found in cls.__subclasses__():
        yield found
        yield from _below(found)


if __name__ == "__main__":
    made = resolved_by_keras() if sys.argv[1] == "keras" else resolved_by_tf_keras()
    print(json.dumps(sorted(set(made))))
