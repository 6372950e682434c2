"""Many small models: what each costs, against a loop with Keras."""

from __future__ import annotations

import contenders
from report import Report, at_least, at_most, spread, table
from turns import ROUNDS, Turns, say

KERAS_MODELS = 40
FEW, MANY = 100, 400
WORDS = ["prune", "--sparsity", ".8", "-j", "2"]


def report(turns: Turns) -> Report:
    few, many = (turns.models("zoo", count) for count in (FEW, MANY))
    out, figures = turns.out / "zoo", turns.out / "seconds"
    mine = {len(models): contenders.wtool_on_all(turns.command, WORDS, models, out) for models in (few, many)}
    looped = few[: 2 if turns.smoke else KERAS_MODELS]
    theirs = contenders.keras_prune(looped, ".8", turns.out / "keras-zoo", figures)
    turns.warm([*mine.values(), theirs])
    for path in looped:
        turns.helper("compare", str(out / path.name), str(turns.out / "keras-zoo" / path.name))
    say("the outputs agree")
    slopes, loops = [], []
    for turn in range(1 if turns.smoke else ROUNDS):
        taken = [turns.once(each).seconds for each in mine.values()]
        slopes.append(1000 * (taken[-1] - taken[0]) / max(1, len(many) - len(few)))
        if turn < 2:
            turns.once(theirs)
            loops.append(1000 * float(figures.read_text()) / len(looped))
    say("ms per model: " + " ".join(f"{slope:.2f}" for slope in slopes))
    rows = [
        [f"wtool {' '.join(WORDS)} (the slope from {FEW} to {MANY})", spread(slopes), str(len(slopes))],
        ["Keras loop", spread(loops), str(len(loops))],
    ]
    slope = sorted(slopes)[len(slopes) // 2]
    return Report(
        [table(["models of 1.3 MB (ResNet-20)", "ms per model", "runs"], rows)],
        [
            at_most("milliseconds per model, zoo, `-j 2`", slope, 2, " ms"),
            at_least("Keras loop to wtool, per model", min(loops) / max(slope, 1e-9), 50),
        ],
    )
