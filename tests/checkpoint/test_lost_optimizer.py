"""Models that lost their optimizer on the way through an `.h5` file, made by Keras; and models that lost nothing."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import wtool
from tests.models import BLOBS, ZOO
from wtool.checkpoint import opener
from wtool.checkpoint.model import Checkpoint
from wtool.training.checks import check_resume
from wtool.training.resume_options import Resume

LOST = ["lost.keras", "lost.h5", "entry.keras"]
MADE = ["fresh.keras", "trained.keras", "trained.h5", "plain.keras", "sgd.keras", *LOST]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models before and after training, and after an `.h5` file."""
    keras: Any = pytest.importorskip("keras")
    here = tmp_path_factory.mktemp("made")
    x, y = np.random.default_rng(1).random((2, 16, 4))

    def model(optimizer: Any) -> Any:
        new = keras.Sequential([keras.Input((4,)), keras.layers.Dense(6), keras.layers.Dense(4)])
        if optimizer is not None:
            new.compile(optimizer, "mean_squared_error")
        return new

    model(None).save(here / "plain.keras")
    model("adam").save(here / "fresh.keras")
    plain = model(keras.optimizers.SGD())  # has no slots that could be lost
    plain.fit(x, y, verbose=0)
    plain.save(here / "sgd.keras")
    trained = model("adam")
    trained.fit(x, y, epochs=3, batch_size=8, verbose=0)
    trained.save(here / "trained.keras")
    trained.save(here / "trained.h5")
    trained.save(here / "entry.keras")
    loaded = keras.models.load_model(here / "trained.h5")
    loaded.save(here / "lost.keras")
    loaded.save(here / "lost.h5")
    return here


@pytest.mark.tensorflow
@pytest.mark.slow
@pytest.mark.parametrize("name", MADE)
def test_a_lost_optimizer_is_told_with_its_cause(name: str, made: Path) -> None:
    found = wtool.inspect(made / name)
    told = [note for note in found["notes"] if "optimizer" in note]
    if name.startswith("lost"):
        assert len(told) == 1
        assert "only its step is stored (6); Keras 3 restores no optimizer from an .h5 file" in told[0]
        assert (found["optimizer"]["step"], found["optimizer"]["lost"]) == (None, True)
    elif name == "entry.keras":
        assert len(told) == 1
        assert "its configuration lost the optimizer whose state is stored (step 6)" in told[0]
        assert found["optimizer"]["step"] == 6
    else:
        assert told == []
        assert found["optimizer"] is None or not found["optimizer"]["lost"]
    assert any("Keras 3" in str(each) for each in wtool.check(made / name).findings) == bool(told)


@pytest.mark.tensorflow
@pytest.mark.slow
@pytest.mark.parametrize("name", LOST)
def test_resume_names_the_cause(name: str, made: Path, tmp_path: Path) -> None:
    np.savez(made / "data.npz", x=np.zeros((8, 4), "f4"), y=np.zeros((8, 4), "f4"))
    with pytest.raises(wtool.WtoolError, match=r"Keras 3 (restores no|takes it out)"):
        wtool.resume(made / name, data=str(made / "data.npz"), epochs=1, output=tmp_path / "out.keras")
    with pytest.raises(wtool.WtoolError, match=r"Keras 3 (restores no|takes it out).*--new-optimizer starts another"):
        check_resume(str(made / name), Resume(data=str(made / "data.npz"), epochs=1))  # before Keras loads the model
    check_resume(str(made / name), Resume(data=str(made / "data.npz"), epochs=1, new_optimizer="adam"))


def without_slots(target: Path, step: int) -> None:
    """A model of the zoo without its optimizer's slots, as Keras saves what it loaded from an `.h5` file."""
    weights = target.with_suffix(".h5")
    with zipfile.ZipFile(ZOO / "k3.15.1/mlp.keras") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    weights.write_bytes(members["model.weights.h5"])
    with h5py.File(weights, "r+") as file:
        kept = file["optimizer/vars"]
        for key in list(kept):
            if int(key) > 1:
                del kept[key]
        kept["0"][...] = step
    members["model.weights.h5"] = weights.read_bytes()
    with zipfile.ZipFile(target, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def test_only_steps_that_were_taken_are_lost(tmp_path: Path) -> None:
    for step in (0, 528):
        without_slots(tmp_path / "model.keras", step)
        found = wtool.inspect(tmp_path / "model.keras")
        assert found["optimizer"]["lost"] is (step > 0)
        assert any("(528)" in note for note in found["notes"]) is (step > 0)


def test_a_missing_entry_is_told(tmp_path: Path) -> None:
    with zipfile.ZipFile(ZOO / "k3.15.1/mlp.keras") as archive, zipfile.ZipFile(tmp_path / "m.keras", "w") as new:
        for name in archive.namelist():
            data = archive.read(name)
            if name == "config.json":
                config = json.loads(data)
                del config["compile_config"]["optimizer"]
                data = json.dumps(config).encode()
            new.writestr(name, data)
    assert any("lost the optimizer whose state" in note for note in wtool.inspect(tmp_path / "m.keras")["notes"])
    assert not any("lost the" in note for note in wtool.inspect(ZOO / "k3.15.1/mlp.keras")["notes"])


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="the system does not list open files")
def test_a_file_that_becomes_shorter_while_it_is_opened_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, noted = shutil.copy(BLOBS[0], tmp_path / "model.keras"), opener.noted

    def shortened(checkpoint: Checkpoint) -> Checkpoint:
        os.truncate(path, 100)
        return noted(checkpoint)

    monkeypatch.setattr(opener, "noted", shortened)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(wtool.Refused, match=r"model\.keras"):
        wtool.open_checkpoint(str(path))
    assert len(os.listdir("/proc/self/fd")) == before
