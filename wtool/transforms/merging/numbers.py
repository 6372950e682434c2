"""The grammar of numbers: one for all, one per model, by tensor, or a gradient over the depth of the model.

    .5                  one number
    1,.5,.25            one per model
    0:.5:1              a gradient: from 0 at the first layer through .5 to 1 at the last one, linear in between
    0:1,.5              one per model, the first of which is a gradient
    encoder/*=.3        for the tensors whose path matches the pattern of a shell, in which * matches / as well

Several entries are tried in their order, and the first one whose pattern matches a tensor's path counts. An entry
without a pattern is for all tensors that no pattern matches, wherever it stands.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fnmatch import fnmatchcase
from numbers import Real
from typing import Any

from wtool.errors import Usage
from wtool.values import dataclass

MOST = 100_000
"""Numbers in one entry, and entries of one option."""

SMALLEST, LARGEST = 1e-100, 1e100
"""The magnitudes that numbers may have besides 0: what is calculated with them stays far from the ends of float64."""

Gradient = tuple[float, ...]
"""The values at equal distances from the first layer to the last one; of a single number, the number."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Numbers for some tensors.

    Attributes:
        pattern: which tensors, by their paths; None for those that no pattern matches.
        gradients: one for all models, or one for each.
    """

    pattern: str | None
    gradients: tuple[Gradient, ...]

    def __str__(self) -> str:
        numbers = ",".join(":".join(map(_text, each)) for each in self.gradients)
        return numbers if self.pattern is None else f"{self.pattern}={numbers}"


@dataclass(frozen=True, slots=True)
class Numbers:
    """The numbers of an option, which may differ from tensor to tensor and from model to model.

    Attributes:
        entries: in the order in which they are tried; the one without a pattern is the last.
    """

    entries: tuple[Entry, ...]

    def __str__(self) -> str:
        """The entries as on the command line, with spaces between them."""
        return " ".join(self.texts)

    @property
    def texts(self) -> tuple[str, ...]:
        """Each entry as on the command line; `numbers_of` makes the same of them."""
        return tuple(map(str, self.entries))

    @property
    def values(self) -> tuple[float, ...]:
        """All numbers, to be held against a range."""
        return tuple(each for entry in self.entries for gradient in entry.gradients for each in gradient)

    def of(self, path: str, depth: float) -> tuple[float, ...] | None:
        """Returns the numbers for a tensor, one for all models or one for each; None where no entry is for it.

        Args:
            path: of the tensor.
            depth: of its layer, 0 for the model's first and 1 for its last.
        """
        for entry in self.entries:
            if entry.pattern is None or fnmatchcase(path, entry.pattern):
                return tuple(at_depth(each, depth) for each in entry.gradients)
        return None


def at_depth(gradient: Gradient, depth: float) -> float:
    """Returns the value of a gradient at a depth between 0 and 1, linear between its numbers."""
    place = min(max(depth, 0.0), 1.0) * (len(gradient) - 1)
    low = min(int(place), max(0, len(gradient) - 2))
    share = place - low
    if share == 0 or len(gradient) == 1:
        return gradient[low]
    return gradient[low] * (1 - share) + gradient[low + 1] * share


def numbers_of(name: str, given: Any) -> Numbers:
    """Reads the numbers of an option as the command line or Python gives them.

    Args:
        name: of the option, for messages.
        given: a number; a sequence of numbers, one per model; a text, or a sequence of texts, in the grammar of this
            module; or a dictionary from patterns to any of these but dictionaries.

    Raises:
        Usage: something else is given, a number is not finite, or two entries are for all other tensors.
    """
    if isinstance(given, Mapping):
        entries = [_entry(name, pattern, value) for pattern, value in given.items()]
    elif isinstance(given, str):
        entries = [_parsed(name, given)]
    elif _is_listed(given) and len(given) > 0 and all(isinstance(each, str) for each in given):
        entries = [_parsed(name, each) for each in given]
    else:
        entries = [Entry(None, _gradients(name, given))]
    if not 0 < len(entries) <= MOST:
        raise Usage(f"--{name} needs at least one number" if not entries else f"--{name} has too many entries")
    others = [each for each in entries if each.pattern is None]
    if len(others) > 1:
        raise Usage(
            f"--{name} has {' and '.join(map(str, others[:2]))}, both without a pattern; "
            f"separate numbers for different models by commas"
        )
    return Numbers((*(each for each in entries if each.pattern is not None), *others))


def _entry(name: str, pattern: Any, value: Any) -> Entry:
    if not isinstance(pattern, str) or not pattern:
        raise Usage(f"--{name} has a pattern that is no text: {pattern!r:.50}")
    return Entry(pattern, _numbers(name, value) if isinstance(value, str) else _gradients(name, value))


def _parsed(name: str, text: str) -> Entry:
    pattern, found, numbers = text.rpartition("=")
    if found and not pattern:
        raise Usage(f"--{name} {text} has no pattern before its =")
    return Entry(pattern if found else None, _numbers(name, numbers))


def _numbers(name: str, text: str) -> tuple[Gradient, ...]:
    if text.count(",") + text.count(":") >= MOST:
        raise Usage(f"--{name} has too many numbers")
    return tuple(tuple(_number(name, each) for each in gradient.split(":")) for gradient in text.split(","))


def _gradients(name: str, given: Any) -> tuple[Gradient, ...]:
    """One number, or one for each model, each of which may be a text of its own."""
    each = given if _is_listed(given) else [given]
    if not 0 < len(each) <= MOST:
        raise Usage(f"--{name} needs at least one number" if not len(each) else f"--{name} has too many numbers")
    found: list[Gradient] = []
    for one in each:
        if isinstance(one, str) and "," not in one:
            found.extend(_numbers(name, one))
        else:
            found.append((_number(name, one),))
    return tuple(found)


def _is_listed(given: Any) -> bool:
    """Whether a value is a sequence or an array of one dimension."""
    return isinstance(given, (list, tuple)) or (hasattr(given, "__array__") and getattr(given, "ndim", 0) == 1)


def _number(name: str, given: Any) -> float:
    is_number = isinstance(given, (str, Real)) and type(given).__name__ not in ("bool", "bool_")
    try:
        number = float(given) if is_number and "_" not in str(given) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise Usage(f"--{name} has {given!r:.50}, which is no finite number")
    if number != 0 and not SMALLEST <= abs(number) <= LARGEST:
        raise Usage(f"--{name} has {given!r:.50}; magnitudes are 0, or from {SMALLEST:g} to {LARGEST:g}")
    return number


def _text(number: float) -> str:
    return repr(number).removesuffix(".0")
