"""Known holes of Keras through which a model file runs code or reaches other files, and the releases that close them.

The releases are those of Keras's source, and hostile files showed the worst: Keras 3.8 runs a Lambda layer of an `.h5`
file, and 3.13.2 follows links out of one; 3.12.4 and 3.15.1 refuse both. wtool itself refuses such files before Keras
sees them.
"""

from __future__ import annotations

import re
import warnings
from functools import cache

from wtool.errors import OldKeras, a_few

CLOSED = {
    "CVE-2025-1550": ((3, 9, 0),),  # modules that a file names are imported
    "CVE-2025-8747": ((3, 11, 0),),  # functions of Keras that download, in place of layers
    "CVE-2025-9906": ((3, 11, 0),),  # safe mode switched off by the file
    "CVE-2025-9905": ((3, 11, 3),),  # safe mode without effect on .h5
    "CVE-2025-12058": ((3, 12, 0),),  # vocabularies from any file or address
    "CVE-2026-1462": ((3, 12, 1), (3, 13, 2)),  # SavedModels beside the file
    "CVE-2026-1669": ((3, 12, 1), (3, 13, 2)),  # HDF5 data outside the file
    "CVE-2026-12480": ((3, 12, 3), (3, 14, 1)),  # the same in .h5
    "CVE-2026-12479": ((3, 12, 3), (3, 15, 0)),  # assets written outside their folder
    "CVE-2026-12481": ((3, 12, 3), (3, 15, 0)),  # Lambda layers outside load_model
    "archives that unpack to far more than they hold": ((3, 12, 4), (3, 15, 1)),
}
"""Hole -> the first release of each series that closes it, oldest first; all later series are closed too."""

ADVICE = "Keras 3.15.1 (on Python 3.10: 3.12.4) closes them"


def open_holes(version: str) -> list[str]:
    """Returns the holes that a release of Keras has."""
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:3])
    return [hole for hole, closed in CLOSED.items() if not _has(numbers, closed)]


def _has(version: tuple[int, ...], closed: tuple[tuple[int, ...], ...]) -> bool:
    return version >= closed[-1] or any(version[:2] == each[:2] and version >= each for each in closed)


@cache  # Python's own memory of warnings is lost whenever filters change
def warn_of_holes(version: str) -> None:
    """Warn once of the holes of the Keras that is about to load a file."""
    found = open_holes(version)
    if found:
        told = f"Keras {version} has known holes for hostile files ({a_few(found)}); {ADVICE}"
        warnings.warn(told, OldKeras, stacklevel=2)
