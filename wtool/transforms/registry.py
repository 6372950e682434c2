"""All transforms by name: commands, public functions, their documentation and the contract tests follow from it.

This module imports none of the transforms, so that `wtool --help` and `import wtool` wait for none of them. Neither
this module nor the modules of the dataclasses import NumPy: the command line reads their options.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from wtool.values import dataclass

if TYPE_CHECKING:
    from wtool.transforms.change import Transform


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of a transform before it is imported.

    Attributes:
        home: module in this package, and name there, of the frozen dataclass of its parameters.
        line: its line in `wtool --help` and in the tables of the docs.
    """

    home: str
    line: str


REGISTRY = {
    "prune": Entry(
        "pruning.Prune", "Set weights to zero: those in a range, those that matter least, or all but N of M."
    ),
    "stroke": Entry("stroking.Stroke", "Give a random share of the weights new values."),
    "neuroplast": Entry("stroking.NeuroPlast", "Give weights near zero new values."),
    "rewind": Entry("tickets.Rewind", "Give kept weights their initial values, under a pruned model's mask."),
    "jitter": Entry(
        "tickets.Jitter", "Give kept weights their initial values plus noise, under a pruned model's mask."
    ),
    "randomize": Entry("tickets.Randomize", "Give kept weights fresh initial values, under a pruned model's mask."),
    "reshuffle": Entry("tickets.Reshuffle", "Permute kept initial values, under a pruned model's mask."),
    "constant": Entry("tickets.Constant", "Give kept weights plus or minus one value, under a pruned model's mask."),
}
"""Name of each transform, as its dataclass says it -> its entry."""


def transform(name: str) -> type[Transform]:
    """Returns the dataclass of a transform."""
    module, _, kind = REGISTRY[name].home.partition(".")
    found: type[Transform] = getattr(import_module(f"{__package__}.{module}"), kind)
    return found


def transforms() -> dict[str, type[Transform]]:
    """Returns name -> dataclass of all transforms."""
    return {name: transform(name) for name in REGISTRY}
