"""What Keras 3.11 to 3.15 brought to files, as Keras itself writes it."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import wtool

pytestmark = pytest.mark.tensorflow


@pytest.fixture
def keras() -> Any:
    return pytest.importorskip("keras", minversion="3.15")


def values(path: Path) -> dict[str, float]:
    return {each["path"]: each["mean"] for each in wtool.inspect(path)["tensors"]}


def test_layers_in_nested_containers(keras: Any, tmp_path: Path) -> None:
    dense = keras.layers.Dense

    class Net(keras.Model):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.blocks = [[dense(4, name="p"), dense(4, name="q")], [dense(4, name="r")], {"a": [dense(4, name="s")]}]

        def call(self, x: Any) -> Any:
            for layer in (*self.blocks[0], *self.blocks[1], *self.blocks[2]["a"]):
                x = layer(x)
            return x

    model = Net()
    model(np.zeros((1, 4), "f4"))
    for number, variable in enumerate(model.weights):
        variable.assign(np.full(variable.shape, number, "f4"))
    model.save_weights(tmp_path / "net.weights.h5")
    names = [f"{layer}/{name}" for layer in "pqrs" for name in ("kernel", "bias")]
    assert values(tmp_path / "net.weights.h5") == {name: number for number, name in enumerate(names)}


@pytest.mark.parametrize("block_size", [128, 2, -1, None])
def test_blocks_of_four_bits(keras: Any, tmp_path: Path, block_size: int | None) -> None:
    layers = keras.layers
    model = keras.Sequential([
        keras.Input((5,)), layers.Embedding(9, 6, name="e"), layers.EinsumDense("abc,cd->abd", (None, 7), name="s"),
        layers.Dense(4, name="d"), layers.Dense(3, use_bias=False, name="n"),
    ])  # fmt: skip
    model.quantize("int4", config=keras.quantizers.Int4QuantizationConfig(block_size=block_size))
    live = {f"{layer.name}/{each.name}": each.numpy() for layer in model.layers for each in layer.weights}
    for name in ("m.keras", "m.h5", "m.weights.h5"):
        (model.save_weights if ".weights." in name else model.save)(tmp_path / name)
        found = {each["path"]: each for each in wtool.inspect(tmp_path / name)["tensors"]}
        assert found.keys() == live.keys()
        for path, array in live.items():
            assert found[path]["shape"] == list(array.shape)
            assert found[path]["sum"] == pytest.approx(float(array.astype("f8").sum()))


@pytest.mark.parametrize("functional", [True, False])
def test_a_lost_output_padding_is_told(keras: Any, tmp_path: Path, functional: bool) -> None:
    """Keras before 3.15 did not save it: such a file is one of today's without the setting."""
    layers = keras.layers
    parts = [
        layers.Conv2DTranspose(3, 4, strides=3, padding="same", output_padding=2, name="lost"),
        layers.Conv2D(2, 1),
        layers.Conv2DTranspose(3, 3, strides=2, padding="same", output_padding=1, name="same"),
        layers.Conv2D(2, 1),
        layers.Conv2DTranspose(3, 3, strides=2, padding="valid", name="plain"),
        layers.Conv2D(2, 1),
    ]
    start = keras.Input((5, 4, 2))
    model = keras.Sequential([start, *parts])
    if functional:
        end = start
        for part in parts:
            end = part(end)
        model = keras.Model(start, end)
    model.save(tmp_path / "new.keras")
    assert wtool.inspect(tmp_path / "new.keras")["notes"] == []
    with zipfile.ZipFile(tmp_path / "new.keras") as new, zipfile.ZipFile(tmp_path / "old.keras", "w") as old:
        for member in new.infolist():
            data = new.read(member)
            if member.filename == "config.json":
                config = json.loads(data)
                for layer in config["config"]["layers"]:
                    layer["config"].pop("output_padding", None)
                data = json.dumps(config).encode()
            old.writestr(member, data)
    again = keras.models.load_model(tmp_path / "old.keras")
    given = {layer.name: tuple(layer.output.shape) for layer in again.layers}
    assert given["lost"][1:3] == (15, 12) != tuple(parts[0].output.shape)[1:3] == (14, 11)
    (note,) = wtool.inspect(tmp_path / "old.keras")["notes"]
    assert note.startswith("layer lost gave ? x 14 x 11 x 3")


@pytest.mark.parametrize("packed", [False, True])
def test_ternary_layers(keras: Any, tmp_path: Path, packed: bool) -> None:
    """Layers of three values, as the source of Keras 3.16 saves them: kernel, bias and, once packed, the scale."""
    keras.Sequential([keras.Input((5,)), keras.layers.Dense(4, name="d")]).save(tmp_path / "dense.keras")
    kernel = np.full((1, 4), 7, "u1") if packed else np.full((5, 4), 2, "f4")
    arrays = [kernel, np.full(4, 3, "f4"), *([np.float32(0.5)] if packed else [])]
    with h5py.File(tmp_path / "w.h5", "w", libver="earliest") as file:
        file.create_group("vars")
        for number, array in enumerate(arrays):
            file[f"layers/ternary_dense/vars/{number}"] = array
    with zipfile.ZipFile(tmp_path / "dense.keras") as old, zipfile.ZipFile(tmp_path / "t.keras", "w") as new:
        config = json.loads(old.read("config.json"))
        (layer,) = (each for each in config["config"]["layers"] if each["class_name"] == "Dense")
        layer["class_name"], layer["config"]["threshold"] = "TernaryDense", None
        if packed:
            policy = {"mode": "ternary", "source_name": "float32"}
            layer["config"]["dtype"] = {"class_name": "QuantizedDTypePolicy", "module": "keras", "config": policy}
        new.writestr("metadata.json", old.read("metadata.json"))
        new.writestr("config.json", json.dumps(config))
        new.write(tmp_path / "w.h5", "model.weights.h5")
    with wtool.open_checkpoint(tmp_path / "t.keras") as checkpoint:
        found = {each.path: (each.dtype, each.role) for each in checkpoint.weights}
        assert not checkpoint.notes
    wanted = {"d/kernel": ("uint8" if packed else "float32", "kernel"), "d/bias": ("float32", "bias")}
    assert found == wanted | ({"d/kernel_scale": ("float32", "kernel_scale")} if packed else {})
