"""Values into which the JSON reader of Keras 2 turns marked objects, before any other code sees them.

`json_utils.decode` replaces marked objects from the inside out, wherever they stand:
`{"class_name": "__tuple__", "items": [...]}` becomes a tuple, and where a Lambda layer's code is expected, a tuple is
code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MARKS = frozenset(("__tuple__", "__bytes__", "__ellipsis__", "TensorShape"))
"""Class names of the marked objects, which become tuples, bytes, `...` and shapes."""


def is_marked(value: Any) -> bool:
    """Returns whether a value is a marked object, even one that lacks the keys without which Keras cannot read it."""
    return isinstance(value, Mapping) and isinstance(kind := value.get("class_name"), str) and kind in MARKS


def with_decoded_marks(value: Any) -> Any:
    """Returns a configuration as Keras 2 sees it, with lists for tuples and shapes, text for bytes, None for `...`."""
    if isinstance(value, list):
        return [with_decoded_marks(each) for each in value]
    if not isinstance(value, Mapping):
        return value
    inner = {name: with_decoded_marks(each) for name, each in value.items()}
    if not is_marked(inner):
        return inner
    kind, items = inner["class_name"], inner.get("items")
    if kind == "__bytes__":
        return inner.get("value")
    return list(items) if isinstance(items, (list, str, dict)) else None
