"""Masks of upgraded models mean what they meant."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests import forkserver

pytestmark = pytest.mark.tensorflow
tf_keras = pytest.importorskip("tf_keras")
twins = pytest.importorskip("tests.schema.upgrade.twins")
L = tf_keras.layers

WORDS = np.array([[1, 2, 3, 0, 0, 0], [4, 0, 2, 1, 0, 0], [1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 3]], "int32")


def both(kind: Any) -> Callable[[Any], Any]:
    return lambda x: L.SimpleRNN(2)(kind([x, L.Dense(4)(x)]))


def nested_join() -> Any:
    one, other = L.Input((6, 4)), L.Input((6, 4))
    return tf_keras.Model([one, other], L.Dense(3)(L.Add()([one, L.Dense(4)(other)])))


CASES: dict[str, Callable[[Any], Any]] = {
    "LSTM": lambda x: L.LSTM(3, return_sequences=True)(x),
    "GRU": lambda x: L.Dense(2)(L.GRU(3, return_sequences=True, reset_after=False)(x)),
    "backwards": lambda x: L.LSTM(3, return_sequences=True, go_backwards=True)(x),
    "zeros": lambda x: L.LSTM(3, return_sequences=True, zero_output_for_mask=True)(x),
    "Bidirectional": lambda x: L.SimpleRNN(2)(L.Bidirectional(L.GRU(3, return_sequences=True), merge_mode="mul")(x)),
    "cells": lambda x: L.RNN([L.LSTMCell(3), L.GRUCell(2)], return_sequences=True)(x),
    "TimeDistributed": lambda x: L.SimpleRNN(2)(L.TimeDistributed(L.Dense(3))(x)),
    "pooling": lambda x: L.GlobalAveragePooling1D()(L.Dense(3)(x)),
    "convolution": lambda x: L.SimpleRNN(2)(L.Conv1D(3, 2, padding="same")(x)),
    "Attention": lambda x: L.SimpleRNN(2)(L.Attention()([x, x])),
    "MultiHeadAttention": lambda x: L.GlobalAveragePooling1D()(L.MultiHeadAttention(2, 3)(x, x)),
    "Masking": lambda x: L.SimpleRNN(2)(L.Masking(0.0)(x)),
    "Reshape": lambda x: L.SimpleRNN(2)(L.Reshape((3, 8))(x)),
    "Concatenate": both(L.Concatenate(name="concatenate")),
    "Concatenate of steps": both(L.Concatenate(axis=1, name="concatenate_1")),
    "Add": both(L.Add()), "Average": both(L.Average()), "Multiply": both(L.Multiply()), "Maximum": both(L.Maximum()),
    "written out": lambda x: L.SimpleRNN(2)(L.Activation("hard_sigmoid")(x)),
    "threshold": lambda x: L.SimpleRNN(2)(L.ThresholdedReLU()(x)),
    "nested again": lambda x: L.SimpleRNN(2)(nested_join()([x, x])),
    "Dropout": lambda x: L.SimpleRNN(2)(L.GaussianNoise(0.1)(L.SpatialDropout1D(0.2)(x))),
    "padding": lambda x: L.SimpleRNN(2)(L.UpSampling1D(2)(L.ZeroPadding1D(1)(x))),
    "UnitNormalization": lambda x: L.SimpleRNN(2)(L.UnitNormalization()(L.Activation("tanh")(x))),
    "EinsumDense": lambda x: L.SimpleRNN(2)(L.EinsumDense("abc,cd->abd", (None, 3))(x)),
    "Permute": lambda x: L.SimpleRNN(2)(L.Permute((2, 1))(x)),
    "Flatten": lambda x: L.Dense(2)(L.Flatten()(x)),
    "MultiHeadAttention alone": lambda x: L.MultiHeadAttention(2, 3)(x, x),
    "Attention alone": lambda x: L.Attention()([x, x]),
    "nested": lambda x: L.SimpleRNN(2)(tf_keras.Sequential([L.Input((6, 4)), L.Dense(3), L.Dropout(0.2)])(x)),
}  # fmt: skip


def model_of(make: Callable[[Any], Any]) -> Any:
    given = L.Input((6,), dtype="int32")
    return tf_keras.Model(given, make(L.Embedding(5, 4, mask_zero=True)(given)))


@pytest.mark.parametrize("name", CASES)
def test_masked_layers_compute_the_same(name: str) -> None:
    old = model_of(CASES[name])
    result = twins.upgraded(old)
    new = twins.keras.saving.deserialize_keras_object(json.loads(json.dumps(result.config)), safe_mode=True)
    twins.give_weights(old, new, result.moved)
    assert np.asarray(new(WORDS)) == pytest.approx(np.asarray(old(WORDS)), abs=1e-5)


def test_a_mask_that_is_made_of_a_layers_output_is_told() -> None:
    assert any("--verify" in note for note in twins.upgraded(model_of(CASES["Masking"])).notes)


def test_the_first_model_that_a_process_loads_has_no_name_twice() -> None:
    config = json.dumps(twins.upgraded(model_of(CASES["Concatenate"])).config)
    code = "import json, sys, keras; keras.saving.deserialize_keras_object(json.load(sys.stdin), safe_mode=True)"
    subprocess.run(forkserver.python("-c", code, readers=True), input=config.encode(), check=True, capture_output=True)
