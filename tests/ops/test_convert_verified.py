"""Converted models, run by Keras and compared with what the old model computed."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import wtool
from tests.models import ZOO
from tests.ops.test_convert import with_config
from wtool.errors import WtoolError

pytestmark = pytest.mark.tensorflow
keras = pytest.importorskip("keras")

MLP = ZOO / "tf2.10" / "mlp.h5"


def test_a_converted_model_predicts_what_its_own_keras_stored(tmp_path: Path) -> None:
    wtool.convert(MLP, output=tmp_path / "new.keras", optimizer="drop")
    model = keras.models.load_model(tmp_path / "new.keras")
    with np.load(MLP.with_suffix(".npz")) as told:
        np.testing.assert_allclose(model(told["x0"], training=False), told["y0"], rtol=1e-5, atol=1e-6)


def test_verify_runs_the_old_model_with_the_old_keras(tmp_path: Path) -> None:
    pytest.importorskip("tf_keras")
    (done,) = wtool.convert(MLP, output=tmp_path / "new.keras", optimizer="drop", verify=True)
    assert done.verified is not None
    assert done.verified.startswith("computes what tf_keras computed before")
    (again,) = wtool.convert(MLP, output=tmp_path / "new.keras", optimizer="drop", verify=True)
    assert (again.skipped, again.verified) == (True, done.verified)


def test_verify_without_the_old_keras_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from wtool.training import compare

    monkeypatch.setattr(compare, "find_spec", lambda name: None)
    shutil.copy(MLP, tmp_path / "mlp.h5")
    (done,) = wtool.convert(tmp_path / "mlp.h5", optimizer="drop", verify=True)
    assert done.verified == "runs, its outputs are finite"
    assert "the old model was not run: tf_keras is not installed" in done.notes


@pytest.mark.parametrize("is_right", [True, False])
def test_verify_without_the_old_keras_takes_the_stored_example(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_right: bool
) -> None:
    from wtool.training import compare

    monkeypatch.setattr(compare, "find_spec", lambda name: None)
    shutil.copy(MLP, tmp_path / "mlp.h5")
    with np.load(MLP.with_suffix(".npz")) as told:
        np.savez(tmp_path / "mlp.npz", x0=told["x0"], y0=told["y0"] + (0 if is_right else 0.01))
    if not is_right:
        with pytest.raises(WtoolError, match=r"was written and should compute the same, but differs by 0\.01"):
            wtool.convert(tmp_path / "mlp.h5", optimizer="drop", verify=True)
        return
    (done,) = wtool.convert(tmp_path / "mlp.h5", optimizer="drop", verify=True)
    assert done.verified is not None
    assert done.verified.startswith("computes what the stored example says (largest difference")


def test_verify_compares_two_models_of_keras_3(tmp_path: Path) -> None:
    model = ZOO / "k3.15.1" / "f64_model.h5"
    (done,) = wtool.convert(model, output=tmp_path / "new.keras", verify=True)
    assert done.verified is not None
    assert done.verified.startswith("computes what keras computed before (largest difference 0,")
    (weights,) = wtool.convert(model, output=tmp_path / "new.weights.h5", verify=True)
    assert "not verified: weights alone cannot be run" in weights.notes


def test_a_result_that_computes_something_else_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from wtool.training.compare import Comparison

    found = Comparison("tf_keras", 0.5, 1.0)
    monkeypatch.setattr("wtool.training.compare.compared", lambda *_: found)
    with pytest.raises(
        WtoolError, match=r"should compute the same, but differs by 0\.5 in outputs up to 1: do not use"
    ):
        wtool.convert(MLP, output=tmp_path / "new.keras", optimizer="drop", verify=True)


def test_a_result_that_keras_does_not_load_is_an_error_each_time(tmp_path: Path) -> None:
    how: dict[str, Any] = {"optimizer": "drop", "verify": True}
    for _ in range(2):  # the second time, the result is there already
        with pytest.raises(WtoolError, match=r"new.keras was written, but did not verify: Keras does not load new"):
            wtool.convert(misspelt(tmp_path), output=tmp_path / "new.keras", **how)
    assert (tmp_path / "new.keras").exists()


def test_of_several_results_those_that_keras_loads_are_verified(tmp_path: Path) -> None:
    how: dict[str, Any] = {"optimizer": "drop", "verify": True}
    with pytest.raises(wtool.SomeFailed) as raised:
        wtool.convert([misspelt(tmp_path), MLP], output=f"{tmp_path}/new/", **how)
    failed, done = raised.value.results
    assert "did not verify" in str(failed.error)
    assert done.verified is not None


def misspelt(folder: Path) -> Path:
    """A model whose layers have a setting that no Keras knows."""
    path = folder / "own.h5"
    shutil.copy(MLP, path)
    with h5py.File(path, "r+") as file:
        config = file.attrs["model_config"]
        text = config.decode() if isinstance(config, bytes) else config
        file.attrs["model_config"] = text.replace('"use_bias"', '"use_biass": true, "use_bias"')
    return path


def test_random_input_that_no_model_takes_tells_nothing_of_the_result(tmp_path: Path) -> None:
    layers = keras.layers
    keras.Sequential([keras.Input((None,)), layers.Reshape((3, 3))]).save(tmp_path / "old.h5")
    (done,) = wtool.convert(tmp_path / "old.h5", output=tmp_path / "new.keras", verify=True)
    (told,) = (note for note in done.notes if note.startswith("not verified"))
    assert "Keras does not run new.keras" in told
    assert "Keras does not run old.h5" in told


def test_values_that_are_no_numbers_are_alike(tmp_path: Path) -> None:
    start = keras.Input((5,))
    keras.Model(start, [keras.ops.log(start), keras.ops.sign(start) / keras.ops.relu(start)]).save(
        tmp_path / "old.keras"
    )
    (done,) = wtool.convert(tmp_path / "old.keras", output=tmp_path / "new", unzipped=True, verify=True)
    assert done.verified is not None
    assert done.verified.startswith("computes what keras computed before (largest difference 0,")


def without_axis(path: Path) -> Path:
    """An `.h5` of Keras 2 with a setting that Keras 3 does not know."""

    def change(config: dict[str, Any]) -> None:
        config["config"]["layers"][1]["config"]["groups"] = 1

    return with_config(path, change)


def test_loading_tells_of_the_conversion(tmp_path: Path) -> None:
    from wtool.training.loading.load import load

    path = without_axis(Path(shutil.copy(MLP, tmp_path / "old.h5")))
    with pytest.raises(WtoolError, match=f"cannot load it .*; `wtool convert {path}` makes a model that Keras 3 loads"):
        load(str(path))
    (done,) = wtool.swap(path, to="linked", verify=True)
    assert any(f"`wtool convert {path}` makes" in note for note in done.notes)
    with h5py.File(path, "r+") as file:
        file.attrs["keras_version"] = "3.9.0"
    with pytest.raises(WtoolError) as raised:
        load(str(path))
    assert "wtool convert" not in str(raised.value)


def test_a_model_of_texts_is_run_on_texts_and_keeps_its_vocabulary(tmp_path: Path) -> None:
    model = ZOO / "tf2.13" / "lookup_adapted.keras"
    (done,) = wtool.convert(model, output=tmp_path / "new.keras", verify=True)
    assert done.verified is not None
    with zipfile.ZipFile(model) as archive:
        (name,) = [each for each in archive.namelist() if each.endswith("vocabulary.txt")]
        words = archive.read(name).decode().split()
    layers = keras.models.load_model(tmp_path / "new.keras").layers
    (lookup,) = [each for each in layers if isinstance(each, keras.layers.StringLookup)]
    assert lookup.get_vocabulary() == words


def test_code_in_the_old_model_is_not_run_and_no_option_is_named_that_is_not_there(tmp_path: Path) -> None:
    old_keras = pytest.importorskip("tf_keras")
    layers = [old_keras.layers.Dense(2, input_shape=(3,)), old_keras.layers.Lambda(lambda x: x * 2, name="lam")]
    old_keras.Sequential(layers).save(tmp_path / "old.h5")
    how = {"replace": ["lam=Rescaling:scale=2"], "verify": True}
    (done,) = wtool.convert(tmp_path / "old.h5", output=tmp_path / "new.keras", **how)
    (told,) = (note for note in done.notes if note.startswith("the old model was not run"))
    assert told.endswith("which --verify does not do")
