"""What a misspelt word or pattern may mean, for the ends of messages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

LONG, MANY = 100, 1000
"""Longest name and largest number of names that are compared letter by letter, which takes the square of both."""


def any_of(words: Iterable[str]) -> str:
    """Returns the end of a sentence that suggests words, `; did you mean average or merge?`; empty for none."""
    near = [*words]
    return f"; did you mean {' or '.join(near)}?" if near else ""


def meant(word: str, known: Iterable[str]) -> str:
    """Returns the end of a sentence that suggests the known words nearest to a word; empty where none is near."""
    return any_of(nearest(word, known, 3))


def meant_paths(pattern: str, paths: Sequence[str], command: str) -> str:
    """Returns the end of a sentence about a pattern that matches no path: what may be meant, and where paths are shown.

    Suggests the pattern in small letters, with `/*` behind it or `*/` in front of it, or else a path that is spelt
    almost like the pattern.

    Args:
        pattern: of the shell's kind, such as `Dense` where paths are `dense/kernel` and `dense/bias`.
        paths: all that could be matched.
        command: shows the paths.
    """
    small = pattern.lower()
    wider = [small, f"{small}/*", f"*/{small}", f"*/{small}/*", f"{pattern}/*", f"*/{pattern}", f"*/{pattern}/*"]
    found = next((each for each in wider if any(fnmatchcase(path, each) for path in paths)), None)
    if found is None:
        found = next((path for path in paths if any(fnmatchcase(path.lower(), each) for each in wider)), None)
    near = [found] if found is not None else nearest(pattern, paths, 1)
    told = any_of(f"{each[:LONG]!r}" for each in near)
    return f"{told}{' ' if told else '; '}see `{command}`"


def nearest(word: str, known: Iterable[str], most: int) -> list[str]:
    """Returns at most so many of the known words that are spelt almost like a word, the nearest one first."""
    from difflib import get_close_matches  # slow to import, and seldom needed

    short = [each for each in known if len(each) <= LONG][:MANY]
    exact = {each.lower(): each for each in short}
    if len(word) > LONG:
        return []
    return [exact[each] for each in get_close_matches(word.lower(), exact, n=most)]
