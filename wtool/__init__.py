"""wtool: offline transforms of saved Keras models, as files.

>>> import wtool
>>> wtool.inspect("model.keras")  # doctest: +SKIP
>>> wtool.prune("model.keras", sparsity=0.8, output="pruned.keras")  # doctest: +SKIP
>>> wtool.average(["ckpt-1.keras", "ckpt-2.keras"], decay=0.9, output="average.keras")  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from wtool.errors import Refused, Usage, WtoolError
from wtool.version import __version__

if TYPE_CHECKING:
    from wtool.averaging import Averaged, average
    from wtool.batch import Failed, SomeFailed
    from wtool.checking import Checked, Finding, check
    from wtool.editing import Transformed
    from wtool.files.checkpoint import Checkpoint, Tensor
    from wtool.files.opener import open_checkpoint
    from wtool.inspection import inspect
    from wtool.operations import constant, jitter, neuroplast, prune, randomize, reshuffle, rewind, stroke, swap
    from wtool.plotting.plot import Plotted, plot
    from wtool.swapped import Swapped
    from wtool.training.evaluating import Evaluated, evaluate
    from wtool.training.lottery import Lottery, lottery
    from wtool.training.resuming import Resumed, resume

_HOMES = {
    "average": "wtool.averaging",
    "Averaged": "wtool.averaging",
    "Checked": "wtool.checking",
    "Checkpoint": "wtool.files.checkpoint",
    "Tensor": "wtool.files.checkpoint",
    "Evaluated": "wtool.training.evaluating",
    "Failed": "wtool.batch",
    "Lottery": "wtool.training.lottery",
    "Plotted": "wtool.plotting.plot",
    "Resumed": "wtool.training.resuming",
    "SomeFailed": "wtool.batch",
    "Transformed": "wtool.editing",
    "Finding": "wtool.checking",
    "check": "wtool.checking",
    "constant": "wtool.operations",
    "evaluate": "wtool.training.evaluating",
    "inspect": "wtool.inspection",
    "jitter": "wtool.operations",
    "lottery": "wtool.training.lottery",
    "neuroplast": "wtool.operations",
    "open_checkpoint": "wtool.files.opener",
    "plot": "wtool.plotting.plot",
    "prune": "wtool.operations",
    "randomize": "wtool.operations",
    "reshuffle": "wtool.operations",
    "resume": "wtool.training.resuming",
    "rewind": "wtool.operations",
    "stroke": "wtool.operations",
    "swap": "wtool.operations",
    "Swapped": "wtool.swapped",
}
"""Where each name lives: imported when it is first used, so that `import wtool` costs nothing."""

__all__ = [
    "Averaged",
    "Checked",
    "Checkpoint",
    "Evaluated",
    "Failed",
    "Finding",
    "Lottery",
    "Plotted",
    "Refused",
    "Resumed",
    "SomeFailed",
    "Swapped",
    "Tensor",
    "Transformed",
    "Usage",
    "WtoolError",
    "__version__",
    "average",
    "check",
    "constant",
    "evaluate",
    "inspect",
    "jitter",
    "lottery",
    "neuroplast",
    "open_checkpoint",
    "plot",
    "prune",
    "randomize",
    "reshuffle",
    "resume",
    "rewind",
    "stroke",
    "swap",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'wtool' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
