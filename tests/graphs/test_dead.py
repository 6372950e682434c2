"""Models whose dead channels are taken out: Keras computes the same, and nothing dead is left."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wtool
from tests.cli.test_cli import run
from tests.graphs import test_taking_out as models
from tests.graphs.test_swap import example, predicted, scattered
from wtool.checkpoint.opener import open_checkpoint
from wtool.errors import Refused
from wtool.graphs.dead import Dead, dead_channels
from wtool.graphs.grouping import grouping_of
from wtool.schema import graph

pytestmark = pytest.mark.tensorflow
keras = pytest.importorskip("keras")
wtool_layers = pytest.importorskip("wtool.layers")
L = keras.layers


def found_in(path: Path) -> Dead:
    with open_checkpoint(str(path)) as base:
        assert base.config is not None
        model = graph.read(deepcopy(base.config))
        return dead_channels(base, model, grouping_of(base, model))


def same(model: Any, tmp_path: Path) -> tuple[dict[str, int], Any]:
    """Shrink a live model; group -> channels that stay, and the live result, which computes the same."""
    model.save(tmp_path / "model.keras")
    dead = found_in(tmp_path / "model.keras")
    (told,) = wtool.shrink(tmp_path / "model.keras", output=tmp_path / "less.keras")
    assert told.same
    made = keras.models.load_model(tmp_path / "less.keras")
    inputs = example(model)
    for was, now in zip(predicted(model, inputs), predicted(made, inputs), strict=True):
        np.testing.assert_allclose(now, was, rtol=1e-5, atol=2e-5 * max(1, np.abs(was).max()))
    again = found_in(tmp_path / "less.keras")
    assert {name: int(kept.sum()) for name, kept in again.kept.items()} == {}
    return {name: int(kept.sum()) for name, kept in dead.kept.items()}, made


def zeroed(layer: Any, channels: list[int], weights: tuple[int, ...] = (0,), axis: int = -1) -> None:
    """Set the weights of some channels to zero."""
    values = layer.get_weights()
    for number in weights:
        np.moveaxis(values[number], axis, 0)[channels] = 0
    layer.set_weights(values)


def test_what_nobody_reads_goes(tmp_path: Path) -> None:
    given = keras.Input((4,))
    a, b, c = L.Dense(5, activation="relu", name="a"), L.Dense(6, name="b"), L.Dense(2, name="c")
    model = scattered(keras.Model(given, c(b(a(given)))))
    zeroed(c, [0, 3], axis=0)  # so two channels of b are not read
    zeroed(b, [1, 2, 4, 5], axis=-1)  # and only these read the rest of a
    values = b.get_weights()
    values[0][2, :] = 0
    values[0][2, 3] = 1.0  # channel 2 of a is read by a dead channel alone
    b.set_weights(values)
    kept, _ = same(model, tmp_path)
    assert kept["a"] <= 4
    assert kept["b"] == 1


def test_constants_are_added_to_biases(tmp_path: Path) -> None:
    image = keras.Input((6, 6, 2))
    a = L.Conv2D(5, 3, activation="relu", name="a")
    n = L.BatchNormalization(name="n")
    d = L.Dense(3, name="d")
    x = L.MaxPooling2D()(n(a(image)))
    x = L.Activation("tanh")(L.AveragePooling2D(2)(x))
    model = scattered(keras.Model(image, d(L.Flatten()(L.Dropout(0.5)(x)))))
    zeroed(a, [1, 3])
    kept, made = same(model, tmp_path)
    assert kept == {"a": 3}
    assert not np.array_equal(made.get_layer("d").bias, d.bias)


def test_constants_behind_padding_stay_unless_they_are_zero(tmp_path: Path) -> None:
    image = keras.Input((6, 6, 2))
    a = L.Conv2D(5, 3, activation="relu", name="a")
    b = L.Conv2D(4, 3, padding="same", name="b")
    model = scattered(keras.Model(image, L.GlobalAveragePooling2D()(b(a(image)))))
    zeroed(a, [1, 3])
    bias = a.get_weights()
    bias[1][1], bias[1][3] = 0.5, -0.5  # relu makes zero of the second one
    a.set_weights(bias)
    kept, _ = same(model, tmp_path)
    assert kept == {"a": 4}


def test_a_layer_without_bias_gives_constants_to_the_normalisation_behind(tmp_path: Path) -> None:
    given = keras.Input((4,))
    a, b = L.Dense(5, name="a"), L.Dense(6, use_bias=False, name="b")
    n = L.BatchNormalization(name="n")
    model = scattered(keras.Model(given, L.Dense(2)(L.Activation("relu")(n(b(a(given)))))))
    zeroed(a, [0, 4])
    kept, made = same(model, tmp_path)
    assert kept == {"a": 3}
    assert not np.array_equal(made.get_layer("n").moving_mean, n.moving_mean)


def test_a_layer_without_bias_keeps_constants_that_have_nowhere_to_go(tmp_path: Path) -> None:
    given = keras.Input((4,))
    a, b = L.Dense(5, name="a"), L.Dense(6, use_bias=False, activation="relu", name="b")
    model = scattered(keras.Model(given, L.Dense(2)(b(a(given)))))
    zeroed(a, [0, 4])
    assert same(model, tmp_path)[0] == {}


def test_constants_that_run_on(tmp_path: Path) -> None:
    """A layer that reads constants alone is constant, and what it is goes on to the next layer that has a bias."""
    given = keras.Input((4,))
    a, b, c = L.Dense(5, activation="tanh", name="a"), L.Dense(6, activation="gelu", name="b"), L.Dense(2, name="c")
    model = scattered(keras.Model(given, c(b(a(given)))))
    zeroed(a, [0, 1])
    values = b.get_weights()
    values[0][2:, :2] = 0  # two channels of b read constants only
    b.set_weights(values)
    assert same(model, tmp_path)[0] == {"a": 3, "b": 4}


def test_constants_behind_a_convolution_with_a_group_for_each_channel(tmp_path: Path) -> None:
    image = keras.Input((6, 6, 2))
    a, b, c = L.Conv2D(5, 3, name="a"), L.Conv2D(5, 3, groups=5, activation="relu", name="b"), L.Dense(2, name="c")
    model = scattered(keras.Model(image, c(L.Flatten()(b(a(image))))))
    zeroed(a, [1])
    zeroed(b, [3])
    assert same(model, tmp_path)[0] == {"a": 3}


def test_sums_and_products(tmp_path: Path) -> None:
    given = keras.Input((4,))
    a, b, g = L.Dense(5, name="a"), L.Dense(5, name="b"), L.Dense(5, activation="relu", name="g")
    x = L.Add()([a(given), b(given)])
    model = scattered(keras.Model(given, L.Dense(2, name="c")(L.Multiply()([x, g(given)]))))
    zeroed(a, [0, 1, 2])
    zeroed(b, [1, 2, 3])
    zeroed(g, [0])
    g_values = g.get_weights()
    g_values[1][0] = -1.0  # the gate of channel 0 is always shut
    g.set_weights(g_values)
    assert same(model, tmp_path)[0] == {"a": 4}  # 1 and 2 are constants times something that is none


def test_recurrent_units_that_rest(tmp_path: Path) -> None:
    given = keras.Input((5, 3))
    layers = [
        L.LSTM(4, return_sequences=True, name="l"),
        L.GRU(4, return_sequences=True, name="g"),
        L.SimpleRNN(4, name="s"),
    ]
    x = given
    for layer in layers:
        x = layer(x)
    model = scattered(keras.Model(given, L.Dense(2)(x)))
    for layer in layers:
        values = layer.get_weights()
        for array in values:
            array[..., 1::4] = 0
        layer.set_weights(values)
    assert same(model, tmp_path)[0] == {"l": 3, "g": 3, "s": 3}


def test_heads_that_nobody_reads(tmp_path: Path) -> None:
    given = keras.Input((5, 6))
    attention = L.MultiHeadAttention(3, 4, name="m")
    model = scattered(keras.Model(given, L.Dense(2)(attention(given, given))))
    out = attention.output_dense
    values = out.get_weights()
    values[0][1] = 0
    out.set_weights(values)
    assert same(model, tmp_path)[0] == {"m (heads)": 2}


def test_each_layer_keeps_a_channel(tmp_path: Path) -> None:
    model = scattered(models.parts())
    zeroed(model.get_layer("d"), [0, 1, 2], axis=0)
    kept, made = same(model, tmp_path)
    assert kept == {"a": 4}
    assert [made.get_layer(name).units for name in "abc"] == [1, 3, 4]


@pytest.mark.parametrize("scope", ["layer", "global"])
def test_each_layer_keeps_a_channel_at_any_sparsity(scope: str, tmp_path: Path) -> None:
    scattered(models.parts()).save(tmp_path / "model.keras")
    wtool.shrink(tmp_path / "model.keras", sparsity=0.99, scope=scope, output=tmp_path / "less.keras")
    made = keras.models.load_model(tmp_path / "less.keras")
    assert [made.get_layer(name).units for name in "abc"] == [1, 1, 2]


def counted_on() -> Any:
    """A constant that stays alone, since its layer has no bias, and whose own inputs are constants."""
    given = keras.Input((4,))
    a, b, c = L.Dense(3, name="a"), L.Dense(2, "relu6", use_bias=False, name="b"), L.Dense(3, name="c")
    model = scattered(keras.Model(given, L.Dense(2)(L.Concatenate()([c(b(a(given))), given]))))
    zeroed(a, [0, 1, 2])
    a.bias.assign([0.5, 1.0, 2.0])
    b.kernel.assign([[0.5, -1.0], [0.25, 0.5], [0.125, 1.0]])
    return model


def rotating_by_channel() -> Any:
    """An Auto-Rotating layer with limits of their own for its input channels."""
    given = keras.Input((4,))
    b = wtool_layers.AutoRotDense(3, -4.0, 4.0, 2.0, xQ_scalar=[3.0, 4.0, 5.0, 6.0], activation="tanh", name="b")
    model = scattered(keras.Model(given, L.Dense(2)(b(L.Dense(4, name="a")(given)))))
    zeroed(b, [1, 3], axis=0)
    return model


def joined_along_steps() -> Any:
    """A constant of one part is none of the other part, or another one there."""
    given = keras.Input((6, 3))
    a, b = L.Conv1D(4, 1, name="a"), L.Conv1D(4, 1)
    x = L.Concatenate(axis=1)([a(given), b(given)])
    model = scattered(keras.Model(given, L.Conv1D(2, 1)(x)))
    zeroed(a, [0, 1, 2])
    zeroed(b, [1, 2])
    b.bias.assign(b.bias.numpy() * [1, 1, 0, 1] + a.bias.numpy() * [0, 0, 1, 0])
    return model


def normalised_along_steps() -> Any:
    """A batch normalisation with as many steps as channels."""
    given = keras.Input((4, 3))
    a = L.Conv1D(4, 1)
    x = L.BatchNormalization(axis=1)(L.Conv1D(4, 1, use_bias=False)(a(given)))
    model = scattered(keras.Model(given, L.Conv1D(2, 1)(x)))
    zeroed(a, [0])
    return model


def recurrent_without_bias() -> Any:
    given = keras.Input((4, 3))
    a = L.Dense(4)
    x = L.SimpleRNN(4, use_bias=False, activation="linear", return_sequences=True)(a(given))
    model = scattered(keras.Model(given, L.Dense(2)(L.BatchNormalization()(x))))
    zeroed(a, [0])
    return model


def slopes_of_steps() -> Any:
    """Slopes along the steps, of which there are as many as channels."""
    given = keras.Input((4, 3))
    a = L.Conv1D(4, 1)
    x = L.PReLU(shared_axes=[1])(L.Permute((2, 1))(a(given)))
    model = scattered(keras.Model(given, L.Dense(2)(L.Flatten()(x))))
    zeroed(a, [0])
    return model


def equation(text: str, shape: Any, bias: str | None, zeros: bool = False) -> Callable[[], Any]:
    def build() -> Any:
        given = keras.Input((4, 3))
        a, b = L.Dense(5, name="a"), L.EinsumDense(text, shape, bias_axes=bias)
        model = scattered(keras.Model(given, L.Dense(2)(L.Flatten()(b(a(given))))))
        zeroed(a, [0])
        if zeros:
            zeroed(b, [1], axis=0)
        return model

    return build


@pytest.mark.parametrize(
    ("build", "kept"),
    [
        (counted_on, {"b": 1, "c": 1}),
        (rotating_by_channel, {}),
        (joined_along_steps, {"a": 3}),
        (normalised_along_steps, {}),
        (recurrent_without_bias, {}),
        (slopes_of_steps, {}),
        (equation("btc,cd->bd", 4, "d"), {}),
        (equation("btc,tcd->bd", 4, "d"), {"a": 4}),
        (equation("btc,tcd->btd", (4, 5), "d"), {}),
        (equation("btc,tcd->btd", (4, 5), "td"), {"a": 4}),
        (equation("btf,dfc->btcd", (4, 5, 6), "cd", True), {"a": 4}),
        (equation("btf,dfc->btcd", (4, 5, 5), "cd", True), {"a": 4}),
        (equation("btf,dfc->btcd", (4, 5, 5), "d", True), {}),
        (equation("btf,fc->bct", (4, 4), "c"), {}),
        (equation("btf,dfc->bdct", (4, 4, 4), "ct"), {}),
    ],
)
def test_constants_that_only_look_alike(build: Callable[[], Any], kept: dict[str, int], tmp_path: Path) -> None:
    """Axes of one length, and sums over steps: what is constant along one axis is not along another."""
    assert same(build(), tmp_path)[0] == kept


def test_layer_normalisation_keeps_its_channels(tmp_path: Path) -> None:
    given = keras.Input((4,))
    a = L.Dense(5, name="a")
    model = scattered(keras.Model(given, L.Dense(2)(L.LayerNormalization()(a(given)))))
    zeroed(a, [0, 4])
    assert same(model, tmp_path)[0] == {}


@pytest.mark.parametrize(
    "build",
    [
        models.chain,
        models.residual,
        models.channels_first,
        models.sequences,
        models.attention,
        models.nested,
        models.operations,
        models.grouped,
        models.own,
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_random_zeros(build: Callable[[], Any], seed: int, tmp_path: Path) -> None:
    """Random channels of random weights are set to zero, and sometimes their biases."""
    keras.utils.set_random_seed(seed)
    model = scattered(build(), seed)
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        values = variable.numpy()
        if values.ndim < 2 and rng.random() < 0.5:
            continue
        axis = int(rng.integers(max(1, values.ndim - 2), values.ndim)) if values.ndim > 1 else 0
        if "seed" in variable.path or "moving" in variable.path:
            continue
        at = rng.random(values.shape[axis]) < 0.4
        np.moveaxis(values, axis, 0)[at] = 0
        variable.assign(values)
    kept, _ = same(model, tmp_path)
    assert kept or build in (models.channels_first, models.operations, models.own)


def test_inspect_tells_dead_channels(tmp_path: Path) -> None:
    given = keras.Input((4,))
    a, b = L.Dense(5, name="a"), L.Dense(6, name="b")
    model = scattered(keras.Model(given, L.Dense(2)(b(a(given)))))
    model.save(tmp_path / "none.keras")
    assert wtool.inspect(tmp_path / "none.keras")["dead"] == []
    model = scattered(keras.Model(given, L.Dense(2)(b(a(given)))))
    zeroed(a, [1, 3])
    model.save(tmp_path / "some.keras")
    assert wtool.inspect(tmp_path / "some.keras")["dead"] == [{"channels_of": ["a"], "channels": 5, "dead": 2}]
    assert b"dead: 2 of 5 channels of a\n" in run("inspect", tmp_path / "some.keras").stdout


def test_models_in_models_that_are_called_too_often_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of the models calls the one inside it twice, so that the innermost is called 2**9 times."""
    given = keras.Input((2,))
    model = keras.Model(given, L.Dense(2, kernel_initializer="zeros")(given))
    for _ in range(9):
        model = keras.Model(given, model(model(given)))
    model.save(tmp_path / "deep.keras")
    assert wtool.inspect(tmp_path / "deep.keras")["dead"] == []  # one layer, whose outputs are the model's
    monkeypatch.setattr("wtool.graphs.labelling.MOST_CALLS", 500)
    with pytest.raises(Refused, match="more than 500 times"):
        found_in(tmp_path / "deep.keras")
    assert wtool.inspect(tmp_path / "deep.keras")["dead"] == []
