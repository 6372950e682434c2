"""What wtool reads of an optimizer's state, against what Keras had: every variable of every optimizer, by value."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wtool
from tests.models import Array
from wtool.checkpoint.model import Tensor

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]

KERAS_NAMES = {"sequence": "momentum"}  # of ScheduleFreeAdamW


@pytest.fixture(scope="module")
def keras() -> Any:
    keras = pytest.importorskip("keras")
    keras.utils.set_random_seed(1)
    return keras


def mlp(keras: Any) -> Any:
    layers = keras.layers
    parts = [layers.Dense(6), layers.BatchNormalization(), layers.Dense(5), layers.Dense(3)]
    return keras.Sequential([keras.Input((7,)), *parts])


def transformer(keras: Any) -> Any:
    layers = keras.layers
    words = keras.Input((7,), dtype="int32")
    flow = layers.Embedding(30, 16)(words)
    for _ in range(2):
        flow = layers.LayerNormalization()(layers.Add()([flow, layers.MultiHeadAttention(2, 8)(flow, flow)]))
        inside = layers.Dense(16)(layers.Dense(32)(flow))
        flow = layers.LayerNormalization()(layers.Add()([flow, inside]))
    return keras.Model(words, layers.Dense(3)(layers.GlobalAveragePooling1D()(flow)))


def several(keras: Any, default: Any, **patterns: Any) -> Any:
    optimizers = keras.optimizers
    return optimizers.MultiOptimizer(optimizers.OptimizerMap(default, {f".*{k}": v for k, v in patterns.items()}))


OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    "SGD": lambda keras: keras.optimizers.SGD(momentum=0.9),
    "RMSprop": lambda keras: keras.optimizers.RMSprop(momentum=0.9, centered=True),
    "Adam": lambda keras: keras.optimizers.Adam(amsgrad=True),
    "AdamW": lambda keras: keras.optimizers.AdamW(),
    "scheduled": lambda keras: keras.optimizers.AdamW(keras.optimizers.schedules.CosineDecay(0.1, 100)),
    "averaged": lambda keras: keras.optimizers.AdamW(use_ema=True),
    "Adadelta": lambda keras: keras.optimizers.Adadelta(),
    "Adagrad": lambda keras: keras.optimizers.Adagrad(),
    "Adamax": lambda keras: keras.optimizers.Adamax(),
    "Adafactor": lambda keras: keras.optimizers.Adafactor(),
    "Nadam": lambda keras: keras.optimizers.Nadam(),
    "Ftrl": lambda keras: keras.optimizers.Ftrl(),
    "Lion": lambda keras: keras.optimizers.Lion(),
    "Lamb": lambda keras: keras.optimizers.Lamb(),
    "Muon": lambda keras: keras.optimizers.Muon(),
    "ScheduleFreeAdamW": lambda keras: keras.optimizers.ScheduleFreeAdamW(),
    "scaled AdamW": lambda keras: keras.optimizers.LossScaleOptimizer(keras.optimizers.AdamW()),
    "scaled ScheduleFreeAdamW": lambda keras: keras.optimizers.LossScaleOptimizer(keras.optimizers.ScheduleFreeAdamW()),
    "scaled Muon": lambda keras: keras.optimizers.LossScaleOptimizer(keras.optimizers.Muon()),
    "Multi": lambda keras: several(keras, keras.optimizers.SGD(momentum=0.9), kernel=keras.optimizers.AdamW()),
    "Multi with Muon": lambda keras: several(keras, keras.optimizers.Adam(), kernel=keras.optimizers.Muon()),
    "Multi with none": lambda keras: several(keras, keras.optimizers.SGD(), kernel=keras.optimizers.Lion()),
    "scaled Multi": lambda keras: keras.optimizers.LossScaleOptimizer(
        several(keras, keras.optimizers.Adagrad(), bias=keras.optimizers.Adam())
    ),
}
NOT_TOLD = {"SGD", "RMSprop", "averaged", "Multi", "Multi with none"}
"""Where weights alone do not tell which of several settings there were, so that some slots are only numbered."""


def trained(keras: Any, model: Any, optimizer: Any) -> Any:
    """A model after two steps, all of whose optimizer's slots have values of their own."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, run_eagerly=True)  # to compile two steps takes ten times as long as to do them
    generator = np.random.default_rng(1)
    model.fit(generator.integers(0, 30, (16, 7)), generator.integers(0, 3, 16), epochs=1, batch_size=8, verbose=0)
    for number, variable in enumerate(variables(model.optimizer)):
        if len(variable.shape):
            variable.assign(generator.random(variable.shape) + number)
    return model


@lru_cache(maxsize=1)  # the tests of one model follow each other
def trained_once(name: str, build: Callable[[Any], Any]) -> Any:
    import keras

    return trained(keras, build(keras), OPTIMIZERS[name](keras))


def variables(optimizer: Any) -> list[Any]:
    return list({id(each): each for each in optimizer.variables}.values())


def place(variable: Any, model: Any) -> tuple[str, str | None] | None:
    """Slot and weight of an optimizer's variable, as Keras's own names tell them."""
    name = variable.path.rpartition("/")[2]
    for weight in model.trainable_variables:
        stem = weight.path.replace("/", "_")
        if name.startswith(f"{stem}_"):
            layer = weight.path.removeprefix(f"{model.name}/")
            return name.removeprefix(f"{stem}_"), layer
    if name in ("iteration", "learning_rate", "step_counter", "dynamic_scale", "u_product"):
        return name, None
    return None  # Adafactor's row and column statistics have the weight's own name


def same_weight(path: str, keras_path: str) -> bool:
    """Whether a tensor's path is Keras's, but for the numbers of automatic names."""
    bare = [re.sub(r"_\d+(?=/|$)", "", each) for each in (path, keras_path)]
    return bare[0] == bare[1]


@pytest.mark.parametrize("ending", [".keras", ".weights.h5"])
@pytest.mark.parametrize("build", [mlp, transformer])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_variable_is_what_keras_made_it_for(
    name: str, build: Callable[[Any], Any], ending: str, keras: Any, tmp_path: Path
) -> None:
    if name.startswith("scaled") and build is transformer:
        pytest.skip("the transformer without it is enough")
    model = trained_once(name, build)
    path = tmp_path / f"model{ending}"
    (model.save_weights if ending == ".weights.h5" else model.save)(path)
    weights = {each.path.removeprefix(f"{model.name}/"): np.asarray(each) for each in model.trainable_variables}
    with wtool.open_checkpoint(str(path)) as checkpoint:
        own = {tensor.path: checkpoint.read(tensor) for tensor in checkpoint.weights}
        slots = [(tensor, checkpoint.read(tensor)) for tensor in checkpoint.slots]
        assert wtool.inspect(path)["optimizer"]["step"] == 2
    seen = 0
    for variable in variables(model.optimizer):
        told = place(variable, model)
        value = np.asarray(variable)
        found = [tensor for tensor, stored in slots if stored.shape == value.shape and np.array_equal(stored, value)]
        assert found, f"{variable.path} is not among the slots"
        if value.shape == () or told is None:
            continue
        slot, weight = told
        for tensor in found:
            assert tensor.slot is not None
            seen += _is_right(tensor, slot, weight, own, weights, ending == ".weights.h5" and name in NOT_TOLD)
    assert seen or name in ("Adafactor", "Multi with none", "scaled Multi")


def _is_right(
    tensor: Tensor, slot: str, weight: str | None, own: dict[str, Array], weights: dict[str, Array], numbered: bool
) -> int:
    """Assert that a slot is told rightly or left open; 1 where it is told."""
    assert tensor.slot is not None
    assert weight is not None
    called = KERAS_NAMES.get(tensor.slot.name, tensor.slot.name)
    assert called == slot or (numbered and (called.startswith("slot") or called == "unknown"))
    if tensor.slot.weight is None:
        return 0
    assert np.array_equal(own[tensor.slot.weight], weights[weight]), (tensor.path, weight)
    return 1


def slots_of(path: Path) -> dict[str, tuple[Tensor, Array]]:
    with wtool.open_checkpoint(str(path)) as checkpoint:
        return {tensor.path: (tensor, checkpoint.read(tensor)) for tensor in checkpoint.slots}


@pytest.mark.parametrize("ending", [".keras", ".weights.h5"])
@pytest.mark.parametrize("name", ["AdamW", "Muon", "ScheduleFreeAdamW", "scaled AdamW", "Multi with Muon"])
def test_what_becomes_of_the_optimizer(name: str, ending: str, keras: Any, tmp_path: Path) -> None:
    model = trained(keras, mlp(keras), OPTIMIZERS[name](keras))
    path = tmp_path / f"model{ending}"
    (model.save_weights if ending == ".weights.h5" else model.save)(path)
    before = slots_of(path)
    outputs = {mode: tmp_path / f"{mode}{ending}" for mode in ("keep", "follow", "reset", "drop")}
    for mode, output in outputs.items():
        wtool.prune(path, sparsity=0.5, optimizer=mode, output=output)
        if ending == ".keras":
            keras.models.load_model(output)
        else:
            mlp(keras).load_weights(output)
    assert slots_of(outputs["drop"]) == {}
    assert all(np.array_equal(value, before[path][1]) for path, (_, value) in slots_of(outputs["keep"]).items())
    with wtool.open_checkpoint(str(outputs["follow"])) as checkpoint:
        weights = {tensor.path: checkpoint.read(tensor) for tensor in checkpoint.weights}
        kernels = {tensor.path for tensor in checkpoint.weights if tensor.role == "kernel"}
    followed, reset = slots_of(outputs["follow"]), slots_of(outputs["reset"])
    is_unclear = any(tensor.shape and tensor.slot and tensor.slot.weight is None for tensor, _ in before.values())
    assert is_unclear == (name == "Multi with Muon" and ending == ".weights.h5")
    momenta = 0
    for place, (tensor, old) in before.items():
        assert tensor.slot is not None
        weight, new, anew = tensor.slot.weight, followed[place][1], reset[place][1]
        moves = tensor.slot.name in ("momentum", "average", "sequence") and weight in kernels
        momenta += moves
        if moves:
            assert weight is not None
            pruned = weights[weight] == 0
            assert not new[pruned].any()
            assert np.array_equal(new[~pruned], old[~pruned])
        else:
            assert np.array_equal(new, old)
        if is_unclear or tensor.slot.name in ("learning_rate", "dynamic_scale"):
            assert np.array_equal(anew, old)
        elif tensor.slot.name in ("average", "sequence"):
            assert weight is not None
            assert np.array_equal(anew, weights[weight] if weight in kernels else old)
        else:
            assert not anew.any()
    assert momenta >= len(kernels)
