"""What is wrong with a recipe is told before anything is done: all of it, with line and column."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

import wtool
from tests import forkserver
from wtool.cli.commands import COMMANDS
from wtool.option_types import alternatives
from wtool.recipes.document import MOST_BYTES
from wtool.recipes.faults import Faulty
from wtool.recipes.operations import FILES, MODELS, NO_MODEL, OPERATIONS, TRAINING, arguments_of, why_not
from wtool.recipes.run import recipe_in
from wtool.words import Path as PathType

yaml = pytest.importorskip("yaml")


def faults(text: str, folder: Path) -> list[str]:
    """What is wrong with a recipe, without its path in front."""
    path = folder / "recipe.yaml"
    path.write_text(text)
    try:
        recipe_in(path)
    except Faulty as error:
        return [line.removeprefix(f"{path}:") for line in error.lines]
    return []


def test_all_faults_of_a_recipe(tmp_path: Path) -> None:
    text = """\
inputs:
  base: nothere.keras
step: []
steps:
  - prun: {sparsity: .3}
  - stroke: {volatilty-ratio: .1, seed: x}
    of: bas
  - prune: {sparsity: 3, scope: globl, dry-run: yes}
  - resume: {epochs: 3}
  - prune: {sparsity: .3, min-value: 3}
  - swap:
    name: a
  - inspect
  - [prune]
  - prune: {sparsity: .3}
    stroke: {}
  - {name: b}
  - stroke: {seed: 1, seed: 2}
"""
    assert faults(text, tmp_path) == ["18:23: 'seed' is here twice"]  # else no fault has a meaning
    assert faults(text.replace("seed: 1, seed: 2", "seed: 1, min_value: 2"), tmp_path) == [
        "2:9: there is no file 'nothere.keras'",
        "3:1: a recipe has no part 'step'; did you mean steps?",
        "5:5: no operation is called 'prun'; did you mean prune?",
        "6:14: stroke has no option 'volatilty-ratio'; did you mean volatility-ratio?",
        "6:41: seed is a whole number, not 'x'",
        "7:9: no input, step or file is called 'bas'; did you mean base?",
        "8:23: a sparsity of 3.0 is not between 0 and 1",
        "8:33: 'globl' is no scope; choose tensor, global",
        "8:40: dry-run belongs to the command: give --dry-run to wtool run",
        "9:5: resume trains, which no recipe does: train first, and begin the recipe with what comes of it",
        "10:5: a range and a sparsity contradict each other; choose one",
        "11:5: swap needs to",
        "13:5: inspect makes no model, and a step makes one",
        "14:5: is a list in the list of steps: a step is an operation, such as - prune",
        "16:5: a step is one operation, and prune is the one here: begin another step with -",
        "17:5: is a step without an operation, such as prune",
        "18:23: stroke has no option 'min_value'; did you mean include?",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "1:1: says nothing: a recipe is a list of steps, such as - prune"),
        ("prune", "1:1: stands where steps are expected: a list of operations, such as - prune"),
        ("[]", "1:1: stands where steps are expected: a list of operations, such as - prune"),
        ("prune: {sparsity: .5}", "1:1: prune is a step: write - prune, with a dash in front"),
        ("inputs: {}", "1:1: has no steps: write a list of operations under steps"),
        ("- prune: .5", "1:10: stands where options of prune are expected, each with its value"),
        ("- prune: {sparsity: }", "1:20: sparsity has no value"),
        ("- prune: {sparsity: [.5]}", "1:21: sparsity is a number, and no list"),
        ("- prune: {sparsity: {a: .5}}", "1:21: sparsity is a number, and no words with values"),
        ("- prune: {sparsity: .5, include: [[a]]}", "1:34: include is a list of single values"),
        ("- prune:\n    sparsity: .5\n    sparsity: .6", "3:5: 'sparsity' is here twice"),
        ("- prune: {sparsity: .5, 'output': a.keras}",
         "1:25: output stands beside the operation and not among its options"),
        ("- average: {of: [model, a.keras]}", "1:13: of stands beside the operation and not among its options"),
        ("- prune: {sparsity: .5, force: true}", "1:25: force belongs to the command: give --force to wtool run"),
        ("- prune\n  of: model", "2:5: is no YAML: mapping values are not allowed here; a word with others below it "
         "ends in a colon, as in - pack:"),
        ("- prune: {sparsity: .5", "1:23: is no YAML: expected ',' or '}', but got '<stream end>'"),
        ("a: !!python/object:os.system x", "1:4: the tag 'python/object:os.system': a recipe has none"),
        ("a: &x [*x]", "1:4: has values in values, without an end"),
        ("a: b\n---\nb: c", "2:1: is no YAML: but found another document"),
        ("inputs: {model: x}\nsteps: [pack]", "1:10: model is the model that is put through the "
         "recipe: choose another name"),
        ("inputs: {a b: x}\nsteps: [pack]", "1:10: 'a b' is no name: letters, digits, _ and - make one"),
        ("inputs: {a: {b: c}}\nsteps: [pack]", "1:13: an input is a path, or a list of paths"),
        ("inputs: [a]\nsteps: [pack]", "1:9: stands where inputs are expected: names, each with a path"),
        ("- pack:\n  name: x\n- pack:\n  of: y\n  name: y", "4:7: 'y' is made by this step itself, and has to be made "
         "before it is read"),
        ("- pack:\n  of: y\n- pack:\n  name: y", "2:7: 'y' is made by a step further down, and has to be made "
         "before it is read"),
        ("- pack:\n  name: x\n- pack:\n  name: x", "4:9: 'x' is a name already: choose another one"),
        ("- pack:\n  name: [x]", "2:9: stands where the name of a step is expected"),
        ("- pack:\n  output: '-'", "2:11: standard output is the command's: give --output - to wtool run"),
        ("- pack:\n  output: [a]", "2:11: output is a path"),
        ("- pack:\n  of: '-'", "2:7: - is no input of a step: model is what the command reads, also from a pipe"),
        ("- pack:\n  of: {a: b}", "2:7: what a step is done to is a path, or a list of paths"),
        ("- pack:\n  of: [model, model]", "2:7: pack is done to one model, and here are 2"),
        ("- pack\n- pack:\n  of: model", "1:3: nothing is made of what pack makes here: let a step read it, or give "
         "it an output"),
        ("- pack:\n  name: a\n- pack:\n  of: model\n- average:\n  of: [a, model, model]", "3:3: nothing is made of "
         "what pack makes here: let a step read it, or give it an output"),
        ("- pack:\n  name: a\n- pack:\n  of: model\n  name: b\n- average:\n  of: [a, b]", "6:3: average reads 2 "
         "results that are in no file, as through pipes, and can read one in this way: give the others an output"),
        ("- rewind", "1:3: rewind needs initial"),
        ("- rewind: {initial: [model]}", "1:21: initial is one model"),
        ("- rewind: {initial: other.keras}", "1:21: there is no file 'other.keras'"),
        ("- merge: {weight: 1}", "1:3: merge needs method"),
        ("- merge: {method: slerp}", "1:3: slerp needs a base: --base BASE"),
        ("- pack: {policy: yes}", "1:3: --policy: only with --dtype, which names the number type"),
        ("- swap: {to: linked, verify: yes}", "1:22: verify needs the old and the new model as files: run the "
         "operation by itself for that"),
        ("- history", "1:3: history makes no model, and a step makes one"),
        ("- x: {}", "1:3: no operation is called 'x'"),
    ],
)  # fmt: skip
def test_what_is_told(text: str, told: str, tmp_path: Path) -> None:
    assert faults(text, tmp_path)[0] == told


def test_a_recipe_from_python_is_told_by_its_steps() -> None:
    with pytest.raises(Faulty) as raised:
        wtool.run_recipe([{"prune": {"sparsity": 2}}, "pck"], models="m.keras")
    assert raised.value.lines == (
        "recipe, step 1: a sparsity of 2 is not between 0 and 1",
        "recipe, step 2: no operation is called 'pck'; did you mean pack?",
    )
    told = "recipe, step 1: a sparsity of 2 is not between 0 and 1 (1 more fault in it)"
    assert str(raised.value) == told


def test_hostile_recipes(tmp_path: Path) -> None:
    bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n"
    for one, other in zip("abcdefgh", "bcdefghi", strict=True):
        bomb += f"{other}: &{other} [{', '.join([f'*{one}'] * 9)}]\n"
    assert "has more than 20,000 values" in faults(bomb, tmp_path)[0]
    assert "deeper than a recipe goes" in faults("[" * 5000, tmp_path)[0]
    assert faults("[" * 30 + "]" * 30, tmp_path) == ["1:22: has values in values, without an end"]
    (tmp_path / "large.yaml").write_text("#" * (MOST_BYTES + 1))
    with pytest.raises(wtool.Usage, match="a recipe has at most"):
        recipe_in(tmp_path / "large.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"- prune\n- \xff")
    with pytest.raises(Faulty, match="is no text in UTF-8"):
        recipe_in(tmp_path / "bytes.yaml")
    assert "is no YAML" in faults("a: \x01", tmp_path)[0]
    with pytest.raises(wtool.WtoolError, match=r"none\.yaml: No such file"):
        recipe_in(tmp_path / "none.yaml")


def test_the_command_tells_a_line_for_each_fault(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("- prun\n- pck\n")
    done = subprocess.run(
        forkserver.wtool("run", "r.yaml", "m.keras"), cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "wtool: r.yaml:1:3: no operation is called 'prun'; did you mean prune?\n"
        "wtool: r.yaml:2:3: no operation is called 'pck'; did you mean pack?\n"
    )


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("{pattern: 2:4}", {"pattern": "2:4"}),
        ("{sparsity: 1e-1}", {"sparsity": 0.1}),
        ("{sparsity: '.5'}", {"sparsity": 0.5}),
        ("{sparsity: 1, biases: yes}", {"sparsity": 1.0, "biases": True}),
        ("{sparsity: 1, weights: false, biases: on}", {"sparsity": 1.0, "weights": False, "biases": True}),
        ("{sparsity: 1, include: dense*}", {"sparsity": 1.0, "include": ("dense*",)}),
        ("{sparsity: 1, include: [a, 3]}", {"sparsity": 1.0, "include": ("a", "3")}),
        ("{schedule: polynomial, step: 3/10, sparsity: .9}", {"schedule": "polynomial", "step": "3/10",
                                                              "sparsity": 0.9}),
        ("{min_value: -1, max-value: 1.}", {"min_value": -1.0, "max_value": 1.0}),
    ],
)  # fmt: skip
def test_values_are_read_as_on_the_command_line(written: str, value: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(f"- prune: {written}")
    assert recipe_in(tmp_path / "r.yaml").steps[0].given == value


def test_words_of_the_command_line_and_of_python() -> None:
    steps: list[Any] = [
        {"average": {"exp": 0.5, "last": 1}, "of": "model"},
        {"average": {"decay": 0.5}},
        {"average": {"coefficients": "1"}},
        {"average": {"coefficients": [1, 2]}},
        {"merge": {"method": "linear", "weight": [1, "a/*=2"]}},
        {"merge": {"method": "linear", "weight": {"a/*": 1}, "normalize": False}},
        {"merge": {"method": "task-arithmetic", "lambda": 0.5, "base": "model"}},
    ]
    given = [step.given for step in recipe_in(steps).steps]
    assert given == [
        {"decay": 0.5, "last": 1},
        {"decay": 0.5},
        {"coefficients": (1.0,)},
        {"coefficients": (1, 2)},
        {"method": "linear", "weight": ("1", "a/*=2")},
        {"method": "linear", "weight": {"a/*": 1}, "normalize": False},
        {"method": "task-arithmetic", "lambda_": 0.5},
    ]


def test_every_command_is_a_step_or_is_not_for_a_reason() -> None:
    assert {*OPERATIONS} | {*TRAINING} | {*NO_MODEL} == {*COMMANDS}
    assert all(why_not(name) for name in COMMANDS if name not in OPERATIONS)


def test_every_path_among_the_arguments_is_known_for_what_it_names() -> None:
    paths = {
        (operation, name)
        for operation in OPERATIONS
        for name, each in arguments_of(operation).items()
        if {*alternatives(PathType)} <= {*alternatives(each.kind)}
    }
    known = {
        (operation, name)
        for table in (MODELS, FILES)
        for operation, names in table.items()
        for name in names
        if name in arguments_of(operation)
    }
    assert paths == known
