"""Twice the layers cost twice the work: calls of functions are counted, not seconds."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.checkpoint.test_names import dense, sequential, small
from tests.checkpoint.test_order import call, chain
from wtool.checkpoint.layouts import keras3, legacy
from wtool.hdf5.reader import Index

SHAPES = {"kernel": (2, 2), "bias": (2,)}


def newer(count: int, root: str = "layers") -> Index:
    groups = [f"{root}/dense{f'_{number}' if number else ''}/vars" for number in range(count)]
    return small(
        {f"{group}/{key}": shape for group in groups for key, shape in zip("01", SHAPES.values(), strict=True)}
    )


def older(count: int) -> Index:
    names = [f"d{number}" for number in range(count)]
    lists = {name: {"weight_names": tuple(f"{name}/{each}:0".encode() for each in SHAPES)} for name in names}
    arrays = {f"{name}/{name}/{each}:0": shape for name in names for each, shape in SHAPES.items()}
    return small(arrays, **{"": {"layer_names": tuple(map(str.encode, names))}}, **lists)


def nested(count: int, name: str) -> Index:
    """A model inside a model, whose weights are called so."""
    names = [name.format(2 * n + k, n, each) for n in range(count) for k, each in enumerate(SHAPES)]
    arrays = {f"in/{each}": tuple(SHAPES.values())[k % 2] for k, each in enumerate(names)}
    lists = {"": {"layer_names": (b"in",)}, "in": {"weight_names": tuple(map(str.encode, names))}}
    return small(arrays, **lists)


def line(count: int) -> dict[str, Any]:
    made = [call(f"d{n}", f"d{n - 1}" if n else "x") for n in range(count)]
    for each in made:
        each["config"]["units"] = 2
        del each["build_config"]
    return chain(*made, last=f"d{count - 1}")


def plain(count: int) -> dict[str, Any]:
    made = [dense(f"d{number}", 2) for number in range(count)]
    for each in made:
        del each["build_config"]
    return sequential(*made)


def inner(count: int) -> dict[str, Any]:
    return sequential({**plain(count), "config": {**plain(count)["config"], "name": "in"}})


OWN = sequential({"class_name": "Own", "module": "mine", "config": {"name": "in"}})
CASES: dict[str, Callable[[int], tuple[Callable[..., Any], Any]]] = {
    "keras 3": lambda n: (keras3.contents, (newer(n), plain(n), "3.5.0")),
    "keras 3, functional": lambda n: (keras3.contents, (newer(n), line(n), "3.5.0")),
    "keras 3, weights alone": lambda n: (keras3.contents, (newer(n), None, None)),
    "keras 2.12": lambda n: (keras3.contents, (newer(n, keras3.OLD_ROOT), plain(n), "2.12.0")),
    "keras 3, nobody's groups": lambda n: (keras3.contents, (newer(n), plain(1), "3.5.0")),
    "older": lambda n: (legacy.contents, (older(n), plain(n), None, "2.10.0")),
    "older, weights alone": lambda n: (legacy.contents, (older(n), None, None, "2.10.0")),
    "older, nested": lambda n: (legacy.contents, (nested(n, "d{1}/{2}:0"), inner(n), None, "2.10.0")),
    "older, nested, renamed": lambda n: (legacy.contents, (nested(n, "e_{1}/{2}:0"), inner(n), None, "2.10.0")),
    "keras 1, nested": lambda n: (legacy.contents, (nested(n, "param_{0}"), inner(n), None, "1.2.2")),
    "older, of a custom layer": lambda n: (legacy.contents, (nested(n, "d{1}/{2}:0"), OWN, None, "2.10.0")),
}


def calls_of(function: Callable[..., Any], *arguments: Any) -> tuple[int, Any]:
    """Returns how many functions are called, of Python and of C, and what the function returns."""
    found = 0

    def counted(*_: object) -> None:
        nonlocal found
        found += 1

    sys.setprofile(counted)
    try:
        result = function(*arguments)
    finally:
        sys.setprofile(None)
    return found, result


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_work_grows_with_the_number_of_layers(case: str) -> None:
    found = []
    for count in (2, 200, 400):  # what is made once is made for the first
        function, arguments = CASES[case](count)
        calls, contents = calls_of(function, *arguments)
        assert len(contents.tensors) == 2 * count
        found.append(calls)
    assert found[2] < 2.2 * found[1]
