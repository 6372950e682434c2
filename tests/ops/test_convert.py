"""Conversions of files: what is written, where and with which values, what is refused, and what is left alone."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import wtool
from tests.models import ZOO
from wtool.checkpoint.seal import is_sealed
from wtool.errors import WtoolError
from wtool.ops.conversion import KERAS

OLD = ["k2.2.4/nested_frozen.h5", "k2.3.1/f64_model.h5", "tf2.3/mlp.h5", "tf2.3/norm_adapt.h5", "tf2.13/mha.keras"]
MLP = ZOO / "tf2.10" / "mlp.h5"


def values(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Path of each weight of a model -> its values."""
    with wtool.open_checkpoint(str(path)) as checkpoint:
        return {tensor.path: checkpoint.read(tensor) for tensor in checkpoint.weights}


def with_config(path: Path, change: Callable[[Any], Any]) -> Path:
    """An `.h5` file whose architecture is changed in place."""
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        file.attrs["model_config"] = json.dumps(change(config) or config)
    return path


def mlp(folder: Path, change: Callable[[Any], Any] | None = None) -> Path:
    """A copy of a model of Keras 2.10."""
    path = Path(shutil.copy(MLP, folder / "mlp.h5"))
    return path if change is None else with_config(path, change)


def as_lambda(entry: Any) -> None:
    entry["class_name"] = "Lambda"
    entry["config"] = {"name": entry["config"]["name"], "function": ["4wEAAAA=", None, None], "function_type": "lambda"}


def last_two_as_lambdas(config: Any) -> None:
    for entry in config["config"]["layers"][-2:]:
        as_lambda(entry)


@pytest.mark.parametrize("name", OLD)
def test_a_model_of_keras_2_keeps_its_values(name: str, tmp_path: Path) -> None:
    (done,) = wtool.convert(ZOO / name, output=tmp_path / "new.keras", optimizer="drop")
    assert done.is_new
    old, new = values(ZOO / name), values(tmp_path / "new.keras")
    assert set(new) == set(old)
    assert all(new[path].dtype == each.dtype and (new[path] == each).all() for path, each in old.items())
    with wtool.open_checkpoint(str(tmp_path / "new.keras")) as made:
        assert (made.format, made.keras_version, made.slots) == ("keras", KERAS, ())
        assert is_sealed(made)
    assert not wtool.check(tmp_path / "new.keras").findings


def test_a_result_has_nothing_to_convert(tmp_path: Path) -> None:
    wtool.convert(MLP, output=tmp_path / "new.keras", optimizer="drop")
    (done,) = wtool.convert(tmp_path / "new.keras", output=tmp_path / "again.keras")
    assert not done.is_new
    assert done.output is None
    assert [each.name for each in tmp_path.iterdir()] == ["new.keras"]


def test_a_result_that_is_there_is_skipped(tmp_path: Path) -> None:
    path = mlp(tmp_path)
    first, second = (wtool.convert(path, optimizer="drop")[0] for _ in range(2))
    assert (first.output, first.skipped) == (f"{tmp_path}/mlp.keras", False)
    assert (second.output, second.skipped) == (f"{tmp_path}/mlp.keras", True)
    with pytest.raises(WtoolError, match="exists already"):
        wtool.convert(path, to="keras", optimizer="drop", input_shape="8")


def test_what_stands_beside_a_model_stays(tmp_path: Path) -> None:
    path = mlp(tmp_path)
    (tmp_path / "mlp.keras").write_bytes(b"something else")
    (done,) = wtool.convert(path, optimizer="drop")
    assert done.output == f"{tmp_path}/mlp-converted.keras"
    assert (tmp_path / "mlp.keras").read_bytes() == b"something else"


def test_a_dry_run_tells_and_writes_nothing(tmp_path: Path) -> None:
    path = mlp(tmp_path)
    (done,) = wtool.convert(path, optimizer="drop", dry_run=True)
    assert done.output is None
    assert [each.rule for each in done.changes] == ["one axis"]
    assert [each.name for each in tmp_path.iterdir()] == ["mlp.h5"]


def test_the_lineage_tells_of_a_conversion(tmp_path: Path) -> None:
    wtool.convert(MLP, output=tmp_path / "new.keras", optimizer="drop", rename=["A=B"])
    (record,) = wtool.inspect(tmp_path / "new.keras")["lineage"]
    assert record["operation"] == "convert"
    assert record["parameters"] == {"to": "keras", "optimizer": "drop", "rename": {"A": "B"}}
    assert [each["name"] for each in record["inputs"]] == ["mlp.h5"]


def test_all_reasons_are_told_at_once(tmp_path: Path) -> None:
    path = mlp(tmp_path, last_two_as_lambdas)
    with pytest.raises(wtool.Unconvertible, match="2 layers cannot be converted") as raised:
        wtool.convert(path)
    assert [(each.class_name, each.rule) for each in raised.value.refused] == [("Lambda", "Lambda")] * 2
    assert "--replace" in raised.value.refused[0].text
    assert [each.name for each in tmp_path.iterdir()] == ["mlp.h5"]


def test_reasons_come_out_of_other_processes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        mlp(tmp_path, last_two_as_lambdas).rename(tmp_path / f"{name}.h5")
    with pytest.raises(wtool.SomeFailed) as raised:
        wtool.convert(tmp_path, jobs=2)
    assert [len(each.error.refused) for each in raised.value.results] == [2, 2]


def test_weights_alone_need_an_architecture(tmp_path: Path) -> None:
    weights = ZOO / "tf2.10" / "mlp_weights_only.h5"
    for wanted in ("keras", "weights.h5"):
        with pytest.raises(wtool.Unconvertible, match="--architecture"):
            wtool.convert(weights, to=wanted)
    with h5py.File(MLP) as file:
        told = {**json.loads(file.attrs["model_config"]), "keras_version": "2.10.0", "backend": "tensorflow"}
    (tmp_path / "model.json").write_text(json.dumps(told))
    wtool.convert(weights, architecture=tmp_path / "model.json", output=tmp_path / "new.keras")
    wtool.convert(MLP, output=tmp_path / "whole.keras", optimizer="drop")
    new, whole = values(tmp_path / "new.keras"), values(tmp_path / "whole.keras")
    assert list(new) == list(whole)
    assert all((new[path] == whole[path]).all() for path in new)
    with pytest.raises(wtool.Usage, match="a whole model already"):
        wtool.convert(MLP, architecture=tmp_path / "model.json")


def test_weights_of_keras_3_in_the_layout_of_their_model(tmp_path: Path) -> None:
    model = ZOO / "k3.15.1" / "mlp.keras"
    (done,) = wtool.convert(model, output=tmp_path / "new.weights.h5")
    assert "weights.h5 holds weights alone: the architecture is left out" in done.notes
    with h5py.File(tmp_path / "new.weights.h5") as new, h5py.File(ZOO / "k3.15.1" / "mlp.weights.h5") as kerass:
        found: list[str] = []
        kerass.visititems(lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) else None)
        assert found
        assert all((new[name][()] == kerass[name][()]).all() for name in found)


def test_attributes_that_an_h5_does_not_tell_are_asked_for(tmp_path: Path) -> None:
    model = ZOO / "tf2.10" / "custom_layer.h5"
    with pytest.raises(wtool.Unconvertible, match="1 layer cannot be converted") as raised:
        wtool.convert(model, output=tmp_path / "new.keras", optimizer="drop")
    (refused,) = raised.value.refused
    assert (refused.layer, refused.class_name, refused.rule) == ("ss", "ScaleShift", "untold attributes")
    assert "--attribute 'ss=NAME1,NAME2,NAME3'" in refused.text
    names = "ss=inner,stack/dense,stack/dense_1"
    (done,) = wtool.convert(model, output=tmp_path / "new.keras", optimizer="drop", attribute=[names])
    assert any(note.startswith("register ZooPkg>ScaleShift") for note in done.notes)
    old = values(model)
    with zipfile.ZipFile(tmp_path / "new.keras") as archive, h5py.File(archive.open("model.weights.h5")) as file:
        group = file["layers/scale_shift"]
        for place, path in {
            "inner": "ss/inner_dense",
            "stack/dense": "ss/dense",
            "stack/dense_1": "ss/dense_1",
        }.items():
            assert (group[f"{place}/vars/0"][()] == old[f"{path}/kernel"]).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"to": "h5", "output": "x.keras"}, "the name of the output is that of the format keras"),
        ({"shard_size": "1GB"}, "a size of shards is for --to weights.json"),
        ({"unzipped": True, "to": "h5"}, "only a .keras model is written as a folder"),
        ({"to": "pickle"}, "no format that can be written"),
        ({"optimizer": "follow"}, "no optimizer mode"),
        ({"verify": True, "dry_run": True}, "verifying needs"),
    ],
)
def test_words_that_do_not_go_together(options: dict[str, Any], message: str) -> None:
    with pytest.raises(wtool.Usage, match=message):
        wtool.convert(MLP, **options)


ODD = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.floats(allow_nan=False), st.just("x"), st.just([]), st.just({}),
    st.just([["a", 0, 0]]), st.just({"class_name": "Dense", "config": {}}), st.just({"class_name": "Functional"}),
)  # fmt: skip


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every key or index in a configuration, with what holds it."""
    pairs: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [each for key, inner in pairs for each in [(value, key), *places(inner)]]


@pytest.mark.parametrize("name", ["k2.2.4/nested_frozen.h5", "tf2.10/mlp.h5"])
@given(data=st.data())
@settings(deadline=None, max_examples=40)
def test_odd_configurations_are_converted_or_refused_in_a_line(
    name: str, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("odd")
    path = Path(shutil.copy(ZOO / name, folder / "odd.h5"))

    def change(config: Any) -> None:
        for _ in range(data.draw(st.integers(1, 3))):
            holder, key = data.draw(st.sampled_from(places(config)))
            holder[key] = deepcopy(data.draw(ODD))  # a later change may be one inside

    with_config(path, change)
    told = ""
    try:
        wtool.convert(path, optimizer="drop", output=folder / "new.keras")
    except WtoolError as error:
        told = str(error)
    shutil.rmtree(folder)
    assert "this is a bug" not in told
    assert "\n" not in told


def test_layers_inside_layers_without_end_are_refused(tmp_path: Path) -> None:
    """Layers inside layers, deeper than any model."""

    def nested(config: Any) -> Any:
        for number in range(45):
            config = {"class_name": "Sequential", "config": {"name": f"s{number}", "layers": [config]}}
        return config

    with pytest.raises(WtoolError, match="nests more than 40 layers"):
        wtool.convert(mlp(tmp_path, nested))


def test_many_layers_take_no_square_of_the_time(tmp_path: Path) -> None:
    def many(config: Any) -> None:
        first = config["config"]["layers"][:1]
        more = [{"class_name": "Flatten", "config": {"name": f"f{number}"}} for number in range(20_000)]
        config["config"]["layers"] = [*first, *more, {"class_name": "Lambda", "config": {"name": "lam"}}]

    with pytest.raises(WtoolError):
        wtool.convert(mlp(tmp_path, many))


def test_what_lookup_tables_learned_has_no_place_in_an_h5(tmp_path: Path) -> None:
    model = ZOO / "tf2.13" / "lookup_adapted.keras"
    with pytest.raises(wtool.Unconvertible) as raised:
        wtool.convert(model, output=tmp_path / "new.h5")
    assert [(each.class_name, each.rule) for each in raised.value.refused] == [("StringLookup", "vocabulary")]
    (done,) = wtool.convert(model, output=tmp_path / "new.weights.h5")
    assert any("has no place for files: assets/" in note for note in done.notes)


def test_words_that_a_model_has_no_use_for_are_not_ignored(tmp_path: Path) -> None:
    with pytest.raises(wtool.Unconvertible) as raised:
        wtool.convert(MLP, output=tmp_path / "new.keras", attribute=["nobody=a,b"])
    (refused,) = raised.value.refused
    assert (refused.layer, refused.rule) == ("nobody", "unused wish")
    assert refused.text == "--attribute names nobody, but no layer is called so"
    (done,) = wtool.convert(MLP, output=tmp_path / "new.keras", rename=["A=B"])
    assert "--rename names A, but the model uses no class or function that is called so" in done.notes
    with pytest.raises(wtool.Unconvertible, match="--rename is for models of Keras 2"):
        wtool.convert(tmp_path / "new.keras", output=tmp_path / "new.h5", rename=["A=B"])
    (done,) = wtool.convert(tmp_path / "new.keras", rename=["A=B"], input_shape="3")
    assert done.notes == ("--rename and --input-shape: of no use where there is nothing to convert",)
    (done,) = wtool.convert(MLP, output=tmp_path / "shaped.keras", input_shape="8")
    assert "--input-shape has no use: the model tells the shape of its input" in done.notes


@pytest.mark.parametrize(
    "words", [{"replace": ["a=ReLU"]}, {"rename": ["A=B"]}, {"attribute": ["a=b"]}, {"input_shape": "3"}]
)
def test_weights_alone_have_no_use_for_words_about_layers(words: dict[str, Any], tmp_path: Path) -> None:
    model = ZOO / "k3.15.1" / "mlp.weights.h5"
    option = f"--{next(iter(words)).replace('_', '-')}"
    with pytest.raises(wtool.Unconvertible, match=f"weights alone, for which {option} has no meaning"):
        wtool.convert(model, output=tmp_path / "new.weights.json", **words)
    assert not list(tmp_path.iterdir())


def test_an_h5_of_keras_3_tells_which_new_name_it_has_no_use_for(tmp_path: Path) -> None:
    model = ZOO / "k3.15.1" / "mlp.h5"
    (done,) = wtool.convert(model, output=tmp_path / "new.keras", rename=["A=B"])
    assert "--rename names A, but the model uses no class or function that is called so" in done.notes


def test_a_name_under_which_keras_takes_the_result_for_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(wtool.Usage, match=r"the output has the format keras; its name has to end in \.keras"):
        wtool.convert(MLP, output=tmp_path / "new.txt")
    (done,) = wtool.convert(MLP, output=tmp_path / "new")
    assert done.output == f"{tmp_path}/new.keras"
