"""Graphs of architectures against Keras: the order of layers, and the shapes of tensors."""

from __future__ import annotations

import json
import random
import zipfile
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

import wtool
from tests.real_models import ZOO, Saved, saved_files
from wtool.checkpoint.opener import open_checkpoint
from wtool.errors import Refused
from wtool.schema.graph import Model, read
from wtool.schema.layers import PartialShape
from wtool.schema.shapes import shapes_of, told_shape

KERAS3 = [each.path for each in saved_files() if each.path.suffix == ".keras" and not each.keras2]
WHOLE = [each for each in saved_files() if not each.only_weights and "subclassed" not in each.model]


def configuration(path: Path) -> dict[str, Any]:
    with open_checkpoint(str(path)) as checkpoint:
        assert checkpoint.config is not None
        return deepcopy(checkpoint.config)


@pytest.mark.parametrize("saved", WHOLE, ids=str)
def test_layers_come_in_the_order_that_keras_gave_them(saved: Saved) -> None:
    config = configuration(saved.path)
    before = json.dumps(config)
    model = read(config)
    for inner in model.walk():
        inner.layers.reverse()  # nothing may depend on the order that was read
        if inner.functional:
            inner.settle()
        else:
            inner.layers.reverse()
            inner.settle()
    assert json.dumps(config) == before


def told(model: Model) -> dict[tuple[str, Any], PartialShape]:
    """What Keras 3 noted of tensors; it is forgotten on the way, and so is what layers were built for."""
    found = {}
    for inner in model.walk():
        for call in inner.calls:
            for ref in call.inputs:
                shape = told_shape(ref)
                if shape is not None:
                    found[inner.path, ref.key] = shape
                ref.told = None
            call.layer.entry.pop("build_config", None)
    return found


@pytest.mark.parametrize("saved", [each for each in WHOLE if each.version.startswith("k3")], ids=str)
def test_shapes_are_those_that_keras_noted(saved: Saved) -> None:
    model = read(configuration(saved.path))
    noted = told(model)

    def compare(inner: Model, given: Any) -> None:
        shapes = shapes_of(inner, given)
        for key, shape in shapes.items():
            expected = noted.get((inner.path, key))
            if shape is not None and expected is not None:
                assert len(shape) == len(expected)
                assert all(one in (None, other) for one, other in zip(shape, expected, strict=True)), key
        for call in inner.calls:
            if call.layer.model is not None:
                compare(call.layer.model, [shapes.get(ref.key) for ref in call.inputs])

    compare(model, None)


def test_insert_and_remove_are_opposites() -> None:
    config = configuration(ZOO / "k3.15.1" / "mha.keras")
    before = json.dumps(config)
    model = read(config)
    call = next(each for each in model.calls if each.layer.kind == "Dense")
    entry = {"module": "keras.layers", "class_name": "Identity", "config": {"name": "new"}, "registered_name": None}
    users = len(model.users(call.key))
    layer = model.insert(entry, [call.key], [model.users(call.key)])
    assert [ref.key for ref in model.calls_of(layer)[0].inputs] == [call.key]
    assert len(model.users((layer.name, 0, 0))) == users
    model.settle()
    assert json.dumps(config) != before
    assert read(config).calls_of(next(each for each in read(config).layers if each.name == "new")) is not None
    model.remove(layer)
    model.settle()
    assert json.dumps(config) == before


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda c: c["layers"][1]["inbound_nodes"][0]["args"][0]["config"].update(keras_history=["no", 0, 0]),
            "no layer",
        ),
        (lambda c: c["layers"].append(c["layers"][0]), "same name"),
        (lambda c: c["layers"].append(7), "a layer that is 7"),
        (lambda c: c["layers"][1]["inbound_nodes"][0]["args"][0]["config"].update(keras_history=[3]), "history"),
        (lambda c: c.pop("layers"), "author's code"),
    ],
)
def test_graphs_that_contradict_themselves_are_refused(change: Any, words: str) -> None:
    config = configuration(ZOO / "k3.15.1" / "mha.keras")
    change(config["config"])
    with pytest.raises(Refused, match=words):
        read(config)


def test_a_circle_is_refused() -> None:
    def dense(name: str, source: str) -> dict[str, Any]:
        return {"class_name": "Dense", "config": {"name": name}, "name": name, "inbound_nodes": [[[source, 0, 0, {}]]]}

    layers = [dense("a", "b"), dense("b", "a")]
    config = {"name": "m", "layers": layers, "input_layers": [], "output_layers": [["b", 0, 0]]}
    with pytest.raises(Refused, match="depends on itself"):
        read({"class_name": "Functional", "config": config})


ODD: list[Any] = [
    None,
    [],
    {},
    "x",
    "",
    0,
    -1,
    3,
    2.5,
    1e9,
    True,
    [1, 2],
    [None, 4],
    {"a": 1},
    "channels_first",
    10**20,
]
SWAPS: list[dict[str, Any]] = [
    {"to": "linked"},
    {"to": "autorot", "L": 1.0, "xmin_lim": 0.0, "xmax_lim": 1.0},
    {"to": "Linked", "layers": ["*"]},
]


def places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    for key, child in value.items() if isinstance(value, dict) else enumerate(value):
        yield (*above, key)
        if isinstance(child, (dict, list)):
            yield from places(child, (*above, key))


def with_odd_values(path: Path, target: Path, generator: random.Random) -> None:
    """A copy of a model in whose configuration one to three values are something else."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w") as new:
        config = json.loads(old.read("config.json"))
        for _ in range(generator.choice([1, 1, 2, 3])):
            *above, last = generator.choice(list(places(config)))
            holder = config
            for key in above:
                holder = holder[key]
            holder[last] = generator.choice(ODD)
        for member in old.infolist():
            text = json.dumps(config).encode() if member.filename == "config.json" else old.read(member)
            new.writestr(member, text)


@pytest.mark.parametrize("seed", range(60))
def test_odd_configurations_are_refused_in_one_line_or_swapped(seed: int, tmp_path: Path) -> None:
    generator = random.Random(seed)
    with_odd_values(generator.choice(KERAS3), tmp_path / "odd.keras", generator)
    for number, options in enumerate(SWAPS):
        output = tmp_path / f"{number}.keras"
        refusal = None
        try:
            wtool.swap(tmp_path / "odd.keras", output=output, **options)
        except wtool.WtoolError as error:
            refusal = str(error)
        if refusal is None:
            wtool.inspect(output)
        else:
            assert "bug" not in refusal
            assert "\n" not in refusal
            assert not output.exists()


def test_models_in_models_that_are_called_twice_each_have_their_shapes_once() -> None:
    given = {"class_name": "InputLayer", "name": "x", "config": {"name": "x", "batch_shape": [None, 4]}}
    inner: dict[str, Any] = {
        "class_name": "Activation",
        "name": "inner",
        "config": {"name": "inner", "activation": "tanh"},
    }
    for _ in range(25):
        nodes = [[["x", 0, 0, {}]], [["inner", 0, 0, {}]]]
        config = {"name": "inner", "layers": [given, {**inner, "inbound_nodes": nodes}]}
        ends = {"input_layers": [["x", 0, 0]], "output_layers": [["inner", 1, 0]]}
        inner = {"class_name": "Functional", "name": "inner", "config": {**config, **ends}}
    assert shapes_of(read(inner))["inner", 1, 0] == (None, 4)  # 2 ** 25 models would take hours
