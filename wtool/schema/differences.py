"""The settings in which two configurations differ."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from wtool.values import dataclass


@dataclass(frozen=True, slots=True)
class Unlike:
    """A setting that two configurations have with different values.

    Attributes:
        where: the keys that lead to it, `layers[1].activation`.
        left: its value in the first configuration; None where that has none.
        right: its value in the second configuration; None where that has none.
    """

    where: str
    left: Any
    right: Any


def differences(left: Any, right: Any, where: str = "", common_only: bool = False) -> Iterator[Unlike]:
    """Yields the settings in which two configurations differ, in the order of their keys.

    A missing setting is equal to None, and NaN to NaN. Lists of different lengths differ as a whole.

    Args:
        left: the first configuration, parsed JSON.
        right: the second configuration, parsed JSON.
        where: the keys that lead to both.
        common_only: pass over settings that only one of them has.
    """
    if isinstance(left, dict) and isinstance(right, dict):
        keys = left.keys() & right.keys() if common_only else left.keys() | right.keys()
        for key in sorted(keys, key=str):
            inner = where if key == "config" else f"{where}.{key}" if where else str(key)
            yield from differences(left.get(key), right.get(key), inner, common_only)
    elif isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        for position, (a, b) in enumerate(zip(left, right, strict=True)):
            yield from differences(a, b, f"{where}[{position}]", common_only)
    elif left != right and not (left != left and right != right):
        yield Unlike(where, left, right)
