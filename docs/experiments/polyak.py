"""The tutorial on Polyak averaging: test accuracy of averages and ensembles of a run's last models; five minutes.

    python docs/experiments/polyak.py FOLDER [--quick] [--latex]

A hidden layer of 25 learns three blobs for 500 epochs (`fixtures/make_blobs.py`); the models of the last ten are kept
under FOLDER. Five runs, which differ in their seeds. Prints the table of docs/howto/average-checkpoints.md, mean and
standard error over the runs, and draws its plot, FOLDER/polyak.svg. `--quick` takes one run of three epochs.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "fixtures"))

import numpy as np
from experiment import Table, run, with_error
from make_blobs import train_tutorial, tutorial_data

import wtool
from wtool.plotting.style import COLOURS, DASHES, publish, styled

AVERAGES = {"equal": {"equal": True}, "linear": {"linear": True}, "exponential": {"alpha": 2.0}}
COLUMNS = ("one model", *AVERAGES, "ensemble")


@dataclass(frozen=True)
class Settings:
    seeds: int = 5
    epochs: int = 500
    members: int = 10


def accuracies(members: Sequence[Path], data: Path) -> dict[str, list[float]]:
    """Test accuracy for 1, 2, ... of the newest members, and of the k-th newest alone."""

    def of(paths: Sequence[Path], ensemble: bool = False) -> list[float]:
        return [each.metrics["accuracy"] for each in wtool.evaluate(paths, data=data, ensemble=ensemble)]

    newest = [members[-count:] for count in range(1, len(members) + 1)]
    found = {"one model": of(members[::-1])}
    for name, how in AVERAGES.items():
        outputs = [members[0].with_name(f"{name}-{len(some)}.keras") for some in newest]
        for some, output in zip(newest, outputs, strict=True):
            wtool.average(some, output=output, force=True, **how)
        found[name] = of(outputs)
    return found | {"ensemble": [of(some, ensemble=True)[-1] for some in newest]}


def draw(found: dict[str, np.ndarray], output: Path) -> None:
    """A panel for each run."""
    from matplotlib.figure import Figure

    runs, most = found["ensemble"].shape
    x = np.arange(1, most + 1)
    figure = Figure((9.5, 2.9), layout="constrained")
    for at, axes in enumerate(figure.subplots(1, runs, sharey=True, squeeze=False)[0]):
        for number, name in enumerate(COLUMNS):
            mark = (
                {"marker": "o", "linestyle": "", "markersize": 4} if number == 0 else {"linestyle": DASHES[number - 1]}
            )
            axes.plot(x, 100 * found[name][at], color=COLOURS[number], **mark)
        axes.set_xticks(x[::3])
        axes.set_title(f"run {at + 1}")
    figure.axes[0].set_ylabel("test accuracy, %")
    figure.axes[runs // 2].set_xlabel("newest models in the average or ensemble")
    figure.legend(
        figure.axes[0].lines, ["k-th newest alone", *COLUMNS[1:]], loc="outside upper left", ncols=len(COLUMNS)
    )
    publish([figure], str(output), force=True)


def tables(folder: Path, settings: Settings) -> Iterator[Table]:
    data = tutorial_data()
    test = folder / "test.npz"
    np.savez(test, x=data["test_x"], y=data["test_y"])
    runs = []
    for seed in range(1, settings.seeds + 1):
        place = folder / f"run-{seed}"
        train_tutorial(place, data, settings.epochs, seed)
        last = range(settings.epochs - settings.members + 1, settings.epochs + 1)
        runs.append(accuracies([place / f"ckpt-{epoch}.keras" for epoch in last], test))
    found = {name: np.array([each[name] for each in runs]) for name in COLUMNS}
    members = range(1, settings.members + 1)
    rows = ((str(count), *(with_error(found[name][:, count - 1], 2) for name in COLUMNS)) for count in members)
    yield Table(("members", *COLUMNS), rows, words=0)
    with styled():
        draw(found, folder / "polyak.svg")


if __name__ == "__main__":
    run(tables, Settings(), quick=Settings(seeds=1, epochs=3, members=2))
