"""Graphs that tf_keras builds compute the same in Keras 3."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.schema.upgrade.twins import assert_same, twin, upgraded

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("plain_recurrence")]
tf = pytest.importorskip("tensorflow")
keras2 = pytest.importorskip("tf_keras")
L = keras2.layers
Input = keras2.Input


def model(inputs: Any, outputs: Any, **options: Any) -> Any:
    """A model whose weights are all random."""
    made = keras2.Model(inputs, outputs, **options)
    rng = np.random.default_rng(0)
    made.set_weights([rng.normal(size=each.shape) * 0.5 for each in made.get_weights()])
    return made


def chain() -> Any:
    x = Input((4,))
    return model(x, L.Dense(2)(L.Dense(3, activation="relu")(x)))


def merging() -> Any:
    x, y = Input((4,), name="x"), Input((4,), name="y")
    merged = [each()([x, y]) for each in (L.Add, L.Subtract, L.Multiply, L.Average, L.Maximum, L.Minimum)]
    return model([y, x], L.Concatenate(axis=1)([*merged, L.Dot(axes=1)([x, y])]))


def shared() -> Any:
    x, y = Input((4,)), Input((4,))
    dense = L.Dense(4)
    return model([x, y], L.Add()([dense(x), dense(dense(y))]))


def block(name: str = "block", depth: int = 0) -> Any:
    x = Input((4,))
    y = L.Dense(4, name="hidden")(x)
    if depth:
        inner = block(f"{name}_{depth}", depth - 1)
        y = inner(L.Add()([x, inner(y)]))
    return keras2.Model(x, y, name=name)


def nested() -> Any:
    x = Input((4,))
    inner = block(depth=2)
    return model(x, L.Add()([inner(x), inner(L.Activation("tanh")(inner(x)))]))


def nested_is_the_output() -> Any:
    x = Input((4,))
    return model(x, [block("one")(x), sequence("two")(x), block("three")(block("four")(x))])


def sequence(name: str) -> Any:
    return keras2.Sequential([Input((4,)), L.Dense(4, activation="tanh"), L.Dense(4)], name=name)


def sequence_without_input(name: str) -> Any:
    return keras2.Sequential([L.Dense(4, activation="tanh"), L.Dense(4)], name=name)


def nested_sequences() -> Any:
    x = Input((4,))
    one, two = sequence("one"), sequence_without_input("two")
    return model(x, L.Concatenate()([two(one(x)), one(two(x)), two(x)]))


def several_outputs_of_a_nested_model() -> Any:
    x, y = Input((4,)), Input((4,))
    inner = keras2.Model([x, y], [L.Dense(3)(L.Add()([x, y])), L.Dense(2)(y)], name="inner")
    a, b = Input((4,), name="a"), Input((4,), name="b")
    first, second = inner([b, a])
    return model([a, b], [L.Concatenate()([second, first]), inner([a, a])[1]])


def named_inputs_and_outputs() -> Any:
    x, y = Input((4,), name="left"), Input((3,), name="right")
    both = L.Concatenate()([x, y])
    return model({"right": y, "left": x}, {"sum": L.Dense(2, name="sum")(both), "deep": L.Dense(1, name="deep")(both)})


def lists_in_outputs() -> Any:
    x = Input((4,))
    return model(x, [L.Dense(1)(x), [L.Dense(2)(x), {"one": L.Dense(3)(x)}]])


def nested_model_of_named_inputs() -> Any:
    x, y = Input((4,), name="left"), Input((4,), name="right")
    inner = keras2.Model({"left": x, "right": y}, {"sum": L.Add()([x, y]), "difference": L.Subtract()([x, y])})
    a, b = Input((4,)), Input((4,))
    found = inner({"left": L.Dense(4)(b), "right": a})
    return model([a, b], L.Concatenate()([found["difference"], found["sum"]]))


def states() -> Any:
    x, y = Input((5, 4)), Input((3, 4))
    _, h, c = L.LSTM(6, return_state=True)(x)
    found, g = L.GRU(6, return_state=True, return_sequences=True)(y, initial_state=h)
    last = L.SimpleRNN(6)(found, initial_state=[c])
    return model([x, y], [L.LSTM(6)(y, initial_state=[h, c]), g, last])


def states_both_ways() -> Any:
    x, y = Input((5, 4)), Input((3, 4))
    _, *given = L.Bidirectional(L.LSTM(3, return_state=True), name="encoder")(x)
    found = L.Bidirectional(L.LSTM(3, return_sequences=True), name="decoder")(y, initial_state=given)
    ways = L.Bidirectional(L.GRU(2), merge_mode=None)(found)
    return model([x, y], [L.Dense(2)(found), *ways])


def states_of_cells() -> Any:
    x = Input((5, 4))
    given = [L.Dense(3)(L.Flatten()(x)) for _ in range(2)]
    return model(x, L.RNN([L.SimpleRNNCell(3), L.GRUCell(3)])(x, initial_state=given))


def attention() -> Any:
    x, y = Input((5, 4)), Input((3, 6))
    found, scores = L.MultiHeadAttention(2, 3)(x, y, return_attention_scores=True)
    again = L.MultiHeadAttention(2, 3)(query=x, key=y, value=L.Dense(2)(y))
    plain, other = L.Attention()([x, L.Dense(4)(y)], return_attention_scores=True)
    return model([x, y], [L.Add()([found, again, plain]), scores, other, L.AdditiveAttention()([x, x, x])])


def masks() -> Any:
    words = Input((6,), dtype="int32")
    masked = L.Embedding(7, 4, mask_zero=True)(words)
    other = L.Masking()(L.Reshape((6, 1))(L.Embedding(7, 1)(words)))
    return model(words, [L.LSTM(3)(masked), L.GlobalAveragePooling1D()(masked), L.LSTM(2)(other)])


def mask_by_name() -> Any:
    words, x = Input((6,), dtype="int32"), Input((6, 4))
    keep = Input((6,), dtype="bool")
    return model([words, x, keep], [L.LSTM(3)(x, mask=keep), L.Embedding(5, 2)(words)])


def training_is_said() -> Any:
    x = Input((4,))
    return model(x, L.BatchNormalization()(L.Dropout(0.5)(x, training=False), training=None))


def images() -> Any:
    x = Input((None, None, 3))
    inner = keras2.Model(x, L.Conv2D(4, 3, strides=2)(L.ZeroPadding2D()(x)), name="inner")
    y = Input((8, 10, 3))
    return model(y, L.Flatten()(L.MaxPooling2D()(inner(L.UpSampling2D()(y)))))


def steps() -> Any:
    x = Input((3, 8, 8, 3))
    y = Input((8, 8, 3))
    inner = keras2.Model(y, L.GlobalAveragePooling2D()(L.Conv2D(4, 3)(y)))
    return model(x, L.TimeDistributed(L.Dense(2))(L.TimeDistributed(inner)(x)))


def half() -> Any:
    x = Input((4,))
    policy = keras2.mixed_precision.Policy("mixed_float16")
    y = L.Dense(3, dtype=policy)(x)
    return model(x, L.Activation("softmax", dtype="float32")(L.Dense(2, dtype=policy)(y)))


def whole_numbers() -> Any:
    x = Input((4, 2), dtype="int32")
    return model(x, [L.Flatten()(x), L.Reshape((2, 4))(L.Permute((2, 1))(x)), L.RepeatVector(2)(L.Flatten()(x))])


def slashes() -> Any:
    x = Input((4,), name="in/put")
    inner = keras2.Model(y := Input((4,), name="y/z"), L.Dense(4, name="a/b")(y), name="in_put")
    kept = L.Dense(4, name="a_b")(L.Dense(4, name="a/b")(inner(x)))
    return model(x, L.Add(name="out/put")([kept, x]))


def slashes_inside() -> Any:
    x = Input((5, 4))
    steps = L.TimeDistributed(L.Dense(3, name="p/q"), name="t/d")(x)
    ways = L.Bidirectional(L.LSTM(3, name="l/s"))(steps)
    cells = L.RNN([L.LSTMCell(3, name="c/1"), L.GRUCell(2, name="c/2")])(x)
    inner = keras2.Sequential([L.Dense(3, name="d/1"), L.Dense(2, name="d_1")], name="s/1")
    return model(x, [ways, cells, inner(x)], name="m/n")


def operations_in_nested_models() -> Any:
    x = Input((None, 4))
    turned = tf.transpose(tf.reshape(x, [tf.shape(x)[0], -1, 2, 2]), [0, 2, 1, 3])
    inner = keras2.Model(x, [tf.nn.relu(turned) + 1.0, tf.reduce_mean(x, axis=1)], name="inner")
    y = Input((6, 4))
    (deep, mean), (_, other) = inner(y), inner(L.Dense(4)(y)[:, ::2])
    return model(y, [L.Flatten()(deep) * 2.0, mean - other])


def operations_between_layers() -> Any:
    words = Input((6,), dtype="int32")
    masked = L.Embedding(7, 4, mask_zero=True)(words)
    scaled = masked * tf.math.sqrt(tf.cast(tf.shape(masked)[-1], "float32"))
    found, state = L.GRU(3, return_sequences=True, return_state=True)(scaled)
    return model(words, [found[:, -1] + state, L.Dense(2)(tf.concat([found, masked], axis=-1))])


def images_of_any_size() -> Any:
    x = Input((None, None, 3))
    large = tf.nn.depth_to_space(L.Conv2D(8, 3, padding="same")(x), 2)
    return model(x, [large, tf.nn.space_to_depth(large, 2), tf.image.resize(x, [4, 4])])


GRAPHS: tuple[Callable[[], Any], ...] = (
    chain, merging, shared, nested, nested_is_the_output, nested_sequences, several_outputs_of_a_nested_model,
    named_inputs_and_outputs, lists_in_outputs, nested_model_of_named_inputs, states, states_both_ways, states_of_cells,
    attention, masks, mask_by_name, training_is_said, images, steps, half, whole_numbers, slashes,
    slashes_inside, operations_in_nested_models, operations_between_layers, images_of_any_size,
)  # fmt: skip


@pytest.mark.parametrize("build", GRAPHS, ids=lambda build: build.__name__)
def test_the_graph_computes_the_same(build: Callable[[], Any]) -> None:
    old = build()
    assert_same(old, twin(old), 2e-3 if build is half else 1e-5)


def test_a_slash_becomes_a_line_that_no_layer_has_yet() -> None:
    found = upgraded(slashes())
    assert found.moved == {
        "in/put": "in_put_1", "a/b": "a_b_1", "out/put": "out_put",
        "in_put/y/z": "in_put/y_z", "in_put/a/b": "in_put/a_b",
    }  # fmt: skip
    assert {change.layer for change in found.changes if change.rule == "name"} == set(found.moved)


@pytest.mark.parametrize("tells", [True, False])
def test_a_functional_model_of_an_own_class_keeps_its_place(tells: bool) -> None:
    def start(self: Any, *given: Any, **named: Any) -> None:  # because of which Keras 2 stores no graph
        keras2.Model.__init__(self, *given, **named)

    x, y = Input((4,)), Input((4,))
    own = type("Own", (keras2.Model,), {} if tells else {"__init__": start})
    inner = own(x, L.Dense(3)(block()(block("other")(x)) * 2.0), name="inner")
    result = upgraded(model(y, inner(L.Activation("tanh")(inner(y)[:, :1] + y))))
    assert not result.refused
    entry = next(each for each in result.config["config"]["layers"] if each["name"] == "inner")
    assert len(entry["inbound_nodes"]) == 2
    assert result.config["config"]["output_layers"] == ["inner", 2, 0]
    if tells:
        keras = pytest.importorskip("keras")
        old = model(y, inner(L.Activation("tanh")(inner(y)[:, :1] + y)))
        with keras.saving.CustomObjectScope({"Own": type("Own", (keras.Model,), {})}):
            assert_same(old, twin(old))
