"""A recipe gives the bytes of its commands, done one by one with pipes between them."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import wtool
from tests import forkserver
from tests.models import OF_EACH_KIND, ZOO
from wtool.recipes.flow import passes_of
from wtool.recipes.run import recipe_in

TICKETS = ("rewind", "jitter", "randomize", "reshuffle", "constant")
Step = dict[str, dict[str, Any]]


def words_of(step: Step, initial: Path) -> list[str]:
    """The command of a step, but for its model and its output."""
    ((operation, options),) = step.items()
    words = [operation]
    for name, value in options.items():
        text = str(initial) if value == "init" else str(value)
        switch = f"--{name}" if value else f"--no-{name}"
        words += [switch] if isinstance(value, bool) else [f"--{name}", text]
    return words


def piped(model: Path, steps: list[Step], initial: Path, output: Path) -> bytes | None:
    """What the commands make, the last of which writes a file; None where one of them fails."""
    data = None
    for number, step in enumerate(steps):
        operation, *options = words_of(step, initial)
        target = str(output) if number == len(steps) - 1 else "-"
        words = [operation, str(model) if number == 0 else "-", *options, "-o", target, "-q"]
        done = subprocess.run(forkserver.wtool(*words), input=data, capture_output=True, check=False)
        assert done.returncode in (0, 1, 2), (words, done.stderr)
        if done.returncode:
            return None
        data = done.stdout
    return output.read_bytes()


def check(model: Path, steps: list[Step], folder: Path) -> int:
    """Holds a recipe against its commands; returns the number of its passes."""
    one, other = (folder / f"{name}{model.name[model.name.index('.') :]}" for name in ("recipe", "commands"))
    recipe = {"inputs": {"init": model}, "steps": steps}
    try:
        wtool.run_recipe(recipe, models=model, output=one)
    except wtool.WtoolError:
        assert not one.exists()
    assert (one.read_bytes() if one.exists() else None) == piped(model, steps, model, other)
    return len(passes_of(recipe_in(recipe))) if one.exists() else 0


seeds = st.integers(0, 1000)
shares = st.sampled_from([0.0, 0.1, 0.5, 0.9])
optimizers = st.sampled_from(
    [{}, {"optimizer": "keep"}, {"optimizer": "reset"}, {"optimizer": "drop"}, {"biases": True}]
)


def step(operation: str, **options: st.SearchStrategy[Any]) -> st.SearchStrategy[Step]:
    shared = st.tuples(st.fixed_dictionaries(options), optimizers)
    return shared.map(lambda each: {operation: each[0] | each[1]})


BY_VALUE = [
    step("prune", sparsity=shares, scope=st.sampled_from(["tensor", "global"])),
    step("prune", sparsity=shares, criterion=st.sampled_from(["mi", "li"]), initial=st.just("init")),
    step("prune", sparsity=shares, budget=st.sampled_from(["uniform", "erk", "lamp"])),
    step("prune", pattern=st.sampled_from(["1:2", "2:4"])),
    step("prune", **{"min-value": st.just(-0.1), "max-value": st.just(0.1), "set-value": st.sampled_from([0.0, 0.5])}),
    step("stroke", **{"volatility-ratio": shares, "seed": seeds, "decay": st.just(0.5)}),
    step("neuroplast", seed=seeds),
    st.sampled_from([{"patch": {"set": "*kernel=0.25"}}, {"patch": {"from": "init", "include": "*bias"}}]),
]
TICKET = [step(name, initial=st.just("init"), **({} if name == "rewind" else {"seed": seeds})) for name in TICKETS]
OTHERS: list[st.SearchStrategy[Step]] = [
    st.sampled_from([{"pack": {}}, {"pack": {"compression": "none"}}, {"pack": {"dtype": "float16"}}]),
]
STEPS = st.lists(st.one_of(*BY_VALUE, *BY_VALUE, *TICKET, *OTHERS), min_size=2, max_size=6)


@pytest.mark.slow
@pytest.mark.parametrize("model", OF_EACH_KIND, ids=lambda path: f"{path.parent.name}-{path.name}")
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=STEPS)
def test_random_recipes(model: Path, steps: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        check(model, steps, Path(folder))


CASES: dict[str, tuple[int, list[Step]]] = {
    "by value": (1, [
        {"patch": {"set": "*kernel=0.25"}},
        {"stroke": {"volatility-ratio": 0.1, "seed": 3}},
        {"prune": {"min-value": -0.1, "max-value": 0.1}},
        {"prune": {"pattern": "2:4"}},
        {"neuroplast": {"seed": 1}},
    ]),
    "ranked": (3, [
        {"stroke": {"volatility-ratio": 0.1, "seed": 3}},
        {"prune": {"sparsity": 0.3}},
        {"prune": {"sparsity": 0.5, "scope": "global"}},
        {"neuroplast": {"seed": 1}},
    ]),
    "constants": (2, [{"prune": {"sparsity": 0.3}}, {"patch": {"set": "*kernel=0.25"}}]),
    "two strokes": (1, [{"stroke": {"seed": 1, "decay": 0.5}}, {"stroke": {"seed": 1, "decay": 0.5}}]),
    "masks": (3, [
        {"prune": {"min-value": -0.1, "max-value": 0.1}},
        {"neuroplast": {"seed": 2}},
        {"prune": {"sparsity": 0.5}},
        {"prune": {"sparsity": 0.6, "criterion": "mi", "initial": "init"}},
        {"prune": {"min-value": -0.1, "max-value": 0.1}},
    ]),
    "tickets": (4, [
        {"prune": {"sparsity": 0.5}},
        {"rewind": {"initial": "init"}},
        {"stroke": {"seed": 1}},
        {"jitter": {"initial": "init", "seed": 1}},
        {"reshuffle": {"initial": "init", "seed": 1}},
    ]),
    "optimizer": (3, [
        {"prune": {"sparsity": 0.2, "optimizer": "reset"}},
        {"stroke": {"seed": 1, "optimizer": "keep"}},
        {"prune": {"sparsity": 0.3, "optimizer": "drop"}},
        {"stroke": {"seed": 2}},
        {"pack": {}},
    ]),
}  # fmt: skip


@pytest.mark.parametrize("model", [OF_EACH_KIND[1], OF_EACH_KIND[3]], ids=lambda path: path.name)
@pytest.mark.parametrize("case", CASES)
def test_recipes(case: str, model: Path, tmp_path: Path) -> None:
    passes, steps = CASES[case]
    assert check(model, steps, tmp_path) == passes


@pytest.mark.parametrize(
    "step",
    [
        {"shrink": {"sparsity": 0.5}},
        {"swap": {"to": "linked"}},
        {"patch": {"rename": "fc1=first"}},
        {"align": {"to": "init", "seed": 1}},
        {"convert": {"to": "keras"}},
        {"pack": {}},
    ],
    ids=lambda step: next(iter(step)),
)
def test_steps_that_make_files_of_their_own(step: Step, tmp_path: Path) -> None:
    """Between others; a conversion has nothing to do here."""
    before, behind = {"prune": {"sparsity": 0.5}}, {"stroke": {"seed": 1}}
    model = ZOO / "k3.15.1" / "mlp.keras"
    if "convert" not in step:
        assert check(model, [before, step, behind], tmp_path) == 3
        return
    wtool.run_recipe([before, step, behind], models=model, output=tmp_path / "with.keras")
    wtool.run_recipe([before, behind], models=model, output=tmp_path / "without.keras")
    assert (tmp_path / "with.keras").read_bytes() == (tmp_path / "without.keras").read_bytes()
