"""Types of what public functions take."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import TypeAlias

if sys.version_info >= (3, 11):
    from typing import Unpack
else:
    from typing_extensions import Unpack

__all__ = ["Models", "Path", "Progress", "Unpack"]

Path: TypeAlias = str | os.PathLike[str]
Models: TypeAlias = Path | Sequence[Path]

Progress: TypeAlias = Callable[[int, int], None]
"""Called with bytes done and bytes in all."""
