"""Auto-Rotating recurrent layers against their definition, written out in NumPy as a loop over time."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wtool
from tests.backends import EXACT, NEAR, keras
from tests.models import Array

pytestmark = pytest.mark.tensorflow
layers = pytest.importorskip("wtool.layers")

RNG = np.random.default_rng(0)
KINDS = ("SimpleRNN", "LSTM", "GRU")
UNITS, FEATURES = 5, 3
X = RNG.uniform(-1, 3, size=(4, 6, FEATURES))
XQ, HQ, EPS = 7.0, 3.0, 1e-5  # 2 * 3 - (-1), and 2 * 1 - (-1) for tanh


def sigmoid(z: Array) -> Array:
    return 1 / (1 + np.exp(-z))


def scaled(level: float, at_limit: Array) -> Array:
    """rho of one gate."""
    return level / (np.abs(at_limit) + EPS)


def simple_rnn(x: Array, weights: list[Array], state: list[Array], L: tuple[float, ...], **_: Any) -> list[Array]:
    kernel, recurrent, bias = weights
    rho = scaled(L[0], np.full(FEATURES, XQ) @ kernel + np.full(UNITS, HQ) @ recurrent + bias)
    return [np.tanh(rho * (x @ kernel + state[0] @ recurrent + bias))]


def lstm(x: Array, weights: list[Array], state: list[Array], L: tuple[float, ...], **_: Any) -> list[Array]:
    h, c = state
    gates = []
    for gate, level in enumerate(L):  # input, forget, candidate, output
        kernel, recurrent, bias = (weight[..., gate * UNITS : (gate + 1) * UNITS] for weight in weights)
        rho = scaled(level, np.full(FEATURES, XQ) @ kernel + np.full(UNITS, HQ) @ recurrent + bias)
        gates.append(rho * (x @ kernel + h @ recurrent + bias))
    c = sigmoid(gates[1]) * c + sigmoid(gates[0]) * np.tanh(gates[2])
    return [sigmoid(gates[3]) * np.tanh(c), c]


def gru(
    x: Array, weights: list[Array], state: list[Array], L: tuple[float, ...], reset_after: bool = True
) -> list[Array]:
    (h,) = state
    kernels, recurrents = (np.split(weight, 3, axis=-1) for weight in weights[:2])
    biases = weights[2] if reset_after else np.stack([weights[2], np.zeros_like(weights[2])])
    inner, outer = np.split(biases[0], 3), np.split(biases[1], 3)

    def gate(number: int, x: Array, h: Array) -> Array:
        return x @ kernels[number] + inner[number] + h @ recurrents[number] + outer[number]

    def candidate(x: Array, h: Array, r: Array) -> Array:
        if reset_after:
            return x @ kernels[2] + inner[2] + r * (h @ recurrents[2] + outer[2])
        return x @ kernels[2] + inner[2] + (r * h) @ recurrents[2]

    limits = np.full(FEATURES, XQ), np.full(UNITS, HQ)
    z = sigmoid(scaled(L[0], gate(0, *limits)) * gate(0, x, h))
    r = sigmoid(scaled(L[1], gate(1, *limits)) * gate(1, x, h))
    new = np.tanh(scaled(L[2], candidate(*limits, np.ones(UNITS))) * candidate(x, h, r))
    return [z * h + (1 - z) * new]


STEPS = {"SimpleRNN": simple_rnn, "LSTM": lstm, "GRU": gru}
LEVELS = {"SimpleRNN": (2.0,), "LSTM": (4.0, 4.0, 2.0, 4.0), "GRU": (4.0, 4.0, 2.0)}


def reading(kind: str, x: Array, weights: list[Array], L: tuple[float, ...] | None = None, **options: Any) -> Array:
    """Every output of the definition, shape (batch, time, units)."""
    state = [np.zeros((len(x), UNITS))] * (2 if kind == "LSTM" else 1)
    outputs = []
    for step in range(x.shape[1]):
        state = STEPS[kind](x[:, step], weights, state, L or LEVELS[kind], **options)
        outputs.append(state[0])
    return np.stack(outputs, axis=1)


def made(kind: str, L: Any = "auto", dtype: str = EXACT, **options: Any) -> tuple[Any, list[Array]]:
    """A layer with random weights, and these."""
    layer = getattr(layers, f"AutoRot{kind}")(
        UNITS, -1.0, 3.0, L, dtype=dtype, recurrent_initializer="zeros", **options
    )
    layer.build((None, None, FEATURES))
    weights = [RNG.normal(size=weight.shape) for weight in layer.get_weights()]
    layer.set_weights(weights)
    return layer, weights


@pytest.mark.parametrize("unroll", [False, True])
@pytest.mark.parametrize(
    ("kind", "options"), [*((kind, {}) for kind in KINDS), ("GRU", {"reset_after": False})], ids=str
)
def test_values(kind: str, options: dict[str, Any], unroll: bool) -> None:
    layer, weights = made(kind, return_sequences=True, return_state=True, unroll=unroll, **options)
    outputs, *states = layer(X)
    expected = reading(kind, X, weights, **options)
    assert np.asarray(outputs) == pytest.approx(expected, rel=NEAR, abs=NEAR)
    assert np.asarray(states[0]) == pytest.approx(expected[:, -1], rel=NEAR, abs=NEAR)


@pytest.mark.parametrize("kind", KINDS)
def test_options_of_the_parent(kind: str) -> None:
    layer, weights = made(kind, 1.5, go_backwards=True)
    levels = (1.5,) * len(LEVELS[kind])
    assert np.asarray(layer(X)) == pytest.approx(reading(kind, X[:, ::-1], weights, levels)[:, -1], rel=NEAR, abs=NEAR)
    mask = np.ones((4, 6), bool)
    mask[:, [0, 3]] = False
    layer, weights = made(kind)
    expected = reading(kind, X[:, [1, 2, 4, 5]], weights)[:, -1]
    assert np.asarray(layer(X, mask=mask)) == pytest.approx(expected, rel=NEAR, abs=NEAR)
    if kind != "GRU":  # without biases; a GRU has two rows of them
        bare = getattr(layers, f"AutoRot{kind}")(UNITS, -1.0, 3.0, "auto", use_bias=False, dtype=EXACT)
        bare.build((None, None, FEATURES))
        bare.set_weights(weights[:2])
        expected = reading(kind, X, [*weights[:2], np.zeros_like(weights[2])])[:, -1]
        assert np.asarray(bare(X)) == pytest.approx(expected, rel=NEAR, abs=NEAR)


@pytest.mark.parametrize("kind", KINDS)
def test_stateful_layers_go_on(kind: str) -> None:
    layer, _ = made(kind)
    halves = type(layer).from_config({**layer.get_config(), "stateful": True})
    halves.build((4, 3, FEATURES))
    halves.set_weights(layer.get_weights() + [np.zeros((4, UNITS))] * (len(halves.weights) - len(layer.weights)))
    halves(X[:, :3])
    assert np.asarray(halves(X[:, 3:])) == pytest.approx(np.asarray(layer(X)), rel=NEAR, abs=NEAR)


@pytest.mark.parametrize("kind", KINDS)
def test_both_directions(kind: str) -> None:
    layer, _ = made(kind, return_sequences=True)
    both = keras.layers.Bidirectional(layer, dtype=EXACT)
    both.build((None, 6, FEATURES))
    weights = [RNG.normal(size=weight.shape) for weight in both.get_weights()]
    both.set_weights(weights)
    forward, backward = reading(kind, X, weights[:3]), reading(kind, X[:, ::-1], weights[3:])[:, ::-1]
    assert np.asarray(both(X)) == pytest.approx(np.concatenate([forward, backward], axis=-1), rel=NEAR, abs=NEAR)


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_fused_kernels_get_the_rotated_weights(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And Bidirectional's, which would get the plain ones, are not asked."""
    asked: list[Array] = []

    def fused(*arguments: Any, kernel: Any, **options: Any) -> Any:
        asked.append(np.asarray(keras.ops.convert_to_tensor(kernel)))
        raise NotImplementedError

    def fused_both(*arguments: Any, **options: Any) -> Any:
        raise AssertionError("Bidirectional took the plain weights")

    backend = importlib.import_module("keras.src.backend")
    monkeypatch.setattr(backend, kind.lower(), fused)
    monkeypatch.setattr(backend, f"bidirectional_{kind.lower()}", fused_both, raising=False)
    layer, weights = made(kind)
    layer(X)
    totals = [np.sum(weights[2].reshape(-1, weights[2].shape[-1]), axis=0)]
    totals += [limit * weight.sum(axis=0) for limit, weight in zip((XQ, HQ), weights[:2], strict=True)]
    rho = scaled(1, sum(totals)) * np.repeat(LEVELS[kind], UNITS)
    assert asked[0] == pytest.approx(rho * weights[0], rel=NEAR, abs=NEAR)
    keras.layers.Bidirectional(made(kind)[0], dtype=EXACT)(X)
    assert len(asked) == 3
    with pytest.raises(AssertionError, match="plain"):  # as it would
        keras.layers.Bidirectional(getattr(keras.layers, kind)(UNITS))(X)


@pytest.mark.parametrize("kind", KINDS)
def test_switched_off_it_is_the_parent(kind: str) -> None:
    layer, weights = made(kind, AutoRot=False, return_sequences=True, dtype="float32")
    parent = getattr(keras.layers, kind)(UNITS, return_sequences=True)
    parent.build((None, None, FEATURES))
    parent.set_weights(weights)
    x = X.astype(np.float32)
    assert np.array_equal(np.asarray(layer(x)), np.asarray(parent(x)))


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_is_the_parents(kind: str) -> None:
    """It is of inputs and states, before they are multiplied: as of a parent with the rotated weights."""
    options = {"dropout": 0.4, "recurrent_dropout": 0.3, "seed": 7}
    layer, _ = made(kind, **options)
    parent = getattr(keras.layers, kind)(UNITS, dtype=EXACT, **options)
    parent.build((None, None, FEATURES))
    parent.set_weights([np.asarray(weight) for _, weight in layer.rotated()])
    dropped = np.asarray(layer(X, training=True))
    assert dropped == pytest.approx(np.asarray(parent(X, training=True)), rel=NEAR, abs=NEAR)
    assert dropped != pytest.approx(np.asarray(layer(X)), rel=1e-2)


@pytest.mark.parametrize("policy", ["float16", "mixed_float16", "bfloat16"])
@pytest.mark.parametrize("kind", KINDS)
def test_half_precision(kind: str, policy: str) -> None:
    layer, weights = made(kind, dtype=policy)
    weights = [0.2 * weight for weight in weights]
    layer.set_weights(weights)
    found = np.asarray(keras.ops.cast(layer(X), "float32"))
    assert keras.backend.standardize_dtype(layer(X).dtype) == policy.removeprefix("mixed_")
    assert found == pytest.approx(reading(kind, X, weights)[:, -1], abs=0.05 if "bfloat16" in policy else 0.01)
    layer.set_weights([np.zeros(weight.shape) for weight in weights])
    assert not np.asarray(keras.ops.cast(layer(X), "float32")).any()
    # Units that are nothing at the limit, though alive: rho is 200,000, and float16 ends at 65504.
    kernel = np.zeros_like(weights[0])
    kernel[0], kernel[1] = 1.0, -1.0
    layer.set_weights([kernel, np.zeros_like(weights[1]), np.zeros_like(weights[2])])
    x = np.zeros((1, 2, FEATURES))
    x[..., 0] = 1.0
    x[..., 1] = [0.0, 0.5]
    # All gates open: what remains is tanh of one, or of the sum of two ones.
    last = {"SimpleRNN": 1.0, "LSTM": np.tanh(2.0), "GRU": 0.0}[kind]
    assert np.asarray(keras.ops.cast(layer(x), "float32")) == pytest.approx(np.full((1, UNITS), last), abs=0.01)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients(kind: str) -> None:
    """One step of plain descent goes along the slopes of the definition, those through rho included."""
    layer, weights = made(kind)
    weights = [0.3 * weight for weight in weights]
    layer.set_weights(weights)
    model = keras.Sequential([keras.Input((None, FEATURES)), layer])
    model.compile(keras.optimizers.SGD(10.0), "mse")
    model.train_on_batch(X, np.zeros((len(X), UNITS)))
    for number, new in enumerate(layer.get_weights()):
        slopes = np.zeros_like(weights[number])
        for index in np.ndindex(slopes.shape):
            errors = []
            for step in (1e-6, -1e-6):
                moved = [weight.copy() for weight in weights]
                moved[number][index] += step
                errors.append(np.mean(reading(kind, X, moved)[:, -1] ** 2))
            slopes[index] = (errors[0] - errors[1]) / 2e-6
        found = (weights[number] - new) / 10
        assert found == pytest.approx(slopes, rel=2e-3, abs=1e-6)
        assert found.all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_trains_saves_and_predicts_the_same(kind: str, tmp_path: Path) -> None:
    keras.utils.set_random_seed(2)
    layer = getattr(layers, f"AutoRot{kind}")(UNITS, -1.0, 3.0, "auto", dropout=0.1, name="own")
    inputs = keras.Input((None, FEATURES))
    model = keras.Model(inputs, keras.layers.Dense(1)(layer(inputs)))
    model.compile(keras.optimizers.Adam(0.02), "mse")
    x = np.tile(X, (16, 1, 1)).astype(np.float32)
    y = x[:, -1, :1]
    first = model.evaluate(x, y, verbose=0)
    model.fit(x, y, epochs=20, verbose=0)
    assert model.evaluate(x, y, verbose=0) < 0.5 * first
    for suffix in ("keras", "h5"):
        model.save(tmp_path / f"model.{suffix}")
        loaded = keras.models.load_model(tmp_path / f"model.{suffix}", compile=False)
        assert type(loaded.get_layer("own")) is type(layer)
        assert loaded.get_layer("own").get_config() == layer.get_config()
        assert np.array_equal(np.asarray(loaded(x)), np.asarray(model(x)))


@pytest.mark.parametrize("suffix", [".keras", ".h5", ".weights.h5"])
def test_files_tell_their_variables(suffix: str, tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((6, FEATURES))])
    for kind in KINDS:
        model.add(getattr(layers, f"AutoRot{kind}")(UNITS, 0, 1, "auto", return_sequences=True))
    model.add(keras.layers.Bidirectional(layers.AutoRotLSTM(2, 0, 1, "auto", name="inner")))
    path = tmp_path / f"model{suffix}"
    if suffix == ".weights.h5":
        model.save_weights(path)
    else:
        model.save(path)
    found = wtool.inspect(path)
    assert [tensor["role"] for tensor in found["tensors"]] == ["kernel", "recurrent_kernel", "bias"] * 5
    assert [tensor["class"] for tensor in found["tensors"]][::3] == [
        *(f"{kind}Cell" for kind in KINDS),
        *["LSTMCell"] * 2,
    ]
    assert [tuple(tensor["shape"]) for tensor in found["tensors"]] == [tuple(weight.shape) for weight in model.weights]
    assert not found["notes"]
    wtool.prune(path, sparsity=0.5, output=tmp_path / f"out{suffix}")
    load = {".weights.h5": lambda path: model.load_weights(path) or model}.get(suffix, keras.models.load_model)
    for old, new in zip(model.get_weights(), load(tmp_path / f"out{suffix}").weights, strict=True):
        if new.name != "bias":
            assert np.count_nonzero(np.asarray(new) == 0) == round(0.5 * old.size)


def test_what_is_not_known_has_to_be_given() -> None:
    with pytest.raises(ValueError, match="no L is known for relu"):
        layers.AutoRotLSTM(3, 0, 1, "auto", recurrent_activation="relu")
    with pytest.raises(ValueError, match="states of relu: give hQ_scalar"):
        layers.AutoRotSimpleRNN(3, 0, 1, 2, activation="relu")
    with pytest.raises(ValueError, match="states of tanh behind gates of tanh: give hQ_scalar"):
        layers.AutoRotGRU(3, 0, 1, 2, recurrent_activation="tanh")
    assert layers.AutoRotSimpleRNN(3, 0, 1, 2, activation="relu", hQ_scalar=5).state_limit == 5.0
    assert layers.AutoRotLSTM(3, 0, 1, "auto", activation="sigmoid").state_limit == 2.0
    assert layers.AutoRotLSTM(3, 0, 1, "auto", activation="sigmoid").levels == [4.0] * 4
    by_place = layers.AutoRotGRU(3, 0, 1, 2, "auto", 1e-5, False, name="it")
    assert (
        by_place.get_config()
        == layers.AutoRotGRU(units=3, xmin_lim=0, xmax_lim=1, L=2, AutoRot=False, name="it").get_config()
    )
