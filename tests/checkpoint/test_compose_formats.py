"""Models composed as `.h5`, as shards and in another container, against what Keras itself wrote of the same models."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from tests.checkpoint.composing import composed, slots_of
from tests.models import arrays, hdf5_bytes
from tests.real_models import saved_files
from wtool.checkpoint.composition import Composition
from wtool.checkpoint.layouts.shards_compose import in_shards
from wtool.checkpoint.model import Checkpoint
from wtool.checkpoint.opener import open_checkpoint
from wtool.errors import Refused

UNKNOWN = ("custom_layer", "subclassed_model")
"""Models with classes of their own, whose order of variables only their code tells."""


def pairs() -> list[Any]:
    """Archives of Keras 3 with the `.h5` of the same model."""
    found = []
    for saved in saved_files():
        other = saved.path.with_suffix(".h5")
        told = saved.model not in (*UNKNOWN, "lora", "lora_int8", "quant_float8")
        if told and not saved.keras2 and saved.path.suffix == ".keras" and other.exists():
            found.append(pytest.param(saved.path, other, id=str(saved)))
    return found


def named(*names: str) -> list[Any]:
    """Archives of Keras 3, by version and name."""
    return [pytest.param(each.path, id=str(each)) for each in saved_files() if str(each) in names]


def as_composition(base: Checkpoint, kind: str, **more: Any) -> Composition:
    """A model as it is, in another format."""
    variables = {tensor.path: tensor for tensor in base.weights}
    return Composition(kind, base.config, base.keras_version, variables, slots_of(base), **more)


def listed(group: h5py.Group, name: str) -> list[str]:
    """A list of names in an attribute, or in several."""
    found = group.attrs.get(name, [])
    for number in range(1000):
        found = [*found, *group.attrs.get(f"{name}{number}", [])]
    return [each.decode() if isinstance(each, bytes) else str(each) for each in found]


def in_order(path: Path, group: str) -> list[np.ndarray[Any, Any]]:
    """The arrays that a group of an `.h5` lists, in order; values that Keras stored as mere bytes as bfloat16."""
    import ml_dtypes

    with h5py.File(path) as file:
        if group not in file:
            return []
        values = [np.asarray(file[f"{group}/{name}"]) for name in listed(file[group], "weight_names")]
    return [each.view(ml_dtypes.bfloat16) if each.dtype.kind == "V" else each for each in values]


def layers_of(path: Path) -> list[str]:
    with h5py.File(path) as file:
        return [*listed(file["model_weights"], "layer_names"), "top_level_model_weights"]


@pytest.mark.parametrize(("archive", "kerass"), pairs())
def test_an_h5_lists_weights_in_the_order_of_keras(archive: Path, kerass: Path, tmp_path: Path) -> None:
    with open_checkpoint(str(archive)) as base, open_checkpoint(str(kerass)) as like:
        training = like.contents.optimizer and {
            "optimizer_config": {
                "class_name": like.contents.optimizer.class_name,
                "config": dict(like.contents.optimizer.config),
            }
        }
        made = composed(base, as_composition(base, "h5", training=training), tmp_path / "made.h5")
    assert layers_of(made) == layers_of(kerass)
    for group in (*(f"model_weights/{name}" for name in layers_of(kerass)), "optimizer_weights"):
        wanted, found = in_order(kerass, group), in_order(made, group)
        assert len(wanted) == len(found), group
        for one, other in zip(wanted, found, strict=True):
            assert other.dtype == ("float32" if one.dtype == "bfloat16" else one.dtype)
            assert np.array_equal(one.astype("float64"), other.astype("float64")), group
    with open_checkpoint(str(made)) as again, open_checkpoint(str(archive)) as base:
        assert [each.path for each in again.weights] == [each.path for each in base.weights]
        assert [each.slot for each in again.slots] == [slot for slot, _ in slots_of(base).get("optimizer", [])]


@pytest.mark.parametrize("path", named("k3.15.1/lora.keras", "k3.15.1/lora_int8.keras"))
def test_factors_that_an_archive_holds_merged_are_zero_in_an_h5(path: Path, tmp_path: Path) -> None:
    with open_checkpoint(str(path)) as base:
        made = composed(base, as_composition(base, "h5"), tmp_path / "made.h5")
        old = {tensor.path: base.read(tensor) for tensor in base.weights}
    with open_checkpoint(str(made)) as again:
        new = {tensor.path: again.read(tensor) for tensor in again.weights}
    factors = {name for name in new if "lora" in name.rpartition("/")[2]}
    assert factors
    assert all(not new[name].any() for name in factors)
    assert all(np.array_equal(new[name], values) for name, values in old.items())
    assert new.keys() == factors | old.keys()


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("subclassed_model", "an .h5 needs the order of its layers"),
        ("custom_layer", "an .h5 needs their order"),
        ("quant_float8", "float8 scales, which Keras cannot load again"),
    ],
)
def test_what_an_h5_cannot_hold_is_refused(model: str, reason: str, tmp_path: Path) -> None:
    archives = (each.path for each in saved_files() if str(each) == f"k3.15.1/{model}.keras")
    path = next(archives, None)
    if path is None:
        pytest.skip("the collection has no such model")
    with open_checkpoint(str(path)) as base, pytest.raises(Refused, match=reason):
        composed(base, as_composition(base, "h5"), tmp_path / "made.h5")


@pytest.fixture
def mlp() -> Iterator[Checkpoint]:
    """A model of Keras 3 with an optimizer."""
    path = next(each.path for each in saved_files() if str(each) == "k3.15.1/mlp.keras")
    with open_checkpoint(str(path)) as base:
        yield base


def test_long_lists_of_names_are_cut(mlp: Checkpoint, tmp_path: Path) -> None:
    assert mlp.config is not None
    text = json.dumps(mlp.config)
    for name in ("fc1", "bn1", "drop", "fc2", "head"):
        text = text.replace(f'"{name}"', json.dumps(name * 8_000))
    variables = {}
    for tensor in mlp.weights:
        layer, _, name = tensor.path.rpartition("/")
        variables[f"{layer * 8_000}/{name}"] = tensor
    composition = Composition("h5", json.loads(text), "3.15.1", variables)
    made = composed(mlp, composition, tmp_path / "made.h5")
    with h5py.File(made) as file:
        assert "layer_names1" in file["model_weights"].attrs
        assert "layer_names" not in file["model_weights"].attrs
    assert layers_of(made)[0] == "fc1" * 8_000
    with open_checkpoint(str(made)) as again:
        assert {each.path for each in again.weights} == set(variables)


def test_short_names_of_losses_become_long_ones(mlp: Checkpoint, tmp_path: Path) -> None:
    training = {"optimizer_config": {"class_name": "SGD", "config": {}}, "loss": {"head": "mse"},
                "metrics": [["MAE", "accuracy"]], "weighted_metrics": None}  # fmt: skip
    composition = replace(as_composition(mlp, "h5", training=training), slots={})
    made = composed(mlp, composition, tmp_path / "made.h5")
    with h5py.File(made) as file:
        told = json.loads(file.attrs["training_config"])
    assert told["loss"] == {"head": "mean_squared_error"}
    assert told["metrics"] == [["mean_absolute_error", "accuracy"]]
    assert told["loss_weights"] is None


@pytest.mark.parametrize("most", [None, 10_000, 1_000, 768])
def test_shards_hold_all_arrays_once(mlp: Checkpoint, tmp_path: Path, most: int | None) -> None:
    made = composed(mlp, as_composition(mlp, "weights.json", shard_size=most), tmp_path / "m.weights.json")
    told = json.loads(made.read_text())
    shards = sorted(tmp_path.glob("m_*.weights.h5"))
    found: dict[str, np.ndarray[Any, Any]] = {}
    for shard in shards:
        own = arrays(shard)
        assert not own.keys() & found.keys()
        assert most is None or sum(each.nbytes for each in own.values()) <= most
        for name in own:
            assert shard.name in np.ravel(told["weight_map"][f"/{name.rpartition('/')[0]}"])
        found |= own
    wanted = arrays(Path(mlp.name))
    assert wanted.keys() == found.keys()
    assert all(np.array_equal(values, found[name]) for name, values in wanted.items())
    assert told["metadata"]["total_size"] == sum(each.nbytes for each in wanted.values())
    assert len(shards) == (1 if most in (None, 10_000) else len(shards))
    names = [name for each in told["weight_map"].values() for name in np.ravel(each)]
    assert list(dict.fromkeys(names)) == [shard.name for shard in shards]


def test_an_array_larger_than_a_shard_is_refused(mlp: Checkpoint, tmp_path: Path) -> None:
    composition = as_composition(mlp, "weights.json", shard_size=767)
    with pytest.raises(Refused, match=r"layers/dense_1/vars/0 has 768 bytes, more than a shard may have \(767\)"):
        composed(mlp, composition, tmp_path / "m.weights.json")
    assert not list(tmp_path.iterdir())


def test_a_model_without_variables_has_one_shard(mlp: Checkpoint, tmp_path: Path) -> None:
    flat = {"module": "keras.layers", "class_name": "Flatten", "config": {"name": "flat"}, "registered_name": None}
    config = {"module": "keras", "class_name": "Sequential", "config": {"name": "empty", "layers": [flat]}}
    composition = Composition("weights.json", config, "3.15.1", {})
    made = composed(mlp, composition, tmp_path / "m.weights.json")
    assert json.loads(made.read_text())["weight_map"] == {"/vars": "m_00000.weights.h5"}
    with open_checkpoint(str(made)) as again:
        assert again.weights == ()


def test_weights_alone_keep_groups_and_names(mlp: Checkpoint, tmp_path: Path) -> None:
    one = composed(mlp, as_composition(mlp, "weights.h5"), tmp_path / "one.weights.h5")
    with open_checkpoint(str(one)) as base:
        assert base.config is None
        two = composed(base, as_composition(base, "weights.json", shard_size=900), tmp_path / "two.weights.json")
    with open_checkpoint(str(two)) as base:
        three = composed(base, as_composition(base, "weights.h5"), tmp_path / "three.weights.h5")
    wanted, found = arrays(one), arrays(three)
    assert list(wanted) == list(found)
    assert all(np.array_equal(values, found[name]) for name, values in wanted.items())
    with h5py.File(one) as old, h5py.File(three) as new:
        assert old["layers/dense/vars"].attrs["name"] == new["layers/dense/vars"].attrs["name"] == "fc1"
    with open_checkpoint(str(three)) as base, pytest.raises(Refused, match="needs one"):
        composed(base, as_composition(base, "keras"), tmp_path / "four.keras")


def test_weights_of_an_archive_keep_their_bytes(mlp: Checkpoint, tmp_path: Path) -> None:
    made = composed(mlp, as_composition(mlp, "weights.h5"), tmp_path / "made.weights.h5")
    old, new = hdf5_bytes(Path(mlp.name)), made.read_bytes()
    different = [at for at, (one, other) in enumerate(zip(old, new, strict=False)) if one != other]
    assert len(different) <= 16  # the addresses of the end and of the root group
    assert max(different) < 96
    with open_checkpoint(str(made)) as again:
        assert again.lineage[-1].operation == "convert"


def test_an_archive_of_weights_and_an_architecture_keeps_their_bytes(mlp: Checkpoint, tmp_path: Path) -> None:
    weights = Path(mlp.name).with_suffix("").with_name("mlp.weights.h5")
    with open_checkpoint(str(weights)) as base:
        told = replace(base, config=mlp.config, keras_version="3.15.1")
        made = composed(told, as_composition(told, "keras"), tmp_path / "made.keras")
    with zipfile.ZipFile(made) as archive:
        assert archive.testzip() is None
        assert archive.read("model.weights.h5") == weights.read_bytes()
        assert json.loads(archive.read("config.json")) == mlp.config


def test_shards_are_outlined_in_order(mlp: Checkpoint) -> None:
    from wtool.checkpoint.layouts.keras3_compose import outline_of

    whole = outline_of(mlp, as_composition(mlp, "weights.json"))
    shards = in_shards(whole, 1_000)
    assert [path for shard in shards for path in shard.meanings] == list(whole.meanings)
    assert [path for shard in shards for path in shard.skeleton.rooms] == list(whole.skeleton.rooms)
