"""Half of the channels, half of the weights: size and speed of models as they are, pruned and shrunk."""

from __future__ import annotations

from statistics import median

import contenders
from report import Report, at_most, spread, table
from turns import Turns

HEAD = ["half of the channels, half of the weights", "parameters, M", "multiply-adds, M", "MB", "ms", "speed"]


def report(turns: Turns) -> Report:
    figures = turns.out / "shrunk.json"
    found = turns.told(contenders.shrunk_speed(turns.smoke, turns.out / "shrunk", figures), figures)
    rows = [
        [
            f"{name}, {how}",
            f"{each['parameters'] / 1e6:.2f}",
            f"{each['multiply_adds'] / 1e6:.1f}",
            f"{each['bytes'] / 1e6:.1f}",
            spread(each["ms"], 1),
            f"{median(models['dense']['ms']) / median(each['ms']):.2f}x",
        ]
        for name, models in found.items()
        for how, each in models.items()
    ]
    return Report(
        [table(HEAD, rows)],
        [
            at_most(
                f"a batch of {name}, shrunk by half, to the dense model",
                median(models["shrunk"]["ms"]) / median(models["dense"]["ms"]),
                1,
            )
            for name, models in found.items()
        ],
    )
