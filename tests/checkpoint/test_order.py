"""Weights go to the layers into which Keras loads them; what would load otherwise than it reads is refused.

`tests/fuzz_orders.py` holds this against Keras itself.
"""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import wtool
from tests.checkpoint.test_names import ARRAYS, LEGACY, dense, sequential, small
from wtool.checkpoint.layouts import keras3, legacy
from wtool.errors import Differs, Refused
from wtool.schema import calls

TWO = {f"layers/dense{tail}/vars/{key}": shape for tail in ("", "_1") for key, shape in (("0", (4, 4)), ("1", (4,)))}


def call(name: str, source: str, **more: Any) -> dict[str, Any]:
    return {**dense(name, units=4), "name": name, "inbound_nodes": [[[source, 0, 0, {}]]], **more}


def chain(*layers: dict[str, Any], last: str = "b") -> dict[str, Any]:
    start = {"class_name": "InputLayer", "config": {"name": "x"}, "name": "x", "inbound_nodes": []}
    graph = {"input_layers": [["x", 0, 0]], "output_layers": [[last, 0, 0]]}
    return {"class_name": "Functional", "config": {"name": "m", "layers": [start, *layers], **graph}}


PERMUTED = chain(call("b", "a"), call("a", "x"))


def named(first: str, second: str) -> dict[str, Any]:
    return {"layers/dense/vars": {"name": first}, "layers/dense_1/vars": {"name": second}}


def test_a_configuration_in_another_order_without_names_is_refused() -> None:
    with pytest.raises(Differs, match="loads layers/dense into layer a"):
        keras3.contents(small(TWO), PERMUTED, "3.5.0")


def test_names_that_agree_with_keras_settle_the_order() -> None:
    found = keras3.contents(small(TWO, **named("a", "b")), PERMUTED, "3.15.1")
    assert {tensor.path: tensor.stored for tensor in found.tensors}["a/kernel"] == "layers/dense/vars/0"
    assert found.notes == ()


def test_names_that_disagree_with_keras_are_told() -> None:
    found = keras3.contents(small(TWO, **named("b", "a")), PERMUTED, "3.15.1")
    assert {tensor.path: tensor.stored for tensor in found.tensors}["a/kernel"] == "layers/dense/vars/0"
    assert {getattr(note, "severity", "odd") for note in found.notes} == {"differs"}


def test_what_leads_to_no_output_is_no_layer_of_the_model() -> None:
    model = chain(call("lost", "x"), call("a", "x"), call("b", "a"))
    found = keras3.contents(small(TWO), model, "3.5.0")
    assert [layer.name for layer in found.layers] == ["x", "a", "b"]
    assert found.notes == ("layer lost of m leads to no output, so Keras leaves it out",)


@pytest.mark.parametrize(
    ("model", "order"),
    [
        (chain(call("b", "a"), call("a", "x"))["config"], ["x", "a", "b"]),
        (chain(call("a", "b"), call("b", "a"))["config"], None),  # a circle
        (chain(call("b", "gone"))["config"], None),
        (chain(call("b", "x", inbound_nodes=[["x", 0, 0, {"y": ["a", 0, 0]}]]), call("a", "x"))["config"], "xab"),
        (chain(call("b", "x", inbound_nodes=[[["_CONSTANT_VALUE", -1, 1, {"y": ["x", 0, 0]}]]]))["config"], "xb"),
        ({"layers": 3, "input_layers": [], "output_layers": []}, None),
        ({"layers": [], "input_layers": [], "output_layers": []}, None),
    ],
)
def test_order_of_a_graph(model: dict[str, Any], order: Any) -> None:
    assert calls.layer_order(model) == (order and list(order))


def test_layers_in_two_places_are_refused() -> None:
    old = {path.replace("layers", keras3.OLD_ROOT): shape for path, shape in TWO.items()}
    with pytest.raises(Differs, match="layers in _layer_checkpoint_dependencies and in layers"):
        keras3.contents(small({**TWO, **old}), sequential(dense("a", 4), dense("b", 4)), "2.13.1")


def test_an_attribute_under_two_names_is_refused() -> None:
    wrapper = {"class_name": "TimeDistributed", "config": {"name": "t", "layer": dense("a", 4)}}
    paths = [f"layers/time_distributed/{name}/vars/{key}" for name in ("layer", "_layer") for key in "01"]
    arrays: dict[str, tuple[int, ...]] = {path: (4, 4) if path.endswith("0") else (4,) for path in paths}
    with pytest.raises(Differs, match="both layers/time_distributed/layer and layers/time_distributed/_layer"):
        keras3.contents(small(arrays), sequential(wrapper), "3.15.1")


def older(layer_names: tuple[bytes, ...], names: tuple[str, ...], **more: Any) -> Any:
    """An older file of Dense layers a and b, and a normalisation n."""
    arrays: dict[str, tuple[int, ...]] = {f"{name}/{name}/kernel:0": (4, 4) for name in "ab"}
    arrays |= {f"n/n/{name}:0": (4,) for name in names}
    groups: dict[str, Any] = {name: {"weight_names": (f"{name}/kernel:0".encode(),)} for name in "ab"}
    groups["n"] = {"weight_names": tuple(f"n/{name}:0".encode() for name in names)}
    return small(arrays, **{"": {"layer_names": layer_names}, **groups, **more})


NORM = ("gamma", "beta", "moving_mean", "moving_variance")
MODEL = sequential(
    dense("a", 4, use_bias=False),
    dense("b", 4, use_bias=False),
    {"class_name": "BatchNormalization", "config": {"name": "n"}},
)


def test_older_files_in_order() -> None:
    found = legacy.contents(older((b"a", b"b", b"n"), NORM), MODEL, None, "2.10.0")
    assert [tensor.path for tensor in found.tensors] == ["a/kernel", "b/kernel", *(f"n/{name}" for name in NORM)]


SEEDS = range(309, 332)


@cache
def summary_of(seed: int) -> Any:
    """Returns what became of a random model's file as it was saved, and of seven changes of that file."""
    pytest.importorskip("tf_keras")
    from tests.fuzz_orders import run

    return run(8, seed)


@pytest.mark.tensorflow
@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_what_keras_loads_is_what_is_told(seed: int) -> None:
    assert summary_of(seed).failures == []


@pytest.mark.tensorflow
@pytest.mark.slow
def test_enough_files_are_read_and_refused() -> None:
    """Of the files of the tests above, which most often ran in this process."""
    counts = sum((summary_of(seed).counts for seed in SEEDS), Counter())
    assert counts["as Keras loads it"] > 40
    assert counts["refused"] > 5


@pytest.mark.parametrize(
    ("layers", "names", "complaint"),
    [
        ((b"b", b"a", b"n"), NORM, "would load the weights of b into a"),
        ((b"a", b"b", b"n"), ("beta", "gamma", *NORM[2:]), "load n/n/beta:0 into n/gamma"),
        (
            (b"a", b"b", b"n"),
            ("moving_mean", "gamma", "beta", "moving_variance"),
            "load n/n/moving_mean:0 into n/gamma",
        ),
    ],
)
def test_older_files_in_another_order_are_refused(layers: Any, names: Any, complaint: str) -> None:
    with pytest.raises(Differs, match=complaint):
        legacy.contents(older(layers, names), MODEL, None, "2.10.0")


def test_weights_in_both_layouts_are_refused() -> None:
    index = small({**ARRAYS, **TWO}, **LEGACY)
    with pytest.raises(Differs, match="in Keras 3's layout"):
        legacy.contents(index, sequential(dense("a")), None, "2.10.0")
    whole = {f"model_weights/{path}": shape for path, shape in ARRAYS.items()}
    groups = {f"model_weights/{path}".strip("/"): attributes for path, attributes in LEGACY.items()}
    with pytest.raises(Differs, match="depends on how it is asked"):
        legacy.contents(small(whole, **groups, **{"": LEGACY[""]}), sequential(dense("a")), None, "2.10.0")


# --- one layer in several places ---


def test_a_sequence_that_says_it_is_a_graph_is_refused() -> None:
    """Keras follows the list of a Sequential model, whatever graph stands beside it."""
    model = {**PERMUTED, "class_name": "Sequential"}
    with pytest.raises(Differs, match="a sequence of layers and a graph"):
        keras3.contents(small(TWO, **named("a", "b")), model, "3.15.1")
    arrays: dict[str, tuple[int, ...]] = {f"{name}/{name}/{key}:0": (4,) * rank for name in "ab" for key, rank in KEYS}
    groups: dict[str, Any] = {
        name: {"weight_names": tuple(f"{name}/{key}:0".encode() for key, _ in KEYS)} for name in "ab"
    }
    index = small(arrays, **{"": {"layer_names": (b"a", b"b")}, **groups})
    with pytest.raises(Differs, match="a sequence of layers and a graph"):
        legacy.contents(index, model, None, "2.10.0")


KEYS = (("kernel", 2), ("bias", 1))
SHARED = {**dense("d", 4), "shared_object_id": 77}
WRAPPED = {"class_name": "TimeDistributed", "config": {"name": "t", "layer": SHARED}}
EMPTY: dict[str, Any] = {"layers/time_distributed/vars": {"name": "t"}}  # the wrapper has no variables of its own
IN_LIST, IN_WRAPPER = "layers/dense", "layers/time_distributed/layer"


def dense_at(*groups: str) -> Any:
    return small({f"{group}/vars/{number}": (4,) * (2 - number) for group in groups for number in (0, 1)}, **EMPTY)


def test_a_layer_in_a_list_and_in_a_wrapper_is_stored_where_keras_meets_it_first() -> None:
    for layers, group, path in (
        ((SHARED, WRAPPED), IN_LIST, "d"),
        ((WRAPPED, SHARED), IN_WRAPPER, "t/d"),
    ):
        found = keras3.contents(dense_at(group), sequential(*layers), "3.15.1")
        assert {each.path: each.stored for each in found.tensors}[f"{path}/kernel"] == f"{group}/vars/0"
        assert (len(found.tensors), found.notes) == (2, ())


def test_a_layer_that_is_stored_nowhere_is_missing() -> None:
    with pytest.raises(Refused, match="has no group layers/dense, where layer d"):
        keras3.contents(dense_at("layers/dense_1"), sequential(SHARED, WRAPPED), "3.15.1")


@pytest.mark.parametrize(
    "other",
    [
        WRAPPED,  # and stored twice
        {**WRAPPED, "config": {"name": "t", "layer": {**dense("e", 4), "shared_object_id": 77}}},
        {**WRAPPED, "config": {"name": "t", "layer": {**SHARED, "class_name": "EinsumDense"}}},
        {**dense("e", 4), "shared_object_id": 77},
    ],
)
def test_entries_that_keras_makes_one_layer_of_are_refused(other: dict[str, Any]) -> None:
    with pytest.raises(Differs, match="Keras makes one layer of d"):
        keras3.contents(dense_at(IN_LIST, IN_WRAPPER, "layers/dense_1"), sequential(SHARED, other), "3.15.1")


@pytest.mark.parametrize(("first", "second"), [(7, 7.0), (1, True), ("x", "x"), (None, None), (2**62, 2**62)])
def test_keras_looks_layers_up_by_anything(first: Any, second: Any) -> None:
    one, two = ({**dense(name, 4), "shared_object_id": key} for name, key in (("d", first), ("e", second)))
    with pytest.raises(Differs, match="Keras makes one layer of d"):
        keras3.contents(dense_at(IN_LIST, "layers/dense_1"), sequential(one, two), "3.15.1")


@pytest.mark.tensorflow
def test_a_layer_in_two_places_as_keras_saves_it(tmp_path: Path) -> None:
    import keras

    layer = keras.layers.Dense(4, name="d")
    inputs = keras.Input((3, 4))
    model = keras.Model(inputs, keras.layers.TimeDistributed(layer, name="t")(layer(inputs)))
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    assert wtool.check(tmp_path / "m.keras").findings == ()
    with wtool.open_checkpoint(str(tmp_path / "m.keras")) as checkpoint:
        for tensor, values in zip(checkpoint.weights, loaded.get_weights(), strict=True):
            np.testing.assert_array_equal(checkpoint.read(tensor), values)


# --- values that Keras 2 changes as it loads them ---


def upside_down(kind: str, **settings: Any) -> dict[str, Any]:
    """A convolution whose kernel has one shape before and after Keras 2 has turned it round."""
    config = {"name": "c", "filters": 4, "kernel_size": [4, 4], "use_bias": False, **settings}
    return sequential({"class_name": kind, "config": config})


@pytest.mark.parametrize(
    ("model", "version", "told"),
    [
        (upside_down("Conv2DTranspose"), "1", True),
        (upside_down("Conv2DTranspose"), b"1", True),
        (upside_down("Conv2DTranspose"), None, True),
        (upside_down("Conv2DTranspose"), "2.15.0", False),
        (upside_down("Conv2D", data_format="channels_first"), None, True),
        (upside_down("Conv2D"), None, False),
    ],
)
def test_kernels_that_keras_2_takes_for_those_of_keras_1_are_told(
    model: dict[str, Any], version: Any, told: bool
) -> None:
    """The version that counts is that of the group of the weights, not that of the file."""
    base = {"layer_names": (b"c",)} | ({} if version is None else {"keras_version": version})
    groups: dict[str, Any] = {"model_weights": base, "model_weights/c": {"weight_names": (b"c/kernel:0",)}}
    index = small({"model_weights/c/c/kernel:0": (4, 4, 4, 4)}, **groups)
    found = legacy.contents(index, model, None, "2.15.0")
    assert [getattr(note, "severity", "odd") for note in found.notes] == (["differs"] if told else [])


@pytest.mark.tensorflow
def test_entries_that_keras_2_makes_one_layer_of(tmp_path: Path) -> None:
    """In `.h5` files, Keras 2 makes one layer of entries with one number, and loads the weights of both into it."""
    tf_keras = pytest.importorskip("tf_keras")
    layers = tf_keras.layers
    path = tmp_path / "m.h5"
    inputs = tf_keras.Input((3, 4))
    first = layers.TimeDistributed(layers.Dense(4, name="d0"), name="t0")(inputs)
    model = tf_keras.Model(inputs, layers.TimeDistributed(layers.Dense(4, name="d1"), name="t1")(first))
    model.set_weights([np.full(each.shape, number) for number, each in enumerate(model.weights)])
    model.save(path)
    assert not wtool.check(path).findings
    with h5py.File(path, "a") as file:
        config = json.loads(file.attrs["model_config"])
        for layer in config["config"]["layers"][1:]:
            layer["config"]["layer"]["shared_object_id"] = 77
        file.attrs["model_config"] = json.dumps(config)
    loaded = tf_keras.models.load_model(path, compile=False)
    assert [float(each.numpy().max()) for each in loaded.weights] == [2, 3]
    (finding,) = wtool.check(path).findings
    assert (finding.severity, finding.what.split(" to ")[0]) == ("differs", "d0 and d1 are one layer")
