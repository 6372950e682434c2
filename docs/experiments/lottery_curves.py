"""Iterative magnitude pruning to one percent of the weights, against random pruning and fresh weights; four minutes.

    python docs/experiments/lottery_curves.py FOLDER [--quick] [--latex]

LeNet-300-100 on scikit-learn's digits; with `--data digits mnist` also on 5,000 images of MNIST, in half an hour.
Prints the table "Curves" of docs/experiments/lottery.md, and draws FOLDER/lottery-curves.svg. What is in FOLDER
already is not done again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from experiment import Table, run
from lottery_runs import METRIC, Found, Splits

from wtool.plotting.style import COLOURS, DASHES, publish, styled

ARMS = {
    "rewind": "rewound",
    "randomize,masks=rewind,same_sign=no": "fresh weights, same masks",
    "randomize,same_sign=no": "fresh weights, own masks",
    "rewind,criterion=random": "random pruning",
}
TICKS = (50, 20, 10, 5, 2)


@dataclass(frozen=True)
class Settings:
    data: tuple[str, ...] = ("digits",)
    splits: int = 2
    epochs: int = 8
    rounds: int = 8
    sparsity: float = 0.99


def tables(folder: Path, settings: Settings) -> Iterator[Table]:
    how = {"epochs": settings.epochs, "sparsity": settings.sparsity, "rounds": settings.rounds}
    found = {}
    for data in settings.data:
        splits = Splits(folder, data, settings.splits)
        found[data] = splits.lottery("curves", ARMS, batch_size=60 if data == "digits" else 100, **how)
        title = f"{data}: test accuracy, dense {found[data].cell('dense', 0)}"
        columns = ("round", "weights left", *ARMS.values(), "rewound less fresh")
        yield Table(columns, list(rows(found[data], settings.rounds)), words=0, title=title)
    with styled():
        draw(found, settings.rounds, folder / "lottery-curves.svg")


def rows(found: Found, rounds: int) -> Iterator[Sequence[str]]:
    first, fresh = list(ARMS)[:2]
    for number in range(1, rounds + 1):
        cells = [found.cell(arm, number) for arm in ARMS]
        yield str(number), found.remaining(first, number), *cells, found.behind(first, number, fresh, number)


def draw(found: dict[str, Found], rounds: int, output: Path) -> None:
    """A panel for each data set: mean accuracies and standard errors over the weights that are left."""
    from matplotlib.figure import Figure

    figure = Figure((7, 2.8), layout="constrained")
    for axes, (data, each) in zip(figure.subplots(1, len(found), squeeze=False)[0], found.items(), strict=True):
        dense = 100 * np.mean(each.scores("dense", 0))
        axes.axhline(dense, color="0.4", linestyle=":", label="dense")
        for number, (arm, told) in enumerate(ARMS.items()):
            left = [100 * np.mean([line.remaining for line in each.lines[arm, at]]) for at in range(1, rounds + 1)]
            values = [100 * np.array(each.scores(arm, at, METRIC)) for at in range(1, rounds + 1)]
            errors = [v.std(ddof=1) / len(v) ** 0.5 if len(v) > 1 else 0 for v in values]
            how = {"color": COLOURS[number], "linestyle": DASHES[number % len(DASHES)], "label": told}
            axes.errorbar(left, [v.mean() for v in values], errors, **how)
        axes.set_xscale("log")
        axes.set_xticks(TICKS, labels=map(str, TICKS))
        axes.minorticks_off()
        axes.invert_xaxis()
        axes.set_title(data)
        axes.set_xlabel("weights left, %")
    figure.axes[0].set_ylabel("test accuracy, %")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    publish([figure], str(output), force=True)


if __name__ == "__main__":
    run(tables, Settings(), quick=Settings(splits=1, epochs=1, rounds=2))
