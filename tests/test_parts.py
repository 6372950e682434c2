"""Parts of the suite leave nothing out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.parts import part_of

COUNTS = st.lists(st.integers(1, 12), min_size=1, max_size=6)


@given(COUNTS, st.integers(1, 9))
def test_parts_hold_every_case_and_each_a_case_of_every_function(counts: list[int], parts: int) -> None:
    names = [
        f"a.py::test_{number}[{case}]" if count > 1 else f"a.py::test_{number}"
        for number, count in enumerate(counts)
        for case in range(count)
    ]
    found = [part_of(names, f"{number}/{parts}") for number in range(1, parts + 1)]
    assert set().union(*found) == set(names)
    for part in found:
        assert len({name.partition("[")[0] for name in part}) == len(counts)
    for number, count in enumerate(counts):
        sizes = [sum(name.partition("[")[0] == f"a.py::test_{number}" for name in part) for part in found]
        assert max(sizes) - min(sizes) <= 1, count


@pytest.mark.parametrize("word", ["", "0/3", "4/3", "1/0", "1", "a/b", "-1/3"])
def test_other_words_are_refused(word: str) -> None:
    with pytest.raises(ValueError, match="a part is I/N"):
        part_of(["a.py::test"], word)
