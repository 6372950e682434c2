"""Composed models as Keras loads them: every weight is where Keras 2 or Keras 3 had it.

All layers of the random models take and give tensors of one shape, and most of their variables have the same shapes. So
a value in another variable's place would be loaded without an error, and only the comparison of values tells.
"""

from __future__ import annotations

import json
from dataclasses import replace
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
from wtool.errors import Refused

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("quiet_keras", "plain_recurrence")]
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


few = settings(max_examples=4, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
kinds = st.sampled_from(("functional", "sequential"))


@few
@given(kinds, recipes(), st.integers(0, 99))
def test_random_models_of_keras_3(tmp_path_factory: Any, kind: str, recipe: Recipe, seed: int) -> None:
    folder = tmp_path_factory.mktemp("made")
    old = filled(model(keras, kind, recipe, "m"), seed)
    assert_comes_back(old, folder, ".h5")


def assert_comes_back(old: Any, folder: Path, ending: str) -> None:
    """A `.keras` file composed of a file of another ending is what Keras writes, and loads with equal weights."""
    old.save(folder / "old.keras")
    old.save(folder / f"old{ending}")
    with open_checkpoint(str(folder / "old.keras")) as like, open_checkpoint(str(folder / f"old{ending}")) as base:
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


def in_list_and_wrapper() -> Any:
    """A model whose config.json has one layer twice: in the list of layers, and inside a wrapper."""
    shared, start = L.Dense(WIDTH, name="shared"), keras.Input((STEPS, WIDTH))
    return keras.Model(start, L.TimeDistributed(shared)(shared(start)))


def attending() -> Any:
    """A model with the attention layers of Keras, whose projections have public or private attributes."""
    start = keras.Input((STEPS, WIDTH))
    inner = L.MultiHeadAttention(2, 3)(start, start)
    inner = L.GroupQueryAttention(3, 2, 1)(inner, inner)
    return keras.Model(start, L.AdditiveAttention()([L.Attention(use_scale=True)([inner, inner]), inner]))


def normalized() -> Any:
    """A model with wrappers that store the kernel of the layer inside a second time, beside numbers of their own."""
    start = keras.Input((STEPS, WIDTH))
    inner = L.SpectralNormalization(L.Dense(WIDTH))(start)
    return keras.Model(start, L.SpectralNormalization(L.Conv1D(WIDTH, 2, use_bias=False))(inner))


def with_operations() -> Any:
    """A model with operations between its layers, which files do not count."""
    start = keras.Input((STEPS, WIDTH))
    inner = L.Dense(WIDTH)(start) * 2 + start
    return keras.Model(start, L.Dense(WIDTH)(keras.ops.relu(L.Dense(WIDTH)(inner))))


def many_layers() -> Any:
    """A model with more than ten layers of one class, whose numbers have two digits."""
    return keras.Sequential([keras.Input((STEPS, WIDTH)), *(L.Dense(WIDTH) for _ in range(12))])


MAKERS = (attending, normalized, with_operations, many_layers)


@pytest.mark.parametrize(
    ("make", "ending"),
    # An `.h5` has the layer of two entries twice.
    [*((make, ending) for make in MAKERS for ending in (".keras", ".h5")), (in_list_and_wrapper, ".keras")],
)
def test_models_of_keras_3(tmp_path: Path, make: Any, ending: str) -> None:
    old = filled(make(), 1)
    assert_comes_back(old, tmp_path, ending)


ADAPTED = {
    "dense": (lambda: L.Dense(5), (4,)),
    "conv": (lambda: L.Conv2D(5, 2), (4, 4, 3)),
    "einsum": (lambda: L.EinsumDense("abc,cd->abd", output_shape=(None, 5), bias_axes="d"), (4, 3)),
    "embedding": (lambda: L.Embedding(7, 5), (4,)),
    "half": (lambda: L.Dense(5, dtype="bfloat16"), (4,)),
    "double": (lambda: L.Dense(5, dtype="float64"), (4,)),
}


@pytest.mark.parametrize("kind", ADAPTED)
def test_lora_factors_are_in_the_kernel(tmp_path: Path, kind: str) -> None:
    make, shape = ADAPTED[kind]
    old = keras.Sequential([keras.Input(shape), make()])
    old.layers[0].enable_lora(2, lora_alpha=3)
    filled(old, 1)
    old.save(tmp_path / "old.keras")
    old.save(tmp_path / "old.h5")
    with open_checkpoint(str(tmp_path / "old.keras")) as like, open_checkpoint(str(tmp_path / "old.h5")) as base:
        variables = {tensor.path: tensor for tensor in base.weights}
        assert len(variables) > len(like.weights)
        made = composed(base, Composition("keras", like.config, like.keras_version, variables), tmp_path / "new.keras")
    wanted, found = arrays(tmp_path / "old.keras"), arrays(made)
    assert wanted.keys() == found.keys()
    for name, values in wanted.items():
        assert found[name].dtype == values.dtype
        close = np.abs(found[name].astype("float64") - values.astype("float64")).max()
        assert close <= (2e-2 if kind == "half" else 1e-6), name
    keras.models.load_model(made)


@pytest.mark.parametrize("make", [attending, with_operations])
def test_weights_alone_are_loaded_into_the_model(tmp_path: Path, make: Any) -> None:
    old = filled(make(), 1)
    old.save(tmp_path / "old.keras")
    with open_checkpoint(str(tmp_path / "old.keras")) as base:
        variables = {tensor.path: tensor for tensor in base.weights}
        composition = Composition("weights.h5", base.config, base.keras_version, variables)
        made = composed(base, composition, tmp_path / "new.weights.h5")
    new = make()
    new.load_weights(made)
    assert all(np.array_equal(one, other) for one, other in zip(old.get_weights(), new.get_weights(), strict=True))


@keras.saving.register_keras_serializable("test")  # type: ignore[untyped-decorator]
class Mixed(L.Layer):  # type: ignore[misc]
    """A layer of a custom class, with variables of its own, and layers in an attribute and in a list."""

    def build(self, shape: Any) -> None:
        """Make the layers out of order: files have them by attribute."""
        self.shift = self.add_weight(shape=(WIDTH,), name="shift")
        self.count = self.add_weight(shape=(), name="count", trainable=False)
        self.second = [L.Dense(WIDTH), L.BatchNormalization(), L.Dense(WIDTH)]
        self.first = L.LSTM(WIDTH, return_sequences=True)
        for each in (*self.second, self.first):
            each.build(shape)

    def call(self, x: Any) -> Any:
        """Layer after layer."""
        for each in (*self.second, self.first):
            x = each(x)
        return x + self.shift


TOLD = ("second/dense", "second/batch_normalization", "second/dense_1", "first/cell")


@pytest.mark.parametrize("ending", [".keras", ".weights.h5", ".h5"])
def test_layers_of_custom_classes(tmp_path: Path, ending: str) -> None:
    start = keras.Input((STEPS, WIDTH))
    old = filled(keras.Model(start, L.Dense(2)(Mixed(name="own")(L.Dense(WIDTH)(start)))), 1)
    old.save(tmp_path / "old.keras")
    path = str(tmp_path / f"old{ending}")
    old.save_weights(path) if ending == ".weights.h5" else old.save(path)
    with open_checkpoint(str(tmp_path / "old.keras")) as like, open_checkpoint(path) as base:
        assert like.config is not None
        places = {tensor.stored: tensor.path for tensor in like.weights}
        variables = {places.get(tensor.stored, tensor.path): tensor for tensor in base.weights}
        composition = Composition("keras", like.config, like.keras_version, variables)
        if ending == ".h5":
            with pytest.raises(Refused, match=r"own \(Mixed\) holds dense.* and 1 more in attributes"):
                composed(base, composition, tmp_path / "new.keras")
            composition = replace(composition, attributes={"own": TOLD})
        made = composed(base, composition, tmp_path / "new.keras")
    assert_equal_arrays(tmp_path / "old.keras", made)
    new = keras.models.load_model(made)
    assert all(np.array_equal(one, other) for one, other in zip(old.get_weights(), new.get_weights(), strict=True))


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
