"""Groups of channels against groups that were worked out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wtool.checkpoint.opener import open_checkpoint
from wtool.graphs.grouping import grouping_of
from wtool.graphs.groups import Group
from wtool.graphs.labels import components
from wtool.schema import graph

pytestmark = pytest.mark.tensorflow
keras = pytest.importorskip("keras")
L = keras.layers


def groups(model: Any, folder: Path, reorder: bool = False) -> dict[str, Group]:
    model.save(folder / "model.keras")
    with open_checkpoint(str(folder / "model.keras")) as base:
        assert base.config is not None
        return {each.name: each for each in grouping_of(base, graph.read(base.config), reorder).groups}


def shown(group: Group) -> dict[str, list[int]]:
    """Weight and axis -> the channel at each position."""
    return {f"{each.path}:{each.axis}": each.channels.tolist() for each in group.members}


def test_chain_with_normalization_and_flattening(tmp_path: Path) -> None:
    image = keras.Input((4, 4, 1))
    x = L.Conv2D(2, 3, padding="same", name="a")(image)
    x = L.BatchNormalization(name="n")(x)
    x = L.MaxPooling2D()(L.PReLU(shared_axes=[1, 2], name="p")(x))
    x = L.DepthwiseConv2D(1, depth_multiplier=2, name="d")(x)
    x = L.Dense(3, name="b")(L.Flatten()(x))
    found = groups(keras.Model(image, x), tmp_path)
    assert list(found) == ["a", "b"]
    a, b = found["a"], found["b"]
    assert shown(a) == {
        "a/kernel:3": [0, 1],
        "a/bias:0": [0, 1],
        **{f"n/{name}:0": [0, 1] for name in ("gamma", "beta", "moving_mean", "moving_variance")},
        "p/alpha:2": [0, 1],
        "d/kernel:2": [0, 1],
        "d/bias:0": [0, 0, 1, 1],
        "b/kernel:0": [0, 0, 1, 1] * 4,
    }
    assert [each.side for each in a.members] == ["makes"] * 2 + ["follows"] * 7 + ["takes"]
    assert not a.bound.any()
    assert a.why == a.mixes == ()
    assert b.bound.all()
    assert b.why == ("the model's output has them",)


def test_sums_join_groups_and_a_gate_of_one_channel_does_not(tmp_path: Path) -> None:
    given = keras.Input((5,))
    x = L.Dense(4, name="a")(given)
    y = L.Dense(4, name="b")(L.Activation("relu")(x))
    gate = L.Dense(1, name="gate")(y)
    z = L.Multiply()([L.Add()([x, y]), gate])
    found = groups(keras.Model(given, L.Dense(2, name="c")(z)), tmp_path)
    assert list(found) == ["a", "c"]
    assert found["a"].layers == ("a", "b")
    assert found["a"].size == 4
    assert shown(found["a"])["gate/kernel:0"] == shown(found["a"])["c/kernel:0"] == [0, 1, 2, 3]


def test_concatenated_parts_stay_groups_unless_they_are_added_to(tmp_path: Path) -> None:
    """DenseNet: each layer reads all that were before it."""
    given = keras.Input((3,))
    a = L.Dense(2, name="a")(given)
    b = L.Dense(3, name="b")(a)
    both = L.Concatenate()([a, b])
    c = L.Dense(5, name="c")(L.BatchNormalization(name="n")(both))
    apart = groups(keras.Model(given, L.Dense(2, name="d")(c)), tmp_path)
    assert list(apart) == ["a", "b", "c", "d"]
    assert shown(apart["a"])["n/gamma:0"] == shown(apart["a"])["c/kernel:0"] == [0, 1, -1, -1, -1]
    assert shown(apart["b"])["n/gamma:0"] == [-1, -1, 0, 1, 2]
    joined = groups(keras.Model(given, L.Dense(2, name="e")(L.Add()([c, both]))), tmp_path)
    assert list(joined) == ["a", "e"]
    assert joined["a"].layers == ("a", "b", "c")
    assert shown(joined["a"])["b/kernel:1"] == [2, 3, 4]
    assert joined["a"].kinds.tolist() in ([0, 0, 1, 1, 1], [1, 1, 0, 0, 0])


def test_a_convolution_with_a_group_for_each_channel_follows_its_input(tmp_path: Path) -> None:
    image = keras.Input((6, 6, 1))
    x = L.Conv2D(3, 3, groups=3, name="b")(L.Conv2D(3, 3, name="a")(image))
    x = L.Conv2D(6, 2, groups=3, name="c")(x)
    found = groups(keras.Model(image, L.Dense(2, name="d")(L.Flatten()(x))), tmp_path)
    assert shown(found["a"])["b/kernel:3"] == shown(found["a"])["b/bias:0"] == [0, 1, 2]
    assert found["a"].why == found["c"].why == ("c (Conv2D): its channels are in groups",)


def test_what_is_added_to_an_input_stays(tmp_path: Path) -> None:
    given = keras.Input((4,))
    x = L.Add(name="sum")([L.Dense(4, name="a")(given), given])
    found = groups(keras.Model(given, L.Dense(2, name="b")(x)), tmp_path)
    assert found["a"].bound.all()
    assert found["a"].why == ("sum (Add): not all of its inputs are changed alike",)


def test_layers_that_are_called_twice_have_one_group(tmp_path: Path) -> None:
    shared = L.Dense(3, name="shared")
    given = keras.Input((3,))
    x = shared(shared(given))
    found = groups(keras.Model(given, L.Dense(2, name="b")(x)), tmp_path)
    assert found["shared"].bound.all()
    assert found["shared"].why == ("shared: it is called with other channels, too",)
    a, b = L.Dense(3, name="a")(given), L.Dense(3, name="b")(given)
    other = L.Dense(5, name="other")
    x = L.Concatenate()([other(a), other(b)])
    found = groups(keras.Model(given, L.Dense(2, name="c")(x)), tmp_path)
    assert list(found) == ["a", "other", "c"]
    assert found["a"].layers == ("a", "b")
    assert shown(found["other"])["c/kernel:0"] == [0, 1, 2, 3, 4] * 2
    assert not found["other"].bound.any()


def test_units_of_recurrent_layers_have_columns_in_each_gate(tmp_path: Path) -> None:
    given = keras.Input((4, 2))
    _, *states = L.LSTM(3, return_state=True, name="encoder")(given)
    x = L.LSTM(3, name="decoder")(given, initial_state=states)
    found = groups(keras.Model(given, L.Dense(2, name="b")(x)), tmp_path)
    assert found["encoder"].layers == ("encoder", "decoder")
    members = shown(found["encoder"])
    for name in ("encoder", "decoder"):
        cell = f"{name}/lstm_cell" if f"{name}/lstm_cell/kernel:1" in members else f"{name}/lstm_cell_1"
        assert members[f"{cell}/recurrent_kernel:0"] == [0, 1, 2]
        for weight in ("kernel:1", "recurrent_kernel:1", "bias:0"):
            assert members[f"{cell}/{weight}"] == [0, 1, 2] * 4
    assert members["b/kernel:0"] == [0, 1, 2]


@pytest.mark.parametrize("mode", ["concat", "sum", None])
def test_both_directions(mode: str | None, tmp_path: Path) -> None:
    given = keras.Input((4, 2))
    made = L.Bidirectional(L.GRU(3, name="gru"), merge_mode=mode, name="two")(given)
    x = L.Concatenate()(made) if mode is None else made
    model = keras.Model(given, L.Dense(2, name="b")(x))
    together, apart = groups(model, tmp_path), groups(model, tmp_path, reorder=True)
    width = 3 if mode == "sum" else 6
    assert shown(together["two"])["b/kernel:0"] == [0, 1, 2, 0, 1, 2][:width]
    assert shown(together["two"])["two/forward_gru/gru_cell/bias:1"] == [0, 1, 2] * 3
    if mode == "sum":
        assert list(apart) == ["two", "b"]
    else:
        assert list(apart) == ["two (forward)", "two (backward)", "b"]
        assert shown(apart["two (forward)"])["b/kernel:0"] == [0, 1, 2, -1, -1, -1]
        backward = shown(apart["two (backward)"])
        assert backward["b/kernel:0"] == [-1, -1, -1, 0, 1, 2]
        assert not any(path.startswith("two/forward") for path in backward)


def test_unlike_directions_make_no_channels(tmp_path: Path) -> None:
    given = keras.Input((4, 3))
    both = L.Bidirectional(
        L.LSTM(5, return_sequences=True), backward_layer=L.GRU(5, return_sequences=True, go_backwards=True)
    )
    found = groups(keras.Model(given, L.Dense(2, name="out")(both(L.Dense(4, name="a")(given)))), tmp_path)
    assert set(found) == {"a", "out"}
    assert len(found["a"].members) == 4  # its kernel and bias, and the kernels of both directions


def test_transformer_block(tmp_path: Path) -> None:
    tokens = keras.Input((6,), dtype="int32")
    x = L.Embedding(10, 8, name="table")(tokens)
    y = L.MultiHeadAttention(2, 3, name="attention")(x, x)
    x = L.LayerNormalization(name="norm")(L.Add()([x, y]))
    y = L.Dense(8, name="down")(L.Dense(16, activation="gelu", name="up")(x))
    x = L.GlobalAveragePooling1D()(L.Add()([x, y]))
    found = groups(keras.Model(tokens, L.Dense(2, name="head")(x)), tmp_path)
    assert list(found) == ["table", "attention (heads)", "up", "head"]
    stream = found["table"]
    assert stream.layers == ("table", "attention", "down")
    assert stream.mixes == ("norm (LayerNormalization): it works on all channels together",)
    assert shown(stream)["norm/gamma:0"] == list(range(8))
    heads = shown(found["attention (heads)"])
    assert heads == {
        **{f"attention/{part}/{name}": [0, 1] for part in ("query", "key", "value") for name in ("kernel:1", "bias:0")},
        "attention/attention_output/kernel:0": [0, 1],
    }


def test_nested_models_and_squeeze_and_excitation(tmp_path: Path) -> None:
    inner_in = keras.Input((4, 4, 6))
    s = L.GlobalAveragePooling2D()(inner_in)
    s = L.Dense(2, activation="relu", name="squeeze")(L.Reshape((1, 1, 6))(s))
    s = L.Dense(6, activation="sigmoid", name="excite")(s)
    inner = keras.Model(inner_in, L.Multiply()([inner_in, s]), name="se")
    image = keras.Input((4, 4, 1))
    x = inner(L.Conv2D(6, 3, padding="same", name="a")(image))
    found = groups(keras.Model(image, L.Conv2D(2, 1, name="b")(x)), tmp_path)
    assert list(found) == ["a", "se/squeeze", "b"]
    assert found["a"].layers == ("a", "se/excite")
    assert shown(found["a"])["se/squeeze/kernel:0"] == list(range(6))
    assert not found["a"].bound.any()


def test_softmax_and_unknown_operations(tmp_path: Path) -> None:
    given = keras.Input((4,))
    a = L.Dense(3, activation="softmax", name="a")(given)
    b = L.Dense(3, name="b")(L.Dropout(0.1)(a))
    found = groups(keras.Model(given, L.Dense(2, name="c")(keras.ops.flip(b, -1))), tmp_path)
    assert found["a"].mixes == ("a (Dense): 'softmax' works on all channels together",)
    assert not found["a"].bound.any()
    assert found["b"].bound.all()
    assert "may work on all channels together" in found["b"].why[0]


def test_components() -> None:
    """Against a search by hand over random graphs."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        size = int(rng.integers(1, 30))
        ends = rng.integers(0, size, (2, int(rng.integers(0, 40))))
        expected = list(range(size))
        for _ in range(size):
            for a, b in ends.T:
                expected[a] = expected[b] = min(expected[a], expected[b])
        assert components(size, [(ends[0], ends[1])]).tolist() == expected


def test_operations_on_single_values_pass_channels_on(tmp_path: Path) -> None:
    given = keras.Input((5,))
    x = L.Dense(4, name="a")(given)
    y = keras.ops.relu(x * 2.0) + L.Dense(4, name="b")(x) / 3.0
    found = groups(keras.Model(given, L.Dense(2, name="c")(keras.ops.maximum(y, 0.5))), tmp_path)
    assert list(found) == ["a", "c"]
    assert found["a"].layers == ("a", "b")
    assert not found["a"].bound.any()
    for odd in (y / L.Dense(4, name="d")(x), y * np.arange(4.0, dtype="float32"), keras.ops.softmax(y), 1.0 / y):
        assert groups(keras.Model(given, L.Dense(2, name="c")(odd)), tmp_path)["a"].bound.all()
