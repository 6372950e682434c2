"""The public names, as tools that read annotations see them."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from importlib import import_module
from typing import Any

import pytest

import wtool

TRAINING = {"Evaluated", "Lottery", "Resumed", "evaluate", "lottery", "resume"}


def public(name: str) -> Any:
    """A public name as a parameter: those of training import TensorFlow."""
    return pytest.param(name, marks=pytest.mark.tensorflow if name in TRAINING else ())


@pytest.mark.parametrize("name", [public(name) for name in wtool.__all__])
def test_annotations_can_be_read(name: str) -> None:
    """`typing.get_type_hints` needs every name of an annotation to be there when it is asked."""
    value: Any = getattr(wtool, name)
    if inspect.isclass(value):
        hints = typing.get_type_hints(value)
        if dataclasses.is_dataclass(value):
            assert {field.name for field in dataclasses.fields(value)} <= set(hints)
        methods = [each for each in vars(value).values() if inspect.isfunction(each) or isinstance(each, property)]
        for each in methods:
            typing.get_type_hints(each.fget if isinstance(each, property) else each)
    elif callable(value):
        hints = typing.get_type_hints(value)
        assert set(inspect.signature(value).parameters) | {"return"} <= set(hints)


@pytest.mark.parametrize("name", ["run.options.Options", "run.options.Common"])
def test_options_can_be_read(name: str) -> None:
    module, _, kind = name.rpartition(".")
    options = getattr(import_module(f"wtool.{module}"), kind)
    assert set(options.__annotations__) <= set(typing.get_type_hints(options))
