"""Models composed in the layout of Keras 3, against the files that Keras itself wrote of the same models."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.checkpoint.composing import composed, slots_of
from tests.models import arrays, hdf5_bytes
from tests.real_models import AUTHORS_OWN, Saved, saved_files
from wtool.checkpoint.compose import check_composition
from wtool.checkpoint.composition import Composition
from wtool.checkpoint.model import Checkpoint, Slot, Tensor
from wtool.checkpoint.opener import open_checkpoint
from wtool.checkpoint.structure import Fresh
from wtool.errors import Refused

ENDINGS = (".h5", ".weights.h5", ".keras")


def pairs() -> list[Any]:
    """Files of Keras 3 with the `.keras` file of the same model."""
    found = []
    for saved in saved_files():
        if not saved.keras2 and saved.path.suffix == ".keras" and zipfile.is_zipfile(saved.path):
            for ending in ENDINGS:
                other = saved.path.with_suffix("").with_name(saved.path.stem + ending)
                if other.exists():
                    found.append(pytest.param(saved, other, id=f"{saved.version}/{other.name}"))
    return found


def groups(path: Path) -> set[str]:
    """The groups of a model's HDF5 file."""
    found = set()
    with h5py.File(io.BytesIO(hdf5_bytes(path)), "r") as file:
        file.visititems(lambda name, item: found.add(name) if isinstance(item, h5py.Group) else None)
    return found


def as_composition(base: Checkpoint, like: Checkpoint) -> Composition:
    """A model with the architecture of `like` and the values of `base`, which may lack an architecture."""
    places = {tensor.stored: tensor.path for tensor in like.weights}
    named = base.config is not None
    variables = {each.path if named else places[each.stored]: each for each in base.weights}
    slots = slots_of(base) if named else {}
    if "optimizer/inner_optimizer" in slots_of(like) and base.format == "h5":
        slots = {}  # an `.h5` has one list for both optimizers
    assets = {member.name: member.name for member in base.members if member.name.startswith("assets/")}
    return Composition("keras", like.config, like.keras_version, variables, slots, assets=assets)


@pytest.mark.parametrize(("saved", "other"), pairs())
def test_has_the_arrays_that_keras_wrote(saved: Saved, other: Path, tmp_path: Path) -> None:
    if saved.model == "lora_int8" and other.name == "lora_int8.h5":
        pytest.skip("an .h5 has the factors apart, a .keras has them in the quantised kernel")
    if saved.model in AUTHORS_OWN and other.name == f"{saved.model}.h5":
        pytest.skip("an .h5 does not tell the attributes of custom classes")
    with open_checkpoint(str(saved.path)) as like, open_checkpoint(str(other)) as base:
        made = composed(base, as_composition(base, like), tmp_path / "made.keras")
    wanted, found = arrays(saved.path), arrays(made)
    if not any(name.startswith("optimizer") for name in found):
        wanted = {name: values for name, values in wanted.items() if not name.startswith("optimizer")}
    assert wanted.keys() == found.keys()
    for name, values in wanted.items():
        assert found[name].dtype == values.dtype, name
        assert found[name].tobytes() == values.tobytes(), name
    extra = groups(made) - groups(saved.path)
    assert not extra
    with open_checkpoint(str(saved.path)) as like, open_checkpoint(str(made)) as again:
        assert [each.path for each in again.weights] == [each.path for each in like.weights]
        assert again.lineage[-1].operation == "convert"


@pytest.fixture
def mlp() -> Iterator[tuple[Checkpoint, Composition]]:
    """A model of Keras 3 as an `.h5`, and as a composition of its tensors."""
    saved = next(each for each in saved_files() if str(each) == "k3.15.1/mlp.h5")
    with open_checkpoint(str(saved.path)) as base, open_checkpoint(str(saved.path.with_suffix(".keras"))) as like:
        yield base, as_composition(base, like)


def changed(composition: Composition, **changes: Any) -> Composition:
    return replace(composition, **changes)


def test_archive_is_one_as_keras_writes_it(mlp: tuple[Checkpoint, Composition], tmp_path: Path) -> None:
    base, composition = mlp
    made = composed(base, composition, tmp_path / "made.keras")
    with zipfile.ZipFile(made) as archive:
        members = archive.infolist()
        assert archive.testzip() is None
        metadata = json.loads(archive.read("metadata.json"))
        config = json.loads(archive.read("config.json"))
    assert [each.filename for each in members] == ["metadata.json", "config.json", "model.weights.h5"]
    assert {each.compress_type for each in members} == {zipfile.ZIP_STORED}
    assert {each.date_time[:3] for each in members} == {(1980, 1, 1)}
    assert metadata["keras_version"] == "3.15.1"
    assert config == composition.config
    again = composed(base, composition, tmp_path / "again.keras")
    assert again.read_bytes() == made.read_bytes()


def test_weights_alone_have_the_same_arrays(mlp: tuple[Checkpoint, Composition], tmp_path: Path) -> None:
    base, composition = mlp
    whole = composed(base, composition, tmp_path / "made.keras")
    weights = composed(base, changed(composition, format="weights.h5"), tmp_path / "made.weights.h5")
    one, other = arrays(whole), arrays(weights)
    assert one.keys() == other.keys()
    assert all(np.array_equal(one[name], other[name]) for name in one)


def test_new_values_take_the_place_of_the_old_ones(mlp: tuple[Checkpoint, Composition], tmp_path: Path) -> None:
    base, composition = mlp
    kernel = composition.variables["fc1/kernel"]
    values = np.arange(np.prod(kernel.shape), dtype="float32").reshape(kernel.shape)
    variables = {**composition.variables, "fc1/kernel": Fresh(kernel.shape, "float32", lambda: values)}
    made = composed(base, changed(composition, variables=variables), tmp_path / "made.keras")
    assert np.array_equal(arrays(made)["layers/dense/vars/0"], values)


@settings(max_examples=10, deadline=None)
@given(st.data())
def test_every_variable_gets_the_values_that_are_meant_for_it(data: st.DataObject) -> None:
    saved = next(each for each in saved_files() if str(each) == "k3.15.1/mlp.h5")
    with TemporaryDirectory() as folder, open_checkpoint(str(saved.path)) as base:
        like = arrays(saved.path.with_suffix(".keras"))
        with open_checkpoint(str(saved.path.with_suffix(".keras"))) as whole:
            composition = as_composition(base, whole)
            places = {tensor.path: tensor.stored for tensor in whole.weights}
        swapped: dict[str, str] = {}
        for shape in {each.shape for each in composition.variables.values()}:
            paths = [path for path, each in composition.variables.items() if each.shape == shape]
            swapped |= dict(zip(paths, data.draw(st.permutations(paths)), strict=True))
        order = data.draw(st.permutations(list(swapped)))
        variables = {path: composition.variables[swapped[path]] for path in order}
        made = composed(base, changed(composition, variables=variables, slots={}), Path(folder) / "made.keras")
        found = arrays(made)
    assert all(np.array_equal(found[places[path]], like[places[old]]) for path, old in swapped.items())


def refusal(base: Checkpoint, composition: Composition) -> str:
    with ExitStack() as stack, pytest.raises(Refused) as refused:
        check_composition(base, composition, stack)
    return refused.value.message


def test_a_variable_too_few_or_too_many_is_refused(mlp: tuple[Checkpoint, Composition]) -> None:
    base, composition = mlp
    fewer = {path: source for path, source in composition.variables.items() if path != "fc2/bias"}
    assert "layer fc2 (Dense) has kernel, bias" in refusal(base, changed(composition, variables=fewer))
    more = {**composition.variables, "fc1/gamma": composition.variables["fc1/bias"]}
    assert "but kernel, bias, gamma would be written" in refusal(base, changed(composition, variables=more))
    other = {**composition.variables, "other/bias": composition.variables["fc1/bias"]}
    assert "no layer of the new architecture has other/bias" in refusal(base, changed(composition, variables=other))


def test_a_shape_that_contradicts_the_architecture_is_refused(mlp: tuple[Checkpoint, Composition]) -> None:
    base, composition = mlp
    kernel = composition.variables["fc1/kernel"]
    turned = Fresh(kernel.shape[::-1], "float32", lambda: np.zeros(kernel.shape[::-1], "float32"))
    variables: Mapping[str, Tensor | Fresh] = {**composition.variables, "fc1/kernel": turned}
    assert "demands" in refusal(base, changed(composition, variables=variables))


def test_slots_in_another_order_are_refused(mlp: tuple[Checkpoint, Composition]) -> None:
    base, composition = mlp
    slots = list(composition.slots["optimizer"])
    slots[2], slots[3] = slots[3], slots[2]
    assert "the optimizer's velocity of fc1/kernel would be optimizer/momentum" in refusal(
        base, changed(composition, slots={"optimizer": slots})
    )
    extra = [*composition.slots["optimizer"], (Slot("iteration"), slots[0][1])]
    assert "--optimizer drop" in refusal(base, changed(composition, slots={"optimizer": extra}))


def test_without_an_architecture_there_are_no_groups(mlp: tuple[Checkpoint, Composition]) -> None:
    base, composition = mlp
    assert "no architecture" in refusal(base, changed(composition, config=None))


def saved_as(name: str) -> Path:
    return next(each.path for each in saved_files() if str(each) == name)


def test_shards_become_one_archive(tmp_path: Path) -> None:
    whole = saved_as("k3.12.4/sharded_full.keras")
    with (
        open_checkpoint(str(whole)) as like,
        open_checkpoint(str(whole.with_name("sharded.weights.json"))) as base,
    ):
        assert len(base.regions) > 1
        made = composed(base, as_composition(base, like), tmp_path / "made.keras")
    wanted, found = arrays(whole), arrays(made)
    assert {name for name in wanted if not name.startswith("optimizer")} == found.keys()
    assert all(np.array_equal(values, wanted[name]) for name, values in found.items())


@pytest.mark.parametrize("unzipped", [False, True])
def test_files_of_lookups_come_along_under_new_names(tmp_path: Path, unzipped: bool) -> None:
    old = saved_as("k3.15.1/text_assets.keras")
    with zipfile.ZipFile(old) as archive:
        names = [name for name in archive.namelist() if name.startswith("assets/")]
        wanted = [archive.read(name) for name in names]
        if unzipped:
            archive.extractall(tmp_path / "folder")
    new = {name: name.replace("layers/text_vectorization", "layers/other") for name in names}
    with open_checkpoint(str(tmp_path / "folder" if unzipped else old)) as base:
        composition = changed(as_composition(base, base), assets=new)
        made = composed(base, composition, tmp_path / "made.keras")
        missing = changed(composition, assets={"assets/nothing": "assets/nothing"})
        with pytest.raises(Refused, match="no file assets/nothing"):
            composed(base, missing, tmp_path / "other.keras")
    with zipfile.ZipFile(made) as archive:
        assert archive.testzip() is None
        assert archive.namelist()[3:] == list(new.values())
        assert [archive.read(name) for name in new.values()] == wanted


@pytest.mark.parametrize("name", ["a\0b", "a/b", "a" * 100_000, "ä"])
def test_any_name_of_a_layer_is_kept(mlp: tuple[Checkpoint, Composition], tmp_path: Path, name: str) -> None:
    base, composition = mlp
    config = json.loads(json.dumps(composition.config).replace('"fc1"', json.dumps(name)))
    variables = {path.replace("fc1/", f"{name}/"): source for path, source in composition.variables.items()}
    made = composed(base, changed(composition, config=config, variables=variables, slots={}), tmp_path / "made.keras")
    with open_checkpoint(str(made)) as again:
        assert [each.path for each in again.weights] == list(variables)


def test_layers_of_one_path_are_refused(mlp: tuple[Checkpoint, Composition]) -> None:
    base, composition = mlp
    config = json.loads(json.dumps(composition.config).replace('"fc1"', '""'))
    variables = {path.removeprefix("fc1/"): source for path, source in composition.variables.items()}
    assert "two layers have the path" in refusal(base, changed(composition, config=config, variables=variables))


@pytest.fixture
def custom() -> Iterator[tuple[Checkpoint, Composition]]:
    """A model with a layer of a custom class as an `.h5`, which does not tell its attributes."""
    with open_checkpoint(str(saved_as("tf2.10/custom_layer.h5"))) as base:
        variables = {each.path: each for each in base.weights}
        yield base, Composition("keras", base.config, "3.15.1", variables)


def test_attributes_of_a_custom_layer_have_to_be_told(custom: tuple[Checkpoint, Composition], tmp_path: Path) -> None:
    base, composition = custom
    message = refusal(base, composition)
    assert "layer ss (ScaleShift) holds inner_dense, dense, dense_1 in attributes" in message
    assert "--attribute" in message
    two = changed(composition, attributes={"ss": ("inner", "blocks/dense")})
    assert "2 are named" in refusal(base, two)
    wrong = changed(composition, attributes={"ss": ("inner", "blocks//dense", "../dense_1")})
    assert "blocks//dense, ../dense_1 cannot be the attribute of a layer" in refusal(base, wrong)
    told = changed(composition, attributes={"ss": ("inner", "blocks/dense", "blocks/dense_1")})
    made = composed(base, told, tmp_path / "made.keras")
    stored = {each.path: base.read(each) for each in base.weights}
    found = arrays(made)
    assert np.array_equal(found["layers/scale_shift/inner/vars/0"], stored["ss/inner_dense/kernel"])
    assert np.array_equal(found["layers/scale_shift/blocks/dense/vars/1"], stored["ss/dense/bias"])
    assert np.array_equal(found["layers/scale_shift/blocks/dense_1/vars/0"], stored["ss/dense_1/kernel"])
    assert np.array_equal(found["layers/scale_shift/vars/0"], stored["ss/alpha"])
