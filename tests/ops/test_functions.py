"""Public functions that are made of options: their signatures, and what they say of arguments that do not exist."""

from __future__ import annotations

import ast
import collections.abc
import inspect
import re
import subprocess
import sys
import typing
from dataclasses import MISSING, fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import wtool
from tests import from_options
from tests.from_options import GROUPS
from wtool import words
from wtool.ops.functions import aliases_of
from wtool.option import Option, described, options_of
from wtool.run.options import needs_initial
from wtool.training.fitting.epoch import Epoch
from wtool.training.lottery.options import Trained
from wtool.training.lottery.summaries import Line
from wtool.transforms.registry import REGISTRY, transform, transforms

FIRST = {"resume": "model", "lottery": "model", "average": "paths", "run": "recipe"}
TICKETS = [name for name, kind in transforms().items() if needs_initial(kind)]


@pytest.mark.parametrize("name", GROUPS)
def test_signatures_tell_every_option(name: str) -> None:
    function = from_options.function_of(name)
    first, *others = inspect.signature(function).parameters.values()
    word = FIRST.get(name, "models")
    assert (first.name, first.kind, first.default) == (word, first.POSITIONAL_OR_KEYWORD, first.empty)
    own = [each for group in GROUPS[name] for each in fields(group)]
    aliases = {alias for group in GROUPS[name] for alias in aliases_of(group)}
    assert aliases == ({"exp"} if name == "average" else set())
    assert {each.kind for each in others} == {first.KEYWORD_ONLY}
    names = [each.name for each in others]
    others = [each for each in others if each.name not in aliases]
    assert [each.name for each in others] == [each.name for each in own]
    for each, field in zip(others, own, strict=True):
        required = field.default is MISSING or (field.name == "initial" and name in TICKETS)
        assert each.default == (each.empty if required else field.default)
    hints = typing.get_type_hints(function)
    assert list(hints) == [word, *names, "return"]
    told = function.__doc__
    assert all(f"\n    {each.name}" in told for each in own)
    assert "--" not in re.sub("`wtool [^`]*`", "", told)  # commands stay
    assert (function.__name__, function.__module__) == (from_options.FUNCTIONS.get(name, name), "wtool")


@pytest.mark.parametrize(
    ("name", "given", "told"),
    [
        ("prune", {"sparsty": 0.5}, "prune has no option sparsty; did you mean sparsity?"),
        ("stroke", {"initial": "init.keras"}, "stroke has no option initial; its options are biases, cluster, "),
        ("rewind", {"initial": "init.keras", "sd": 1.0}, "rewind has no option sd; did you mean seed?"),
        ("swap", {"to": "linked", "verfy": True}, "swap has no option verfy; did you mean verify?"),
        ("swap", {"to": "linked", "include": ["*"]}, "swap has no option include; its options are L, auto_rot, "),
        ("rewind", {}, "rewind() is missing a required argument: 'initial'"),
        ("swap", {}, "swap() is missing a required argument: 'to'"),
        (
            "resume",
            {"data": "d.npz", "epochs": 1, "batchsize": 8},
            "resume has no option batchsize; did you mean batch_size?",
        ),
        ("resume", {"data": "d.npz"}, "resume() is missing a required argument: 'epochs'"),
        (
            "evaluate",
            {"data": "d.npz", "epochs": 1},
            "evaluate has no option epochs; its options are batch_size, cluster, data, ",
        ),
        (
            "lottery",
            {"data": "d.npz", "out": "run", "epochs": 1, "arm": ["none"]},
            "lottery has no option arm; did you mean arms?",
        ),
        ("lottery", {"data": "d.npz", "epochs": 1}, "lottery() is missing a required argument: 'out'"),
        ("evaluate", {}, "evaluate() is missing a required argument: 'data'"),
        ("evaluate", {"data": "d.npz", "models": "m.keras"}, "evaluate() got multiple values for argument 'models'"),
    ],
)
def test_arguments_that_do_not_exist_are_told(name: str, given: dict[str, Any], told: str) -> None:
    with pytest.raises(TypeError) as raised:
        from_options.function_of(name)("model.keras", **given)
    assert str(raised.value).startswith(told)


LOTTERY = {"data": "d.npz", "out": "run", "epochs": 1}


@pytest.mark.parametrize(
    ("name", "given", "told"),
    [
        ("resume", {"data": "d.npz", "epochs": 1, "metrics": "mae"}, "metrics is a list of texts, not a single text"),
        ("resume", {"data": "d.npz", "epochs": 1, "seed": -1}, "a seed is a whole number from 0 up, and not negative"),
        ("evaluate", {"data": "d.npz", "imports": "layers"}, "imports is a list of texts, not a single text"),
        ("lottery", {**LOTTERY, "arms": "rewind"}, "arms is a list of texts, not a single text"),
        ("lottery", {**LOTTERY, "arms": ["rewind", "redo"]}, "'redo' is no re-initialisation; choose rewind, jitter, "),
        ("lottery", {**LOTTERY, "keep": "some"}, "'some' is no choice of what to keep; choose all, tickets, last"),
        ("lottery", {**LOTTERY, "schedule": "cubic"}, "'cubic' is no schedule; choose geometric, linear"),
    ],
)
def test_values_of_training_options_are_checked(name: str, given: dict[str, Any], told: str) -> None:
    with pytest.raises(wtool.Usage) as raised:
        from_options.function_of(name)("model.keras", **given)
    assert str(raised.value).startswith(told)


REQUIRED = {
    "align": {"to": "reference.keras"},
    "patch": {"set": ["*/bias=0"]},
    **{name: {"initial": "init.keras"} for name in TICKETS},
    "prune": {"sparsity": 0.5},
    "swap": {"to": "linked"},
    "shrink": {"sparsity": 0.5},
    "resume": {"data": "d.npz", "epochs": 1},
    "evaluate": {"data": "d.npz"},
    "soup": {"data": "d.npz"},
    "report": {"output": "report.html"},
    "index": {"output": "zoo.parquet"},
    "recalibrate": {"data": "d.npz"},
    "lottery": LOTTERY,
    "merge": {"method": "linear"},
}
WRONG: dict[str, list[Any]] = {
    "bool": ["no", 3, 0.5, None],
    "int": ["1", 1.5, True, [1], None],
    "float": ["a", 1j, True, [0.5], None],
    "str": [3, b"tensor", ["tensor"], None],
    "Path": [3, b"new.keras", ["new.keras"], None],
    "Sequence[str]": ["dense*", 3, [1], [["dense*"]], [None], None],
    "Sequence[float]": ["1,2", 3, [1, "a"], [[1.0]], [True], None],
    "tuple[float, float]": ["1,2", 1.0, (1.0,), (1, 2, 3), ("a", "b"), None],
    "str | Mapping[int, float]": [3, b"3=1", [3], "three=1", {"three": 1.0}, {3: "much"}],
    "str | Mapping[str, Any]": [3, b"patience=2", [3], "impatience=2", {"impatience": 2}],
    "float | str | Mapping[str, Any]": [1j, b".1", [0.1], "share=.1", {"share": 0.1}],
    "Sequence[float] | str | Mapping[str, Any]": [1j, 3, b"0,1", [1, "a"], "width=3", {"width": 3}],
    "Numbers": [1j, b"1", True],
    "Models": [3, b"m.keras", [3]],
    "Progress": ["x", 3],
    "Callable[[Any], None]": ["x", 3],
    "Callable[[Epoch], None]": ["x", 3],
    "Callable[[Diagnosis], None]": ["x", 3],
    "Callable[[Trained], None]": ["x", 3],
    "Callable[[Line], None]": ["x", 3],
}
"""The type of an argument, without `| None` -> values of other types."""

ARGUMENTS = [
    pytest.param(name, options_of(group).get(each.name), each.name, str(each.type), id=f"{name}-{each.name}")
    for name, groups in GROUPS.items()
    for group in groups
    for each in fields(group)
    if each.type != "Any"
]
"""Every argument of every function but the first, and but those that take anything."""


@pytest.mark.parametrize(("name", "known", "argument", "kind"), ARGUMENTS)
def test_values_of_a_wrong_type_are_told(name: str, known: Option | None, argument: str, kind: str) -> None:
    """The models do not exist, so a function that does not look at a value would fail for that reason."""
    if name == "resume" and find_spec("keras") is None:
        pytest.skip("needs Keras")
    may_be_none = kind.endswith(" | None") or (argument == "optimizer" and name != "average")
    for value in WRONG[kind.removesuffix(" | None")]:
        if value is None and may_be_none:
            continue
        given = {**REQUIRED.get(name, {}), argument: value}
        with pytest.raises(wtool.Usage) as raised:
            from_options.function_of(name)(["missing.keras"] if name == "average" else "missing.keras", **given)
        told = str(raised.value)
        names = (argument, f"--{argument.replace('_', '-')}")
        assert any(name in told for name in names) or (known is not None and known.noun and known.noun in told), (
            value,
            told,
        )


@pytest.mark.parametrize("name", GROUPS)
@pytest.mark.parametrize("value", [None, 3, b"m.keras", ["a.keras", None], [["a.keras"]]], ids=repr)
def test_models_of_a_wrong_type_are_told(name: str, value: Any) -> None:
    if name == "run" and isinstance(value, list):
        pytest.skip("a recipe may be a list of steps")
    with pytest.raises(wtool.Usage) as raised:
        from_options.function_of(name)(value, **REQUIRED.get(name, {}))
    word = FIRST.get(name, "models")
    what = {
        "recipe": "a path or a list of values or a dictionary",
        "model": "a path",
        "models": "a path or a list of paths",
        "paths": "a path or a list of paths",
    }[word]
    assert str(raised.value).startswith(f"{word} is {what}, not ")


@pytest.mark.parametrize("name", ["resume", "evaluate", "recalibrate", "soup", "lottery"])
def test_arguments_of_training_cost_no_import(name: str) -> None:
    """Keras and NumPy take seconds; help, signatures and words that do not go together need neither."""
    program = (
        "import inspect, sys, typing, wtool\n"
        f"from wtool.cli.{name} import command\n"
        f"function = wtool.{name}\n"
        "typing.get_type_hints(function), inspect.signature(function)\n"
        "try:\n    function('m.keras', data='d.npz', batchsize=8)\n"
        "except TypeError as error:\n    assert 'did you mean batch_size?' in str(error), error\n"
        f"libraries = ('keras', 'tensorflow', 'h5py', {'' if name == 'lottery' else repr('numpy')})\n"
        "print([each for each in libraries if each in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_what_follows_from_options_is_as_they_are() -> None:
    """After a change of options, `make docs` writes these files anew."""
    assert from_options.STUB.read_text() == from_options.stub()
    for page in from_options.pages():
        assert page.read_text() == from_options.page_of(page), page.name


def test_every_option_has_its_table() -> None:
    """After a new transform, `make docs` writes a page for it."""
    assert from_options.homes().keys() == GROUPS.keys()


@pytest.mark.parametrize("name", REGISTRY)
def test_a_page_can_be_made_of_every_transform(name: str) -> None:
    told, page = described(transform(name)), from_options.new_page(name)
    assert page.startswith(f"# wtool {name}\n\n    wtool {name} MODEL...")
    assert all(each in page for each in (told.summary, *told.prose, *told.commands, told.source))
    (table,) = from_options.TABLE.finditer(page)
    assert (table[2], table[3]) == ("own options", name)


def test_public_names_are_listed() -> None:
    assert dir(wtool) == sorted(wtool.__all__)


@pytest.mark.parametrize("name", GROUPS)
def test_type_checkers_see_the_signatures(name: str) -> None:
    """mypy reads `signatures.pyi`. To run it on a script would take a minute here; `make lint` runs it on wtool."""
    own = from_options.FUNCTIONS.get(name, name)
    (stub,) = [each for each in ast.parse(from_options.STUB.read_text()).body if getattr(each, "name", "") == own]
    assert isinstance(stub, ast.FunctionDef)
    word = FIRST.get(name, "models")
    assert [each.arg for each in stub.args.args] == [word]
    assert stub.args.vararg is stub.args.kwarg is None
    defaults = {
        each.arg: inspect.Parameter.empty if default is None else ast.literal_eval(default)
        for each, default in zip(stub.args.kwonlyargs, stub.args.kw_defaults, strict=True)
    }
    parameters = inspect.signature(from_options.function_of(name)).parameters
    assert defaults == {each.name: each.default for each in parameters.values() if each.name != word}
    names = {
        **vars(typing),
        **vars(collections.abc),
        "Models": words.Models,
        "Numbers": words.Numbers,
        "Path": words.Path,
        "Progress": words.Progress,
        "Diagnosis": wtool.Diagnosis,
        "Epoch": Epoch,
        "Trained": Trained,
        "Line": Line,
    }
    for each in stub.args.kwonlyargs:
        assert each.annotation is not None
        assert eval(ast.unparse(each.annotation), names) == parameters[each.arg].annotation
    imported = ast.unparse(ast.parse(Path(wtool.__file__).read_text()))
    ops = r"ops\.(align|average|ema|index|merge|pack|patch|shrink|soup|transforms|training)"
    rooms = rf"({ops}|training\.lottery\.experiment|recipes\.run|reporting\.report)"
    what = r"wtool\.ops\.signatures import \*" if name in REGISTRY else rf"wtool\.{rooms} import .*\b{own}\b"
    assert re.search(f"from {what}", imported)
