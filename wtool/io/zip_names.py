"""Names of an archive's members: only those are taken that every reader of zip archives reads alike.

Python's `zipfile` cuts names at a NUL, and on Windows takes a backslash for a slash; where two members come to have one
name, the last wins. Extracting drops `.` and `..`, and some systems drop trailing dots.
"""

from __future__ import annotations

import posixpath
import unicodedata
from collections.abc import Collection, Sequence

from wtool.errors import Differs
from wtool.io.zip_format import UTF8


def decoded_name(raw: bytes, flags: int) -> str:
    """Returns a member's name, decoded as its flags say.

    Raises:
        Differs: readers of zip archives would decode different names.
    """
    try:
        name = raw.decode("utf-8" if flags & UTF8 else "cp437")
    except UnicodeDecodeError:
        raise Differs(f"a member's name is marked as UTF-8 and is not: {raw!r:.80}") from None
    if not name or "\0" in name or "\\" in name:
        raise Differs(f"a member is called {name!r:.80}, which readers of zip archives take for different names")
    return name


def check_names(names: Sequence[str], known: Collection[str]) -> None:
    """Refuse names that stand twice, or that could be taken for one of the known names.

    Two members in folders whose names differ in case only are two members: writers of models make such assets.

    Args:
        names: of all members.
        known: names that readers of this kind of archive ask for.

    Raises:
        Differs: there is such a name.
    """
    seen: set[str] = set()
    meanings = {each: name for name in known for each in _seen_as(name)}
    for name in names:
        if name in seen:
            raise Differs(f"the archive holds {name!r} more than once: no telling which is meant")
        seen.add(name)
        meant = next((meanings[each] for each in _seen_as(name) if each in meanings), name)
        if name != meant:
            raise Differs(f"the archive holds {name!r}, which people or file systems could take for {meant}")
        if "/" not in name and not name.isascii():
            raise Differs(f"the archive holds {name!r} beside the model's own files, whose names are all plain ASCII")


def _seen_as(name: str) -> set[str]:
    """Returns what a name may be taken for: as a path or as extracted, in any case, by its letters and digits alone."""
    path, extracted = (
        posixpath.normpath(name),
        "/".join(part for part in name.split("/") if part not in ("", ".", "..")),
    )
    folded = [unicodedata.normalize("NFKC", each).casefold() for each in (path, extracted)]
    return {"".join(each for each in text if each.isalnum() or each == "/") for text in folded}
