"""What is not trainable in a model as Keras 2 loads it is not trainable in the upgraded model."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("plain_recurrence")]
tf_keras = pytest.importorskip("tf_keras")
twins = pytest.importorskip("tests.schema.upgrade.twins")
layers = tf_keras.layers


def part(name: str) -> Any:
    given = layers.Input((5, 4))
    both = layers.Bidirectional(layers.LSTM(2, return_sequences=True), name="both")
    made = layers.TimeDistributed(layers.Dense(2), name="steps")(both(layers.Dense(3, name="first")(given)))
    return tf_keras.Model(given, layers.BatchNormalization(name="norm")(made), name=name)


@cache
def block() -> Any:
    return part("outer")


@cache
def nested() -> Any:
    given = layers.Input((5, 4))
    return tf_keras.Model(given, layers.Dense(2, name="last")(part("inner")(given)))


def frozen(*names: str, then: tuple[str, ...] = ()) -> Callable[[Any], None]:
    """What freezes layers by name, and then makes others trainable; a name with a slash is of a layer inside."""

    def do(model: Any) -> None:
        for name, trainable in (*((name, False) for name in names), *((name, True) for name in then)):
            layer = model
            for part in filter(None, name.split("/")):
                layer = layer.get_layer(part)
            layer.trainable = trainable

    return do


CASES = [
    (block, frozen()), (block, frozen("first")), (block, frozen("both")), (block, frozen("steps")),
    (block, frozen("norm")), (block, frozen("")), (block, frozen("", then=("first",))),
    (nested, frozen("inner/first")), (nested, frozen("inner")), (nested, frozen("inner", then=("inner/first",))),
    (nested, frozen("inner/both", "last")), (nested, frozen("", then=("inner",))),
    (nested, frozen("", then=("inner/first", "last"))),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(CASES)))
def test_as_many_weights_are_trainable(number: int) -> None:
    make, freeze = CASES[number]
    old = make()
    old.trainable = True  # and so is every layer inside: an earlier case froze some
    freeze(old)
    new = twins.twin(old)
    loaded = tf_keras.models.model_from_json(old.to_json())
    assert len(new.trainable_weights) == len(loaded.trainable_weights)
    assert len(new.weights) == len(old.weights)
