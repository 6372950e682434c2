"""Words about what went wrong stay short, whatever a file says."""

from __future__ import annotations

import numpy as np

from wtool.errors import a_few, in_short


def test_a_few_names_of_many_and_of_any_length() -> None:
    assert a_few(["a", "b"]) == "a, b"
    assert a_few(list("abcde")) == "a, b, c and 2 more"
    assert a_few(["a" * 300]) == "a" * 300
    assert len(a_few(["a" * 100_000] * 9)) < 1000


def test_values_of_an_array_do_not_hide_what_is_wrong_with_it() -> None:
    values = np.linspace(0, 1, 32 * 8).reshape(32, 8)
    error = ValueError(f"Invalid input shape for input {values}. Expected shape (None, 4), but input has (32, 8)")
    told = "ValueError: Invalid input shape for input [...]. Expected shape (None, 4), but input has (32, 8)"
    assert in_short(error) == told
    assert in_short(ValueError("a list [[1, 2], [3, 4]] stays")) == "ValueError: a list [[1, 2], [3, 4]] stays"
