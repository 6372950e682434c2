"""All transforms by name: what the command line offers, what the contract tests run over."""

from __future__ import annotations

from wtool.transforms.change import Transform
from wtool.transforms.pruning import Prune
from wtool.transforms.stroking import NeuroPlast, Stroke
from wtool.transforms.tickets import Constant, Jitter, Randomize, Reshuffle, Rewind

TRANSFORMS: dict[str, type[Transform]] = {
    each.name: each for each in (Prune, Stroke, NeuroPlast, Rewind, Jitter, Randomize, Reshuffle, Constant)
}
"""Operation -> the frozen dataclass of its parameters."""
