"""Keras models as safetensors files, and back."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wtool
from tests.checkpoint.test_safetensors import header, with_header
from tests.models import FIXTURES
from wtool.errors import Differs
from wtool.ops.converted import Unconvertible
from wtool.training.checks import refuse_weights_only

safetensors = pytest.importorskip("safetensors")

ZOO3 = sorted(FIXTURES.glob("zoo/k3*/*.keras"))
MLP = FIXTURES / "zoo" / "k3.15.1" / "mlp.keras"
TEXTS = FIXTURES / "zoo" / "k3.15.1" / "text_assets.keras"


def there_and_back(model: Path, folder: Path) -> tuple[Path, Path]:
    """A model as a safetensors file, and the archive that is made of that file."""
    made, back = folder / "m.safetensors", folder / "back.keras"
    wtool.convert(model, output=made)
    wtool.convert(made, output=back)
    return made, back


def whole(path: Path) -> tuple[Any, ...]:
    """All that a model says: architecture, and meaning, place and bytes of every tensor."""
    with wtool.open_checkpoint(str(path)) as found:
        told = [
            (each.path, each.role, each.layer, each.trainable, each.slot, each.stored, each.dtype, each.shape,
             found.read(each).tobytes())
            for each in found.tensors
        ]  # fmt: skip
        return found.config, found.contents.layers, told, [member.name for member in found.members]


@pytest.mark.parametrize("model", ZOO3, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_model_comes_back_whole(model: Path, tmp_path: Path) -> None:
    _, back = there_and_back(model, tmp_path)
    assert whole(back) == whole(model)


@pytest.mark.parametrize("model", [MLP, TEXTS, FIXTURES / "zoo" / "k3.15.1" / "mlp.h5"], ids=lambda path: path.name)
def test_what_comes_back_is_what_a_conversion_without_the_detour_writes(model: Path, tmp_path: Path) -> None:
    if model.suffix == ".keras":
        shutil.copy(model, tmp_path / "direct.keras")
    else:
        wtool.convert(model, output=tmp_path / "direct.keras")
    _, back = there_and_back(model, tmp_path)
    assert whole(back) == whole(tmp_path / "direct.keras")


def test_the_library_finds_tensors_by_their_paths(tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    made, _ = there_and_back(MLP, tmp_path)
    arrays = load_file(made)
    with wtool.open_checkpoint(str(MLP)) as model:
        assert arrays.keys() == {each.path for each in model.tensors}
        for tensor in model.tensors:
            np.testing.assert_array_equal(arrays[tensor.path], model.read(tensor))
            assert arrays[tensor.path].dtype.name == tensor.dtype


def test_the_library_writes_the_same_again(tmp_path: Path) -> None:
    from safetensors import safe_open
    from safetensors.numpy import load_file, save_file

    model = FIXTURES / "zoo" / "k3.15.1" / "mixed_dtypes.keras"
    made, back = there_and_back(model, tmp_path)
    with safe_open(made, "np") as file:
        texts = file.metadata()
    save_file(load_file(made), tmp_path / "again.safetensors", texts)
    mine, theirs = header(made), header(tmp_path / "again.safetensors")
    assert list(mine) == list(theirs)
    assert mine == theirs
    data = [path.read_bytes() for path in (made, tmp_path / "again.safetensors")]
    starts = [8 + int.from_bytes(each[:8], "little") for each in data]
    assert data[0][starts[0] :] == data[1][starts[1] :]
    wtool.convert(tmp_path / "again.safetensors", output=tmp_path / "again.keras")
    assert whole(tmp_path / "again.keras") == whole(back)


def test_pruning_is_the_same_in_both_formats(tmp_path: Path) -> None:
    made, _ = there_and_back(MLP, tmp_path)
    wtool.prune(made, sparsity=0.5, scope="global", optimizer="follow", output=tmp_path / "p.safetensors")
    wtool.prune(MLP, sparsity=0.5, scope="global", optimizer="follow", output=tmp_path / "direct.keras")
    wtool.convert(tmp_path / "p.safetensors", output=tmp_path / "p.keras")
    assert whole(tmp_path / "p.keras") == whole(tmp_path / "direct.keras")
    operations = [each["operation"] for each in wtool.inspect(tmp_path / "p.keras")["lineage"]]
    assert operations == ["convert", "prune", "convert"]


def test_the_optimizer_is_left_out_of_the_file_where_that_is_asked_for(tmp_path: Path) -> None:
    made, _ = there_and_back(MLP, tmp_path)
    wtool.prune(made, sparsity=0.5, optimizer="drop", output=tmp_path / "p.safetensors")
    names = {name for name in header(tmp_path / "p.safetensors") if name != "__metadata__"}
    assert names == {each["path"] for each in wtool.inspect(MLP)["tensors"]}
    wtool.convert(MLP, optimizer="drop", output=tmp_path / "d.safetensors")
    assert {name for name in header(tmp_path / "d.safetensors") if name != "__metadata__"} == names


def test_vocabularies_are_texts_of_the_header(tmp_path: Path) -> None:
    made, _ = there_and_back(TEXTS, tmp_path)
    texts = header(made)["__metadata__"]
    with wtool.open_checkpoint(str(TEXTS)) as model:
        names = [each.name for each in model.members if each.name.startswith("assets/")]
    assert names
    assert set(names) <= set(texts)
    assert all("\n" in texts[name] for name in names)


def test_a_second_conversion_does_nothing(tmp_path: Path) -> None:
    made, _ = there_and_back(MLP, tmp_path)
    assert wtool.convert(MLP, output=made)[0].skipped
    assert not wtool.convert(made, to="safetensors", output=tmp_path / "n.safetensors")[0].is_new


def test_names_in_the_place_of_others_are_refused(tmp_path: Path) -> None:
    made, _ = there_and_back(MLP, tmp_path)
    told = header(made)
    data = made.read_bytes()[8 + int.from_bytes(made.read_bytes()[:8], "little") :]
    places = json.loads(told["__metadata__"]["wtool_places"])
    arrays = places["arrays"]
    arrays["fc1/bias"], arrays["bn1/gamma"] = arrays["bn1/gamma"], arrays["fc1/bias"]
    told["__metadata__"]["wtool_places"] = json.dumps(places)
    with pytest.raises(Differs, match="in the place of"):
        wtool.convert(with_header(tmp_path / "x.safetensors", told, data), output=tmp_path / "x.keras")


def test_a_file_of_another_library_needs_a_model(tmp_path: Path) -> None:
    path = with_header(tmp_path / "m.safetensors", {"a": {"dtype": "U8", "shape": [2], "data_offsets": [0, 2]}}, b"ab")
    for to in ("keras", "weights.h5"):
        with pytest.raises(Unconvertible, match="--like MODEL"):
            wtool.convert(path, to=to, output=tmp_path / f"m.{to}")
    (tmp_path / "c.json").write_text('{"class_name": "Sequential", "config": {"layers": []}}')
    with pytest.raises(wtool.WtoolError, match="--like MODEL"):
        wtool.convert(path, architecture=tmp_path / "c.json", output=tmp_path / "m.keras")


def test_a_model_of_keras_2_becomes_one_of_keras_3(tmp_path: Path) -> None:
    old = FIXTURES / "zoo" / "tf2.10" / "mlp.h5"
    wtool.convert(old, output=tmp_path / "direct.keras")
    _, back = there_and_back(old, tmp_path)
    assert whole(back) == whole(tmp_path / "direct.keras")


def test_weights_alone_stay_weights_alone(tmp_path: Path) -> None:
    weights = FIXTURES / "zoo" / "k3.15.1" / "mlp.weights.h5"
    wtool.convert(weights, output=tmp_path / "w.safetensors")
    wtool.convert(tmp_path / "w.safetensors", output=tmp_path / "back.weights.h5")
    assert whole(tmp_path / "back.weights.h5") == whole(weights)


def test_an_architecture_makes_a_whole_model_of_weights_alone(tmp_path: Path) -> None:
    weights = FIXTURES / "zoo" / "k3.15.1" / "mlp.weights.h5"
    with wtool.open_checkpoint(str(MLP)) as model:
        config = {name: each for name, each in (model.config or {}).items() if name != "compile_config"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    wtool.convert(weights, output=tmp_path / "w.safetensors")
    words: dict[str, Any] = {"architecture": tmp_path / "config.json", "optimizer": "drop"}
    wtool.convert(weights, output=tmp_path / "direct.keras", **words)
    wtool.convert(tmp_path / "w.safetensors", output=tmp_path / "back.keras", **words)
    assert whole(tmp_path / "back.keras") == whole(tmp_path / "direct.keras")


def test_a_folder_of_a_model_is_made_of_a_header(tmp_path: Path) -> None:
    made, back = there_and_back(TEXTS, tmp_path)
    wtool.convert(made, unzipped=True, output=tmp_path / "folder")
    assert whole(tmp_path / "folder")[:3] == whole(back)[:3]
    for name in (each for each in whole(back)[3] if each.startswith("assets/")):
        assert (tmp_path / "folder" / name).read_text() == header(made)["__metadata__"][name]


def test_what_needs_keras_or_a_graph_says_what_to_do(tmp_path: Path) -> None:
    made, _ = there_and_back(MLP, tmp_path)
    with pytest.raises(wtool.WtoolError, match="wtool convert makes one"):
        wtool.swap(made, to="linked", output=tmp_path / "s.safetensors")
    with wtool.open_checkpoint(str(made)) as model, pytest.raises(wtool.WtoolError, match="wtool convert makes"):
        refuse_weights_only(model)


@pytest.mark.tensorflow
def test_keras_predicts_the_same_with_what_comes_back(tmp_path: Path) -> None:
    import keras

    model = FIXTURES / "zoo" / "k3.15.1" / "rnn.keras"
    _, back = there_and_back(model, tmp_path)
    old, new = (keras.models.load_model(path) for path in (model, back))
    inputs = [np.random.default_rng(0).random([2, *(each or 7 for each in one.shape[1:])]) for one in old.inputs]
    for before, after in zip(old.get_weights(), new.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    np.testing.assert_array_equal(old.predict(inputs, verbose=0), new.predict(inputs, verbose=0))
