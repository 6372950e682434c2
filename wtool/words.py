"""Types of what public functions take."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

Path: TypeAlias = str | os.PathLike[str]
Models: TypeAlias = Path | Sequence[Path]

Progress: TypeAlias = Callable[[int, int], None]
"""Called with bytes done and bytes in all."""

Numbers: TypeAlias = float | str | Sequence[Any] | Mapping[str, Any]
"""A number, one for each model, or numbers by tensor; see `transforms/merging/numbers.py`."""
