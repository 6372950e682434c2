"""Models without some channels against models whose channels nobody reads: Keras computes the same with both."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.graphs.test_swap import example, predicted, scattered
from wtool.checkpoint.lineage import Record
from wtool.checkpoint.opener import Opener, open_checkpoint
from wtool.dtypes import Array
from wtool.errors import Refused
from wtool.graphs.grouping import grouping_of
from wtool.graphs.structure import structure_of
from wtool.graphs.taking_out import take_out
from wtool.run.changes import Changes, Edited
from wtool.run.derive import derive
from wtool.run.plan import Operand, Operation, Plan
from wtool.run.progress import Passes
from wtool.run.target import Goal
from wtool.schema import graph

pytestmark = pytest.mark.tensorflow
keras = pytest.importorskip("keras")
wtool_layers = pytest.importorskip("wtool.layers")
L = keras.layers


def without(source: Path, kept: dict[str, Array], target: Path) -> Path:
    """Take channels out of a model file."""

    def changes(edited: Edited, _: Passes) -> Changes:
        config = deepcopy(edited.base.config)
        assert config is not None
        values = take_out(grouping_of(edited.base, graph.read(config)), kept)
        return Changes(structure=structure_of(edited.base, config, values, "zero", 0, "keep"))

    with ExitStack() as stack:
        base = Opener().open(str(source), stack)
        operation = Operation(Record("shrink", {}), (Operand(base, {"as": "model"}),), changes)
        derive(Plan(base, (operation,)), Goal(str(target)))
    return target


def some(path: Path, seed: int) -> tuple[dict[str, Array], dict[str, Array]]:
    """For each group that may lose channels which stay; and path of each weight -> what it is multiplied with."""
    rng = np.random.default_rng(seed)
    kept: dict[str, Array] = {}
    masks: dict[str, Array] = {}
    with open_checkpoint(str(path)) as base:
        assert base.config is not None
        shapes = {tensor.path: tensor.shape for tensor in base.weights}
        for group in grouping_of(base, graph.read(deepcopy(base.config))).groups:
            if group.mixes:
                continue
            stays = group.bound | (rng.random(group.size) < 0.5)
            for part in (np.ones(group.size, bool), *group.parts):
                stays[rng.choice(np.flatnonzero(part))] = True
            kept[group.name] = stays
            for member in group.members:
                if member.side != "takes":
                    continue
                read = np.where(member.channels < 0, True, stays[member.channels])
                shape = [-1 if axis == member.axis else 1 for axis in range(len(shapes[member.path]))]
                masks[member.path] = masks.get(member.path, np.ones(())) * read.reshape(shape)
    return kept, masks


def unread(model: Any, path: Path, masks: dict[str, Array]) -> None:
    """Multiply the weights of a live model that read channels with masks."""
    with open_checkpoint(str(path)) as base:
        values = {tensor.path: base.read(tensor) for tensor in base.weights}
    for variable in model.weights:
        found = [each for each, mask in masks.items() if np.array_equal(values[each], variable.numpy())]
        if found and variable.shape.rank > 1:
            assert len(found) == 1
            variable.assign(variable.numpy() * masks[found[0]])


def chain() -> Any:
    image = keras.Input((6, 6, 2))
    x = L.Conv2D(5, 3, padding="same", activation="relu")(image)
    x = L.MaxPooling2D()(L.PReLU(shared_axes=[1, 2])(L.BatchNormalization()(x)))
    x = L.DepthwiseConv2D(2, depth_multiplier=2, activation="tanh")(x)
    x = L.SeparableConv2D(6, 2, padding="same")(x)
    x = L.Conv2DTranspose(4, 3, strides=2)(L.UpSampling2D()(x))
    x = L.Dense(7, activation="relu")(L.Flatten()(x))
    return keras.Model(image, L.Dense(3, activation="softmax")(x))


def residual() -> Any:
    image = keras.Input((6, 6, 2))
    x = L.Conv2D(6, 3, padding="same")(image)
    y = L.Conv2D(4, 1, activation="relu")(x)
    y = L.Conv2D(6, 3, padding="same")(L.BatchNormalization()(y))
    x = L.Activation("relu")(L.Add()([x, y]))
    s = L.Dense(6, activation="sigmoid")(
        L.Dense(3, activation="relu")(L.Reshape((1, 1, 6))(L.GlobalAveragePooling2D()(x)))
    )
    x = L.Multiply()([x, s])
    x = L.Concatenate()([x, L.Conv2D(3, 1)(x)])
    return keras.Model(image, [L.Dense(2)(L.GlobalMaxPooling2D()(x)), L.Conv2D(1, 1)(x)])


def channels_first() -> Any:
    given = keras.Input((3, 12))
    x = L.Conv1D(4, 3, data_format="channels_last", padding="same")(L.Permute((2, 1))(given))
    x = L.Permute((2, 1))(x)
    x = L.Permute((2, 1))(L.Dense(5, activation="relu")(x))
    return keras.Model(given, L.Dense(2)(L.Flatten()(L.Dense(1)(x))))


def sequences() -> Any:
    words = keras.Input((6,))
    x = L.Embedding(11, 8, mask_zero=False)(words)
    x = L.Bidirectional(L.LSTM(4, return_sequences=True))(x)
    x = L.TimeDistributed(L.Dense(6, activation="relu"))(x)
    x, *states = L.GRU(5, return_sequences=True, return_state=True)(x)
    x = L.SimpleRNN(5)(x, initial_state=states)
    return keras.Model(words, L.Dense(2)(x))


def attention() -> Any:
    given = keras.Input((5, 6))
    x = L.EinsumDense("abc,cde->abde", output_shape=(None, 3, 4), bias_axes="de")(given)
    x = L.Reshape((5, 12))(L.Activation("relu")(x))
    x = L.MultiHeadAttention(3, 4, output_shape=7)(x, x)
    x = L.MultiHeadAttention(4, 2)(x, L.Dense(9)(given))
    return keras.Model(given, L.Dense(2)(L.GlobalAveragePooling1D()(x)))


def nested() -> Any:
    inner_in = keras.Input((4, 4, 6))
    inner = keras.Model(inner_in, L.Conv2D(5, 1, activation="relu")(L.BatchNormalization()(inner_in)), name="inner")
    head = keras.Sequential([L.Conv2D(4, 3, activation="relu"), L.GlobalAveragePooling2D()], name="head")
    image = keras.Input((4, 4, 2))
    a, b = L.Conv2D(6, 3, padding="same")(image), L.Conv2D(6, 1)(image)
    x = L.Average()([inner(a), inner(b)])
    return keras.Model(image, L.Dense(2)(head(x)))


def operations() -> Any:
    given = keras.Input((5, 3))
    x = L.Dense(6, name="a")(given)
    x = keras.ops.gelu(x) * 0.5 + L.Dense(6, name="b")(x)
    x = x * keras.ops.sigmoid(L.Dense(6)(x)) - 1.0
    return keras.Model(given, L.Dense(2)(L.Flatten()(keras.ops.silu(x) / 2.0)))


def grouped() -> Any:
    """Convolutions with a group for each channel, as in ConvNeXt, and one that mixes those of each of its groups."""
    image = keras.Input((6, 6, 2))
    x = L.Conv2D(6, 3, activation="relu")(image)
    x = L.Add()([x, L.Dense(6)(L.Conv2D(6, 3, groups=6, padding="same", activation="relu")(x))])
    x = L.Conv2D(6, 2, groups=6)(x)
    x = L.Conv2D(4, 1, groups=2)(L.Dense(4)(x))
    return keras.Model(image, L.Dense(2)(L.GlobalAveragePooling2D()(x)))


def own() -> Any:
    image = keras.Input((6, 6, 2))
    x = wtool_layers.LKReLU()(
        wtool_layers.AutoRotConv2D(4, 3, xmin_lim=-4.0, xmax_lim=4.0, L=2.0, activation="tanh")(image)
    )
    x = wtool_layers.LKPReLU()(L.Dense(5)(L.Flatten()(x)))
    return keras.Model(image, L.Dense(2)(x))


def masked() -> Any:
    words = keras.Input((6,))
    x = L.Embedding(11, 8, mask_zero=True)(words)
    x = L.Bidirectional(L.LSTM(4, return_sequences=True))(x)
    x, *states = L.GRU(5, return_sequences=True, return_state=True)(x)
    x = L.TimeDistributed(L.Dense(6, activation="relu"))(L.SimpleRNN(5, return_sequences=True)(x, initial_state=states))
    return keras.Model(words, L.Dense(2)(L.GlobalAveragePooling1D()(x)))


def axes() -> Any:
    """A layer that is called with inputs of other ranks; and two axes of channels that go through a Reshape."""
    given = keras.Input((5, 4))
    shared = L.Dense(6, activation="relu")
    x = L.Add()([L.GlobalMaxPooling1D()(shared(given)), shared(L.GlobalAveragePooling1D()(given))])
    y = L.Reshape((5, 1, 3, 7))(L.EinsumDense("abc,dce->abde", output_shape=(5, 3, 7), bias_axes="de")(given))
    y = L.EinsumDense("abucd,cde->abe", output_shape=(5, 4), bias_axes="e")(y)
    return keras.Model(given, [L.Dense(2)(x), L.Dense(2)(L.Flatten()(y))])


def parts() -> Any:
    """Layers that make some of the channels of another one."""
    given = keras.Input((4,))
    x = L.Concatenate()([L.Dense(2, activation="relu", name="a")(given), L.Dense(4, name="b")(given)])
    return keras.Model(given, L.Dense(3, name="d")(L.Add()([x, L.Dense(6, name="c")(given)])))


@pytest.mark.parametrize(
    "build",
    [chain, masked, axes, parts, residual, channels_first, sequences, attention, nested, operations, grouped, own],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_computes_what_the_model_does_whose_channels_nobody_reads(
    build: Callable[[], Any], seed: int, tmp_path: Path
) -> None:
    keras.utils.set_random_seed(seed)
    model = scattered(build(), seed)
    model.compile("adam", "mse")
    model.save(tmp_path / "model.keras")
    kept, masks = some(tmp_path / "model.keras", seed)
    assert kept
    assert not all(each.all() for each in kept.values())
    made = keras.models.load_model(without(tmp_path / "model.keras", kept, tmp_path / "less.keras"))
    unread(model, tmp_path / "model.keras", masks)
    assert made.count_params() < model.count_params()
    inputs = example(model)
    for was, now in zip(predicted(model, inputs), predicted(made, inputs), strict=True):
        np.testing.assert_allclose(now, was, rtol=1e-5, atol=2e-5 * max(1, np.abs(was).max()))
    if seed == 0:
        made.fit(inputs, predicted(model, inputs), verbose=0)


def test_refuses_what_cannot_go(tmp_path: Path) -> None:
    given = keras.Input((3,))
    keras.Model(given, L.Dense(2, name="b")(L.Dense(4, name="a")(given))).save(tmp_path / "model.keras")
    for kept, why in (
        ({"a": np.ones(3, bool)}, "a has 4 channels, not 3"),
        ({"a": np.zeros(4, bool)}, "a would lose all channels of a layer"),
        ({"b": np.array([True, False])}, "b would lose channels that must stay: the model's output has them"),
    ):
        with pytest.raises(Refused, match=why):
            without(tmp_path / "model.keras", kept, tmp_path / "less.keras")
    assert not (tmp_path / "less.keras").exists()
