"""What two models differ in: nothing where they are the same, and otherwise the one thing that was changed."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import wtool
from tests.models import BLOBS, FIXTURES, HOSTILE, ZOO, arrays, changed, noisy
from wtool.choices import CONVERSION_FORMATS
from wtool.errors import WtoolError
from wtool.run.difference import Diff, SettingDifference

ENDINGS = (".keras", ".h5", ".weights.json", ".safetensors")
SAVED = sorted(path for path in FIXTURES.rglob("*") if path.name.endswith(ENDINGS) and HOSTILE not in path.parents)
SAVED += [] if ZOO == FIXTURES / "zoo" else sorted(path for path in ZOO.rglob("*") if path.name.endswith(ENDINGS))
WHOLE = [path for path in SAVED if path.name.endswith((".keras", ".h5")) and not path.name.endswith(".weights.h5")]
MODEL, BN = BLOBS[0], FIXTURES / "bn" / "ckpt-9.keras"
ALONE = re.compile("weights alone in .*: architecture and training are not compared")


def name_of(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


@pytest.mark.parametrize("path", SAVED, ids=name_of)
def test_a_model_differs_from_itself_in_nothing(path: Path) -> None:
    found = wtool.diff(path, path)
    assert found.equal
    assert all(ALONE.fullmatch(note) for note in found.notes)
    assert all(each.has_same_bytes for each in (*found.tensors, *found.slots))


def converted(path: Path, folder: Path) -> list[Path]:
    """A model, and the results of its conversions to all formats that hold it."""
    made = [path]
    for wanted in CONVERSION_FORMATS:
        target = folder / f"model.{wanted}"
        try:
            wtool.convert(path, to=wanted, output=target)
        except WtoolError:
            continue
        made += [target] if target.exists() else []
    return made


UNALIKE = ("lora_int8.h5", "lora_int8.keras", "ckpt-10.keras", "ckpt-11.keras")
"""Quantised models with LoRA, which Keras rounds again, and others whose training configuration has no optimizer."""


@pytest.mark.parametrize("path", [path for path in WHOLE if path.name not in UNALIKE], ids=name_of)
def test_formats_and_versions_are_no_difference(path: Path, tmp_path: Path) -> None:
    made = converted(path, tmp_path)
    if path.name == "custom_layer.h5":  # that only an .h5 can hold without the author's words
        made = made[1:]
    for one in made:
        for other in made:
            found = wtool.diff(one, other)
            assert found.equal, (one.name, other.name, told(found))


def told(found: Diff) -> dict[str, Any]:
    """What differs, by the name of the attribute."""
    names = [each.name for each in fields(Diff)]
    parts = {name: getattr(found, name) for name in names if name not in ("models", "notes")}
    for name in ("tensors", "slots"):
        parts[name] = tuple(each.path for each in parts[name] if each.is_different)
    return {name: part for name, part in parts.items() if part}


def with_config(path: Path, target: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """A copy of a model with another `config.json`."""

    def text(old: str) -> str:
        config = json.loads(old)
        change(config)
        return json.dumps(config)

    return changed(path, target, lambda _, values: values, text)


def test_one_changed_value_is_told_alone(tmp_path: Path) -> None:
    def change(name: str, values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        if values.shape == (25, 3) and "optimizer" not in name:
            values[7, 2] += np.float32(0.5)
        return values

    found = wtool.diff(MODEL, changed(MODEL, tmp_path / "b.keras", change))
    assert told(found) == {"tensors": ("output/kernel",)}
    (values,) = [each.values for each in found.tensors if each.values is not None]
    assert (values.changed, values.beyond, values.where) == (1, 1, (7, 2))
    assert values.largest == pytest.approx(0.5, rel=1e-6)
    assert values.rms == pytest.approx(0.5 / np.sqrt(75), rel=1e-6)


def test_one_changed_slot_is_told_alone(tmp_path: Path) -> None:
    def change(name: str, values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return values * (1 + ("optimizer" in name and values.shape == (3,)))

    found = wtool.diff(MODEL, changed(MODEL, tmp_path / "b.keras", change))
    assert told(found) == {"slots": ("optimizer/momentum/output/bias",)}


LAYER = "config.layers[1].config"
SETTINGS: dict[str, tuple[Callable[[dict[str, Any]], object], dict[str, Any]]] = {
    "activation": (
        lambda config: config["config"]["layers"][1]["config"].update(activation="tanh"),
        {"settings": (SettingDifference("hidden", "activation", "relu", "tanh"),)},
    ),
    "a frozen layer": (
        lambda config: config["config"]["layers"][1]["config"].update(trainable=False),
        {"settings": (SettingDifference("hidden", "trainable", True, False),)},
    ),
    "the rate": (
        lambda config: config["compile_config"]["optimizer"]["config"].update(learning_rate=0.25),
        {"optimizer": (SettingDifference("", "optimizer.learning_rate", 0.009999999776482582, 0.25),)},
    ),
    "the loss": (
        lambda config: config["compile_config"].update(loss="mae"),
        {"training": (SettingDifference("", "loss", "categorical_crossentropy", "mean_absolute_error"),)},
    ),
    "one more layer": (
        lambda config: config["config"]["layers"].append(
            {"class_name": "Dropout", "module": "keras.layers", "config": {"name": "drop", "rate": 0.5}}
        ),
        {"layers_added": ("drop",)},
    ),
    "nothing but dates and modules": (lambda config: config.update(module="elsewhere", shared_object_id=7), {}),
}


@pytest.mark.parametrize("what", SETTINGS)
def test_one_changed_setting_is_told_alone(what: str, tmp_path: Path) -> None:
    change, wanted = SETTINGS[what]
    other = with_config(MODEL, tmp_path / "b.keras", change)
    assert told(wtool.diff(MODEL, other)) == wanted
    assert wtool.diff(other, MODEL).equal == (not wanted)


def test_another_order_of_layers_is_told_alone(tmp_path: Path) -> None:
    """Layers of a Sequential model run in the order of their list."""

    def with_layers(name: str, *classes: str) -> Path:
        added = [
            {"class_name": each, "module": "keras.layers", "config": {"name": each.lower(), "rate": 0.5}}
            for each in classes
        ]
        return with_config(MODEL, tmp_path / name, lambda config: config["config"]["layers"].extend(added))

    one = with_layers("a.keras", "Dropout", "GaussianDropout", "AlphaDropout")
    other = with_layers("b.keras", "AlphaDropout", "Dropout")
    found = wtool.diff(one, other)
    common = ["input_layer", "hidden", "output"]
    orders = [*common, "dropout", "alphadropout"], [*common, "alphadropout", "dropout"]
    assert told(found) == {
        "settings": (SettingDifference("", "order of layers", *orders),),
        "layers_removed": ("gaussiandropout",),
    }


def test_another_connection_is_told(tmp_path: Path) -> None:
    """The graph of a model is compared by the calls of its layers."""
    model = next(path for path in WHOLE if path.name == "nested_frozen.keras" and path.parent.name == "k3.15.1")

    def change(config: dict[str, Any]) -> None:
        layer = config["config"]["layers"][-1]
        layer["inbound_nodes"][0]["kwargs"] = {"training": True}

    found = wtool.diff(model, with_config(model, tmp_path / "b.keras", change))
    assert [each.key for each in found.settings] == ["inbound_nodes[0].kwargs.training"]


def test_other_automatic_names_are_matched_by_position(tmp_path: Path) -> None:
    def change(config: dict[str, Any]) -> None:
        for layer in config["config"]["layers"]:
            layer["config"]["name"] += "_7"

    found = wtool.diff(MODEL, with_config(MODEL, tmp_path / "b.keras", change))
    assert found.equal
    assert "names differ (hidden/kernel against hidden_7/kernel): matched by position" in found.notes
    assert found.tensors[0].other_path == "hidden_7/kernel"


def test_a_renamed_layer_is_told_alone_among_other_automatic_names(tmp_path: Path) -> None:
    def named(*names: str) -> Path:
        def change(config: dict[str, Any]) -> None:
            for layer, name in zip(config["config"]["layers"], names, strict=True):
                layer["config"]["name"] = name

        return with_config(MODEL, tmp_path / f"{names[1]}.keras", change)

    one, other = named("input_layer", "dense", "dense_1"), named("input_layer_4", "mine", "dense")
    found = wtool.diff(one, other)
    assert told(found) == {
        "layers_added": ("mine",),
        "layers_removed": ("dense",),
        "tensors_added": ("mine/kernel", "mine/bias"),
        "tensors_removed": ("dense/kernel", "dense/bias"),
        "slots_added": ("optimizer/momentum/mine/kernel", "optimizer/momentum/mine/bias"),
        "slots_removed": ("optimizer/momentum/dense/kernel", "optimizer/momentum/dense/bias"),
    }
    assert "names differ (dense_1/kernel against dense/kernel): matched by position" in found.notes


@pytest.mark.tensorflow
def test_an_added_layer_that_takes_the_name_of_another_is_told_alone(tmp_path: Path) -> None:
    import keras

    def saved(name: str, *units: int) -> Path:
        layers = [keras.layers.Dense(each, name=f"dense_{number}") for number, each in enumerate(units, 1)]
        model = keras.Sequential([keras.Input((4,)), *layers])
        model.compile(keras.optimizers.SGD(momentum=0.9), "mse")
        model.optimizer.build(model.trainable_variables)
        for layer in layers:
            layer.set_weights([np.ones(each.shape) for each in layer.weights])
        model.save(tmp_path / name)
        return tmp_path / name

    found = wtool.diff(saved("a.keras", 4, 5), saved("b.keras", 4, 4, 5))
    assert told(found) == {
        "layers_added": ("dense_2",),
        "tensors_added": ("dense_2/kernel", "dense_2/bias"),
        "slots_added": ("optimizer/momentum/dense_2/kernel", "optimizer/momentum/dense_2/bias"),
    }


def test_lineage_and_version_are_told_and_no_difference(tmp_path: Path) -> None:
    copy = tmp_path / "b.keras"
    with zipfile.ZipFile(MODEL) as old, zipfile.ZipFile(copy, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "metadata.json":
                told = {**json.loads(data), "keras_version": "3.9.9", "date_saved": "2031-01-01@00:00:00"}
                data = json.dumps({**told, "wtool_lineage": [{"operation": "prune"}]}).encode()
            new.writestr(name, data)
    found = wtool.diff(MODEL, copy)
    assert found.equal
    assert any(note.startswith("Keras versions: 3.") and note.endswith("and 3.9.9") for note in found.notes)
    assert f"lineage: {MODEL} has none; {copy} is the result of prune" in found.notes


def test_numbers_are_those_of_numpy_and_symmetric(tmp_path: Path) -> None:
    (other,) = noisy(BN, tmp_path, 1)
    there, back = wtool.diff(BN, other), wtool.diff(other, BN)
    stored, noise = arrays(BN), arrays(other)
    with wtool.open_checkpoint(str(BN)) as model:
        places = {tensor.path: tensor.stored for tensor in model.weights}
    assert len(there.tensors) == len(places)
    for one, two in zip(there.tensors, back.tensors, strict=True):
        a, b = (each[places[one.path]].astype(np.float64) for each in (stored, noise))
        assert one.values is not None
        assert two.values is not None
        assert one.values.changed == np.count_nonzero(a != b) == two.values.changed
        assert one.values.largest == np.abs(a - b).max() == two.values.largest
        assert one.values.where == np.unravel_index(np.abs(a - b).argmax(), a.shape) == two.values.where
        assert one.values.relative == pytest.approx(np.linalg.norm(a - b) / np.linalg.norm(a))
        assert one.values.sign_flips == np.count_nonzero(a * b < 0) == two.values.sign_flips
        assert two.values.zeros_gained == one.values.zeros_lost


def test_a_tensor_of_which_a_part_has_the_same_bytes_has_the_norms_of_all_of_it(tmp_path: Path) -> None:
    """Blocks with the same bytes are not calculated with; the norms of a changed tensor need them."""
    paths = [tmp_path / name for name in ("a.weights.h5", "b.weights.h5")]
    values = np.random.default_rng(0).normal(size=(1_200_000,)).astype(np.float32)
    for path in paths:
        with h5py.File(path, "w") as file:
            file.create_dataset("layers/dense/vars/0", data=values)
        values = values.copy()
        values[1_199_999] = 50.0
    found = wtool.diff(*paths).tensors[0].values
    assert found is not None
    gap = 50.0 - arrays(paths[0])["layers/dense/vars/0"][-1].astype(np.float64)
    norm = np.linalg.norm(arrays(paths[0])["layers/dense/vars/0"].astype(np.float64))
    assert (found.changed, found.where) == (1, (1_199_999,))
    assert found.relative == pytest.approx(gap / norm)
    assert 0.9 < found.cosine < 1


def test_tolerances_are_those_of_numpy(tmp_path: Path) -> None:
    (other,) = noisy(MODEL, tmp_path, 1)
    stored, noise = arrays(MODEL), arrays(other)
    with wtool.open_checkpoint(str(MODEL)) as model:
        places = {tensor.path: tensor.stored for tensor in model.weights}
    for rtol, atol in ((0.1, 0.0), (0.0, 0.05), (0.05, 0.02), (1e3, 1e3)):
        found = wtool.diff(MODEL, other, rtol=rtol, atol=atol)
        for each in found.tensors:
            a, b = (values[places[each.path]].astype(np.float64) for values in (stored, noise))
            assert each.values is not None
            assert each.values.beyond == np.count_nonzero(~np.isclose(a, b, rtol, atol))
        assert found.equal == (rtol == 1e3)


@pytest.mark.parametrize("tolerance", [-1.0, float("nan"), float("inf"), "x"])
def test_tolerances_are_numbers_from_zero_on(tolerance: Any) -> None:
    with pytest.raises(wtool.Usage, match="must be a number from 0 on"):
        wtool.diff(MODEL, MODEL, rtol=tolerance)


def test_other_shapes_and_dtypes_are_told(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.weights.h5", "b.weights.h5")]
    for path, shape, dtype in zip(paths, ((2, 3), (3, 2)), ("float32", "float16"), strict=True):
        with h5py.File(path, "w") as file:
            file.create_dataset("layers/dense/vars/0", data=np.ones(shape, np.float32))
            file.create_dataset("layers/dense/vars/1", data=np.arange(3).astype(dtype))
    found = wtool.diff(*paths)
    assert not found.equal
    shape, dtype = found.tensors
    assert (shape.shapes, shape.values) == (((2, 3), (3, 2)), None)
    assert dtype.dtypes == ("float32", "float16")
    assert dtype.values is not None
    assert dtype.values.changed == 0
    assert dtype.is_different


def test_damage_is_no_difference_but_refused(tmp_path: Path) -> None:
    """A bit that flipped in the weights of an archive is found by the archive's checksum."""
    data = bytearray(MODEL.read_bytes())
    kernel = arrays(MODEL)["layers/dense/vars/0"].tobytes()
    data[data.index(kernel)] ^= 1
    (tmp_path / "b.keras").write_bytes(data)
    with pytest.raises(wtool.Refused, match="checksum"):
        wtool.diff(MODEL, tmp_path / "b.keras")


H5DIFF = shutil.which("h5diff")


@pytest.mark.skipif(H5DIFF is None, reason="h5diff (hdf5-tools) is not installed")
@pytest.mark.parametrize("delta", [0.0, 0.05, 0.2])
def test_counts_are_those_of_h5diff(delta: float, tmp_path: Path) -> None:
    model = FIXTURES / "bn" / "ckpt-9.weights.h5"
    (other,) = noisy(model, tmp_path, 1)
    found = wtool.diff(model, other, atol=delta)
    with wtool.open_checkpoint(str(model)) as opened:
        places = {tensor.path: tensor.stored for tensor in opened.weights}
    for each in found.tensors:
        words = [str(H5DIFF), f"--delta={delta}", str(model), str(other), f"/{places[each.path]}"]
        done = subprocess.run(words, capture_output=True, text=True)
        counted = re.search(r"^(\d+) differences? found", done.stdout, re.MULTILINE)
        assert each.values is not None
        assert each.values.beyond == (int(counted[1]) if counted else 0)
        assert done.returncode == (each.values.beyond > 0)


@pytest.mark.parametrize("path", sorted(path for path in HOSTILE.iterdir() if path.suffix != ".md"), ids=name_of)
def test_files_from_strangers_are_compared_or_refused(path: Path) -> None:
    for pair in ((path, path), (MODEL, path), (path, MODEL)):
        with contextlib.suppress(WtoolError):  # and no other error
            assert isinstance(wtool.diff(*pair), Diff)


SIBLINGS = [
    ("k3.15.1/mixed_f16.h5", "k3.15.1/mixed_f16.keras"),
    ("k3.6.0/mixed_f16.h5", "k3.6.0/mixed_f16.weights.h5"),
    ("k3.15.1/mlp.h5", "k3.15.1/mlp.keras"),
    ("tf2.13/cnn.h5", "tf2.13/cnn.keras"),
    ("tf2.13/mlp.h5", "tf2.13/mlp.keras"),
    ("tf2.10/mlp.h5", "tf2.10/mlp_weights_only.h5"),
]


@pytest.mark.parametrize("pair", SIBLINGS, ids="-".join)
def test_what_keras_saved_in_two_formats_is_equal(pair: tuple[str, str]) -> None:
    one, other = (ZOO / name for name in pair)
    if not one.exists() or not other.exists():
        pytest.skip("needs the larger collection of models (WTOOL_ZOO)")
    found = wtool.diff(one, other)
    assert found.equal, told(found)


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("version", ["k3.0.5", "k3.15.1"])
def test_factors_of_lora_are_parts_of_their_kernels_where_the_other_format_merges_them(
    version: str, swapped: bool
) -> None:
    """Both files are of Keras, which rounded the sum of kernel and product in the same way."""
    pair = [FIXTURES / "zoo" / version / name for name in ("lora.h5", "lora.keras")]
    found = wtool.diff(*(reversed(pair) if swapped else pair))
    assert found.equal, told(found)
    words = f"{pair[0]} holds LoRA factors, which are compared as parts of their kernels: lora_dense"
    assert words in found.notes
    assert wtool.diff(pair[0], pair[0]).tensors[-1].has_same_bytes


def test_factors_of_quantised_kernels_are_told(tmp_path: Path) -> None:
    model = FIXTURES / "zoo" / "k3.15.1" / "lora_int8.keras"
    wtool.convert(model, to="h5", output=tmp_path / "model.h5")
    found = wtool.diff(model, tmp_path / "model.h5")
    assert not found.equal
    assert any("LoRA factors of quantised kernels" in note for note in found.notes)


def test_a_list_of_one_input_is_one_input_to_older_versions() -> None:
    one, other = (FIXTURES / "zoo" / version / "lora.keras" for version in ("k3.0.5", "k3.15.1"))
    assert wtool.diff(one, other).equal


@pytest.mark.parametrize(
    ("old", "new", "is_told"),
    [
        (1, [-1], False),
        (-1, [-1], False),
        (1, -1, False),
        (-1, 1, False),
        (0, -2, False),
        (0, -1, True),
        (2, -1, True),
        (-4, -1, True),
    ],
)
@pytest.mark.parametrize("version", ["3.9.9", None])
def test_an_axis_may_be_counted_from_the_last_in_another_version(
    version: str | None, old: int, new: Any, is_told: bool, tmp_path: Path
) -> None:
    def made(name: str, axis: Any) -> Path:
        def change(config: dict[str, Any]) -> None:
            layer = config["config"]["layers"][1]
            layer["build_config"] = {"input_shape": [None, 2]}
            layer["config"]["axis"] = axis

        return with_config(MODEL, tmp_path / name, change)

    one, other = made("a.keras", old), made("b.keras", new)
    other = other if version is None else of_version(other, version)
    found = wtool.diff(one, other)
    assert found.settings == ((SettingDifference("hidden", "axis", old, new),) if is_told or version is None else ())


def of_version(path: Path, version: str) -> Path:
    """A copy of a model that another version of Keras might have saved."""
    copy = path.with_suffix(".copy.keras")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(copy, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "metadata.json":
                data = json.dumps({**json.loads(data), "keras_version": version}).encode()
            new.writestr(name, data)
    return copy


def test_initializers_have_two_names(tmp_path: Path) -> None:
    def named(name: str) -> Path:
        def change(config: dict[str, Any]) -> None:
            initializer = {"module": "keras.initializers", "class_name": name, "config": {"gain": 1.0}}
            config["config"]["layers"][1]["config"]["kernel_initializer"] = initializer

        return with_config(MODEL, tmp_path / f"{name}.keras", change)

    assert wtool.diff(named("OrthogonalInitializer"), named("Orthogonal")).equal


@pytest.mark.parametrize(("version", "count"), [("3.9.9", 0), (None, 1)])
def test_settings_that_another_version_rounded_to_float32_are_equal(
    version: str | None, count: int, tmp_path: Path
) -> None:
    def change(config: dict[str, Any]) -> None:
        settings = config["compile_config"]["optimizer"]["config"]
        settings["momentum"] = float(np.float32(settings["momentum"]))

    other = with_config(MODEL, tmp_path / "b.keras", change)
    found = wtool.diff(MODEL, other if version is None else of_version(other, version))
    assert [each.key for each in found.optimizer] == ["optimizer.momentum"] * count


@pytest.mark.tensorflow
def test_keras_2_calls_the_input_of_a_sequential_model_otherwise(tmp_path: Path) -> None:
    import keras
    import tf_keras

    for module, name in ((tf_keras, "old.h5"), (keras, "new.keras")):
        layers = module.layers
        stack = [layers.Dense(4, name="one", kernel_initializer="ones"), layers.BatchNormalization(name="norm")]
        model = module.Sequential([layers.InputLayer((3,)), *stack], name="model")
        model.save(tmp_path / name)
    found = wtool.diff(tmp_path / "old.h5", tmp_path / "new.keras")
    assert found.equal, told(found)


def test_weights_in_the_older_layout_have_no_place_for_an_optimizer(tmp_path: Path) -> None:
    model = ZOO / "tf2.10" / "mlp.h5"
    found = wtool.diff(model, ZOO / "tf2.10" / "mlp_weights_only.h5")
    assert found.equal
    assert any("has no place for an optimizer: " in note for note in found.notes)
