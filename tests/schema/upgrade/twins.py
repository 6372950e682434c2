"""A model of tf_keras and its upgraded twin in Keras 3: made, given the same weights, compared."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest

from tests.models import Array
from wtool.schema.inbound_nodes import refs_of_node
from wtool.schema.upgrade.model import upgrade
from wtool.schema.upgrade.upgraded import Upgraded, Wishes, moved_path

keras = pytest.importorskip("keras")


def upgraded(model: Any, wishes: Wishes | None = None) -> Upgraded:
    """Returns the upgrade of a model of tf_keras, by the text that its files hold."""
    config = json.loads(model.to_json())
    return upgrade(config, None, config.get("keras_version", "2.15.0"), {}, wishes or Wishes())


def twin(model: Any, result: Upgraded | None = None) -> Any:
    """Returns the upgraded model in Keras 3, loaded in safe mode without custom objects, with the old weights."""
    result = result or upgraded(model)
    assert not result.refused, result.refused
    new = keras.saving.deserialize_keras_object(json.loads(json.dumps(result.config)), safe_mode=True)
    assert_told_is_true(result.config["config"], new)
    give_weights(model, new, result.moved)
    return new


def give_weights(old: Any, new: Any, moved: Mapping[str, str], path: str = "") -> None:
    """Gives each layer of the new model the weights of the old layer at its path."""
    for layer in old.layers:
        at = f"{path}/{layer.name}" if path else layer.name
        if not layer.weights:
            continue
        other = new.get_layer(moved_path(at, moved).rpartition("/")[2])
        if hasattr(layer, "layers"):
            give_weights(layer, other, moved, at)
        else:
            other.set_weights(layer.get_weights())


def assert_told_is_true(config: Mapping[str, Any], new: Any) -> None:
    """Every tensor that a functional model's configuration notes has the shape and the dtype that Keras finds."""
    if "input_layers" not in config:
        return
    named = {operation.name: operation for operation in new.operations}
    for entry in config["layers"]:
        operation = named.get(entry["config"].get("name"))
        for number, node in enumerate(entry["inbound_nodes"] if operation is not None else ()):
            taken = keras.tree.flatten(operation._inbound_nodes[number].input_tensors)
            for ref, tensor in zip(refs_of_node(node), taken, strict=False):  # Keras puts masks behind them
                assert ref.told is not None
                assert (ref.told["shape"], ref.told["dtype"]) == (list(tensor.shape), tensor.dtype), ref.key
        if operation is not None and "layers" in entry["config"]:
            assert_told_is_true(entry["config"], operation)


def examples(model: Any, seed: int = 0) -> Any:
    """Returns random inputs for a model of tf_keras: whole numbers from 0 to 4 where it takes such."""
    rng = np.random.default_rng(seed)

    def one(tensor: Any) -> Array:
        shape = [size or 3 for size in (3, *tensor.shape[1:])]
        dtype = tensor.dtype.name
        if dtype.startswith(("int", "uint", "bool")):
            return rng.integers(0, 2 if dtype == "bool" else 5, shape).astype(dtype)
        return rng.normal(size=shape).astype(dtype)

    return keras.tree.map_structure(one, model.input)


def outputs_of(value: Any) -> Iterator[Array]:
    """Yields the arrays in what a model gives."""
    for each in keras.tree.flatten(value):
        yield np.asarray(each)


def assert_same(model: Any, new: Any, tolerance: float = 1e-5) -> None:
    """Both models give the same values for the same inputs, of the same dtypes."""
    given = examples(model)
    old_outputs, new_outputs = list(outputs_of(model(given))), list(outputs_of(new(given)))
    assert len(old_outputs) == len(new_outputs)
    for expected, found in zip(old_outputs, new_outputs, strict=True):
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
        scale = float(np.abs(expected.astype("float64")).max(initial=0.0))
        values = (np.asarray(each, "float64") for each in (found, expected))
        np.testing.assert_allclose(*values, rtol=0, atol=tolerance * max(1.0, scale))
