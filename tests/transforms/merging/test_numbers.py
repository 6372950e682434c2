"""The grammar of numbers: what is written is what is meant, and nothing that is written makes the reader fall over."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wtool.errors import Usage
from wtool.transforms.merging.numbers import LARGEST, SMALLEST, Entry, Numbers, at_depth, numbers_of

POSITIVE = st.floats(SMALLEST, LARGEST)
NUMBERS = st.one_of(st.sampled_from([0.0, -0.0]), POSITIVE, POSITIVE.map(lambda number: -number))
GRADIENTS = st.lists(NUMBERS, min_size=1, max_size=4).map(tuple)
PER_MODEL = st.lists(GRADIENTS, min_size=1, max_size=3).map(tuple)
PATTERNS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
ENTRIES = st.builds(Entry, PATTERNS, PER_MODEL)
OTHERS = st.lists(st.builds(Entry, st.none(), PER_MODEL), max_size=1)


def of(given: Any, path: str = "a/kernel", depth: float = 0.0) -> tuple[float, ...] | None:
    return numbers_of("weight", given).of(path, depth)


@pytest.mark.parametrize(
    ("given_as", "expected"),
    [
        (0.5, (0.5,)),
        ("0.5", (0.5,)),
        (".5", (0.5,)),
        ("-1e-3", (-0.001,)),
        (1, (1.0,)),
        (np.float32(0.5), (0.5,)),
        (np.int64(2), (2.0,)),
        (np.array([1, 0.5]), (1.0, 0.5)),
        ("1,.5,.25", (1.0, 0.5, 0.25)),
        (" 1 , .5", (1.0, 0.5)),
        ([1, 0.5], (1.0, 0.5)),
        ((1, 0.5), (1.0, 0.5)),
        ("0:1", (0.25,)),
        ("0:.5:1", (0.25,)),
        ("0:1,3", (0.25, 3.0)),
        (["a/*=.3", "1"], (0.3,)),
        (["b/*=.3", "1"], (1.0,)),
        (["1", "a/*=.3"], (0.3,)),
        (["a/k*=.3", "a/*=.4"], (0.3,)),
        (["a/*=.4", "a/k*=.3"], (0.4,)),
        ("a/*=.3,.1", (0.3, 0.1)),
        ("a/*=0:1,.1", (0.25, 0.1)),
        ({"a/*": 0.3}, (0.3,)),
        ({"b/*": 0.3, "*": [1, 2]}, (1.0, 2.0)),
        ({"a/*": "0:1"}, (0.25,)),
        ({"a/*": ["0:1", 2]}, (0.25, 2.0)),
        ({"b/*": 0.3}, None),
        (["x=y=.3", ".5"], (0.5,)),
    ],
    ids=str,
)
def test_what_is_meant(given_as: Any, expected: tuple[float, ...] | None) -> None:
    assert of(given_as, depth=0.25) == expected


def test_a_pattern_may_hold_an_equals_sign() -> None:
    assert of("x=y=.3", "x=y") == (0.3,)


@pytest.mark.parametrize(
    "wrong",
    [
        "", ",", "1,", ":", "1:", "a", "nan", "inf", "-inf", "1e999", "1_0", "a=", "=1", "a=b", "1;2", "1 2",
        "1e101", "-1e-101", "5e-324", 1e308,
        None, True, np.True_, float("nan"), float("inf"), [], (), {}, [None], [[1]], [True], {"": 1}, {1: 2}, {"a": {}},
        {"a": None}, {"a": []}, object, b"1", 10**400, 1j, np.zeros((2, 2)), ["1", "2"], ["a=1", 2],
        [".5", "b=1", ".4"], ["1,2"] * 2, "٣,٤=", set(),
    ],
    ids=repr,
)  # fmt: skip
def test_what_means_nothing(wrong: Any) -> None:
    with pytest.raises(Usage) as caught:
        numbers_of("weight", wrong)
    assert "--weight" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@given(st.lists(ENTRIES, max_size=3), OTHERS)
def test_texts_are_read_as_what_they_were_made_of(entries: list[Entry], others: list[Entry]) -> None:
    if entries or others:
        numbers = Numbers((*entries, *others))
        assert numbers_of("weight", list(numbers.texts)) == numbers


ANYTHING = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@settings(max_examples=40, deadline=None)
@given(st.text() | ANYTHING)
def test_anything_is_read_or_refused(value: Any) -> None:
    with suppress(Usage):
        numbers = numbers_of("weight", value)
        assert numbers_of("weight", list(numbers.texts)) == numbers


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=6), st.floats(0, 1))
def test_gradients_are_linear_between_their_numbers(gradient: list[float], depth: float) -> None:
    expected = np.interp(depth, np.linspace(0, 1, len(gradient)), gradient)
    assert at_depth(tuple(gradient), depth) == pytest.approx(expected, abs=1e-10)


@given(st.lists(NUMBERS, min_size=1, max_size=6))
def test_ends_of_gradients_are_exact(gradient: list[float]) -> None:
    assert at_depth(tuple(gradient), 0.0) == gradient[0]
    assert at_depth(tuple(gradient), 1.0) == gradient[-1]
