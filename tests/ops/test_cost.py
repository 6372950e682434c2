"""What files cost to run: parameters go to their layers, and all formats say the same."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

import wtool
from tests.models import BLOBS, ZOO
from wtool.errors import Refused, Usage


@pytest.mark.parametrize("name", ["cnn", "rnn", "nested", "mha", "func"])
def test_all_formats_and_versions_say_the_same(name: str) -> None:
    paths = sorted(path for end in ("keras", "h5") for path in ZOO.glob(f"*/{name}.{end}"))
    if not paths:
        pytest.skip("the models are not there")
    found = [wtool.cost(path) for path in paths]
    assert {(each["multiply_adds"], each["activations"]) for each in found} == {
        (found[0]["multiply_adds"], found[0]["activations"])
    }
    for path, each in zip(paths, found, strict=True):
        assert sum(layer["parameters"] for layer in each["layers"]) == each["parameters"] > 0
        assert each["parameters"] == wtool.inspect(path)["parameters"]
        assert each["multiply_adds"] > 0


def test_the_keys() -> None:
    found = wtool.cost(BLOBS[0], [[2]])
    assert (found["inputs"], found["parameters"], found["multiply_adds"]) == ([[2]], 153, 125)
    assert found["layers"][0] == {
        "name": "hidden",
        "class": "Dense",
        "calls": 1,
        "output": [25],
        "parameters": 75,
        "multiply_adds": 50,
        "activations": 25,
        "unknown": None,
    }


@pytest.mark.parametrize("shapes", [[[0]], [[2.5]], [[True]], [["2"]]])
def test_shapes_are_whole_numbers(shapes: Sequence[Sequence[int]]) -> None:
    with pytest.raises(Usage, match="whole numbers from 1"):
        wtool.cost(BLOBS[0], shapes)


def test_weights_alone_are_refused() -> None:
    paths = sorted(ZOO.glob("*/*.weights.h5"))
    if not paths:
        pytest.skip("the models are not there")
    with pytest.raises(Refused, match="no architecture"):
        wtool.cost(paths[0])
