"""Configurations of Keras 3: those of `.h5` files as `config.json` has them, and how models were compiled."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import zipfile
from typing import Any

import pytest

import wtool
from tests.models import ZOO
from tests.real_models import AUTHORS_OWN
from wtool.checkpoint.layouts.hdf5_file import training_config
from wtool.errors import Refused
from wtool.schema.keras3_operations import MODULES
from wtool.schema.upgrade.native import compile_config_of, native_model, training_config_of
from wtool.schema.upgrade.own_names import training_with_new_names, with_new_names

PAIRS = [
    path.relative_to(ZOO)
    for path in sorted(ZOO.glob("k3*/*.h5"))
    if path.stem not in AUTHORS_OWN
    and path.with_suffix(".keras").exists()
    and zipfile.is_zipfile(path.with_suffix(".keras"))
]
LEFT_OUT = ("build_config", "shared_object_id", "compile_config")
"""Keys that an `.h5` does not tell."""


def bare(value: Any) -> Any:
    """A configuration without what an `.h5` does not tell."""
    if isinstance(value, list):
        return [bare(each) for each in value]
    if isinstance(value, dict):
        return {key: bare(each) for key, each in value.items() if key not in LEFT_OUT}
    return value


@pytest.mark.parametrize("name", PAIRS, ids=str)
def test_an_h5_tells_what_the_archive_of_the_model_does(name: Any) -> None:
    with (
        wtool.open_checkpoint(str(ZOO / name)) as old,
        wtool.open_checkpoint(str((ZOO / name).with_suffix(".keras"))) as archive,
    ):
        assert old.config is not None
        assert archive.config is not None
        found = native_model(old.config, training_config(old))
        assert bare(found) == bare(archive.config)
        compiled = archive.config.get("compile_config")
        told = training_config(old)
        assert (told is None) == (not compiled)
        if told is not None and compiled and told["optimizer_config"]["class_name"] != "LossScaleOptimizer":
            assert bare(found["compile_config"]) == bare(compiled)
            assert bare(training_config_of(compiled)) == bare(told)


def test_a_model_of_a_custom_class_is_called_as_the_user_says() -> None:
    config = {"class_name": "Own", "config": {}}
    assert native_model(config, None)["registered_name"] == "Own"
    used: set[str] = set()
    found = native_model(with_new_names(config, {"Own": "Pkg>Other", "Else": "X"}, used), None)
    assert used == {"Own"}
    assert (found["class_name"], found["registered_name"]) == ("Other", "Pkg>Other")


def test_new_names_reach_all_that_is_the_user_s_own() -> None:
    dense = {"module": "keras.layers", "class_name": "Dense", "config": {}, "registered_name": None}
    function = {"module": "builtins", "class_name": "function", "config": "P>act", "registered_name": "function"}
    initializer = {"module": None, "class_name": "Init", "config": {}, "registered_name": "P>Init"}
    inner = {"class_name": "P>D", "config": {"activation": function, "kernel_initializer": initializer, "layer": dense}}
    config = {"class_name": "Sequential", "config": {"name": "P>D", "layers": [inner]}}
    names, used = {f"P>{name}": f"Q>{name}2" for name in ("act", "Init", "D")} | {"Dense": "Q>Dense"}, set[str]()
    (found,) = with_new_names(config, names, used)["config"]["layers"]
    assert found["class_name"] == "Q>D2"
    assert found["config"]["activation"] == {**function, "config": "Q>act2"}
    assert found["config"]["kernel_initializer"] == {**initializer, "class_name": "Init2", "registered_name": "Q>Init2"}
    assert found["config"]["layer"] == dense
    assert used == set(names) - {"Dense"}


def test_new_names_reach_losses_metrics_and_optimizers() -> None:
    rate = {"module": None, "class_name": "S", "config": {}, "registered_name": "P>S"}
    optimizer = {"class_name": "P>O", "config": {"name": "P>f", "learning_rate": rate}}
    training = {"loss": {"a": "P>f", "b": {"class_name": "P>L", "config": {}}}, "metrics": ["mse", ["P>f"]]}
    names, used = {f"P>{name}": f"Q>{name}" for name in "fLOS"}, set[str]()
    found = training_with_new_names({**training, "optimizer_config": optimizer}, names, used)
    assert found["loss"] == {"a": "Q>f", "b": {"class_name": "Q>L", "config": {}}}
    assert found["metrics"] == ["mse", ["Q>f"]]
    assert found["optimizer_config"]["class_name"] == "Q>O"
    assert found["optimizer_config"]["config"] == {"name": "P>f", "learning_rate": {**rate, "registered_name": "Q>S"}}
    assert used == set(names)


def test_a_custom_optimizer_keeps_its_package() -> None:
    training = {"loss": "mse", "optimizer_config": {"class_name": "Pkg>Own", "config": {"x": 1}}}
    compiled = compile_config_of(training)
    assert compiled["optimizer"] == {
        "module": None, "class_name": "Own", "config": {"x": 1}, "registered_name": "Pkg>Own"
    }  # fmt: skip
    assert training_config_of(compiled) == training


def test_models_inside_models_without_end() -> None:
    entry: Any = {"class_name": "Dense", "config": {}}
    for _ in range(50):
        entry = {"class_name": "Sequential", "config": {"layers": [entry]}}
    with pytest.raises(Refused, match="nests more than 40 layers"):
        native_model(entry, None)


@pytest.mark.tensorflow
def test_operations_are_those_of_keras() -> None:
    ops = pytest.importorskip("keras.src.ops")
    base = importlib.import_module("keras.src.ops.operation").Operation
    found = {}
    for module in pkgutil.iter_modules(ops.__path__, "keras.src.ops."):
        if not module.name.endswith(("_test", ".function")):
            room = importlib.import_module(module.name)
            kinds = [kind for kind in vars(room).values() if inspect.isclass(kind) and issubclass(kind, base)]
            found |= {kind.__name__: module.name for kind in kinds if kind.__module__ == module.name != base.__module__}
    assert found.items() <= MODULES.items()
