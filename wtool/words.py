"""Types of what public functions take."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TypeAlias

Path: TypeAlias = str | os.PathLike[str]
Models: TypeAlias = Path | Sequence[Path]

Progress: TypeAlias = Callable[[int, int], None]
"""Called with bytes done and bytes in all."""
