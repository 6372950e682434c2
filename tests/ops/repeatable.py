"""Calls of every operation whose record tells how to do it again, and the files that they need."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

import wtool
from tests.lineages import with_lineage
from tests.models import BLOBS, FIXTURES

ZOO = FIXTURES / "zoo"

CASES: list[tuple[str, Any, dict[str, Any]]] = [
    ("prune", "a.keras", {"sparsity": 0.5}),
    ("prune", "a.keras", {"sparsity": 0.5, "criterion": "magnitude-increase", "initial": "b.keras", "biases": True}),
    ("prune", "a.keras", {"sparsity": 0.5, "criterion": "random", "seed": 3, "exclude": ["out*"]}),
    ("prune", "a.keras", {"min_value": -0.1, "max_value": 0.1, "set_value": 2.0, "optimizer": "drop"}),
    ("prune", "a.keras", {"pattern": "2:4"}),
    ("prune", "a.keras", {"block": "2x2", "sparsity": 0.25, "weights": True, "include": ["hidden*"]}),
    ("stroke", "a.keras", {"volatility_ratio": 0.3, "low_bound": -2.0, "seed": 1, "cutoff": 2}),
    ("neuroplast", "a.keras", {"max_value": 0.3, "seed": 1, "optimizer": "keep"}),
    ("rewind", "pruned.keras", {"initial": "a.keras"}),
    ("jitter", "pruned.keras", {"initial": "a.keras", "sd": 0.5, "same_sign": False, "seed": 9}),
    ("randomize", "pruned.keras", {"initial": "a.keras", "keep_biases": True, "seed": 9}),
    ("reshuffle", "pruned.keras", {"initial": "a.keras", "optimizer": "reset", "seed": 9}),
    ("constant", "pruned.keras", {"initial": "a.keras", "value": 0.25, "seed": 9}),
    ("average", ["a.keras", "b.keras"], {}),
    ("average", ["b.keras", "a.keras"], {"linear": True, "order": "given", "optimizer": "drop"}),
    ("average", ["a.keras", "b.keras"], {"decay": 0.5, "include": ["hidden*"]}),
    ("average", ["a.keras", "b.keras"], {"alpha": 2.0, "bn": "newest"}),
    ("average", ["a.keras", "b.keras"], {"coefficients": [3.0, 1.0], "allow_nonfinite": True}),
    ("average", ["a.keras", "b.keras"], {"power": 3.0}),
    ("average", ["a.keras", "b.keras"], {"sigma_rel": 0.1}),
    ("merge", ["a.keras", "b.keras"], {"method": "linear", "weight": ["1,0.5"]}),
    (
        "merge",
        ["b.keras", "pruned.keras"],
        {"method": "ties", "base": "a.keras", "density": ["0.5"], "lambda_": ["0.7"]},
    ),
    ("merge", ["b.keras", "pruned.keras"], {"method": "della", "base": "a.keras", "density": ["0.5"], "seed": 4}),
    ("merge", "b.keras", {"method": "slerp", "base": "a.keras", "t": ["out*=1", "0:0.5"], "bn": "first"}),
    ("align", "a.keras", {"to": "b.keras", "restarts": 2, "iterations": 5, "lock": ["hidden"], "seed": 2}),
    ("swap", "a.keras", {"to": "linked", "layers": ["hidden*"], "fill": "initializer", "seed": 5}),
    ("swap", "a.keras", {"to": "autorot", "xmin_lim": 0.0, "xmax_lim": 1.0, "L": 1.5, "optimizer": "drop"}),
    ("shrink", "a.keras", {"sparsity": 0.5, "criterion": "l1", "scope": "global", "round_to": 2}),
    ("shrink", "a.keras", {"sparsity": 0.5, "criterion": "random", "seed": 8}),
    ("shrink", "pruned.keras", {}),
    ("shrink", "a.keras", {"like": "small.keras", "optimizer": "drop"}),
    ("pack", "a.keras", {}),
    ("pack", "a.keras", {"compression": "none", "optimizer": "drop"}),
    ("pack", "a.keras", {"dtype": "float16", "policy": True}),
    ("pack", "a.keras", {"quantize": "int8", "strip": True}),
    ("convert", "old.h5", {"optimizer": "drop"}),
    ("convert", "a.keras", {"to": "weights.json", "shard_size": "1000"}),
    ("convert", "a.keras", {"unzipped": True}),
    ("convert", "old.h5", {"rename": ["A=B"], "input_shape": "8"}),
    ("convert", "alone.h5", {"architecture": "architecture.json"}),
    ("convert", "custom.h5", {"optimizer": "drop", "attribute": ["ss=inner,stack/dense,stack/dense_1"]}),
    ("convert", "lambda.h5", {"replace": ["scale=Rescaling:scale=2.0,offset=[1,2]"]}),
    ("convert", "weights.safetensors", {"like": "a.keras", "map": "names.json"}),
    ("patch", "a.keras", {"set": ["head/bias=0.5", "out*/bias=@bias.npy"], "rename": ["hidden=head"]}),
    ("patch", "a.keras", {"source": "b.keras", "include": ["hidden/*"], "optimizer": "keep"}),
    ("patch", "a.keras", {"patch": "ab.wpatch"}),
    ("patch", "b.keras", {"patch": "ab.wpatch", "reverse": True}),
    ("ema", "ema.keras", {}),
    ("ema", "ema.keras", {"optimizer": "drop"}),
    ("ema", ["s1.keras", "s2.keras", "s3.keras"], {"sigma_rel": 0.12, "step": 60}),
]
"""Operation, models and options. Together they are all operations whose records tell how to do them again."""


def fill(folder: Path) -> None:
    """Makes the files that the cases name."""
    for name, source in {"a": BLOBS[0], "b": BLOBS[-1], "ema": ZOO / "k3.6.0" / "ema_adamw.keras"}.items():
        shutil.copy(source, folder / f"{name}.keras")
    wtool.prune(folder / "b.keras", sparsity=0.5, output=folder / "pruned.keras")
    wtool.shrink(folder / "b.keras", sparsity=0.3, output=folder / "small.keras")
    wtool.make_patch(folder / "a.keras", folder / "b.keras", output=folder / "ab.wpatch")
    wtool.convert(folder / "b.keras", output=folder / "weights.safetensors")
    names = {"hidden/kernel": "hidden/kernel"}
    (folder / "names.json").write_text(json.dumps(names))
    np.save(folder / "bias.npy", np.arange(3, dtype=np.float32))
    shutil.copy(ZOO / "tf2.10" / "mlp.h5", folder / "old.h5")
    shutil.copy(ZOO / "tf2.10" / "custom_layer.h5", folder / "custom.h5")
    shutil.copy(ZOO / "tf2.10" / "mlp_weights_only.h5", folder / "alone.h5")
    with h5py.File(folder / "old.h5", "r") as file:
        config = {**json.loads(file.attrs["model_config"]), "keras_version": "2.10.0", "backend": "tensorflow"}
    (folder / "architecture.json").write_text(json.dumps(config))
    shutil.copy(ZOO / "tf2.10" / "mlp.h5", folder / "lambda.h5")
    with h5py.File(folder / "lambda.h5", "r+") as file:
        config = json.loads(file.attrs["model_config"])
        code = {"function": ["4wEAAAA=", None, None], "function_type": "lambda"}
        config["config"]["layers"].append({"class_name": "Lambda", "config": {"name": "scale", **code}})
        file.attrs["model_config"] = json.dumps(config)
    for number, step in enumerate((20, 40, 60), 1):
        told = {"sigma_rel": 0.1, "exponent": 1.0, "step": step}
        record = {"operation": "power-ema", "parameters": told, "training": "a"}
        with_lineage(folder / f"s{number}.keras", [record], BLOBS[number])


def do(folder: Path, operation: str, models: Any, options: Mapping[str, Any], output: Path) -> Path:
    """Does a case, whose files are in a folder, and returns the path of the result."""
    ending = options.get("to", "keras")
    target = output / (
        "result" if options.get("unzipped") else f"result.{ending if operation == 'convert' else 'keras'}"
    )
    given = {name: _in(folder, name, value) for name, value in options.items()}
    paths = [folder / each for each in models] if isinstance(models, list) else folder / models
    getattr(wtool, operation)(paths, **given, output=target)
    return target


PATHS = ("architecture", "initial", "base", "to", "like", "map", "source", "patch")
"""Arguments that are paths, where the folder has a file of the name."""


def _in(folder: Path, name: str, value: Any) -> Any:
    if name in PATHS and isinstance(value, str) and (folder / value).exists():
        return folder / value
    if name == "set":
        return [each.replace("@", f"@{folder}/") for each in value]
    return value
