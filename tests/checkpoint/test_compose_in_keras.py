"""Composed models as Keras loads them: every weight is where Keras 2 or Keras 3 had it.

All layers of the random models take and give tensors of one shape, and most of their variables have the same shapes. So
a value in another variable's place would be loaded without an error, and only the comparison of values tells.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.checkpoint.composing import composed, slots_of
from tests.models import arrays
from wtool.checkpoint.composition import Composition
from wtool.checkpoint.model import Tensor
from wtool.checkpoint.opener import open_checkpoint

pytestmark = pytest.mark.tensorflow
keras = pytest.importorskip("keras")
L = keras.layers
STEPS, WIDTH = 4, 6
"""Shape of all tensors in the random models, without the batch."""

KINDS = (
    "dense", "conv", "depthwise", "separable", "batch", "norm", "lstm", "gru", "both", "cells", "attention", "each",
    "dropout", "add", "again", "functional", "sequential",
)  # fmt: skip
Recipe = list[Any]


@st.composite
def recipes(draw: st.DrawFn, depth: int = 0) -> Recipe:
    """What a random model is made of: kinds of layers, and recipes of the models inside it."""
    kinds = st.sampled_from(KINDS if depth < 2 else KINDS[:-2])
    found: Recipe = []
    for kind in draw(st.lists(kinds, min_size=1, max_size=7 if depth == 0 else 3)):
        inner = draw(recipes(depth + 1)) if kind in ("functional", "sequential") else draw(st.integers(0, 9))
        found.append((kind, inner))
    return found


def layer(library: Any, kind: str, name: str) -> Any:
    """A layer from tensors of one shape to tensors of the same shape."""
    layers = library.layers
    match kind:
        case "dense":
            return layers.Dense(WIDTH, name=name)
        case "conv":
            return layers.Conv1D(WIDTH, 3, padding="same", name=name)
        case "depthwise":
            return layers.DepthwiseConv1D(3, padding="same", name=name)
        case "separable":
            return layers.SeparableConv1D(WIDTH, 3, padding="same", name=name)
        case "batch":
            return layers.BatchNormalization(name=name)
        case "norm":
            return layers.LayerNormalization(name=name)
        case "lstm":
            return layers.LSTM(WIDTH, return_sequences=True, name=name)
        case "gru":
            return layers.GRU(WIDTH, return_sequences=True, name=name)
        case "both":
            return layers.Bidirectional(layers.LSTM(WIDTH // 2, return_sequences=True), name=name)
        case "cells":
            cells = [layers.LSTMCell(WIDTH, name=f"{name}_one"), layers.LSTMCell(WIDTH, name=f"{name}_two")]
            return layers.RNN(cells, return_sequences=True, name=name)
        case "each":
            return layers.TimeDistributed(layers.Dense(WIDTH, name=f"{name}_inner"), name=name)
    return layers.Dropout(0.5, name=name)


def functional(library: Any, recipe: Recipe, name: str) -> Any:
    """A functional model of a recipe, of Keras 3 or Keras 2: with shared layers, sums, and models inside it."""
    start = library.Input((STEPS, WIDTH), name=f"{name}_in")
    tensors, used = [start], []
    for number, (kind, inner) in enumerate(recipe):
        own = f"{name}_{kind}{number}"
        if kind == "add":
            tensors.append(library.layers.Add(name=own)([tensors[-1], tensors[inner % len(tensors)]]))
        elif kind == "attention":
            attention = library.layers.MultiHeadAttention(2, 3, name=own)
            tensors.append(attention(tensors[-1], tensors[inner % len(tensors)]))
        elif kind == "again" and used:
            tensors.append(used[inner % len(used)](tensors[-1]))
        else:
            made = model(library, kind, inner, own) if isinstance(inner, list) else layer(library, kind, own)
            used.append(made)
            tensors.append(made(tensors[-1]))
    return library.Model(start, tensors[-1], name=name)


def model(library: Any, kind: str, recipe: Recipe, name: str) -> Any:
    """A model of a recipe."""
    if kind == "functional":
        return functional(library, recipe, name)
    parts = [
        model(library, each, inner, f"{name}_{each}{number}")
        if isinstance(inner, list)
        else layer(library, each, f"{name}_{each}{number}")
        for number, (each, inner) in enumerate(recipe)
    ]
    return library.Sequential([library.layers.InputLayer((STEPS, WIDTH), name=f"{name}_in"), *parts], name=name)


def filled(made: Any, seed: int) -> Any:
    """A model with random weights, all of them positive: variances are, too."""
    rng = np.random.default_rng(seed)
    made.set_weights([rng.uniform(0.1, 0.5, np.shape(each)) for each in made.get_weights()])
    return made


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)
    keras.utils.clear_session()


few = settings(max_examples=6, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
kinds = st.sampled_from(("functional", "sequential"))


@few
@given(kinds, recipes(), st.integers(0, 99))
def test_random_models_of_keras_3(tmp_path_factory: Any, kind: str, recipe: Recipe, seed: int) -> None:
    folder = tmp_path_factory.mktemp("made")
    old = filled(model(keras, kind, recipe, "m"), seed)
    old.save(folder / "old.keras")
    old.save(folder / "old.h5")
    with open_checkpoint(str(folder / "old.keras")) as like, open_checkpoint(str(folder / "old.h5")) as base:
        variables = {tensor.path: tensor for tensor in base.weights}
        composition = Composition("keras", like.config, like.keras_version, variables, slots_of(base))
        made = composed(base, composition, folder / "new.keras")
    assert_equal_arrays(folder / "old.keras", made)
    new = keras.models.load_model(made)
    assert all(np.array_equal(one, other) for one, other in zip(old.get_weights(), new.get_weights(), strict=True))


def assert_equal_arrays(one: Path, other: Path) -> None:
    wanted, found = arrays(one), arrays(other)
    assert wanted.keys() == found.keys()
    assert all(np.array_equal(values, found[name]) for name, values in wanted.items())


NAMES_OF_KERAS_2 = {"depthwise_kernel": "kernel"}


def of_keras_2(tensors: tuple[Tensor, ...], layers: dict[str, str | None]) -> dict[str, Tensor]:
    """Variables by their paths in Keras 3, which gives depthwise kernels another name."""
    found = {}
    for tensor in tensors:
        owner, _, name = tensor.path.rpartition("/")
        renamed = (layers[tensor.layer] or "").startswith("DepthwiseConv") and name == "depthwise_kernel"
        found[f"{owner}/kernel" if renamed else tensor.path] = tensor
    return found


@few
@given(kinds, recipes(), st.integers(0, 99))
def test_random_models_of_keras_2(tmp_path_factory: Any, kind: str, recipe: Recipe, seed: int) -> None:
    keras2 = pytest.importorskip("tf_keras")
    folder = tmp_path_factory.mktemp("made")
    old = filled(model(keras2, kind, recipe, "m"), seed)
    old.save(folder / "old.h5")
    same = model(keras, kind, recipe, "m")
    config = json.loads(same.to_json())
    with open_checkpoint(str(folder / "old.h5")) as base:
        layers = {each.name: each.class_name for each in base.contents.layers}
        variables = of_keras_2(base.weights, layers)
        composition = Composition("keras", config, keras.__version__, variables)
        made = composed(base, composition, folder / "new.keras")
    new = keras.models.load_model(made)
    example = np.random.default_rng(seed).normal(size=(2, STEPS, WIDTH)).astype("float32")
    expected, found = (np.asarray(each(example, training=False), "float64") for each in (old, new))
    assert found == pytest.approx(expected, abs=1e-5 * max(1.0, float(np.abs(expected).max())))
    assert_same_layers(old, new)


def assert_same_layers(old: Any, new: Any) -> None:
    """Each layer has the weights of its namesake, in the same order."""
    for one in old.layers:
        if "Input" in type(one).__name__:
            continue
        other = new.get_layer(one.name)
        if isinstance(getattr(one, "layers", None), list):
            assert_same_layers(one, other)
        else:
            weights = zip(one.get_weights(), other.get_weights(), strict=True)
            assert all(np.array_equal(first, second) for first, second in weights), one.name
