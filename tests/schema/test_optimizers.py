"""The table of optimizers against Keras: every class has an entry, and an entry is what Keras builds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wtool
from wtool.schema.optimizer_orders import variable_orders
from wtool.schema.optimizer_settings import Settings, initial_value, keeps_slots
from wtool.schema.optimizers import SLOT_KINDS, TABLE, rule_of

WEIGHTS = {
    "embedding/embeddings": (7, 4),
    "dense/kernel": (4, 5),
    "dense/bias": (5,),
    "conv/kernel": (3, 3, 2, 4),
    "scale/alpha": (),
    "output_dense/kernel": (5, 2),
}
SETTINGS: dict[str, list[dict[str, Any]]] = {
    "SGD": [{"momentum": 0.9}],
    "RMSprop": [{"momentum": 0.9}, {"centered": True}, {"momentum": 0.9, "centered": True}],
    "Adam": [{"amsgrad": True}],
    "AdamW": [{"amsgrad": True}],
    "Adagrad": [{"initial_accumulator_value": 0.25}],
    "Ftrl": [{"initial_accumulator_value": 0.25}],
    "Muon": [{"exclude_layers": ["output_dense"]}, {"exclude_embeddings": False}],
}
ANY: list[dict[str, Any]] = [
    {},
    {"use_ema": True},
    {"gradient_accumulation_steps": 4},
    {"use_ema": True, "gradient_accumulation_steps": 4},
]
OF_OTHERS = {"LossScaleOptimizer", "MultiOptimizer"}
"""They have no slots of their own."""


def built(keras: Any, class_name: str, options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """An optimizer of Keras that has seen the weights, and its configuration."""
    variables = []
    for path, shape in WEIGHTS.items():
        layer, name = path.split("/")
        with keras.name_scope(layer):
            variables.append(keras.Variable(np.full(shape, 3, "float32"), name=name))
    optimizer = getattr(keras.optimizers, class_name)(**options)
    optimizer.build(variables)
    return optimizer, optimizer.get_config()


def expected(settings: Settings) -> Iterator[tuple[str, tuple[int, ...], float]]:
    """Name, shape and first value of each variable, as the table tells them."""
    order = next(variable_orders(settings))
    yield from ((scalar.name, (), initial_value(scalar.name, settings)) for scalar in order.head)
    for group in order.groups:
        for path, shape in WEIGHTS.items():
            for kind in group:
                if kind.keeps is None or kind.keeps(shape, path, settings.config):
                    yield f"{path}_{kind.name}", kind.shape(shape), initial_value(kind.name, settings)
    yield from ((scalar.name, (), initial_value(scalar.name, settings)) for scalar in order.tail)


@pytest.mark.tensorflow
@pytest.mark.parametrize("package", ["keras", "tf_keras"])
def test_every_optimizer_of_keras_has_an_entry(package: str) -> None:
    keras = pytest.importorskip(package)
    classes = [value for value in vars(keras.optimizers).values() if isinstance(value, type)]
    public = {each.__name__ for each in classes if issubclass(each, keras.optimizers.Optimizer)} - {"Optimizer"}
    assert "Adam" in public
    assert sorted(public - set(TABLE)) == [], "these optimizers of Keras have no entry in wtool.schema.optimizers.TABLE"


@pytest.mark.tensorflow
@pytest.mark.parametrize("class_name", sorted(set(TABLE) - OF_OTHERS))
def test_an_entry_is_what_keras_builds(class_name: str) -> None:
    keras = pytest.importorskip("keras")
    for options in [*ANY, *SETTINGS.get(class_name, [])]:
        optimizer, config = built(keras, class_name, options)
        settings = Settings(class_name, config)
        found = list(expected(settings))
        assert len(found) == len(optimizer.variables), (options, [each.path for each in optimizer.variables])
        for (name, shape, initial), variable in zip(found, optimizer.variables, strict=True):
            value = np.asarray(variable)
            assert value.shape == shape, (options, name, variable.path)
            assert is_name_of(name, variable.path, class_name), (options, name, variable.path)
            is_weight = class_name == "ScheduleFreeAdamW" and variable.path.endswith("_momentum")
            if "learning_rate" not in name:
                assert np.all(value == np.float32(3 if is_weight else initial)), (options, name)
        assert keeps_slots(settings) == any(len(each.shape) for each in optimizer.variables)


def is_name_of(name: str, keras_path: str, class_name: str) -> bool:
    """Whether Keras's name of a variable is the table's."""
    last = keras_path.rpartition("/")[2]
    weight, _, kind = name.rpartition("_") if "/" in name else ("", "", name)
    if kind in ("r", "c"):  # called as the weight, without its layer
        return last == weight.rpartition("/")[2]
    if class_name == "ScheduleFreeAdamW" and last.endswith("_momentum"):
        return last == f"{weight.replace('/', '_')}_momentum" and kind == "sequence"
    if name == "u_product":
        return last.startswith("variable")  # Keras gives it no name
    return last == name.replace("/", "_") or keras_path == name


@pytest.mark.tensorflow
def test_wrappers_have_the_scalars_of_the_table() -> None:
    keras = pytest.importorskip("keras")
    scaled = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(), initial_scale=8.0)
    several = keras.optimizers.MultiOptimizer(keras.optimizers.OptimizerMap(keras.optimizers.SGD()))
    for optimizer, own in ((scaled, 4), (several, 2)):
        optimizer.build([keras.Variable(np.zeros((2, 2), "float32"), name="kernel")])
        names = [each.name for each in TABLE[type(optimizer).__name__].head]
        assert names == [variable.name for variable in optimizer.variables[:own]]
    assert initial_value("dynamic_scale", Settings("LossScaleOptimizer", scaled.get_config())) == 8.0


def test_variables_without_a_setting_take_no_initial_value_from_the_file() -> None:
    for name in ("iteration", "momentum", "velocity"):
        assert initial_value(name, Settings("Adam", {"": 5.0})) == 0.0


def test_slots_of_one_name_have_one_rule() -> None:
    for kind in SLOT_KINDS:
        assert rule_of(kind.name) == kind.rule


@pytest.mark.parametrize("class_name", sorted(set(TABLE) - OF_OTHERS))
def test_a_class_is_named_in_its_entry_only(class_name: str) -> None:
    """So a new optimizer takes one entry; `keras_names` lists what Keras resolves, whatever it is."""
    sources = Path(wtool.__file__).parent.rglob("*.py")
    naming = [path.name for path in sources if f'"{class_name}"' in path.read_text()]
    assert naming == ["optimizers.py"]


def test_patterns_of_muon_are_not_matched() -> None:
    keeps = TABLE["Muon"].groups[0].slots[1].keeps
    assert keeps is not None
    assert keeps((3, 3), "dense/kernel", {"exclude_layers": ["(a+)+$"]}) is None
    assert keeps((3, 3), "dense/kernel", {"exclude_layers": ["(a+)+$", "dense"]}) is True
    assert keeps((3,), "dense/bias", {"exclude_layers": ["(a+)+$"]}) is True
    assert keeps((3, 3), "dense/kernel", {"exclude_layers": 5}) is False
