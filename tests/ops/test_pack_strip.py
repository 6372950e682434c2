"""`wtool pack --strip`: what `strip_pruning` of TensorFlow's toolkit makes of a model, made of its file."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import wtool
from tests.models import BLOBS, FIXTURES, config_of
from wtool.errors import Refused
from wtool.graphs.unwrapping import unwrapped

FILES = ("tree.h5", "tree.keras", "chain.keras")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a folder with models that tfmot wrapped, and the truth of each in an `.npz`."""
    folder = tmp_path_factory.mktemp("tfmot")
    safely: Any = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # since Python 3.10.12 and 3.11.4
    with tarfile.open(FIXTURES / "tfmot.tar.xz") as archive:
        archive.extractall(folder, **safely)
    return folder


def essence(entry: Any) -> Any:
    """Returns a configuration without what differs between formats: packages, and how layers were built."""
    if isinstance(entry, list):
        return [essence(each) for each in entry]
    if not isinstance(entry, dict):
        return entry
    beside = ("module", "registered_name", "build_config", "compile_config", "shared_object_id")
    return {key: essence(value) for key, value in entry.items() if key not in beside}


@pytest.mark.parametrize("compression", ["gzip", "none"])
@pytest.mark.parametrize("name", FILES)
def test_the_model_is_that_of_strip_pruning(name: str, compression: str, saved: Path, tmp_path: Path) -> None:
    model, out = saved / name, tmp_path / name
    (done,) = wtool.pack(model, strip=True, compression=compression, output=out)
    assert any("wrappers of pruning are left out" in note for note in done.notes)
    truth = np.load(model.with_suffix(".npz"))
    told = json.loads(str(truth["config"]))
    assert essence(config_of(out)) == essence({key: told[key] for key in ("class_name", "config")})
    named = {str(name).partition(":")[0]: truth[f"w{i}"] for i, name in enumerate(json.loads(str(truth["names"])))}
    with wtool.open_checkpoint(str(out)) as made:
        weights = [each for each in made.weights if each.role != "metric"]
        assert len(weights) == len(named)
        for each in weights:
            (value,) = (value for key, value in named.items() if f"inner/{key}" == each.path or key == each.path)
            assert made.read(each).tobytes() == value.tobytes()
    assert wtool.pack(model, strip=True, compression=compression, output=out)[0].skipped


@pytest.mark.parametrize("name", FILES)
def test_the_state_of_the_optimizer_stays(name: str, saved: Path, tmp_path: Path) -> None:
    wtool.pack(saved / name, strip=True, output=tmp_path / name)
    with wtool.open_checkpoint(str(saved / name)) as old, wtool.open_checkpoint(str(tmp_path / name)) as new:
        before, after = ({(each.slot.name, stem(each.slot.weight)): one.read(each).tobytes() for each in one.slots
                          if each.slot is not None} for one in (old, new))  # fmt: skip
    assert len(before) > 10
    assert before == after


def stem(path: str | None) -> str | None:
    return None if path is None else "/".join(part for part in path.split("/") if not part.startswith("prune_"))


def test_it_goes_with_the_other_words(saved: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.h5"
    wtool.pack(saved / "tree.h5", strip=True, drop_optimizer=True, dtype="float16", policy=True, output=out)
    with wtool.open_checkpoint(str(out)) as made:
        assert not made.slots
        wide = {each.layer_class for each in made.weights if each.dtype == "float32"}
        assert wide == {"BatchNormalization"}
    assert out.stat().st_size < 0.45 * (saved / "tree.h5").stat().st_size


def test_models_without_wrappers_and_weights_alone(tmp_path: Path, saved: Path) -> None:
    (done,) = wtool.pack(BLOBS[0], strip=True, output=tmp_path / "out.keras")
    assert "no layer is wrapped for pruning" in done.notes
    with pytest.raises(wtool.Refused, match="weights alone, without an architecture that --strip could change"):
        wtool.pack(FIXTURES / "zoo" / "k3.15.1" / "mlp.weights.h5", strip=True, output=tmp_path / "out.weights.h5")


def test_weights_that_are_not_held_at_zero_are_told(saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "tree.h5"
    path.write_bytes((saved / "tree.h5").read_bytes())
    with h5py.File(path, "r+") as file:
        group = file["model_weights/prune_low_magnitude_hidden"]
        group["hidden/kernel:0"][...] = 1
        zeros = int((group["prune_low_magnitude_hidden/mask:0"][...] == 0).sum())
    (done,) = wtool.pack(path, strip=True, output=tmp_path / "out.h5")
    told = (
        f"{zeros:,} weights are not zero where their masks are, and stay so: prune_low_magnitude_hidden/hidden/kernel"
    )
    assert told in done.notes


# --- configurations ---


def wrapper(name: str, inner: dict[str, Any]) -> dict[str, Any]:
    settings = {"name": name, "trainable": True, "layer": inner, "pruning_schedule": {}}
    return {"class_name": "PruneLowMagnitude", "config": settings}


def layer(class_name: str, name: str, **settings: Any) -> dict[str, Any]:
    return {"class_name": class_name, "config": {"name": name, "trainable": True, **settings}}


def test_wrappers_elsewhere_and_names_that_meet_are_refused() -> None:
    dense = layer("Dense", "a", units=2)
    inside = layer("TimeDistributed", "t", layer=wrapper("p", dense))
    config = {
        "class_name": "Sequential",
        "config": {"name": "m", "layers": [wrapper("q", layer("Dense", "b")), inside]},
    }
    with pytest.raises(Refused, match="t/p is inside a layer"):
        unwrapped(config, None, "2.13.1")
    layers = [wrapper("p", dense), layer("Dense", "a")]
    with pytest.raises(Refused, match="two layers would be called a"):
        unwrapped({"class_name": "Sequential", "config": {"name": "m", "layers": layers}}, None, "2.13.1")
    layers = [wrapper("p", layer("Dense", "q")), wrapper("q", dense)]
    with pytest.raises(Refused, match="called as the wrapper is: q"):
        unwrapped({"class_name": "Sequential", "config": {"name": "m", "layers": layers}}, None, "2.13.1")


def test_the_first_layer_gets_the_shape_of_the_input() -> None:
    first = wrapper("p", layer("Dense", "a"))
    first["config"]["batch_input_shape"] = [None, 3]
    found = unwrapped({"class_name": "Sequential", "config": {"name": "m", "layers": [first]}}, None, "2.2.4")
    assert found.config["config"]["layers"] == [layer("Dense", "a", batch_input_shape=[None, 3])]
    assert found.moved == {"p/a": "a"}


# --- Keras ---


@pytest.mark.tensorflow
@pytest.mark.parametrize("name", FILES)
def test_keras_without_the_toolkit_predicts_the_same(name: str, saved: Path, tmp_path: Path) -> None:
    keras = pytest.importorskip("tf_keras")
    wtool.pack(saved / name, strip=True, output=tmp_path / name)
    truth = np.load((saved / name).with_suffix(".npz"))
    loaded = keras.models.load_model(tmp_path / name)
    made = loaded(truth["x"])
    for number, each in enumerate(made if isinstance(made, list) else [made]):
        assert np.abs(np.asarray(each) - truth[f"y{number}"]).max() < 1e-6
    assert [each.tobytes() for each in loaded.get_weights()] == [
        truth[f"w{number}"].tobytes() for number in range(len(loaded.get_weights()))
    ]
    assert int(loaded.optimizer.iterations) == 3
