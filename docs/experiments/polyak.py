"""The tutorial on Polyak averaging: test accuracy of averages and ensembles of a run's last models; five minutes.

    python docs/experiments/polyak.py [FOLDER]

A hidden layer of 25 learns three blobs for 500 epochs (`fixtures/make_blobs.py`); the models of the last ten are kept,
under FOLDER, by default build/polyak. Five runs, which differ in their seeds. Prints the table of
docs/howto/average-checkpoints.md and draws its plot.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "fixtures"))

import numpy as np
from make_blobs import train_tutorial, tutorial_data

import wtool
from wtool.plotting.style import COLOURS, DASHES, publish, styled

ROOT = Path(__file__).resolve().parents[2]
EPOCHS, SEEDS, MOST = 500, 5, 10
AVERAGES = {"equal": {"equal": True}, "linear": {"linear": True}, "exponential": {"alpha": 2.0}}
COLUMNS = ("one model", *AVERAGES, "ensemble")


def accuracies(members: Sequence[Path], data: Path) -> dict[str, list[float]]:
    """Test accuracy for 1 to 10 of the newest members, and of the k-th newest alone."""

    def of(paths: Sequence[Path], ensemble: bool = False) -> list[float]:
        return [each.metrics["accuracy"] for each in wtool.evaluate(paths, data=data, ensemble=ensemble)]

    newest = [members[-count:] for count in range(1, MOST + 1)]
    found = {"one model": of(members[::-1])}
    for name, how in AVERAGES.items():
        outputs = [members[0].with_name(f"{name}-{len(some)}.keras") for some in newest]
        for some, output in zip(newest, outputs, strict=True):
            wtool.average(some, output=output, force=True, **how)
        found[name] = of(outputs)
    return found | {"ensemble": [of(some, ensemble=True)[-1] for some in newest]}


def table(found: dict[str, np.ndarray]) -> str:
    """Mean and standard deviation over the runs, in percent."""
    lines = [["members", *COLUMNS], ["---:"] * (1 + len(COLUMNS))]
    for at in range(MOST):
        each = [100 * found[name][:, at] for name in COLUMNS]
        lines.append([str(at + 1), *(f"{values.mean():.2f} ± {values.std(ddof=1):.2f}" for values in each)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def draw(found: dict[str, np.ndarray], output: Path) -> None:
    """A panel for each run."""
    from matplotlib.figure import Figure

    x = np.arange(1, MOST + 1)
    figure = Figure((9.5, 2.9), layout="constrained")
    for run, axes in enumerate(figure.subplots(1, SEEDS, sharey=True)):
        for number, name in enumerate(COLUMNS):
            mark = (
                {"marker": "o", "linestyle": "", "markersize": 4} if number == 0 else {"linestyle": DASHES[number - 1]}
            )
            axes.plot(x, 100 * found[name][run], color=COLOURS[number], **mark)
        axes.set_xticks(x[::3])
        axes.set_title(f"run {run + 1}")
    figure.axes[0].set_ylabel("test accuracy, %")
    figure.axes[SEEDS // 2].set_xlabel("newest models in the average or ensemble")
    figure.legend(
        figure.axes[0].lines, ["k-th newest alone", *COLUMNS[1:]], loc="outside upper left", ncols=len(COLUMNS)
    )
    publish([figure], str(output), force=True)


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    data = tutorial_data()
    test = folder / "test.npz"
    np.savez(test, x=data["test_x"], y=data["test_y"])
    runs = []
    for seed in range(1, SEEDS + 1):
        train_tutorial(folder / f"run-{seed}", data, EPOCHS, seed)
        runs.append(
            accuracies([folder / f"run-{seed}" / f"ckpt-{EPOCHS - MOST + k}.keras" for k in range(1, MOST + 1)], test)
        )
    found = {name: np.array([run[name] for run in runs]) for name in COLUMNS}
    print(table(found))
    with styled():
        draw(found, Path(__file__).with_suffix(".svg"))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else ROOT / "build" / "polyak")
