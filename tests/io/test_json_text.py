"""Limits of JSON texts, at the last value that is taken and the first that is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from wtool.errors import Differs, Refused, WtoolError
from wtool.io import json_text
from wtool.io.json_text import as_read, parse_as_python, parse_object, refuse_unreadable

READERS = [parse_object, parse_as_python]


@pytest.mark.parametrize("read", READERS)
def test_the_length_of_a_text_is_limited(read: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_text, "MAX_JSON", 8)
    assert read('{"a": 1}', "it") == read(b'{"a": 1}', "it") == {"a": 1}
    with pytest.raises(Refused, match="it is 9 bytes long; the limit is 8"):
        read('{"a": 10}', "it")


@pytest.mark.parametrize("read", READERS)
def test_the_number_of_values_is_limited(read: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_text, "MAX_JSON_VALUES", 6)
    text = '{"a": [1, {}], "b": 2}'
    assert len([each for each in text if each in ",:[{"]) == 7
    for kind in (str, str.encode):
        assert read(kind('{"a": [1, {}]}'), "it") == {"a": [1, {}]}
        with pytest.raises(Refused, match="more than 6 values"):
            read(kind(text), "it")


@pytest.mark.parametrize("read", READERS)
def test_the_depth_is_limited(read: Callable[..., Any]) -> None:
    def nested(depth: int) -> str:
        return '{"a": ' + "[" * (depth - 1) + "]" * (depth - 1) + "}"

    assert read(nested(150), "it") == json.loads(nested(150))
    with pytest.raises(Refused, match="nests more than 150 levels deep"):
        read(nested(151), "it")


@pytest.mark.parametrize("number", [-(1 << 63), (1 << 64) - 1, 1 << 63, 0])
def test_integers_of_64_bits_are_taken(number: int) -> None:
    assert parse_object(f'{{"a": {number}}}', "it") == {"a": number}


@pytest.mark.parametrize("number", [-(1 << 63) - 1, 1 << 64, 10**20, -(10**20)])
def test_larger_integers_are_not(number: int) -> None:
    with pytest.raises(Differs, match="does not fit 64 bits"):
        parse_object(f'{{"a": {number}}}', "it")


def test_a_text_that_could_not_be_read_is_not_written() -> None:
    refuse_unreadable('{"a": 1}', "the lineage")
    with pytest.raises(WtoolError, match="nothing was written: the result could not be read again, since the lineage"):
        refuse_unreadable('{"a": 1, "a": 2}', "the lineage")
    assert as_read({"a": (1, 2)}) == {"a": [1, 2]}
