"""Models saved by the original packages: arpkeras 1.0.0 (TensorFlow 2.3) and linked_neurons 0.1.0 (Keras 2.1.6)."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import wtool
from tests.models import FIXTURES, Array, arrays
from wtool.schema.layers import LINKED, ORIGINALS, ROTATING, original

ROTATED = FIXTURES / "originals" / "arp_dense_tf23.h5"
LINKS = FIXTURES / "originals" / "lk_model_keras216.h5"
BOTH = pytest.mark.parametrize("path", [ROTATED, LINKS], ids=lambda path: path.stem)
NAMES = sorted(name for names in ORIGINALS.values() for name in names)


def stored() -> tuple[Array, Array]:
    """Inputs, and what arpkeras gave for them."""
    with np.load(f"{ROTATED}.npz") as file:
        return file["x"], file["y"]


def linked_by_formula(path: Path, x: Array) -> Array:
    """Dense, LKReLU, Dense, LKPReLU with slopes of zero, Dense."""
    held = arrays(path)

    def dense(name: str, x: Array) -> Array:
        (kernel,) = (each for key, each in held.items() if f"/{name}/" in key and "kernel" in key and "model" in key)
        (bias,) = (each for key, each in held.items() if f"/{name}/" in key and "bias" in key and "model" in key)
        return x @ kernel + bias

    def linked(x: Array) -> Array:
        return np.concatenate([np.maximum(x, 0), np.maximum(-x, 0)], axis=-1)

    return dense("out", linked(dense("d2", linked(dense("d1", x)))))


@BOTH
def test_they_are_read_as_layers_of_wtool(path: Path) -> None:
    found = wtool.inspect(path)
    assert not {tensor["role"] for tensor in found["tensors"]} & {"unknown"}
    assert "takes its place" in found["notes"][0]
    assert len(found["notes"]) == len(set(found["notes"]))
    checked = wtool.check(path)
    assert {finding.severity for finding in checked.findings} == {"note"}


@BOTH
def test_they_can_be_pruned(path: Path, tmp_path: Path) -> None:
    (done,) = wtool.prune(path, sparsity=0.5, output=tmp_path / "out.h5")
    assert done.selected == sum(each.size for key, each in arrays(path).items() if "model" in key and "kernel" in key)


def predicted(path: Path, x: Array) -> Array:
    from wtool.training.loading.load import load

    return np.asarray(load(str(path)).model(x))


@pytest.mark.tensorflow
def test_predictions_are_those_of_the_package() -> None:
    x, y = stored()
    assert predicted(ROTATED, x) == pytest.approx(y, abs=1e-6)


@pytest.mark.tensorflow
def test_predictions_are_those_of_the_formula() -> None:
    x = np.random.default_rng(0).normal(size=(6, 3)).astype("float32")
    assert predicted(LINKS, x) == pytest.approx(linked_by_formula(LINKS, x), abs=1e-5)


@pytest.mark.tensorflow
def test_they_are_evaluated_and_trained_on(tmp_path: Path) -> None:
    x, y = stored()
    np.savez(tmp_path / "data.npz", x=x, y=y)
    (result,) = wtool.evaluate(ROTATED, data=tmp_path / "data.npz", loss="mean_squared_error")
    assert result.metrics["loss"] == pytest.approx(0, abs=1e-10)
    keras = pytest.importorskip("keras")
    for path, inputs, outputs in ((ROTATED, x, 1 - y), (LINKS, np.ones((8, 3), "f4"), np.ones((8, 2), "f4"))):
        np.savez(tmp_path / "data.npz", x=inputs, y=outputs)
        target = tmp_path / f"{path.stem}.keras"
        compiled = {"loss": "mean_squared_error", "new_optimizer": "sgd"}  # Keras 3 does not take that of Keras 2.1.6
        wtool.resume(path, data=tmp_path / "data.npz", epochs=1, output=target, **compiled)
        loaded = keras.models.load_model(target)  # under wtool's names: it opens where wtool.layers is imported
        assert type(loaded.layers[-1 if path == ROTATED else 1]).__module__.startswith("wtool.layers")


@pytest.mark.tensorflow
def test_they_become_plain(tmp_path: Path) -> None:
    keras = pytest.importorskip("keras")
    from wtool.training.loading.load import load

    (done,) = wtool.swap(ROTATED, to="plain", output=tmp_path / "plain.h5")
    assert done.layers == {"auto_rot_dense": "AutoRotDense becomes plain"}
    x, _ = stored()
    plain = keras.models.load_model(tmp_path / "plain.h5", compile=False)
    assert [type(layer).__name__ for layer in plain.layers] == ["Dense"]
    kernel, bias = (
        arrays(ROTATED)[f"model_weights/auto_rot_dense/auto_rot_dense/{name}:0"] for name in ("kernel", "bias")
    )
    assert np.asarray(plain(x)) == pytest.approx(1 / (1 + np.exp(-(x @ kernel + bias))), abs=1e-6)
    with pytest.raises(wtool.WtoolError, match="not zero"):
        wtool.swap(LINKS, to="plain", output=tmp_path / "p.h5")
    wtool.swap(LINKS, to="plain", output=tmp_path / "p.h5", force=True)
    forced = load(str(tmp_path / "p.h5")).model  # Keras 3 does not take a mere list of layers
    assert [type(layer).__name__ for layer in forced.layers] == ["Dense", "Activation", "Dense", "Activation", "Dense"]
    assert forced.layers[2].kernel.shape == (4, 4)


def test_slopes_that_were_saved_are_read(tmp_path: Path) -> None:
    """Keras 2.3 tracked them: two layers called p_re_lu, each with an alpha."""
    path = tmp_path / "m.h5"
    shutil.copy(LINKS, path)
    slopes = {"p_re_lu_1": np.full(4, 0.25, "f4"), "p_re_lu_2": np.full(4, 0.5, "f4")}
    with h5py.File(path, "a") as file:
        group = file["model_weights/lkp"]
        names = [f"lkp/{name}/alpha:0".encode() for name in slopes]
        group.attrs["weight_names"] = np.array(names)
        for name, values in zip(names, slopes.values(), strict=True):
            group[name.decode()] = values
        del file["optimizer_weights"]
    found = {tensor["path"]: tensor["role"] for tensor in wtool.inspect(path)["tensors"]}
    assert {"lkp/alpha": "alpha", "lkp/linked_alpha": "linked_alpha"}.items() <= found.items()
    with wtool.open_checkpoint(path) as checkpoint:
        held = {tensor.path: checkpoint.read(tensor) for tensor in checkpoint.weights}
    assert np.array_equal(held["lkp/alpha"], slopes["p_re_lu_1"])
    assert np.array_equal(held["lkp/linked_alpha"], slopes["p_re_lu_2"])


def test_every_class_has_a_layer_of_wtool() -> None:
    assert {*LINKED, *(f"AutoRot{name}" for name in ROTATING)} >= set(NAMES)
    assert original("AutoRotDense", None, None) == "arpkeras"
    assert original("AutoRotDense", "ARPkeras.autorotating_dense", "AutoRotDense") == "arpkeras"
    assert original("AutoRotDense", "__main__", None) is None
    assert original("AutoRotDense", None, "mine>AutoRotDense") is None
    assert original("Dense", None, None) is original({}, None, None) is None


@pytest.mark.tensorflow
@pytest.mark.parametrize("name", NAMES)
def test_each_class_opens_under_its_bare_name(name: str, tmp_path: Path) -> None:
    """Against the same model under wtool's names, which is what Keras itself opens."""
    keras = pytest.importorskip("keras")
    layers = pytest.importorskip("wtool.layers")
    shape: tuple[int, ...] = (5,)
    made: Callable[..., Any] = getattr(layers, name)
    if "Conv" in name:
        rank = int(name[-2])
        shape, layer = (*([5] * rank), 2), made(3, 2, 0.0, 1.0, 4.0, activation="sigmoid", name="own")
    else:
        layer = made(3, 0.0, 1.0, 2.0, name="own") if name == "AutoRotDense" else made(name="own")
    model = keras.Sequential([keras.Input(shape), layer, keras.layers.Flatten(), keras.layers.Dense(2)])
    path = tmp_path / "m.h5"
    model.save(path)
    with h5py.File(path, "a") as file:
        config = file.attrs["model_config"].replace(f'"wtool>{name}"', f'"{name}"')
        assert '"wtool' not in config
        file.attrs["model_config"] = config
        (entry,) = (each for each in json.loads(config)["config"]["layers"] if each["class_name"] == name)
    x = np.random.default_rng(0).normal(size=(3, *shape)).astype("float32")
    assert entry
    assert predicted(path, x) == pytest.approx(np.asarray(model(x)), abs=1e-6)
    assert {finding.severity for finding in wtool.check(path).findings} == {"note"}
