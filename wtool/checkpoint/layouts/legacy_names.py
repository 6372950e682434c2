"""Lists of names in the attributes of an older `.h5` file: `layer_names` and `weight_names`, read and written.

An attribute has to fit into the header of its object, of at most 64 KiB. Keras cuts a longer list into several
attributes, `layer_names0`, `layer_names1` and so on.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

from wtool.errors import Refused
from wtool.hdf5.reader import Value

HEADER_LIMIT = 64512
"""Bytes of one attribute, by Keras's own constant `HDF5_OBJECT_HEADER_LIMIT`."""


def listed_names(attributes: Mapping[str, Value], name: str, where: str) -> list[str] | None:
    """Returns a list of names in an attribute, or in several where one would be too long, or None.

    Args:
        attributes: of a group.
        name: of the attribute; parts of a long list are called `name0`, `name1`, ...
        where: the group's path, for errors.

    Raises:
        Refused: the list is not whole, holds a name twice, or a name leads out of the group.
    """
    numbered = sorted(
        (int(key.removeprefix(name)), key) for key in attributes if re.fullmatch(rf"{name}\d{{1,6}}", key)
    )
    if name not in attributes and not numbered:
        return None
    if name in attributes and numbered:
        raise Refused(f"{where} has both {name} and {numbered[0][1]}; which of them counts cannot be told")
    if [number for number, _ in numbered] != list(range(len(numbered))):
        raise Refused(f"{where} has {numbered[-1][1]}, but a part of {name} before it is missing")
    keys = [key for _, key in numbered] or [name]
    found = [_name(entry, name, where) for key in keys for entry in _entries(attributes[key], key, where)]
    twice, times = Counter(found).most_common(1)[0] if found else ("", 1)
    if times > 1:
        raise Refused(f"{name} of {where} lists {twice} twice")
    return found


def _entries(value: Value, name: str, where: str) -> tuple[Value, ...]:
    if not isinstance(value, tuple):
        raise Refused(f"{name} of {where} is one value, not a list of names")
    return value


def _name(entry: Value, name: str, where: str) -> str:
    if isinstance(entry, bytes):
        entry = entry.rstrip(b"\0").decode("utf-8", "surrogateescape")
    if not isinstance(entry, str):
        raise Refused(f"{name} of {where} lists {entry!r:.60}, which is no name")
    if any(part in ("", ".", "..") for part in entry.split("/")):
        raise Refused(f"{name} of {where} lists {entry}, which leads out of its group")
    return entry


def names_attribute(name: str, values: list[str]) -> dict[str, Value]:
    """Returns a list of names as Keras writes it: one attribute, or several where one would be too long."""
    encoded = [value.encode("utf-8", "surrogateescape") for value in values]
    width = max((len(value) for value in encoded), default=1)
    count = max(1, -(-len(encoded) * width // HEADER_LIMIT))
    if count == 1:
        return {name: tuple(encoded)}
    each = -(-len(encoded) // count)
    parts = [encoded[start : start + each] for start in range(0, len(encoded), each)]
    return {f"{name}{number}": tuple(part) for number, part in enumerate(parts)}


def with_names(attributes: Mapping[str, Value], name: str, names: list[str]) -> dict[str, Value]:
    """Returns the attributes of a group with another list of names in the place of the one that is there."""
    kept = {key: value for key, value in attributes.items() if not re.fullmatch(rf"{name}\d*", key)}
    return {**kept, **names_attribute(name, names)}
