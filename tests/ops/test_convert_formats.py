"""Models of Keras 3 in one format after the other: bytes, values, notes, and folders as results."""

from __future__ import annotations

import io
import json
import os
import shutil
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import wtool
from tests.models import ZOO, arrays
from tests.ops.test_convert import ODD, places
from wtool.checkpoint.seal import is_sealed
from wtool.errors import WtoolError

MLP, TEXT = ZOO / "k3.15.1" / "mlp.keras", ZOO / "k3.15.1" / "text_assets.keras"
OLDER = ZOO / "k3.6.0" / "ema_adamw.keras"


def converted(model: Path, **how: object) -> Path:
    """The result of a conversion."""
    (done,) = wtool.convert(model, **how)  # type: ignore[arg-type]
    assert done.output is not None
    return Path(done.output)


def members(archive: Path) -> dict[str, bytes]:
    """The files of an archive, or of an unzipped model, without the one that holds the lineage."""
    if archive.is_dir():
        found = {
            each.relative_to(archive).as_posix(): each.read_bytes() for each in archive.rglob("*") if each.is_file()
        }
    else:
        with zipfile.ZipFile(archive) as file:
            assert file.testzip() is None
            found = {name: file.read(name) for name in file.namelist()}
    json.loads(found.pop("metadata.json"))
    return found


@pytest.mark.parametrize("model", [MLP, TEXT, OLDER], ids=lambda model: model.stem)
def test_an_archive_comes_back_from_a_folder_to_the_byte(model: Path, tmp_path: Path) -> None:
    folder = converted(model, unzipped=True, output=tmp_path / "folder")
    assert members(folder) == members(model)
    again = converted(folder, output=tmp_path / "again.keras")
    assert members(again) == members(model)
    with wtool.open_checkpoint(str(model)) as one, wtool.open_checkpoint(str(again)) as other:
        assert one.keras_version == other.keras_version
        assert [each.operation for each in other.lineage] == ["convert", "convert"]
        assert is_sealed(other)


def test_weights_come_back_with_an_architecture(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(members(MLP)["config.json"])
    weights = converted(MLP, output=tmp_path / "m.weights.h5")
    again = converted(weights, output=tmp_path / "m.keras", architecture=tmp_path / "config.json")
    old, new = members(MLP), members(again)
    assert json.loads(old["config.json"]) == json.loads(new["config.json"])
    size = len(old["model.weights.h5"])
    assert new["model.weights.h5"][96:size] == old["model.weights.h5"][96:]  # the superblock has the file's size
    with h5py.File(io.BytesIO(new["model.weights.h5"])) as file:
        assert file["layers/dense/vars/0"].shape == (8, 16)


def test_a_compressed_archive_becomes_a_folder(tmp_path: Path) -> None:
    packed = tmp_path / "packed.keras"
    with zipfile.ZipFile(TEXT) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    assert members(converted(packed, unzipped=True, output=tmp_path / "folder")) == members(TEXT)


def test_a_folder_that_is_there_is_skipped_replaced_or_refused(tmp_path: Path) -> None:
    folder = converted(MLP, unzipped=True, output=tmp_path / "folder")
    with wtool.open_checkpoint(str(folder)) as made:
        assert is_sealed(made)
    stamp = (folder / "model.weights.h5").stat()
    (again,) = wtool.convert(MLP, unzipped=True, output=folder)
    assert again.skipped
    with pytest.raises(WtoolError, match="exists already"):
        wtool.convert(MLP, unzipped=True, output=folder, optimizer="drop")
    wtool.convert(MLP, unzipped=True, output=folder, optimizer="drop", force=True)
    assert (folder / "model.weights.h5").stat().st_ino != stamp.st_ino
    with (folder / "model.weights.h5").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\xff")
    with pytest.raises(WtoolError, match="exists already"):  # its seal is broken
        wtool.convert(MLP, unzipped=True, output=folder, optimizer="drop")
    assert sorted(os.listdir(tmp_path)) == ["folder"]


@pytest.mark.parametrize("kind", ["more", "other", "file"])
def test_a_folder_that_is_no_unzipped_model_stays(kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    if kind == "more":
        converted(MLP, unzipped=True, output=folder)
        (folder / "notes.txt").write_text("mine")
    elif kind == "file":
        folder.write_text("mine")
    else:
        folder.mkdir()
        (folder / "notes.txt").write_text("mine")
        folder = folder / "mlp"
        folder.mkdir()
        (folder / "notes.txt").write_text("mine")
    before = sorted(each.relative_to(tmp_path).as_posix() for each in tmp_path.rglob("*"))
    message = {"more": "holds 'notes.txt' besides an unzipped model", "other": "is no unzipped model"}
    with pytest.raises(WtoolError, match=message.get(kind, "is a file, which no folder replaces")):
        wtool.convert(MLP, unzipped=True, output=tmp_path / "folder", force=True, optimizer="drop")
    assert sorted(each.relative_to(tmp_path).as_posix() for each in tmp_path.rglob("*")) == before


def test_default_names_of_folders(tmp_path: Path) -> None:
    model = Path(shutil.copy(MLP, tmp_path))
    assert converted(model, unzipped=True) == tmp_path / "mlp"
    assert converted(tmp_path / "mlp", unzipped=True, optimizer="drop") == tmp_path / "mlp-converted"
    assert converted(tmp_path / "mlp", optimizer="drop") == tmp_path / "mlp-converted.keras"
    (nothing,) = wtool.convert(tmp_path / "mlp", unzipped=True)
    assert not nothing.is_new


def test_a_folder_of_models_becomes_one_of_folders(tmp_path: Path) -> None:
    (tmp_path / "zoo" / "deep").mkdir(parents=True)
    shutil.copy(MLP, tmp_path / "zoo")
    shutil.copy(TEXT, tmp_path / "zoo" / "deep")
    wtool.convert(tmp_path / "zoo", unzipped=True, output=tmp_path / "new", jobs=2)
    assert members(tmp_path / "new" / "mlp") == members(MLP)
    assert members(tmp_path / "new" / "deep" / "text_assets") == members(TEXT)


def test_what_is_left_out_is_told(tmp_path: Path) -> None:
    def notes(model: Path, output: str) -> set[str]:
        (done,) = wtool.convert(model, output=tmp_path / output)
        return {note.partition(":")[0].partition(";")[0] for note in done.notes}

    assert notes(MLP, "a.weights.h5") == {
        "weights.h5 holds weights alone", "weights.h5 does not tell how a model was compiled",
    }  # fmt: skip
    assert notes(TEXT, "b.weights.json") == {"weights.json holds weights alone", "weights.json has no place for files"}
    assert notes(MLP, "d.h5") == {"Keras 3 does not load the state of an optimizer from an .h5"}


def test_an_optimizer_told_by_its_name_alone(tmp_path: Path) -> None:
    config = json.loads(members(MLP)["config.json"])
    config["compile_config"]["optimizer"] = "adam"
    with zipfile.ZipFile(MLP) as old, zipfile.ZipFile(tmp_path / "named.keras", "w") as new:
        for name in old.namelist():
            new.writestr(name, json.dumps(config) if name == "config.json" else old.read(name))
    with wtool.open_checkpoint(str(converted(tmp_path / "named.keras", output=tmp_path / "m.h5"))) as made:
        assert made.contents.optimizer is not None
        assert made.contents.optimizer.class_name == "Adam"
        assert {each.slot.name for each in made.slots if each.slot} >= {"momentum", "velocity"}


ENDINGS = (".keras", ".h5", ".weights.h5", ".weights.json", "")


@given(st.lists(st.sampled_from(ENDINGS), min_size=1, max_size=5), st.sampled_from(["900", "2KB", "1MB"]))
@settings(deadline=None, max_examples=15)
def test_values_stay_through_any_chain_of_formats(
    tmp_path_factory: pytest.TempPathFactory, chain: list[str], size: str
) -> None:
    folder = tmp_path_factory.mktemp("chain")
    (folder / "config.json").write_bytes(members(MLP)["config.json"])
    here, whole = MLP, True
    for number, ending in enumerate([*chain, ".keras"]):
        output = folder / f"{number}{ending}"
        how: dict[str, object] = {"output": output, "unzipped": not ending}
        if ending == ".weights.json":
            how["shard_size"] = size
        if not whole:
            how["architecture"] = folder / "config.json"
        (done,) = wtool.convert(here, **how)  # type: ignore[arg-type]
        if done.is_new:
            here, whole = output, ending in (".keras", ".h5", "")
    wanted, found = arrays(MLP), arrays(here) if here.is_file() else arrays(converted(here, output=folder / "x.keras"))
    assert wanted.keys() == found.keys()
    assert all(np.array_equal(values, found[name]) for name, values in wanted.items())
    if whole and not {".weights.h5", ".weights.json"} & set(chain):
        with wtool.open_checkpoint(str(MLP)) as old, wtool.open_checkpoint(str(here)) as new:
            assert old.config is not None
            assert new.config is not None
            assert new.config["config"] == old.config["config"]
            assert new.config["build_config"] == old.config["build_config"]
    shutil.rmtree(folder)


@pytest.mark.parametrize("ending", [".h5", ".weights.json", ""])
@given(data=st.data())
@settings(deadline=None, max_examples=25)
def test_odd_configurations_are_written_or_refused_in_a_line(
    ending: str, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("odd")
    config = json.loads(members(MLP)["config.json"])
    for _ in range(data.draw(st.integers(1, 3))):
        holder, key = data.draw(st.sampled_from(places(config)))
        holder[key] = data.draw(ODD)
    with zipfile.ZipFile(MLP) as old, zipfile.ZipFile(folder / "odd.keras", "w") as new:
        for name in old.namelist():
            new.writestr(name, json.dumps(config) if name == "config.json" else old.read(name))
    told = ""
    try:
        wtool.convert(folder / "odd.keras", output=folder / f"new{ending}", unzipped=not ending)
    except WtoolError as error:
        told = str(error)
    shutil.rmtree(folder)
    assert "this is a bug" not in told
    assert "\n" not in told
