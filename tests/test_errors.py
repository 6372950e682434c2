"""Words about what went wrong stay short, whatever a file says."""

from __future__ import annotations

from wtool.errors import a_few


def test_a_few_names_of_many_and_of_any_length() -> None:
    assert a_few(["a", "b"]) == "a, b"
    assert a_few(list("abcde")) == "a, b, c and 2 more"
    assert a_few(["a" * 300]) == "a" * 300
    assert len(a_few(["a" * 100_000] * 9)) < 1000
