"""The places that the arrays of a safetensors file have in the layout of Keras 3, told by a text in its header."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from wtool.errors import Differs, Refused
from wtool.hdf5.limits import MAX_DEPTH, MAX_PATHS
from wtool.io.json_text import parse_object
from wtool.values import dataclass

PLACES = "wtool_places"
"""Name of the text."""


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """The places of arrays in an HDF5 file of Keras 3, and the groups of that file.

    Attributes:
        arrays: name of an array -> its place (`layers/dense/vars/0`), in the order of the HDF5 file.
        groups: path of every group -> its attributes; the root is "".
    """

    arrays: Mapping[str, str]
    groups: Mapping[str, Mapping[str, str]]

    def without(self, roots: Collection[str]) -> Places:
        """Returns the places without those in some groups at the root."""
        arrays = {name: place for name, place in self.arrays.items() if place.split("/")[0] not in roots}
        groups = {path: told for path, told in self.groups.items() if path.split("/")[0] not in roots}
        return Places(arrays, groups)

    def text(self) -> str:
        """Returns the text that says so, with the groups that do not follow from the arrays."""
        above = {"": {}, **_all_groups(self.arrays.values())}
        groups = {path: dict(told) for path, told in self.groups.items() if told or path not in above}
        return json.dumps({"arrays": dict(self.arrays), "groups": groups}, separators=(",", ":"), ensure_ascii=False)


def read_places(text: str, names: Iterable[str]) -> Places:
    """Returns the places that a text tells.

    Args:
        text: from the header of a file.
        names: of the arrays in the file.

    Raises:
        Differs: two arrays have one place.
        Refused: the text is of another form, or of other arrays.
    """
    parsed = parse_object(text, PLACES)
    arrays, groups = parsed.get("arrays"), parsed.get("groups")
    if not _is_texts(arrays) or not isinstance(groups, dict) or not all(map(_is_texts, groups.values())):
        raise Refused(f"{PLACES} in its header is no table of places")
    assert isinstance(arrays, dict)
    if arrays.keys() != set(names):
        wrong = min(arrays.keys() ^ set(names))
        raise Refused(f"{PLACES} in its header is the table of other arrays: {wrong} is in the table or the file alone")
    for path in (*arrays.values(), *groups):
        if path and ("" in path.split("/") or path.count("/") > MAX_DEPTH):
            raise Refused(f"{PLACES} in its header has {path!r:.80}, which is no place in an HDF5 file")
    if len(set(arrays.values())) < len(arrays) or "" in arrays.values():
        raise Differs(f"{PLACES} in its header has one place for two arrays, or an array without any")
    found = {"": groups.get("", {}), **_all_groups((*arrays.values(), *(f"{path}/" for path in groups if path)))}
    found.update(groups)
    if inside := next((place for place in arrays.values() if place in found), None):
        raise Refused(f"{PLACES} in its header has {inside} as an array and as a group")
    return Places(arrays, found)


def _is_texts(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(each, str) for each in value.values())


def _all_groups(paths: Iterable[str]) -> dict[str, Mapping[str, str]]:
    """Returns the groups above arrays and groups, without attributes."""
    found: dict[str, Mapping[str, str]] = {}
    length = 0
    for path in paths:
        for above in _above(path):
            if above in found:
                break  # and so are those above it
            found[above] = {}
            length += len(above)
        if length > MAX_PATHS:
            raise Refused(f"{PLACES} in its header names groups of more than {MAX_PATHS >> 20} MiB of characters")
    return found


def _above(path: str) -> Iterator[str]:
    """Yields the paths of the groups above an array or another group, innermost first."""
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path
