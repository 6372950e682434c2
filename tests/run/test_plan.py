"""Plans: several operations in one pass give what they give one after the other, and one record each."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wtool
from tests.models import BLOBS, FIXTURES, ZOO, arrays, noisy
from wtool.checkpoint.lineage import Record
from wtool.checkpoint.opener import open_checkpoint
from wtool.checkpoint.structure import Structure
from wtool.run.averaging import Averaging
from wtool.run.by_method import ByMethod
from wtool.run.changes import Changes
from wtool.run.derive import derive
from wtool.run.plan import Operand, Operation, Plan
from wtool.run.progress import Passes
from wtool.run.target import Goal
from wtool.run.transform import Transforming
from wtool.transforms.merging.registry import METHODS
from wtool.transforms.pruning import Prune
from wtool.transforms.stroking import Stroke

MODELS = [
    BLOBS[0],
    FIXTURES / "bn" / "ckpt-9.h5",
    FIXTURES / "bn" / "ckpt-9.weights.h5",
    ZOO / "k3.15.1" / "mlp.keras",
]


def same_arrays(left: Path, right: Path) -> bool:
    one, other = arrays(left), arrays(right)
    return one.keys() == other.keys() and all(one[name].tobytes() == other[name].tobytes() for name in one)


@pytest.mark.parametrize("model", MODELS, ids=lambda path: f"{path.parent.name}-{path.name}")
@pytest.mark.parametrize(
    ("pruning", "optimizer"),
    [
        ({"sparsity": 0.5, "scope": "global"}, "follow"),
        ({"sparsity": 0.5}, "reset"),
        ({"min_value": -0.1, "max_value": 0.1}, "keep"),
        ({"sparsity": 0.4, "criterion": "mi"}, "follow"),
        ({"pattern": "1:2"}, "follow"),
        ({"pattern": "1:3", "criterion": "mi"}, "reset"),
        ({"sparsity": 0.5, "block": "2x2"}, "follow"),
        ({"sparsity": 0.5, "budget": "lamp"}, "follow"),
    ],
    ids=["global", "reset", "range", "initial", "pattern", "initial pattern", "blocks", "lamp"],
)
def test_a_stroke_and_a_pruning_in_one_pass(
    pruning: dict[str, Any], optimizer: str, model: Path, tmp_path: Path
) -> None:
    """The threshold of the pruning is that of the stroked values, though these are in no file."""
    stroked, pruned, both = (tmp_path / f"{name}-{model.name}" for name in ("a", "b", "both"))
    more = {"initial": model} if "criterion" in pruning else {}
    options: dict[str, Any] = {"optimizer": optimizer, "seed": 3}
    wtool.stroke(model, volatility_ratio=0.3, output=stroked, **options)
    (alone,) = wtool.prune(stroked, output=pruned, **pruning, **more, **options)

    first = Transforming(Stroke(volatility_ratio=0.3), seed=3, optimizer=optimizer)
    second = Transforming(Prune(**pruning), initial=str(model) if more else None, seed=3, optimizer=optimizer)
    with ExitStack() as stack:
        base = stack.enter_context(open_checkpoint(str(model)))
        others = [stack.enter_context(open_checkpoint(str(model), like=base)) for _ in more]
        plan = first.plan_of(base).then(second.plan_of(base, *others))
        derived = derive(plan, Goal(str(both)))
    assert same_arrays(both, pruned)
    assert not same_arrays(both, stroked)
    assert derived.changes[1].counted() == {
        "selected": alone.selected,
        "rewritten": alone.rewritten,
        "zeros": alone.zeros,
    }
    records = wtool.inspect(both)["lineage"]
    one_by_one = wtool.inspect(pruned)["lineage"]
    assert [each["operation"] for each in records[-2:]] == ["stroke", "prune"]
    assert [each["parameters"] for each in records] == [each["parameters"] for each in one_by_one]
    assert records[-2]["inputs"] == one_by_one[-2]["inputs"]
    beside = [each for each in one_by_one[-1]["inputs"] if each["as"] != "model"]
    assert records[-1]["inputs"] == [{"name": "-", "as": "model"}, *beside]  # what is pruned was never a file
    counts = ("selected", "rewritten", "zeros")
    for mine, theirs in zip(records[-2:], one_by_one[-2:], strict=True):
        assert [mine["result"][name] for name in counts] == [theirs["result"][name] for name in counts]


def test_an_average_that_is_pruned_in_the_same_pass(tmp_path: Path) -> None:
    mean, pruned, both = (tmp_path / f"{name}.keras" for name in ("mean", "pruned", "both"))
    wtool.average(BLOBS[:3], linear=True, optimizer="keep", output=mean)
    wtool.prune(mean, sparsity=0.5, output=pruned)
    with ExitStack() as stack:
        base = stack.enter_context(open_checkpoint(str(BLOBS[2])))
        older = [stack.enter_context(open_checkpoint(str(path), like=base)) for path in BLOBS[:2]]
        average = Averaging("linear", optimizer="keep").plan([*older, base])
        derive(average.then(Transforming(Prune(sparsity=0.5)).plan_of(base)), Goal(str(both)))
    assert same_arrays(both, pruned)
    assert [each["operation"] for each in wtool.inspect(both)["lineage"]] == ["average", "prune"]


@pytest.mark.parametrize("method", ["ties", "della"])
def test_a_merge_that_is_pruned_in_the_same_pass(method: str, tmp_path: Path) -> None:
    """Also where the merge makes tensors whole: the second operation gets the parts that it asks for."""
    merged, pruned, both = (tmp_path / f"{name}.keras" for name in ("merged", "pruned", "both"))
    models = noisy(ZOO / "k3.15.1" / "mlp.keras", tmp_path, 3)
    wtool.merge(models[1:], method=method, base=models[0], density=0.5, seed=3, optimizer="keep", output=merged)
    wtool.prune(merged, sparsity=0.5, scope="global", output=pruned)
    with ExitStack() as stack:
        base, first, second = (stack.enter_context(open_checkpoint(str(path))) for path in models)
        merge = ByMethod(METHODS[method], {"density": 0.5}, 2, True, 3, optimizer="keep").plan([base, first, second])
        prune = Transforming(Prune(sparsity=0.5, scope="global")).plan_of(first)
        derive(merge.then(prune), Goal(str(both)))
    assert same_arrays(both, pruned)
    assert [each["operation"] for each in wtool.inspect(both)["lineage"]] == ["merge", "prune"]


def test_an_operation_behind_one_that_changes_nothing(tmp_path: Path) -> None:
    """A stroke that is over leaves its blocks as they are, and they are what the pruning gets."""
    wtool.prune(BLOBS[0], sparsity=0.5, output=tmp_path / "alone.keras")
    with open_checkpoint(str(BLOBS[0])) as base:
        over = Transforming(Stroke(cutoff=0)).plan_of(base)
        derive(over.then(Transforming(Prune(sparsity=0.5)).plan_of(base)), Goal(str(tmp_path / "both.keras")))
    assert same_arrays(tmp_path / "alone.keras", tmp_path / "both.keras")


def test_three_operations(tmp_path: Path) -> None:
    """Two strokes and a pruning; the second stroke knows of the first, which is in the same pass."""
    steps: list[tuple[Any, Callable[..., Any], dict[str, Any]]] = [
        (Stroke(volatility_ratio=0.5, decay=0.5), wtool.stroke, {"volatility_ratio": 0.5, "decay": 0.5}),
        (Stroke(volatility_ratio=0.5, decay=0.5), wtool.stroke, {"volatility_ratio": 0.5, "decay": 0.5}),
        (Prune(sparsity=0.3), wtool.prune, {"sparsity": 0.3}),
    ]
    path = BLOBS[0]
    for number, (_, function, options) in enumerate(steps):
        function(path, output=tmp_path / f"{number}.keras", seed=number, **options)
        path = tmp_path / f"{number}.keras"
    with open_checkpoint(str(BLOBS[0])) as base:
        plans = [Transforming(operation, seed=number).plan_of(base) for number, (operation, _, _) in enumerate(steps)]
        derive(plans[0].then(plans[1]).then(plans[2]), Goal(str(tmp_path / "all.keras")))
    assert same_arrays(tmp_path / "all.keras", path)


def test_what_a_plan_of_two_made_is_skipped(tmp_path: Path) -> None:
    target = tmp_path / "out.keras"

    def do(seed: int, is_given: bool = True, sparsity: float = 0.5) -> bool:
        first = Transforming(Stroke(), seed=seed, seed_is_given=is_given)
        with open_checkpoint(str(BLOBS[0])) as base:
            plan = first.plan_of(base).then(Transforming(Prune(sparsity=sparsity)).plan_of(base))
            return derive(plan, Goal(str(target))).there is not None

    assert not do(seed=1)
    assert do(seed=1)
    assert do(seed=2, is_given=False)
    content = target.read_bytes()
    for other in ({"seed": 2}, {"seed": 1, "sparsity": 0.6}):
        with pytest.raises(wtool.WtoolError, match="exists already"):
            do(**other)  # type: ignore[arg-type]
    assert target.read_bytes() == content


def test_a_dry_run_of_two_counts_and_writes_nothing(tmp_path: Path) -> None:
    with open_checkpoint(str(BLOBS[0])) as base:
        kernels = sum(np.prod(each.shape) for each in base.weights if each.role == "kernel")
        plan = Transforming(Stroke(), seed=1).plan_of(base).then(Transforming(Prune(sparsity=0.5)).plan_of(base))
        derived = derive(plan, Goal(str(tmp_path / "no" / "x.keras"), dry_run=True))
    assert derived.changes[1].total("selected") == kernels
    assert derived.changes[1].total("zeros") >= kernels // 2
    assert not list(tmp_path.iterdir())


def test_plans_that_do_not_go_together() -> None:
    prune = Transforming(Prune(sparsity=0.5))
    with open_checkpoint(str(BLOBS[0])) as base, open_checkpoint(str(BLOBS[0])) as other:
        with pytest.raises(ValueError, match="for one checkpoint"):
            prune.plan_of(base).then(prune.plan_of(other))
        new = Structure({}, {}, {}, False, {}, frozenset(), frozenset())
        grown = Operation(Record("grow"), (Operand(base, {}),), lambda edited, passes: Changes(structure=new))
        for plan in (prune.plan_of(base).then(Plan(base, (grown,))), Plan(base, (grown,)).then(prune.plan_of(base))):
            with pytest.raises(ValueError, match="in a pass of its own"):
                plan.work_out(Passes(None, 0))
