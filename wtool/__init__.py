"""wtool: offline transforms of saved Keras models, as files.

>>> import wtool
>>> wtool.inspect("model.keras")  # doctest: +SKIP
>>> wtool.average(["ckpt-1.keras", "ckpt-2.keras"], decay=0.9, output="average.keras")  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from wtool.errors import Refused, Usage, WtoolError
from wtool.version import __version__

if TYPE_CHECKING:
    from wtool.averaging import Averaged, average
    from wtool.files.checkpoint import Checkpoint, Tensor
    from wtool.files.opener import open_checkpoint
    from wtool.inspection import inspect

_HOMES = {
    "average": "wtool.averaging",
    "Averaged": "wtool.averaging",
    "Checkpoint": "wtool.files.checkpoint",
    "Tensor": "wtool.files.checkpoint",
    "inspect": "wtool.inspection",
    "open_checkpoint": "wtool.files.opener",
}
"""Where each name lives: imported when it is first used, so that `import wtool` costs nothing."""

__all__ = [
    "Averaged",
    "Checkpoint",
    "Refused",
    "Tensor",
    "Usage",
    "WtoolError",
    "__version__",
    "average",
    "inspect",
    "open_checkpoint",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'wtool' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
