"""Options that are written once: what a field tells, and which values it takes."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import wtool
from wtool.graphs.swap import Swap
from wtool.ops.average_options import Average
from wtool.option import check_fields, described, option, options_of, types_of
from wtool.option_types import read_words
from wtool.run.options import Options, TicketOptions
from wtool.training.resume_options import Resume
from wtool.transforms.pruning import Prune
from wtool.transforms.registry import transforms
from wtool.transforms.stroking import Stroke
from wtool.transforms.tickets import Constant, Jitter


@pytest.mark.parametrize(
    ("kind", "given", "told"),
    [
        (Prune, {"sparsity": 1.5}, "a sparsity of 1.5 is not between 0 and 1"),
        (Prune, {"sparsity": math.nan}, "a sparsity of nan is not between 0 and 1"),
        (Prune, {"sparsity": 0.5, "criterion": "best"}, "'best' is no criterion; choose large-final, "),
        (Prune, {"sparsity": 0.5, "scope": "layer"}, "'layer' is no scope; choose tensor, global"),
        (Stroke, {"volatility_ratio": -0.1}, "a volatility ratio of -0.1 is not between 0 and 1"),
        (Stroke, {"decay": -1.0}, "a decay of -1.0 is not a number from 0 up"),
        (Stroke, {"decay": math.inf}, "a decay of inf is not a number from 0 up"),
        (Jitter, {"sd": math.inf}, "a standard deviation of inf is not a number from 0 up"),
        (Constant, {"value": 0.0}, "0.0 is not a positive number"),
        (Constant, {"value": math.inf}, "inf is not a positive number"),
        (Swap, {"to": "linkd"}, "'linkd' is no variant; choose linked, "),
        (Swap, {"to": "linked", "fill": "one"}, "'one' is no fill; choose zero, initializer, mirror"),
        (Swap, {"to": "linked", "layers": "block1"}, "layers is a list of texts, not a single text"),
        (Swap, {"to": "autorot", "L": -2.0}, "L is a finite number above 0, and not -2"),
        (Swap, {"to": "autorot", "L": math.inf}, "limits and L are finite numbers"),
        (Options, {"seed": -1}, "a seed is a whole number from 0 up, and not negative"),
        (Options, {"seed": 1.5}, "a seed is a whole number from 0 up, and not negative"),
        (Options, {"jobs": 0}, "at least one model at a time (--jobs 1)"),
        (Options, {"optimizer": "forget"}, "'forget' is no optimizer mode; choose keep, follow, reset, drop"),
        (Options, {"include": "dense*"}, "include is a list of texts, not a single text"),
        (Options, {"exclude": [1]}, "exclude is a list of texts, not [1]"),
    ],
)
def test_values_out_of_range_are_told(kind: Any, given: dict[str, Any], told: str) -> None:
    with pytest.raises(wtool.Usage) as raised:
        kind(**given)
    assert str(raised.value).startswith(told)


def test_ends_of_ranges_are_inside() -> None:
    assert [Prune(sparsity=share).sparsity for share in (0, 1)] == [0, 1]
    assert Stroke(volatility_ratio=1, decay=0).decay == 0
    assert Jitter(sd=0).sd == 0
    assert (Options(seed=0, jobs=1).seed, Options(seed=2**40).seed) == (0, 2**40)


def test_values_of_numpy_and_iterators_become_plain() -> None:
    """JSON knows no other numbers, and an iterator would be empty when it is read again."""
    share, seed, switch = np.float32(0.5), np.int64(3), np.bool_(True)
    for kind, given, expected in [
        (Prune, {"sparsity": share}, ("sparsity", 0.5, float)),
        (Stroke, {"cutoff": np.uint8(2)}, ("cutoff", 2, int)),
        (Options, {"seed": seed}, ("seed", 3, int)),
        (Options, {"biases": switch}, ("biases", True, bool)),
        (Options, {"include": (each for each in ("a", "b"))}, ("include", ("a", "b"), tuple)),
        (Options, {"include": {"a": 1}.keys()}, ("include", ("a",), tuple)),
        (Average, {"coefficients": np.array([1, 3])}, ("coefficients", (1, 3), tuple)),
        (Average, {"coefficients": iter([1, np.float32(0.5)])}, ("coefficients", (1, 0.5), tuple)),
        (Resume, {"data": [seed], "epochs": 1, "prune": np.array([-0.5, 0.5])}, ("prune", (-0.5, 0.5), tuple)),
    ]:
        name, value, of = expected
        found = getattr(kind(**given), name)
        assert (found, type(found)) == (value, of)
        json.dumps(found)
    assert type(Resume(data=seed, epochs=1).data) is np.int64  # anything may be data


def test_no_mode_of_the_optimizer_is_the_default_one() -> None:
    none: Any = None
    assert (Options(optimizer=none).optimizer, TicketOptions(optimizer=none).optimizer) == ("follow", "keep")


def test_an_option_is_read_from_its_field() -> None:
    @dataclass(frozen=True)
    class Made:
        share: float = option(0.5, "The share.", metavar="S", low=0, high=1, wrong="{} is no share")
        names: Sequence[str] = option((), "Names.")
        other: int = 3  # no option

    assert list(options_of(Made)) == ["share", "names"]
    assert (options_of(Made)["share"].help, options_of(Made)["share"].metavar) == ("The share.", "S")
    assert Made().share == 0.5
    check_fields(Made(1.0, ("a", "b")))
    with pytest.raises(wtool.Usage, match=r"^1\.1 is no share$"):
        check_fields(Made(1.1))


WORDS = {**types_of(Options), **{name: types_of(Stroke)[name] for name in options_of(Stroke)}}
"""Parameters of a stroke of files -> their types."""


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("volatility_ratio=.05", {"volatility_ratio": 0.05}),
        (
            "ratio=.05,decay=.9,cutoff=3,biases=yes",
            {"volatility_ratio": 0.05, "decay": 0.9, "cutoff": 3, "biases": True},
        ),
        ("volatility-ratio=1, weights=No", {"volatility_ratio": 1.0, "weights": False}),
        ("include=a/*,seed=-1,include=b=c", {"include": ("a/*", "b=c"), "seed": -1}),
        ("high_bound=inf,optimizer=keep", {"high_bound": math.inf, "optimizer": "keep"}),
    ],
)
def test_words_give_values_to_parameters(text: str, read: dict[str, Any]) -> None:
    found = read_words(text, WORDS, "--stroke")
    assert found == read
    assert [*map(type, found.values())] == [*map(type, read.values())]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("raito=.05", "--stroke has no word 'raito'; did you mean volatility_ratio?"),
        ("bias=no", "--stroke has no word 'bias'; did you mean biases?"),
        ("zzz=1", "--stroke has no word 'zzz'; its words are "),
        ("bound=.1", "--stroke: 'bound' may be low_bound or high_bound"),
        ("ratio=.1,volatility_ratio=.1", "--stroke: volatility_ratio is given twice"),
        ("ratio=half", "--stroke: volatility_ratio is a number, not 'half'"),
        ("ratio=nan", "--stroke: volatility_ratio is a number, not 'nan'"),
        ("cutoff=1.5", "--stroke: cutoff is a whole number, not '1.5'"),
        ("biases=maybe", "--stroke: biases is yes or no, not 'maybe'"),
        ("ratio", "--stroke: 'ratio' is no word with a value, such as word=value,word=value"),
        ("ratio=", "--stroke: 'ratio=' is no word with a value"),
        ("ratio=.1,,decay=.9", "--stroke: '' is no word with a value"),
        ("", "--stroke: '' is no word with a value"),
    ],
)
def test_words_that_give_nothing_are_told(text: str, told: str) -> None:
    with pytest.raises(wtool.Usage) as raised:
        read_words(text, WORDS, "--stroke")
    assert str(raised.value).startswith(told)


@pytest.mark.parametrize("kind", [*transforms().values(), Swap, Average])
def test_docstrings_have_what_help_needs(kind: type) -> None:
    told = described(kind)
    assert told.summary.endswith(".")
    assert "\n" not in told.summary
    assert told.commands
    assert told.calls
