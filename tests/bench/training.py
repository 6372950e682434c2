"""Training steps with wtool's layers, and epochs with held zeros, against those of Keras alone."""

from __future__ import annotations

from statistics import median

import contenders
from report import Report, at_least, at_most, spread, table
from turns import Turns


def report(turns: Turns) -> Report:
    figures = turns.out / "steps.json"
    steps = turns.told(contenders.training_step(turns.smoke, figures), figures)
    epochs = turns.out / "held.json"
    held = turns.told(contenders.held_zeros(turns.smoke, epochs), epochs)
    dense, convolutions, linked = ([median(found) for found in models.values()] for models in steps.values())
    return Report(
        [
            *(step_table(what, models) for what, models in steps.items()),
            table(
                ["an epoch, four fifths of the weights zero", "plain `fit`, s", "zeros held, s"],
                [[name, spread(both["plain"], 3), spread(both["held"], 3)] for name, both in held.items()],
            ),
        ],
        [
            at_most("training step, `AutoRotDense` to `Dense`", dense[1] / dense[0], 1.1),
            at_most("training step, `AutoRotConv2D` to `Conv2D`", convolutions[1] / convolutions[0], 1.15),
            at_least("ReLU with BatchNormalization to LKReLU without, half the filters", linked[0] / linked[1], 1),
            at_least("the same, equal filters", linked[0] / linked[3], 1.5),
            at_least("LKReLU with BatchNormalization to LKReLU without", linked[2] / linked[3], 1),
            *(
                at_most(f"epoch with held zeros: {name}", median(both["held"]) / median(both["plain"]), 1.05)
                for name, both in held.items()
            ),
        ],
    )


def step_table(what: str, models: dict[str, list[float]]) -> str:
    """A line for each model; the first is what the others are compared with."""
    first = median(next(iter(models.values())))
    rows = [
        [name, spread([1000 * each for each in found], 1), f"{median(found) / first:.2f}x", str(len(found))]
        for name, found in models.items()
    ]
    return table([f"training step: {what}", "ms", "to the first", "turns"], rows)
