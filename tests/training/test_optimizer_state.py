"""The optimizer of a loaded model: the file's state, or a word about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import wtool

pytestmark = pytest.mark.tensorflow

X, Y = np.random.default_rng(3).random((24, 6)), np.random.default_rng(4).random((24, 2))
NONE = "the file has no state of its optimizer, which begins anew"


@pytest.fixture
def keras() -> Any:
    return pytest.importorskip("keras")


def trained(keras: Any) -> Any:
    layers = keras.layers
    model = keras.Sequential([keras.Input((6,)), layers.Dense(4, "relu", name="first"), layers.Dense(2, name="last")])
    model.compile(keras.optimizers.Adam(), "mean_squared_error")
    model.fit(X, Y, batch_size=8, verbose=0)
    return model


def slots(model: Any) -> dict[str, Any]:
    """The end of each variable's name -> values."""
    found = {each.path.rpartition("/")[2]: np.asarray(each) for each in model.optimizer.variables}
    return {name[max(name.find("first"), name.find("last"), 0) :]: value for name, value in found.items()}


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_layers_frozen_after_training_lose_no_step(suffix: str, keras: Any, tmp_path: Path) -> None:
    """Keras leaves out the state of a `.keras` file that has slots for more weights than the model trains."""
    from wtool.training.loading.load import load

    model = trained(keras)
    before = slots(model)
    model.layers[0].trainable = False
    model.save(tmp_path / f"frozen{suffix}")
    if suffix == ".keras":
        with pytest.warns(UserWarning, match="Skipping variable loading"):
            assert int(keras.models.load_model(tmp_path / f"frozen{suffix}").optimizer.iterations) == 0
    found = load(str(tmp_path / f"frozen{suffix}"))
    assert found.lost == ""
    assert any("wtool restored it" in note for note in found.notes) == (suffix == ".keras")
    after = slots(found.model)
    assert sorted(after) == [
        "iteration", "last_bias_momentum", "last_bias_velocity", "last_kernel_momentum", "last_kernel_velocity",
        "learning_rate",
    ]  # fmt: skip
    for name, value in after.items():
        assert np.array_equal(value, before[name]), name
    done = wtool.resume(
        tmp_path / f"frozen{suffix}", data=(X, Y), epochs=1, batch_size=8, output=tmp_path / "more.keras", seed=1
    )
    assert done.notes == found.notes
    assert wtool.inspect(tmp_path / "more.keras")["optimizer"]["step"] == 6


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_file_without_state_says_that_the_optimizer_begins_anew(suffix: str, keras: Any, tmp_path: Path) -> None:
    path = tmp_path / f"model{suffix}"
    trained(keras).save(path)
    wtool.prune(path, sparsity=0.5, optimizer="drop", output=tmp_path / f"pruned{suffix}")
    told = {}
    for name, options in {"pruned": {}, "new": {"new_optimizer": "adam"}, "model": {}}.items():
        model = tmp_path / f"{'pruned' if name == 'new' else name}{suffix}"
        target = tmp_path / f"{name}-more.keras"
        told[name] = wtool.resume(model, data=(X, Y), epochs=1, output=target, seed=1, **options).notes
    assert told == {"pruned": (NONE,), "new": (), "model": ()}


def test_a_state_without_a_step_is_told(keras: Any, tmp_path: Path) -> None:
    """RMSprop of Keras 2.0 stores its accumulators alone, and Keras 3 begins anew with a line in its log."""
    path = tmp_path / "old.h5"
    model = trained(keras)
    model.compile(keras.optimizers.RMSprop(), "mean_squared_error")
    model.fit(X, Y, batch_size=8, verbose=0)
    model.save(path)
    with h5py.File(path, "r+") as file:
        names = [name for name in file["optimizer_weights"].attrs["weight_names"] if name.endswith("velocity")]
        arrays = [np.asarray(file["optimizer_weights"][name]) for name in names]
        del file["optimizer_weights"]
        new = file.create_group("optimizer_weights")
        keys = [f"training/RMSprop/Variable{f'_{number}' if number else ''}:0" for number in range(len(arrays))]
        new.attrs["weight_names"] = [key.encode() for key in keys]
        for key, values in zip(keys, arrays, strict=True):
            new[key] = values
        for group in (file, file["model_weights"]):
            group.attrs["keras_version"] = "2.0.9"
    with wtool.open_checkpoint(path) as seen:
        kept = [tensor.path for tensor in seen.slots]
    weights = ("first/kernel", "first/bias", "last/kernel", "last/bias")
    assert kept == [f"optimizer/velocity/{weight}" for weight in weights]
    told = wtool.resume(path, data=(X, Y), epochs=1, batch_size=8, output=tmp_path / "more.keras", seed=1).notes
    assert [note for note in told if "a state of its optimizer without a step" in note] == list(told)
    assert len(told) == 1


def test_layers_thawed_after_training_are_told(keras: Any, tmp_path: Path) -> None:
    model = trained(keras)
    model.layers[0].trainable = False
    model.compile(keras.optimizers.Adam(), "mean_squared_error")
    model.fit(X, Y, batch_size=8, verbose=0)
    model.layers[0].trainable = True
    model.save(tmp_path / "thawed.keras")
    with pytest.raises(wtool.WtoolError, match="Keras does not restore its optimizer, which is at step 3"):
        wtool.resume(tmp_path / "thawed.keras", data=(X, Y), epochs=1, output=tmp_path / "more.keras")


def test_a_state_that_keras_does_not_save_is_told(keras: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained(keras).save(tmp_path / "model.h5")
    save = keras.Sequential.save
    monkeypatch.setattr(keras.Sequential, "save", lambda model, path: save(model, path, include_optimizer=False))
    done = wtool.resume(tmp_path / "model.h5", data=(X, Y), epochs=1, batch_size=8, output=tmp_path / "more.h5", seed=1)
    assert [note for note in done.notes if "does not save the state of its optimizer, which is at step 6" in note]
