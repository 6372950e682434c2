"""The parameters of callbacks as users give them to `wtool resume`; without Keras, so that faults are told at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from wtool.errors import Usage
from wtool.option import given_words, options_of, types_of
from wtool.option_types import is_number
from wtool.transforms.pruning import Prune
from wtool.transforms.stroking import NeuroPlast, Stroke
from wtool.values import dataclass

Words: TypeAlias = str | Mapping[str, Any]
"""Parameters with their values: `ratio=.05,cutoff=3`, or a dictionary from Python."""

_SELECTION = {"do_weights": bool, "do_biases": bool, "include": Sequence[str], "exclude": Sequence[str]}


@dataclass(frozen=True, slots=True)
class EpochEnd:
    """A callback that applies a transform at the end of every epoch, as an option of `wtool resume`.

    Attributes:
        option: name of the option.
        kind: class of the transform, whose options are parameters of the callback as well.
        names: names of those options.
        short: the parameters that numbers alone give.
    """

    option: str
    kind: type
    names: tuple[str, ...]
    short: tuple[str, ...]

    @property
    def types(self) -> dict[str, Any]:
        """Parameter of the callback -> its type."""
        return {name: types_of(self.kind)[name] for name in self.names} | {"cutoff": int | None} | _SELECTION

    def given(self, value: float | Sequence[float] | Words) -> dict[str, Any]:
        """Returns the parameters that are given: by words, or by numbers alone.

        Raises:
            Usage: a word or a value is wrong.
        """
        numbers = _numbers(value)
        if len(numbers) == len(self.short):
            found: dict[str, Any] = dict(zip(self.short, numbers, strict=True))
        elif isinstance(value, Mapping) or (isinstance(value, str) and "=" in value):
            found = given_words(value, self.types, self.option)
        else:
            wanted = "numbers such as -0.01,0.01" if len(self.short) == 2 else "a number such as 0.05"
            raise Usage(f"{self.option} takes {wanted}, or words such as {self.short[0]}=0.05,cutoff=3, not {value!r}")
        own = {name: each for name, each in found.items() if name in options_of(self.kind)}
        if self.kind is not Prune or own.keys() >= {*self.short}:  # otherwise the callback knows the other end
            self.kind(**own)
        return found

    def recorded(self, value: Any) -> Any:
        """Returns the parameters as a record keeps them: numbers alone where these say all."""
        found = self.given(value)
        if found.keys() != {*self.short}:
            return found
        return found[self.short[0]] if len(self.short) == 1 else tuple(found[name] for name in self.short)


_RANGE = ("min_value", "max_value")
EPOCH_ENDS = {
    "stroke": EpochEnd("--stroke", Stroke, tuple(options_of(Stroke)), ("volatility_ratio",)),
    "prune": EpochEnd("--prune", Prune, ("set_value", *_RANGE), _RANGE),
    "neuroplast": EpochEnd("--neuroplast", NeuroPlast, tuple(options_of(NeuroPlast)), _RANGE),
}
"""Option of `wtool resume` -> the callback that it adds."""


def _numbers(value: Any) -> tuple[float, ...]:
    """Returns the numbers of a short form; none if it is another one."""
    if is_number(value):
        return (value,)
    try:
        return tuple(float(each) for each in (value.split(",") if isinstance(value, str) else value))
    except (TypeError, ValueError):
        return ()
