"""Many small models: what each costs, against its work alone and against a loop with Keras."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median

import contenders
from contenders import Contender
from floor import floor_of
from report import Report, at_least, at_most, spread, table
from turns import ROUNDS, Turns, say

KERAS_MODELS = 40
FEW, MANY = 100, 400
WORDS = ["prune", "--sparsity", ".8", "-j", "2"]
SETS = {"zoo": "ResNet-20, 72 layers, 1.3 MB", "rows": "20 Dense layers, 1 MB"}


def report(turns: Turns) -> Report:
    out, figures = turns.out / "zoo", turns.out / "seconds"
    few = turns.models("zoo", FEW)
    looped = few[: 2 if turns.smoke else KERAS_MODELS]
    theirs = contenders.keras_prune(looped, ".8", turns.out / "keras-zoo", figures)
    turns.once(contenders.wtool_on_all(turns.command, WORDS, looped, out))
    loops = [keras_loop(turns, theirs, figures, looped)]
    for path in looped:
        turns.helper("compare", str(out / path.name), str(turns.out / "keras-zoo" / path.name))
    say("the outputs agree")
    if not turns.smoke:
        loops.append(keras_loop(turns, theirs, figures, looped))
    rows, slopes = [], {}
    for name, what in SETS.items():
        slopes[name] = slope(turns, name)
        alone = work(turns, name)
        rows.append([what, spread(slopes[name]), f"{alone:.2f}", f"{median(slopes[name]) / alone:.2f}x"])
    loop = ["ResNet-20: Keras loop", spread(loops), "", ""]
    mine = median(slopes["zoo"])
    return Report(
        [
            table(
                [f"ms per model: wtool {' '.join(WORDS)}", f"slope from {FEW} to {MANY}", "work alone", "ratio"],
                [*rows, loop],
            )
        ],
        [
            at_most("milliseconds per model of 20 layers, `-j 2`", median(slopes["rows"]), 2, " ms"),
            at_least("Keras loop to wtool, per model of ResNet-20", min(loops) / max(mine, 1e-9), 50),
        ],
    )


def keras_loop(turns: Turns, contender: Contender, figures: Path, models: Sequence[Path]) -> float:
    """Milliseconds of the loop with Keras for each model."""
    turns.once(contender)
    return 1000 * float(figures.read_text()) / len(models)


def slope(turns: Turns, name: str) -> list[float]:
    """Milliseconds for each model beyond the start, one for each turn."""
    sets = [turns.models(name, count) for count in (FEW, MANY)]
    taking_part = [contenders.wtool_on_all(turns.command, WORDS, models, turns.out / "zoo") for models in sets]
    turns.once(taking_part[0])
    found = []
    for _ in range(1 if turns.smoke else ROUNDS):
        few, many = (turns.once(each).seconds for each in taking_part)
        found.append(1000 * (many - few) / max(1, len(sets[1]) - len(sets[0])))
    say(f"{name}, ms per model: " + " ".join(f"{each:.2f}" for each in found))
    return found


def work(turns: Turns, name: str) -> float:
    """Milliseconds of the work on each model that cannot be avoided, divided by the cores."""
    models = turns.models(name, FEW)
    return 1000 * floor_of(turns, name, "prune_each", models, 0.0).seconds / len(models)
