"""Configurations of strangers: anything may stand anywhere; they are upgraded, or refused in one line."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wtool.errors import Refused
from wtool.schema.upgrade.model import upgrade
from wtool.schema.upgrade.rules import RULES
from wtool.schema.upgrade.upgraded import Wishes

CLASSES = (
    "Sequential", "Functional", "Model", "InputLayer", "Dense", "Conv2D", "LSTM", "GRU", "Bidirectional", "RNN",
    "StackedRNNCells", "TimeDistributed", "BatchNormalization", "Lambda", "CuDNNLSTM", "Discretization", "Own",
    "Pkg>Own", "MultiHeadAttention", "TextVectorization", "ThresholdedReLU", "RandomCrop", "LocallyConnected1D",
    "Zeros", "Policy", "__tuple__", "function", "wtool>LKReLU", "PruneLowMagnitude",
)  # fmt: skip
KEYS = (
    "name", "layers", "layer", "cell", "cells", "backward_layer", "dtype", "activation", "recurrent_activation", "axis",
    "units", "kernel_initializer", "kernel_regularizer", "batch_input_shape", "input_layers", "output_layers",
    "trainable", "causal", "robust_masking", "bin_boundaries", "output_mode", "standardize", "query_shape",
    "pruning_schedule", "items", "build_input_shape", "time_major",
)  # fmt: skip
PLAIN = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.floats(), st.sampled_from(("", "a", "hard_sigmoid", "a/b", "\n"))
)


def _entries(inner: Any) -> Any:
    config = st.dictionaries(st.sampled_from(KEYS), inner, max_size=5)
    entry = {"class_name": st.sampled_from(CLASSES), "config": config | inner}
    return st.fixed_dictionaries(entry, optional={"name": inner, "inbound_nodes": inner, "registered_name": inner})


VALUES = st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=3) | _entries(inner), max_leaves=25)


@given(VALUES | _entries(VALUES))
@settings(max_examples=400, deadline=None)
def test_anything_is_upgraded_or_refused_in_a_line(config: Any) -> None:
    try:
        found = upgrade(config, None, "2.3.1", {}, Wishes())
    except Refused as error:
        told = str(error)
    else:
        assert all(each.rule in RULES for each in (*found.changes, *found.refused))
        told = "".join(each.text for each in found.refused)
    assert "\n" not in told


def test_many_layers_take_no_longer_than_their_number() -> None:
    """Thirty thousand layers in seconds of processor time: a quadratic walk would take hours."""
    dense = [
        {"class_name": "Dense", "config": {"name": f"d/{n}", "units": 1, "activation": "tanh"}} for n in range(30_000)
    ]
    dense[0]["config"]["batch_input_shape"] = [None, 1]  # type: ignore[index]
    started = time.process_time()
    found = upgrade({"class_name": "Sequential", "config": {"name": "s", "layers": dense}}, None, "2.3.1", {}, Wishes())
    assert time.process_time() - started < 15
    assert len(found.moved) == 30_000


@pytest.mark.parametrize("kind", ["TimeDistributed", "Bidirectional"])
def test_wrappers_nest_up_to_a_limit(kind: str) -> None:
    entry: Any = {"class_name": "LSTM", "config": {"name": "l", "units": 1}}
    for _ in range(60):
        entry = {"class_name": kind, "config": {"name": "w", "layer": entry}}
    with pytest.raises(Refused, match="nests more than"):
        upgrade([entry], None, "2.3.1", {}, Wishes())
