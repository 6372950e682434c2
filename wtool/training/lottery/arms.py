"""Arms of a lottery experiment: what tickets start from, and the words in which an arm differs from the experiment."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import field
from functools import cache
from typing import Any

from wtool.choices import ARMS, check_choice
from wtool.errors import Usage
from wtool.ops.shrink_options import Shrink
from wtool.option import Option, checked, like, option, options_of, told, types_of
from wtool.option_types import read_words
from wtool.transforms.criteria import SHORT
from wtool.transforms.pruning import Prune
from wtool.transforms.registry import REGISTRY, transform
from wtool.values import dataclass

OPTION = "--arm"

REWIND = "rewind"
"""The arm whose weights get their initial values."""

NONE = "none"
"""The arm whose weights stay as they were trained: learning-rate rewinding."""

NEW = "dense-new"
"""The arm that is the network without pruning from new initial weights."""

PRUNING = ("criterion", "scope", "budget", "last_layer_scale")
"""The words that say how an arm prunes single weights."""

CHANNELS = ("criterion", "scope", "members", "max_layer_sparsity", "round_to")
"""The words that say how an arm takes out channels."""

_NUMBERS = ("sd", "value", "last_layer_scale", "max_layer_sparsity")
"""The words whose values are numbers, whole ones or not."""

_JOINT = re.compile(r"\+(?=[a-z_]+=)")
"""What stands between the words of the other arm in `masks=ARM`, where commas stand between those of the arm itself."""


@dataclass(frozen=True, slots=True)
class OwnWords:
    """The words that every arm of tickets has besides the options of its re-initialisation.

    Args:
        structured: whether channels are taken out, instead of single weights.
        masks: the arm whose masks the tickets have, or whose channels.
        rewind_to: as for the experiment.
    """

    structured: bool = option(False, "Take out channels instead of single weights.")
    masks: str | None = option(None, "Have the masks of this arm.", metavar="ARM")
    rewind_to: int = field(default=0, metadata=told("Begin at the end of this epoch.", low=0, wrong="no epoch is {}"))


@dataclass(frozen=True, slots=True)
class WeightWords(OwnWords):
    """The words of an arm that prunes single weights.

    Args:
        criterion, scope, budget, last_layer_scale: as for the experiment.
        counts: `layer`: as many weights of each tensor are pruned as the experiment's own criterion takes there.
    """

    criterion: str = like(Prune, "criterion")
    scope: str | None = like(Prune, "scope")
    budget: str | None = like(Prune, "budget")
    last_layer_scale: float = like(Prune, "last_layer_scale")
    counts: str | None = option(None, "Prune as many of each tensor.", choices=("layer",), noun="choice of counts")


@dataclass(frozen=True, slots=True)
class ChannelWords(OwnWords):
    """The words of an arm that takes out channels: all as for `wtool shrink`."""

    criterion: str = like(Shrink, "criterion")
    scope: str = like(Shrink, "scope")
    members: str = like(Shrink, "members")
    max_layer_sparsity: float = like(Shrink, "max_layer_sparsity")
    round_to: int = like(Shrink, "round_to")


@dataclass(frozen=True, slots=True)
class Arm:
    """An arm of an experiment.

    Attributes:
        start: the re-initialisation, or `none`.
        words: the words of the arm and their values, in the order of the alphabet.
    """

    start: str
    words: tuple[tuple[str, Any], ...] = ()

    @property
    def name(self) -> str:
        """The arm as a text that every spelling of its words leads to: its name in metrics and that of its folder."""
        return ",".join([self.start, *(f"{word}={_written(word, value)}" for word, value in self.words)])

    def given(self, names: Collection[str]) -> dict[str, Any]:
        """Returns those of the words that have one of these names, with their values."""
        return {word: value for word, value in self.words if word in names}

    def get(self, word: str, default: Any = None) -> Any:
        """Returns the value of a word, or another one if the arm has no such word."""
        return dict(self.words).get(word, default)

    @property
    def masks(self) -> Arm | None:
        """The arm whose masks this arm has; None if it prunes its own."""
        text = self.get("masks")
        return None if text is None else read_arm(text)

    @property
    def is_structured(self) -> bool:
        """Whether the tickets have fewer channels than the model, instead of pruned weights."""
        return bool((self.masks or self).get("structured", False))


def options_of_start(start: str) -> dict[str, Option]:
    """Returns the options of a re-initialisation, by name; `none` has none."""
    return options_of(transform(start)) if start in REGISTRY else {}


@cache
def read_arm(text: str) -> Arm:
    """Returns the arm that a text such as `randomize,same_sign=no` says.

    Raises:
        Usage: it says no arm; a word is unknown or has a wrong value; words contradict each other.
    """
    start, comma, rest = text.partition(",")
    start = start.strip()
    check_choice(start, "re-initialisation", ARMS)
    if start == NEW and comma:
        raise Usage(f"{OPTION} {start} prunes nothing and takes no words")
    types = _types(start)
    words = read_words(rest, types, OPTION) if comma else {}
    own = ChannelWords if words.get("structured", False) else WeightWords
    known = {**options_of_start(start), **options_of(own)}
    for word, value in words.items():
        if word not in known:
            raise Usage(f"{OPTION} {start}: {_why_unknown(word)}")
        words[word] = _plain(word, checked(f"{OPTION} {start}: {word}", types[word], value, known[word]))
    _check(start, words)
    return Arm(start, tuple(sorted(words.items())))


def _types(start: str) -> dict[str, Any]:
    """Returns the types of all words of an arm, whether it prunes single weights or takes out channels."""
    types = {**types_of(ChannelWords), **types_of(WeightWords)}
    own = types_of(transform(start)) if start in REGISTRY else {}
    return {**{word: own[word] for word in options_of_start(start)}, **types}


def _why_unknown(word: str) -> str:
    if word in CHANNELS:
        return f"{word} goes with structured=yes"
    return f"structured=yes takes out channels, and {word} says how to prune single weights"


def _plain(word: str, value: Any) -> Any:
    """Returns a value in the one form that it has in names."""
    if word == "criterion":
        return SHORT.get(value, value)
    if word == "masks":
        return read_arm(_JOINT.sub(",", value)).name
    return float(value) if isinstance(value, int) and word in _NUMBERS else value


def _written(word: str, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value).replace(",", "+") if word == "masks" else str(value)


def _check(start: str, words: Mapping[str, Any]) -> None:
    """Raise Usage where words of an arm contradict each other."""
    if "masks" in words:
        others = [word for word in ("structured", *PRUNING, *CHANNELS, "counts") if word in words]
        if others:
            raise Usage(f"{OPTION} {start}: the masks are those of another arm; {others[0]} says how to prune anew")
        if start == NONE:
            raise Usage(f"{OPTION} {start}: its weights stay as it trained them, so that its masks are its own")
        if read_arm(words["masks"]).masks is not None:
            raise Usage(f"{OPTION} {start}: name the arm that makes the masks, and not one that has them")
    if "pruned" in words and Arm(start, tuple(words.items())).is_structured:
        raise Usage(f"{OPTION} {start}: channels are taken out whole; pruned says what single weights are")
    if "counts" in words and words.get("criterion") != "random":
        raise Usage(f"{OPTION} {start}: counts=layer goes with criterion=random")
    others = [word for word in PRUNING[1:] if word in words]
    if "counts" in words and others:
        raise Usage(f"{OPTION} {start}: how many weights are pruned, {others[0]} says, and counts as well")
