"""Mutated configurations of Keras 2: the upgrade to Keras 3 may refuse them in a line, but not fail or take long.

Values become others of any type, names become those of other layers (so graphs get cycles), entries go into each other
(so models nest), lists become huge. What is upgraded must be JSON that the reader of configurations takes.
"""

from __future__ import annotations

import copy
import json
import time
import traceback
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from tests.fuzzing.summary import Summary
from tests.models import FIXTURES
from wtool.errors import Refused
from wtool.io.json_text import parse_object
from wtool.schema.config import read_architecture
from wtool.schema.upgrade.model import upgrade
from wtool.schema.upgrade.operations import TABLE
from wtool.schema.upgrade.rules import RULES
from wtool.schema.upgrade.upgraded import Wishes

LIMIT = 5.0
"""Seconds for a case."""

SEEDS = (
    "k2.2.4/mlp_defaultnames.h5", "k2.2.4/nested_frozen.h5", "k2.3.1/odd_names.h5", "tf2.3/norm_adapt.h5",
    "tf2.10/custom_layer.h5", "tf2.10/mlp.h5", "tf2.13/mha.keras", "tf2.13/lookup_adapted.keras",
)  # fmt: skip
ODD: list[Any] = [
    None, True, False, 0, 1, -1, 3, 1e308, float("nan"), float("inf"), 10**30, "", "x", "a/b", "\n", [], {}, [[]],
    [None], [["x", 0, 0]], [[["x", 0, 0, {}]]], {"class_name": "Dense", "config": {}},
    {"class_name": "__tuple__", "items": 3}, {"class_name": "__tensor__", "config": {}}, {"config": {}},
    {"class_name": []}, [-1, "x", None], "hard_sigmoid", {"class_name": "Policy", "config": {"name": 3}},
    "mixed_float16", "_CONSTANT_VALUE", ["_CONSTANT_VALUE", -1, 2.0],
]  # fmt: skip
CLASSES = sorted({name for rule in RULES.values() for name in rule.classes} | {
    "Dense", "Conv2D", "LSTM", "GRU", "Bidirectional", "TimeDistributed", "RNN", "StackedRNNCells", "Sequential",
    "Functional", "Model", "InputLayer", "Own", "Pkg>Own", "Concatenate", "Reshape", "Activation", "Masking", "Lambda",
})  # fmt: skip
FUNCTIONS = [*sorted(TABLE), "math.multiply", "__operators__.getitem", "compat.v1.transpose", "nn.no_such_function"]

SHAPES = {
    "j/kernel": (4, 3),
    "k/v/kernel": (4, 16),
    "k/v/recurrent_kernel": (4, 16),
    "k/v/bias": (32,),
    "k/w/gamma": (4, 5),
}
"""Path of a variable -> its shape in the file, where rules look at shapes."""

Rng = np.random.Generator


def _node(name: str, **arguments: Any) -> list[Any]:
    return [[[name, 0, 0, arguments]]]


def _operations() -> dict[str, Any]:
    """A small functional model with operations and wrappers."""
    regularizer = {"class_name": "L2", "config": {}}
    lstm = {"class_name": "LSTM", "config": {"name": "lstm", "units": 3, "recurrent_activation": "hard_sigmoid"}}
    sliced = {"start": 0, "stop": 2, "step": None}
    layers = [
        ("InputLayer", {"batch_input_shape": [None, 5, 4], "dtype": "float32"}, []),
        ("Bidirectional", {"layer": lstm, "merge_mode": "concat"}, _node("a")),
        ("TFOpLambda", {"function": "math.multiply"}, [["b", 0, 0, {"y": 2.0}]]),
        ("TFOpLambda", {"function": "math.reduce_mean"}, [["c", 0, 0, {"axis": -1, "keepdims": True}]]),
        ("SlicingOpLambda", {"function": "__operators__.getitem"}, [["d", 0, 0, {"slice_spec": [sliced]}]]),
        ("Concatenate", {"axis": -1}, [[["d", 0, 0, {}], ["d", 0, 0, {}]]]),
        ("BatchNormalization", {"axis": [1], "momentum": 0.9, "fused": True}, _node("f")),
        ("Dense", {"units": 2, "activation": "softmax", "kernel_regularizer": regularizer}, _node("g")),
    ]  # fmt: skip
    return _functional("m", layers, "abcdefgh", "he")


def _sequences() -> dict[str, Any]:
    """A small functional model with masks, attention, old layers, and models inside."""
    query = ["e", 0, 0, {"value": ["e", 0, 0], "return_attention_scores": True}]
    inner = [
        ("InputLayer", {"batch_input_shape": [None, 5, 4]}, []),
        ("CuDNNLSTM", {"units": 4, "return_sequences": True}, _node("u")),
        ("LayerNormalization", {"axis": [2, 1]}, _node("v")),
    ]
    dense = {"name": "x/y", "units": 4, "activation": "hard_sigmoid", "batch_input_shape": [None, 5, 4]}
    row = [{"class_name": "Dense", "config": dense}, {"class_name": "ThresholdedReLU", "config": {"name": "z"}}]
    layers = [
        ("InputLayer", {"batch_input_shape": [None, 5], "dtype": "int32"}, []),
        ("Embedding", {"input_dim": 9, "output_dim": 4, "mask_zero": True}, _node("a")),
        ("Masking", {"mask_value": 0.0}, _node("b")),
        ("Add", {}, [[["b", 0, 0, {}], ["c", 0, 0, {}]]]),
        ("GRU", {"units": 4, "return_sequences": True, "return_state": True}, _node("d")),
        ("MultiHeadAttention", {"num_heads": 2, "key_dim": 3, "query_shape": [None, 5, 4]}, [[query]]),
        ("PReLU", {"shared_axes": [1]}, _node("f")),
        ("BatchNormalization", {"axis": -1, "renorm": True}, [*_node("g"), *_node("f")]),
        ("Sequential", {"layers": row}, _node("h")),
        ("Activation", {"activation": "hard_sigmoid"}, _node("i")),
        ("Functional", _functional("k", inner, "uvw", "w")["config"], [*_node("h"), *_node("i")]),
    ]
    return _functional("n", layers, "abcdefghijk", "jkh")


def _functional(name: str, layers: list[tuple[str, Any, Any]], own: str, outputs: str) -> dict[str, Any]:
    """A functional model: of each layer its class, its settings and its calls; `own` has a letter for each name."""
    entries = [
        {"class_name": kind, "name": letter, "config": {"name": letter, **settings}, "inbound_nodes": nodes}
        for letter, (kind, settings, nodes) in zip(own, layers, strict=True)
    ]
    ends = {"input_layers": [[own[0], 0, 0]], "output_layers": [[letter, 0, 0] for letter in outputs]}
    return {"class_name": "Functional", "config": {"name": name, "layers": entries, **ends}}


@cache
def seeds() -> list[tuple[Any, Any, str]]:
    """Returns configurations to begin with, each with that of the training and the version of Keras."""
    found: list[tuple[Any, Any, str]] = [(_operations(), None, "2.15.0"), (_sequences(), None, "2.2.4")]
    for name in SEEDS:
        path = FIXTURES / "zoo" / name
        found.append(_in_hdf5(path) if name.endswith(".h5") else _in_archive(path))
    return found


def _in_hdf5(path: Path) -> tuple[Any, Any, str]:
    with h5py.File(path) as file:
        version = file.attrs["keras_version"]
        training = file.attrs.get("training_config")
        config = json.loads(file.attrs["model_config"])
    told = json.loads(training) if training is not None else None
    return config, told, version if isinstance(version, str) else version.decode()


def _in_archive(path: Path) -> tuple[Any, Any, str]:
    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read("config.json"))
        version = json.loads(archive.read("metadata.json"))["keras_version"]
    return config, config.get("compile_config"), version


def places(value: Any) -> list[tuple[Any, Any]]:
    """Returns every key or index of a value, with what holds it."""
    found, waiting = [], [value]
    while waiting:
        each = waiting.pop()
        keys: Any = each if isinstance(each, dict) else range(len(each)) if isinstance(each, list) else ()
        found += [(each, key) for key in keys]
        waiting += [each[key] for key in keys]
    return found


def case(seed: int, number: int) -> bytes:
    """Returns the case of that number: configuration, training and version as JSON."""
    rng = np.random.default_rng([seed, number, 7])
    known = seeds()
    config, training, version = copy.deepcopy(known[int(rng.integers(len(known)))])
    whole = [config, training, version]
    for _ in range(int(rng.integers(1, 5))):
        mutate(whole, rng)
    return json.dumps(whole).encode()


def mutate(whole: list[Any], rng: Rng) -> None:
    """Change one place of a configuration or of its training."""
    found = places(whole[1] if whole[1] and rng.random() < 0.2 else whole[0])
    if not found:
        whole[0] = copy.deepcopy(ODD[int(rng.integers(len(ODD)))])
        return
    holder, key = found[int(rng.integers(len(found)))]
    other, where = found[int(rng.integers(len(found)))]
    there = holder[key]
    match int(rng.integers(9)):
        case 0 | 1:
            holder[key] = copy.deepcopy(ODD[int(rng.integers(len(ODD)))])
        case 2:
            holder[key] = copy.deepcopy(other[where])
        case 3:
            del holder[key]
        case 4 if isinstance(holder, list):
            holder.insert(int(rng.integers(len(holder) + 1)), copy.deepcopy(other[where]))
        case 5:
            classes = [(each, name) for each, name in found if name == "class_name"]
            each, name = classes[int(rng.integers(len(classes)))] if classes else (holder, key)
            each[name] = CLASSES[int(rng.integers(len(CLASSES)))]
        case 6:
            names = [each for each, name in found if name == "function"]
            if names:
                names[int(rng.integers(len(names)))]["function"] = FUNCTIONS[int(rng.integers(len(FUNCTIONS)))]
        case 7:
            count = int(rng.choice([2, 3, 2000])) if len(json.dumps(there)) < 300 else 1
            holder[key] = [copy.deepcopy(there) for _ in range(count)]
        case _:
            for _ in range(int(rng.choice([1, 5, 60]))):
                there = {"class_name": "Sequential", "config": {"name": "s", "layers": [there]}}
            holder[key] = there


def run(seed: int, numbers: range) -> Summary:
    """Go through some cases of a seed."""
    summary = Summary()
    for number in numbers:
        *texts, version = map(json.dumps, json.loads(case(seed, number)))
        begin = time.process_time()
        try:
            config, training = (None if text == "null" else parse_object(text, "the configuration") for text in texts)
            found = upgrade(config, training, json.loads(version), SHAPES, Wishes())
            if not found.refused:
                json.dumps(found.config)
                read_architecture(found.config)
            refused = bool(found.refused)
            told = "".join(each.text for each in found.refused)
        except Refused as error:
            refused, told = True, str(error)
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            what = f"{type(error).__name__}: {error} in {Path(where.filename).name}:{where.lineno}"
            summary.fail("configurations", seed, number, what)
            continue
        finally:
            seconds = time.process_time() - begin
            summary.slowest = max(summary.slowest, seconds)
        summary.counts["refused" if refused else "accepted"] += 1
        if "\n" in told:
            summary.fail("configurations", seed, number, f"several lines: {told!r}")
        if seconds > LIMIT:
            summary.fail("configurations", seed, number, f"{seconds:.1f} seconds")
    return summary
