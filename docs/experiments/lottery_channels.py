"""Structured tickets, of which whole units go, against the same networks from fresh weights; two minutes.

    python docs/experiments/lottery_channels.py FOLDER [--quick] [--latex]

LeNet-300-100 on scikit-learn's digits, in one shot. Prints the table "Structured tickets" of
docs/experiments/lottery.md. What is in FOLDER already is not done again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from experiment import Table, run
from lottery_runs import Splits

ARMS = {
    "rewind,structured=yes": "rewound",
    "randomize,masks=rewind+structured=yes,same_sign=no": "fresh weights",
    "rewind,structured=yes,criterion=random": "random units, rewound",
    "none,structured=yes": "trained on",
}


@dataclass(frozen=True)
class Settings:
    splits: int = 3
    epochs: int = 8
    sparsities: tuple[float, ...] = (0.5, 0.8, 0.95)


def tables(folder: Path, settings: Settings) -> Iterator[Table]:
    splits, dense, rows = Splits(folder, "digits", settings.splits), None, []
    for sparsity in settings.sparsities:
        name, how = f"units-{sparsity:g}", {"epochs": settings.epochs, "sparsity": sparsity, "batch_size": 60}
        found = splits.lottery(name, ARMS, dense=dense, **how)
        dense = dense or name
        first, fresh = list(ARMS)[:2]
        cells = [found.cell(arm, 1) for arm in ARMS]
        rows.append((f"{sparsity:.0%}", found.remaining(first, 1), *cells, found.behind(first, 1, fresh, 1)))
    columns = ("units taken out", "weights left", *ARMS.values(), "rewound less fresh")
    yield Table(columns, rows, words=0, title=f"Dense {found.cell('dense', 0)}")


if __name__ == "__main__":
    run(tables, Settings(), quick=Settings(splits=1, epochs=1, sparsities=(0.8,)))
