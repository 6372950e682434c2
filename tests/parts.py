"""Parts of the suite: `pytest --part I/N` runs of each test function the I-th of N parts of its cases."""

from __future__ import annotations

import re
import zlib
from collections import defaultdict
from collections.abc import Sequence

WORDS = re.compile(r"([1-9][0-9]*)/([1-9][0-9]*)")


def part_of(names: Sequence[str], word: str) -> set[str]:
    """Returns the tests of a part. All parts together hold every test, and each part a case of every test function.

    Cases are drawn by a hash of their names, so that a case stays in its part when others come.

    Args:
        names: of all tests, as pytest shows them: `FILE::FUNCTION[CASE]`.
        word: `I/N`, with I from 1 to N.

    Raises:
        ValueError: the word is no such part.
    """
    match = WORDS.fullmatch(word)
    if match is None or int(match[1]) > int(match[2]):
        raise ValueError(f"--part {word}: a part is I/N, the I-th of N, such as 1/4")
    number, parts = int(match[1]) - 1, int(match[2])
    cases = defaultdict(list)
    for name in names:
        cases[name.partition("[")[0]].append(name)
    kept: set[str] = set()
    for same in cases.values():
        same.sort(key=lambda name: (zlib.crc32(name.encode()), name))
        count = min(parts, len(same))  # a function of fewer cases than parts gives each part one
        kept.update(same[number % count :: count])
    return kept
