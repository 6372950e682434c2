"""Operations on one model against the work that they are: prune, stroke, convert, pack, diff and shrink."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import contenders
from contenders import Contender
from floor import floor_of, floor_table, start_of_numpy
from report import Report, Target, at_most, run_table, seconds
from turns import Turns

PRUNE = ["prune", "--sparsity", ".8", "--scope", "global"]
PACK = ["pack", "--compression", "none"]
SHRINK = ["shrink", "--sparsity", ".5"]
RECIPE = """\
- prune: {sparsity: .5}
- stroke: {volatility-ratio: .01, seed: 1}
- prune: {min-value: -.002, max-value: .002}
- neuroplast: {seed: 2}
- prune: {min-value: -.003, max-value: .003}
"""


def report(turns: Turns) -> Report:
    start = start_of_numpy(turns)
    tables: list[str] = []
    targets: list[Target] = []
    for name, what in (("huge", "one model of 1 GB"), ("resnet50", "ResNet50, 103 MB")):
        found, judged = of_size(turns, name, what, start)
        tables += found
        targets += judged
    for part in (shrinking, recipes):
        found_in_part, judged = part(turns)
        tables.append(found_in_part)
        targets += judged
    return Report(tables, targets)


def of_size(turns: Turns, name: str, what: str, start: float) -> tuple[list[str], list[Target]]:
    model, out = turns.models(name, 1)[0], turns.out / "transformed.keras"
    old = turns.folder / "old" / "resnet50.h5"
    operations = {
        "prune": (contenders.wtool_on(turns.command, PRUNE, model, out), "prune", [model], 1.25),
        "stroke": (contenders.wtool_on(turns.command, ["stroke"], model, out), "stroke", [model], 1.25),
        "pack": (
            contenders.wtool_on(turns.command, ["pack", "--compression", "none"], model, out),
            "copy",
            [model],
            1.3,
        ),
    }
    if name == "resnet50":
        both = turns.models(name, 2)
        operations["diff"] = (diff(turns, both), "compare", both, 1.3)
        convert = contenders.wtool_on(turns.command, ["convert"], old, out, " of Keras 2")
        operations["convert"] = (convert, "copy", [old], 1.3)
    floors = {
        key: floor_of(turns, f"{key}, {what}", work, models, start) for key, (_, work, models, _) in operations.items()
    }
    copying = contenders.copy(model, turns.out / "copy.keras")
    runs = turns.in_turns([copying, *(contender for contender, *_ in operations.values())])
    judged = [
        at_most(f"`{each.name}` to its work, {what}", seconds(runs[each.name]) / floors[key].seconds, limit)
        for key, (each, _, _, limit) in operations.items()
    ]
    peak = max(run.peak_mb for found in list(runs.values())[1:] for run in found)
    judged.append(at_most(f"peak memory of these, {what}", peak, 150, " MB"))
    return [floor_table(list(floors.values())), run_table(what, runs, "to `cp`")], judged


def diff(turns: Turns, models: Sequence[Path]) -> Contender:
    """A comparison of two models that differ, which `wtool diff` tells by status 1."""
    command = shlex.join([*turns.command, "diff", *map(str, models)])
    return Contender("wtool diff", ["sh", "-c", f"{command}; [ $? -eq 1 ]"])


def shrinking(turns: Turns) -> tuple[str, list[Target]]:
    """`wtool shrink` beside `cp`, a start-up (a model of 16 KB) and `wtool prune`."""
    model, out = turns.models("resnet50", 1)[0], turns.out / "shrunk.keras"
    copying = contenders.copy(model, turns.out / "copy.keras")
    small = contenders.wtool_on(turns.command, SHRINK, turns.models("small", 1)[0], out, " of a small model")
    usual = contenders.wtool_on(turns.command, SHRINK, model, out)
    runs = turns.in_turns([copying, small, usual])
    least = seconds(runs[copying.name]) + seconds(runs[small.name])
    return run_table("ResNet50, 103 MB, less half of its channels", runs, "to `cp`"), [
        at_most("`wtool shrink --sparsity .5` to `cp` and start-up", seconds(runs[usual.name]) / least, 5),
        at_most("peak memory of `wtool shrink`", max(run.peak_mb for run in runs[usual.name]), 200, " MB"),
    ]


def recipes(turns: Turns) -> tuple[str, list[Target]]:
    """A recipe of five operations in one pass, beside the dearest of them alone."""
    model, out = turns.models("huge", 1)[0], turns.out / "recipe.keras"
    recipe = turns.out / "five.yaml"
    recipe.write_text(RECIPE)
    five = contenders.wtool_on(turns.command, ["run", str(recipe)], model, out)
    five = Contender("wtool run, five operations", five.argv, five.before)
    one = contenders.wtool_on(turns.command, ["neuroplast", "--seed", "2"], model, out)
    runs = turns.in_turns([one, five])
    ratio = seconds(runs[five.name]) / seconds(runs[one.name])
    told = run_table("one model of 1 GB, operations in one pass", runs, f"to `{one.name}`")
    return told, [at_most("a recipe of five operations to the dearest of them, 1 GB", ratio, 1.3)]
