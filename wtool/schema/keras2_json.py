"""What Keras 2 makes of a configuration before anybody looks: its JSON reader turns marked objects into other values.

`json_utils.decode` replaces them from the inside out, wherever they are: `{"class_name": "__tuple__", "items": [...]}`
becomes a tuple, and where a Lambda layer's code is expected, a tuple is code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MARKS = frozenset(("__tuple__", "__bytes__", "__ellipsis__", "TensorShape"))
"""Class names of the objects that become tuples, bytes, `...` and shapes."""


def is_marked(value: Any) -> bool:
    """Whether a value is such an object; it may lack what makes Keras able to read it."""
    return isinstance(value, Mapping) and isinstance(kind := value.get("class_name"), str) and kind in MARKS


def decoded(value: Any) -> Any:
    """A configuration as Keras 2 has it, with lists for tuples and shapes, text for bytes, and None for `...`."""
    if isinstance(value, list):
        return [decoded(each) for each in value]
    if not isinstance(value, Mapping):
        return value
    inner = {name: decoded(each) for name, each in value.items()}
    if not is_marked(inner):
        return inner
    kind, items = inner["class_name"], inner.get("items")
    if kind == "__bytes__":
        return inner.get("value")
    return list(items) if isinstance(items, (list, str, dict)) else None
