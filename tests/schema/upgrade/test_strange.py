"""Configurations of strangers: anything may stand anywhere; they are upgraded, or refused in one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.schema.test_growth import calls_of
from tests.schema.upgrade.test_keras1 import entry
from tests.schema.upgrade.test_nodes import Entry, functional, layer, source
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
@settings(max_examples=100, deadline=None)
def test_anything_is_upgraded_or_refused_in_a_line(config: Any) -> None:
    try:
        found = upgrade(config, None, "2.3.1", {}, Wishes())
    except Refused as error:
        told = str(error)
    else:
        assert all(each.rule in RULES for each in (*found.changes, *found.refused))
        told = "".join(each.text for each in found.refused)
    assert "\n" not in told


class Name(str):
    """A name whose comparisons are calls of Python's functions, and so are counted."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        return str.__eq__(self, other) is True


def sequential(count: int) -> Entry:
    """A model of layers whose names all have to change."""
    dense = [entry("Dense", name=Name(f"d/{n}"), units=1, activation="tanh") for n in range(count)]
    dense[0]["config"]["batch_input_shape"] = [None, 1]
    return entry("Sequential", name="s", layers=dense)


def functional_of(kind: str, **config: Any) -> Callable[[int], Entry]:
    """A graph of layers of one class, each behind the one before."""

    def made(count: int) -> Entry:
        names = [Name(f"d/{n}") for n in range(count)]
        calls = [[before, 0, 0, {}] for before in ("x", *names[:-1])]
        nodes = calls if kind == "TFOpLambda" else [[call] for call in calls]
        layers = [layer(name, node, kind=kind, **config) for name, node in zip(names, nodes, strict=True)]
        return functional(source("x", 4), *layers, inputs=[["x", 0, 0]], outputs=[[names[-1], 0, 0]])

    return made


def attending(count: int) -> Entry:
    """Layers that all compute by a mask which Keras 3 joins otherwise, and which is written out for each."""
    names = [Name(f"d/{n}") for n in range(count)]
    masking = [layer(name, [[name.replace("m", "x"), 0, 0, {}]], kind="Masking") for name in ("m1", "m2")]
    both = [[name, 0, 0, {}] for name in ("m1", "m2")]
    each = [layer(name, [["sum", 0, 0, {}]] * 2, kind="Attention") for name in names]
    layers = [source("x1", 5, 4), source("x2", 5, 4), *masking, layer("sum", both, kind="Add"), *each]
    return functional(*layers, inputs=[["x1", 0, 0], ["x2", 0, 0]], outputs=[[names[-1], 0, 0]])


GROWING: dict[str, Callable[[int], Entry]] = {
    "sequential": sequential,
    "functional": functional_of("Dense", units=4, activation="hard_sigmoid"),
    "operations": functional_of("TFOpLambda", function="math.exp"),
    "masks": attending,
}


@pytest.mark.parametrize("kind", GROWING)
def test_twice_the_layers_are_twice_the_work(kind: str) -> None:
    counts = []
    for count in (2, 100, 200):  # what is made once is made for the first
        config = GROWING[kind](count)
        calls, found = calls_of(upgrade, config, None, "2.3.1", {}, Wishes())
        assert len(found.moved) == count
        assert kind != "masks" or sum(each.rule == "written mask" for each in found.changes) == count
        counts.append(calls)
    assert counts[2] < 2.05 * counts[1]


@pytest.mark.parametrize("kind", ["TimeDistributed", "Bidirectional"])
def test_wrappers_nest_up_to_a_limit(kind: str) -> None:
    inner = entry("LSTM", name="l", units=1)
    for _ in range(60):
        inner = entry(kind, name="w", layer=inner)
    with pytest.raises(Refused, match="nests more than"):
        upgrade([inner], None, "2.3.1", {}, Wishes())
