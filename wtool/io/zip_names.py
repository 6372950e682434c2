"""What the members of a `.keras` archive may be called: names that every reader of zip archives reads alike.

Python's `zipfile`, with which Keras reads, cuts names at a NUL; on Windows it takes a backslash for a slash; where two
members come to have one name, the last wins. Extracting drops `.` and `..`, and trailing dots on some systems.
"""

from __future__ import annotations

import posixpath
import unicodedata
from collections.abc import Sequence

from wtool.errors import Differs

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
OTHER_WEIGHTS = "model.weights.npz"
"""Weights as Keras 3.8 could save them: arrays of objects, which it unpickled."""

KNOWN = frozenset((CONFIG, METADATA, WEIGHTS, OTHER_WEIGHTS))
"""The members that Keras asks for by name."""

UTF8 = 0x800
"""The flag that a name is in UTF-8; without it, it is in code page 437."""


def decoded(raw: bytes, flags: int) -> str:
    """A member's name as readers have it.

    Raises:
        Differs: they do not have the same.
    """
    try:
        name = raw.decode("utf-8" if flags & UTF8 else "cp437")
    except UnicodeDecodeError:
        raise Differs(f"a member's name is marked as UTF-8 and is not: {raw!r:.80}") from None
    if not name or "\0" in name or "\\" in name:
        raise Differs(f"a member is called {name!r:.80}, which readers of zip archives take for different names")
    return name


def check_names(names: Sequence[str]) -> None:
    """Refuse names that stand twice, or that could be taken for one of the members that Keras asks for.

    Two assets whose names differ in case only are two names: Keras itself writes these, one folder for each layer.

    Raises:
        Differs: there is one.
    """
    seen: set[str] = set()
    known = {each: name for name in KNOWN for each in _seen_as(name)}
    for name in names:
        if name in seen:
            raise Differs(f"the archive holds {name!r} more than once: no telling which is meant")
        seen.add(name)
        meant = next((known[each] for each in _seen_as(name) if each in known), name)
        if name != meant:
            raise Differs(f"the archive holds {name!r}, which people or file systems could take for {meant}")
        if "/" not in name and not name.isascii():
            raise Differs(f"the archive holds {name!r} beside the model's own files, whose names are all plain ASCII")


def _seen_as(name: str) -> set[str]:
    """What a name may be taken for: as a path or as extracted, whatever its case, by its letters and digits alone."""
    path, extracted = (
        posixpath.normpath(name),
        "/".join(part for part in name.split("/") if part not in ("", ".", "..")),
    )
    folded = [unicodedata.normalize("NFKC", each).casefold() for each in (path, extracted)]
    return {"".join(each for each in text if each.isalnum() or each == "/") for text in folded}
