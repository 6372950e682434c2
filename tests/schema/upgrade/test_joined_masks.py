"""Masks that Keras 3 would make otherwise are written into the graph, or the model is refused."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from tests.models import Array
from wtool.schema.upgrade.upgraded import Upgraded, Wishes

pytestmark = pytest.mark.tensorflow
tf_keras = pytest.importorskip("tf_keras")
twins = pytest.importorskip("tests.schema.upgrade.twins")
L = tf_keras.layers

WORDS = (
    np.array([[1, 2, 3, 0, 0, 0], [4, 0, 2, 1, 0, 0], [1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 3]], "int32"),
    np.array([[1, 0, 0, 0, 2, 0], [0, 0, 2, 1, 0, 1], [1, 2, 1, 1, 1, 1], [2, 1, 0, 0, 0, 3]], "int32"),
)
Make = Callable[[Any, Any, Any], Any]


def model_of(make: Make) -> Any:
    """Returns a model of two sentences: a function of both of them masked, and of the first without a mask."""
    given = [L.Input((6,), dtype="int32") for _ in WORDS]
    masked = [L.Embedding(5, 4, mask_zero=True)(each) for each in given]
    return tf_keras.Model(given, make(*masked, L.Embedding(5, 4)(given[0])))


def reloaded(old: Any, result: Upgraded) -> Any:
    new = twins.keras.saving.deserialize_keras_object(json.loads(json.dumps(result.config)), safe_mode=True)
    twins.assert_told_is_true(result.config["config"], new)
    twins.give_weights(old, new, result.moved)
    return new


def outputs_of(model: Any) -> list[Array]:
    return list(twins.outputs_of(model(list(WORDS))))


def assert_kept(make: Make) -> Upgraded:
    """The model is upgraded, and computes the same in both Kerases."""
    old = model_of(make)
    result: Upgraded = twins.upgraded(old)
    assert not result.refused, result.refused
    for expected, found in zip(outputs_of(old), outputs_of(reloaded(old, result)), strict=True):
        assert found == pytest.approx(expected, abs=1e-5, nan_ok=True)  # the mean of no step is none
    return result


def written(result: Upgraded) -> set[str]:
    """Returns the classes of the layers whose masks are written out."""
    return {change.class_name for change in result.changes if change.rule == "written mask"}


PAIRS: dict[str, Callable[[Any, Any, Any], list[Any]]] = {
    "two masks": lambda x, y, z: [x, y],
    "a mask and none": lambda x, y, z: [x, z],
    "none and a mask": lambda x, y, z: [z, y],
    "one mask": lambda x, y, z: [x, L.Dense(4)(x)],
    "a mask of values": lambda x, y, z: [x, L.Masking(0.0)(L.ReLU()(y))],
}
JOINERS: dict[str, Callable[[list[Any]], Any]] = {
    **{name: (lambda kind: lambda xs: kind()(xs))(getattr(L, name)) for name in ("Add", "Average", "Subtract")},
    **{name: (lambda kind: lambda xs: kind()(xs))(getattr(L, name)) for name in ("Multiply", "Maximum", "Minimum")},
    "Concatenate": lambda xs: L.Concatenate()(xs),
    "several": lambda xs: L.Add()([xs[1], L.LayerNormalization()(L.Average()([*xs, xs[0]]))]),
}


def skipping(x: Any) -> list[Any]:
    """Layers that do not look at masked steps."""
    return [
        L.SimpleRNN(2)(L.Dropout(0.1)(x)), L.Bidirectional(L.SimpleRNN(2))(L.Dense(3)(x)),
        L.GlobalAveragePooling1D()(x), L.SimpleRNN(2)(L.GRU(3, return_sequences=True)(x)),
    ]  # fmt: skip


def attending(x: Any) -> list[Any]:
    return [L.Attention()([x, x]), L.GlobalAveragePooling1D()(L.MultiHeadAttention(2, 3)(x, x))]


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("joiner", JOINERS)
def test_layers_behind_joined_masks_compute_the_same(joiner: str, pair: str) -> None:
    result = assert_kept(lambda x, y, z: skipping(JOINERS[joiner](PAIRS[pair](x, y, z))))
    assert bool(written(result)) == (pair != "one mask")


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("joiner", ["Add", "Concatenate", "several"])
def test_attention_behind_joined_masks_computes_the_same(joiner: str, pair: str) -> None:
    assert_kept(lambda x, y, z: attending(JOINERS[joiner](PAIRS[pair](x, y, z))))


def decoded(x: Any, y: Any, z: Any) -> Any:
    _, *states = L.LSTM(3, return_state=True)(x)
    return L.SimpleRNN(2)(L.LSTM(3, return_sequences=True)(y, initial_state=states))


def decoded_both_ways(x: Any, y: Any, z: Any) -> Any:
    _, *states = L.Bidirectional(L.GRU(3, return_state=True))(x)
    return L.Bidirectional(L.GRU(3, return_sequences=True))(y, initial_state=states)


KEPT: dict[str, tuple[Make, set[str]]] = {
    "decoder": (decoded, {"LSTM"}),
    "decoder both ways": (decoded_both_ways, {"Bidirectional"}),
    "attention twice": (
        lambda x, y, z: L.Add()([L.MultiHeadAttention(2, 3)(x, x), L.MultiHeadAttention(2, 3)(x, y)]),
        {"MultiHeadAttention"},
    ),
    "no mask": (lambda x, y, z: L.SimpleRNN(2)(L.Rescaling(2.0)(x)), {"SimpleRNN"}),
    "no mask for attention": (lambda x, y, z: L.Attention()([L.Identity()(x), y]), {"Attention"}),
    "steps": (lambda x, y, z: L.SimpleRNN(2)(L.Concatenate(axis=1, name="steps")([x, y])), set()),
    "not looked at": (lambda x, y, z: L.Flatten()(L.Add()([x, z])), set()),
    "output": (lambda x, y, z: L.Add()([x, z]), set()),
    "a mask that is told": (lambda x, y, z: L.SimpleRNN(2)(L.Add()([x, z]), mask=z[:, :, 0] > 0), set()),
    "residual": (lambda x, y, z: L.SimpleRNN(2)(L.Add()([x, L.MultiHeadAttention(2, 3)(x, x)])), set()),
}


@pytest.mark.parametrize("name", KEPT)
def test_masks_are_written_where_a_layer_computes_by_them(name: str) -> None:
    make, classes = KEPT[name]
    assert written(assert_kept(make)) == classes


def test_a_layer_of_sentences_gives_one_mask_for_each_sentence() -> None:
    given = L.Input((2, 3), dtype="int32")
    words = L.Embedding(5, 4, mask_zero=True)(given)
    sentences = L.TimeDistributed(tf_keras.Sequential([L.Input((3, 4)), L.LSTM(3)]))(words)
    old = tf_keras.Model(given, L.SimpleRNN(2)(sentences))
    result = twins.upgraded(old)
    words = WORDS[0].reshape(4, 2, 3)
    assert np.asarray(reloaded(old, result)(words)) == pytest.approx(np.asarray(old(words)), abs=1e-5)
    assert written(result) == {"SimpleRNN"}


def shared_encoder(x: Any, y: Any, z: Any) -> list[Any]:
    given = L.Input((6, 4))
    encoder = tf_keras.Model(given, L.SimpleRNN(3)(L.Add()([given, L.Dense(4)(given)])))
    return [encoder(each) for each in (x, y, z, *(L.Dense(4)(x) for _ in range(8)))]


def test_a_model_that_is_called_with_many_masks_is_kept() -> None:
    assert not written(assert_kept(shared_encoder))


def joined_inside(x: Any, y: Any, z: Any) -> Any:
    one, other = L.Input((6, 4)), L.Input((6, 4))
    return tf_keras.Model([one, other], L.SimpleRNN(2)(L.Add()([one, other])), name="inner")([x, y])


REFUSED: dict[str, tuple[Make, str, str]] = {
    "model": (joined_inside, "inner/simple_rnn", "is not made in the model that the layer is in"),
    "output": (lambda x, y, z: L.Multiply(name="times")([x, y]), "times", "is an output of the model"),
    "whole": (lambda x, y, z: L.Flatten(name="flat")(L.Maximum(name="top")([x, z])), "flat", "top gives other values"),
    "sequence": (
        lambda x, y, z: tf_keras.Sequential([L.Input((6, 4)), L.Rescaling(2.0), L.LSTM(2, name="rnn")])(x),
        "rnn", "is in a Sequential model",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_masks_that_cannot_be_written_are_refused(name: str) -> None:
    make, layer, reason = REFUSED[name]
    refused = [change for change in twins.upgraded(model_of(make)).refused if change.rule == "other mask"]
    assert [change.layer.split("/")[-1][:10] for change in refused] == [layer.split("/")[-1][:10]]
    assert reason in refused[0].text


def test_what_stands_for_a_lambda_may_pass_a_mask_on() -> None:
    old = model_of(lambda x, y, z: L.SimpleRNN(2)(L.Lambda(lambda t: t * 2.0, name="twice")(x)))
    wishes = Wishes(replacements={"twice": {"class_name": "Rescaling", "config": {"scale": 2.0}}})
    result = twins.upgraded(old, wishes)
    assert not twins.upgraded(old, Wishes(replacements={"twice": {"class_name": "Flatten"}})).refused  # no settings
    assert written(result) == {"SimpleRNN"}
    for expected, found in zip(outputs_of(old), outputs_of(reloaded(old, result)), strict=True):
        assert found == pytest.approx(expected, abs=1e-5)


def test_a_loss_that_leaves_other_steps_out_is_told() -> None:
    config = json.loads(model_of(lambda x, y, z: L.Add(name="sum")([x, z])).to_json())
    notes = twins.upgrade(config, {"loss": "mean_squared_error"}, "2.15.0", {}, Wishes()).notes
    assert any("the loss of sum leaves out other steps" in note for note in notes)


def _narrowed(join: Callable[[list[Any]], Any]) -> Callable[[Any, Any], Any]:
    return lambda a, b: L.Dense(4)(join([a, b]))


def at_random(seed: int) -> Make:
    """Returns a random model of layers that take, join, pass on and look at masks."""
    draw = random.Random(seed)
    one: Sequence[Callable[[Any], Any]] = (
        L.Dense(4), L.Dropout(0.2), L.LayerNormalization(), L.Rescaling(2.0), L.GRU(4, return_sequences=True),
        L.Bidirectional(L.SimpleRNN(2, return_sequences=True)), L.TimeDistributed(L.Dense(4)), L.Masking(0.0),
        L.Conv1D(4, 2, padding="same"), lambda x: L.MultiHeadAttention(2, 3)(x, x), lambda x: L.Attention()([x, x]),
    )  # fmt: skip
    two: Sequence[Callable[[Any, Any], Any]] = (
        *map(_narrowed, JOINERS.values()),
        lambda a, b: L.Attention()([a, b]), L.MultiHeadAttention(2, 3), lambda a, b: a + b,
        lambda a, b: L.GRU(4, return_sequences=True)(a, initial_state=L.GlobalMaxPooling1D()(b)),
    )  # fmt: skip

    def make(*given: Any) -> Any:
        pool = list(given)
        for _ in range(draw.randint(2, 5)):
            pool.append(
                draw.choice(one)(draw.choice(pool))
                if draw.random() < 0.5
                else draw.choice(two)(draw.choice(pool), draw.choice(pool))
            )
        return [pool[-1], L.SimpleRNN(2)(pool[-1]), L.GlobalAveragePooling1D()(pool[-1])]

    return make


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(16))
def test_random_models_compute_the_same_or_are_refused(seed: int) -> None:
    old = model_of(at_random(seed))
    result = twins.upgraded(old)
    for expected, found in (
        zip(outputs_of(old), outputs_of(reloaded(old, result)), strict=True) if not result.refused else ()
    ):
        assert found == pytest.approx(expected, abs=1e-5, nan_ok=True)
