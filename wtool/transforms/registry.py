"""All transforms by name: commands, public functions, their documentation and the contract tests follow from it.

Neither this module nor the ones it imports import NumPy: the command line reads their options.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wtool.transforms.pruning import Prune
from wtool.transforms.stroking import NeuroPlast, Stroke
from wtool.transforms.tickets import Constant, Jitter, Randomize, Reshuffle, Rewind

if TYPE_CHECKING:
    from wtool.transforms.change import Transform

TRANSFORMS: dict[str, type[Transform]] = {
    each.name: each for each in (Prune, Stroke, NeuroPlast, Rewind, Jitter, Randomize, Reshuffle, Constant)
}
"""Operation -> the frozen dataclass of its parameters."""
