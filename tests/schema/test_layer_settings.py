"""Layers with their settings in one form, and the settings in which two configurations differ."""

from __future__ import annotations

from typing import Any

import pytest

from wtool.errors import Refused
from wtool.schema.differences import Unlike, differences
from wtool.schema.layer_settings import LayerSettings, layer_settings_of, plain_settings


def dense(name: str, **settings: Any) -> dict[str, Any]:
    return {"class_name": "Dense", "module": "keras.layers", "config": {"name": name, "units": 3, **settings}}


def model(*layers: Any, **settings: Any) -> dict[str, Any]:
    return {"class_name": "Sequential", "config": {"name": "s", "layers": list(layers), **settings}}


def test_layers_come_with_paths_and_settings_outermost_first() -> None:
    wrapped = {"class_name": "TimeDistributed", "config": {"name": "each", "layer": dense("inner")}}
    assert layer_settings_of(model(model(dense("a")) | {"name": "deep"}, wrapped, trainable=True)) == [
        LayerSettings("", "Sequential", {"trainable": True}, order=("deep", "each")),
        LayerSettings("deep", "Sequential", {}, order=("deep/a",)),
        LayerSettings("deep/a", "Dense", {"units": 3}),
        LayerSettings("each", "TimeDistributed", {}),
        LayerSettings("each/inner", "Dense", {"units": 3}),
    ]


def test_new_names_go_into_the_graph() -> None:
    call = {"args": [{"class_name": "__keras_tensor__", "config": {"keras_history": ["a", 0, 0]}}], "kwargs": {}}
    config = model(dense("a"), {**dense("b"), "inbound_nodes": [call]}, output_layers=["b", 0, 0])
    found = layer_settings_of(config, {"a": "x", "b": "y"})
    assert [each.path for each in found] == ["", "x", "y"]
    assert found[0].settings["output_layers"] == ["y", 0, 0]
    assert found[2].settings["inbound_nodes"] == [{"args": [["x", 0, 0]], "kwargs": {}}]


def test_two_layers_of_one_name_have_two_paths() -> None:
    both = {"class_name": "Bidirectional", "config": {"name": "b", "layer": dense("d"), "backward_layer": dense("d")}}
    assert [each.path for each in layer_settings_of(both)] == ["", "d", "d#2"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"class_name": "__tuple__", "items": [1, 2]}, [1, 2]),
        ({"class_name": "DTypePolicy", "module": "keras", "config": {"name": "float16"}}, "float16"),
        (
            {"class_name": "pkg>Own", "config": {}},
            {"class_name": "Own", "registered_name": "pkg>Own", "module": None, "config": {}},
        ),
        ({"a": 1, "shared_object_id": 3}, {"a": 1}),
    ],
)
def test_forms_of_one_setting_are_alike(one: Any, other: Any) -> None:
    assert plain_settings(one) == plain_settings(other)


@pytest.mark.parametrize("entry", [{}, {"class_name": "Dense"}, {"class_name": "Dense", "config": 5}])
def test_entries_of_no_layer_are_refused(entry: Any) -> None:
    with pytest.raises(Refused):
        layer_settings_of(model(entry))


def test_layers_inside_layers_have_a_limit() -> None:
    config = dense("d")
    for _ in range(60):
        config = model(config)
    with pytest.raises(Refused, match="nests more than 40"):
        layer_settings_of(config)


def test_differences_are_told_in_the_order_of_keys() -> None:
    left = {"b": {"config": {"x": [1, {"y": 2}]}}, "a": 1, "only": 4, "nan": float("nan"), "no": None}
    right = {"b": {"config": {"x": [1, {"y": 3}]}}, "a": "1", "nan": float("nan"), "long": [1]}
    common = [Unlike("a", 1, "1"), Unlike("b.x[1].y", 2, 3)]
    assert list(differences(left, right)) == [*common, Unlike("long", None, [1]), Unlike("only", 4, None)]
    assert list(differences(left, right, common_only=True)) == common
    assert list(differences([1], [1, 2], "here")) == [Unlike("here", [1], [1, 2])]
