"""Every criterion of pruning by every re-initialisation, in one shot and in rounds; ten minutes.

    python docs/experiments/lottery_grid.py FOLDER [--quick] [--latex]

LeNet-300-100 on scikit-learn's digits. Prints the tables "The grid" and "Signs" of docs/experiments/lottery.md: test
accuracies after the last epoch, mean and standard error over splits. What is in FOLDER already is not done again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from experiment import Table, run
from lottery_runs import CRITERIA, Found, Splits

SIGNED = ("randomize", "reshuffle", "constant")


@dataclass(frozen=True)
class Settings:
    splits: int = 3
    iterative_splits: int = 1
    epochs: int = 8
    rounds: int = 2
    sparsity: float = 0.9
    criteria: tuple[str, ...] = tuple(CRITERIA)
    starts: tuple[str, ...] = ("rewind", "jitter", "randomize", "reshuffle", "constant")


def arm(start: str, criterion: str) -> str:
    return start if criterion == "large-final" else f"{start},criterion={criterion}"


def unsigned(start: str) -> str:
    return f"{start},masks=rewind,same_sign=no"


def tables(folder: Path, settings: Settings) -> Iterator[Table]:
    splits = Splits(folder, "digits", settings.splits)
    how = {"epochs": settings.epochs, "batch_size": 60, "sparsity": settings.sparsity}
    arms = [arm(start, criterion) for criterion in settings.criteria for start in settings.starts]
    signed = [start for start in SIGNED if start in settings.starts]
    once = splits.lottery("one-shot", [*arms, *map(unsigned, signed), "dense-new"], **how)
    yield grid(settings, once, 1, f"Pruned to {settings.sparsity:.0%} in one shot")
    columns = ("what kept weights start from", "sign of the initial value", "sign at random", "difference")
    yield Table(columns, signs(once, signed), title="Signs: the same masks, large final in one shot")
    fewer = Splits(folder, "digits", min(settings.splits, settings.iterative_splits))
    rounds = fewer.lottery("rounds", arms, dense="one-shot", rounds=settings.rounds, **how)
    yield grid(settings, rounds, settings.rounds, f"Pruned to {settings.sparsity:.0%} in {settings.rounds} rounds")


def grid(settings: Settings, found: Found, number: int, title: str) -> Table:
    """A row for each criterion, a column for each re-initialisation."""
    starts = settings.starts
    rows = [(CRITERIA[name], *(found.cell(arm(start, name), number) for start in starts)) for name in settings.criteria]
    dense = f"dense {found.cell('dense', 0)}"
    if ("dense-new", 0) in found.lines:
        dense += f", from new initial weights {found.cell('dense-new', 0)}"
    return Table(("criterion", *starts), rows, title=f"{title}; {dense}")


def signs(found: Found, signed: Sequence[str]) -> Iterator[tuple[str, ...]]:
    yield "their initial values (rewind)", found.cell("rewind", 1), "", ""
    for start in signed:
        other = unsigned(start)
        yield f"`{start}`", found.cell(start, 1), found.cell(other, 1), found.behind(start, 1, other, 1)


if __name__ == "__main__":
    run(
        tables, Settings(), quick=Settings(1, 1, 1, criteria=("large-final", "movement"), starts=("rewind", "constant"))
    )
