"""Files of Keras 2.0, which still go round: written as its 2.0.4 writes them, and read by tf_keras as well."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import wtool

GATES = {"recurrent_activation": "hard_sigmoid", "unit_forget_bias": True, "implementation": 0, "unroll": False}
RECURRENT = {"units": 3, "activation": "tanh", "use_bias": True, "return_sequences": True, "go_backwards": False,
             "stateful": False, "dropout": 0.0, "recurrent_dropout": 0.0}  # fmt: skip


def entry(class_name: str, name: str, **config: Any) -> dict[str, Any]:
    return {"class_name": class_name, "config": {"name": name, "trainable": True, **config}}


def dense(name: str, units: int) -> dict[str, Any]:
    return entry("Dense", name, units=units, activation="linear", use_bias=True)


LSTM = entry("LSTM", "lstm_2", **RECURRENT, **GATES)
BOTH = entry("Bidirectional", "bidirectional_1", merge_mode="concat", layer=LSTM)
SEQUENCE: dict[str, tuple[dict[str, Any], dict[str, tuple[int, ...]]]] = {
    "embedding_1": (
        entry("Embedding", "embedding_1", batch_input_shape=[None, 5], dtype="int32", input_dim=11, output_dim=4,
              mask_zero=False, input_length=5, embeddings_initializer={"class_name": "Zeros", "config": {}}),
        {"embedding_1/embeddings": (11, 4)},
    ),
    "conv1d_1": (
        entry("Conv1D", "conv1d_1", filters=6, kernel_size=[3], strides=[1], padding="same", dilation_rate=[1],
              activation="relu", use_bias=True),
        {"conv1d_1/kernel": (3, 4, 6), "conv1d_1/bias": (6,)},
    ),
    "batch_normalization_1": (
        entry("BatchNormalization", "batch_normalization_1", axis=-1, momentum=0.99, epsilon=1e-3, center=True,
              scale=True),
        {f"batch_normalization_1/{name}": (6,) for name in ("gamma", "beta", "moving_mean", "moving_variance")},
    ),
    "lstm_1": (
        entry("LSTM", "lstm_1", **RECURRENT, **GATES),
        {"lstm_1/kernel": (6, 12), "lstm_1/recurrent_kernel": (3, 12), "lstm_1/bias": (12,)},
    ),
    "bidirectional_1": (
        BOTH,
        {f"bidirectional_1/{way}_lstm_2/{name}": shape for way in ("forward", "backward")
         for name, shape in (("kernel", (3, 12)), ("recurrent_kernel", (3, 12)), ("bias", (12,)))},
    ),
    "dropout_1": (entry("Dropout", "dropout_1", rate=0.5), {}),
    "time_distributed_1": (
        entry("TimeDistributed", "time_distributed_1", layer=dense("dense_1", 2)),
        {"time_distributed_1/kernel": (6, 2), "time_distributed_1/bias": (2,)},
    ),
}  # fmt: skip
PATHS = [
    "embedding_1/embeddings", "conv1d_1/kernel", "conv1d_1/bias",
    *(f"batch_normalization_1/{name}" for name in ("gamma", "beta", "moving_mean", "moving_variance")),
    *(f"lstm_1/lstm_cell/{name}" for name in ("kernel", "recurrent_kernel", "bias")),
    *(f"bidirectional_1/{way}_lstm_2/lstm_cell/{name}" for way in ("forward", "backward")
      for name in ("kernel", "recurrent_kernel", "bias")),
    "time_distributed_1/dense_1/kernel", "time_distributed_1/dense_1/bias",
]  # fmt: skip


def written(path: Path, backend: str, version: str = "2.0.4", integers: str = "int32") -> list[float]:
    """As `save_model` and `save_weights_to_hdf5_group` of Keras 2.0.4 do; the values, in the order of the file.

    Its Embedding has the dtype of what it takes, by which tf_keras would make float32 tensors integers.
    """
    tail = ":0" if backend == "tensorflow" else ""
    values = []
    with h5py.File(path, "w", libver="earliest") as file:
        config = {"class_name": "Sequential", "config": [layer for layer, _ in SEQUENCE.values()]}
        file.attrs["keras_version"], file.attrs["backend"] = version.encode(), backend.encode()
        file.attrs["model_config"] = json.dumps(config).replace('"int32"', f'"{integers}"').encode()
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [name.encode() for name in SEQUENCE]
        group.attrs["keras_version"], group.attrs["backend"] = version.encode(), backend.encode()
        for name, (_, weights) in SEQUENCE.items():
            layer = group.create_group(name)
            layer.attrs["weight_names"] = [f"{weight}{tail}".encode() for weight in weights]
            for weight, shape in weights.items():
                values.append(len(values) + 1.0)
                layer[f"{weight}{tail}"] = np.full(shape, values[-1], "f4")
    return values


@pytest.mark.parametrize("backend", ["tensorflow", "theano", "cntk"])
@pytest.mark.parametrize("version", ["2.0.0", "2.0.4", "2.0.5"])
def test_every_weight_has_its_name(tmp_path: Path, backend: str, version: str) -> None:
    values = written(tmp_path / "old.h5", backend, version)
    report = wtool.inspect(tmp_path / "old.h5")
    assert {each["path"]: each["mean"] for each in report["tensors"]} == dict(zip(PATHS, values, strict=True))
    assert report["notes"] == []


def test_it_can_be_pruned_and_averaged(tmp_path: Path) -> None:
    written(tmp_path / "old.h5", "tensorflow")
    wtool.prune(tmp_path / "old.h5", sparsity=0.5, output=tmp_path / "pruned.h5")
    wtool.average([tmp_path / "old.h5", tmp_path / "pruned.h5"], output=tmp_path / "average.h5")
    zeros = {each["path"]: each["zeros"] for each in wtool.inspect(tmp_path / "pruned.h5")["tensors"]}
    assert (zeros["conv1d_1/kernel"], zeros["lstm_1/lstm_cell/kernel"], zeros["embedding_1/embeddings"]) == (36, 36, 0)
    means = {each["path"]: each["mean"] for each in wtool.inspect(tmp_path / "average.h5")["tensors"]}
    assert means["conv1d_1/kernel"] == 1.5


@pytest.mark.tensorflow
def test_keras_2_loads_the_same(tmp_path: Path) -> None:
    keras = pytest.importorskip("tf_keras")
    values = written(tmp_path / "old.h5", "tensorflow", integers="float32")
    model = keras.models.load_model(tmp_path / "old.h5", compile=False)
    assert [float(np.mean(weight)) for layer in model.layers for weight in layer.get_weights()] == values
    wtool.prune(tmp_path / "old.h5", sparsity=0.5, output=tmp_path / "pruned.h5")
    again = keras.models.load_model(tmp_path / "pruned.h5", compile=False)
    assert int((again.get_layer("lstm_1").get_weights()[0] == 0).sum()) == 36
