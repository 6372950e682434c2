"""Averages of a run's last models by three rules, beside single models and ensembles; two and a half minutes.

    python docs/experiments/averaging.py FOLDER [--quick] [--latex]

Three tasks. Two are those of the tutorial on Polyak averaging: a hidden layer of 25 learns three blobs in the plane for
500 epochs, with SGD and with Adam. In the third, a hidden layer of 64 learns the digits for 20 epochs with SGD at a
rate that stays high, a fifth of the training labels being wrong. The models of the last ten epochs are averaged.

Prints the tables of docs/experiments/averaging.md and draws its plot, FOLDER/averaging.svg.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "fixtures"))

import keras
import numpy as np
from digits import Samples, parts
from experiment import Table, run, with_error
from make_blobs import make_blobs
from shuffling import shuffled

import wtool
from wtool.plotting.style import COLOURS, DASHES, WIDTH, publish, styled

RULES: dict[str, dict[str, Any]] = {"equal": {"equal": True}, "linear": {"linear": True}, "exponential": {"alpha": 2.0}}
ONE, ENSEMBLE = "one model", "ensemble"
NAMES = (ONE, *RULES, ENSEMBLE)

ORIGINAL = {
    ONE: (0.814, 0.814, 0.811, 0.805, 0.807, 0.805, 0.802, 0.805, 0.805, 0.810),
    "equal": (0.814, 0.814, 0.813, 0.813, 0.811, 0.807, 0.809, 0.808, 0.808, 0.807),
    "linear": (0.814, 0.815, 0.814, 0.813, 0.813, 0.813, 0.811, 0.810, 0.809, 0.809),
    "exponential": (0.814, 0.815, 0.814, 0.814, 0.813, 0.813, 0.813, 0.813, 0.813, 0.813),
}
"""Accuracies of the tutorial's run, for 1 to 10 models."""


@dataclass(frozen=True)
class Settings:
    splits: int = 3
    seeds: int = 4
    blob_epochs: int = 500
    digit_epochs: int = 20
    members: int = 10


@dataclass(frozen=True)
class Task:
    """What is learned, and how.

    Args:
        data: gives the samples for training and for testing; takes the number of the split, and a seed.
        units: of the hidden layer.
        optimizer: makes a new one.
        size: of a batch.
        epochs: of a run.
    """

    data: Callable[[int, int], Sequence[Samples]]
    units: int
    optimizer: Callable[[], keras.Optimizer]
    size: int
    epochs: int


def tasks(settings: Settings) -> dict[str, Task]:
    blobs, digits = settings.blob_epochs, settings.digit_epochs
    return {
        "blobs, SGD": Task(three_blobs, 25, lambda: keras.optimizers.SGD(0.01, momentum=0.9), 32, blobs),
        "blobs, Adam": Task(three_blobs, 25, keras.optimizers.Adam, 32, blobs),
        "digits, noisy": Task(noisy_digits, 64, lambda: keras.optimizers.SGD(0.3), 16, digits),
    }


def three_blobs(split: int, seed: int) -> list[Samples]:
    """The tutorial's 1100 points, a hundred of them to train on: the first ones in split 0, as in the tutorial."""
    x, y = make_blobs(n_samples=1100, centers=3, n_features=2, cluster_std=2, random_state=2)
    order = np.random.default_rng(split).permutation(len(y)) if split else np.arange(len(y))
    return [Samples(x[some].astype(np.float32), y[some]) for some in (order[:100], order[100:])]


def noisy_digits(split: int, seed: int) -> list[Samples]:
    """Half of the digits to train on, with random classes for a fifth of them."""
    train, test = parts(0.5, seed=split)
    rng = np.random.default_rng(seed)
    classes = np.where(rng.uniform(size=len(train.y)) < 0.2, rng.integers(0, 10, len(train.y)), train.y)
    return [Samples(train.x, classes), test]


class KeepLast(keras.callbacks.Callback):
    """Saves the models of the last epochs, and remembers the state before them."""

    def __init__(self, folder: Path, epochs: int, members: int) -> None:
        super().__init__()
        self.paths = [folder / f"ckpt-{epoch}.keras" for epoch in range(epochs - members + 1, epochs + 1)]
        self.first = epochs - members
        self.state: list[np.ndarray] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if epoch == self.first:
            self.state = [variable.numpy() for variable in state_of(self.model)]

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if epoch >= self.first:
            self.model.save(self.paths[epoch - self.first])


def state_of(model: keras.Model) -> list[Any]:
    return [*model.weights, *model.optimizer.variables]


def measured(task: Task, split: int, seed: int, folder: Path, members: int) -> dict[str, np.ndarray]:
    """Test accuracies of one run: of single models, averages and ensembles, for 1, 2, ... of the newest models.

    `decayed` is that of the same run, if the learning rate falls to 0 in a straight line while the members are made.
    """
    folder.mkdir(exist_ok=True)
    train, test = task.data(split, seed)
    keras.utils.set_random_seed(seed)
    hidden, last = keras.layers.Dense(task.units, "relu"), keras.layers.Dense(int(train.y.max()) + 1, "softmax")
    model = keras.Sequential([keras.Input(train.x.shape[1:]), hidden, last])
    loss = "sparse_categorical_crossentropy"
    model.compile(task.optimizer(), loss, metrics=["accuracy"], steps_per_execution=len(train.y) // task.size)
    batches, keep = shuffled(train, task.size, seed), KeepLast(folder, task.epochs, members)
    model.fit(batches, epochs=task.epochs, shuffle=False, verbose=0, callbacks=[keep])

    def looked_at(path: Path) -> tuple[np.ndarray, list[np.ndarray]]:
        model.load_weights(path)
        return np.asarray(model(test.x)), model.get_weights()

    single, weights = zip(*map(looked_at, keep.paths[::-1]), strict=True)  # the newest first
    found = {ONE: single, ENSEMBLE: [np.mean(single[:count], axis=0) for count in range(1, members + 1)]}
    for rule, how in RULES.items():
        found[rule] = []
        for count in range(1, members + 1):
            output = folder / f"{rule}-{count}.keras"
            wtool.average(keep.paths[-count:], output=output, force=True, **how)
            predicted, own = looked_at(output)
            refuse_another_average(rule, own, weights[:count])
            found[rule].append(predicted)
    model.load_weights(keep.paths[-1])
    found["trained"] = [np.asarray(model(train.x))]
    for variable, value in zip(state_of(model), keep.state, strict=True):
        variable.assign(value)
    rate = float(model.optimizer.learning_rate)
    falling = keras.callbacks.LearningRateScheduler(lambda epoch, _: rate * (1 - (epoch + 0.5) / members))
    model.fit(batches, epochs=members, shuffle=False, verbose=0, callbacks=[falling])
    found["decayed"] = [np.asarray(model(test.x))]
    classes = {"trained": train.y}
    return {
        name: np.array([np.mean(each.argmax(1) == classes.get(name, test.y)) for each in values])
        for name, values in found.items()
    }


def refuse_another_average(rule: str, own: Sequence[np.ndarray], members: Sequence[Sequence[np.ndarray]]) -> None:
    """Holds the weights of an average against the tutorial's definition, to the bit; the members, newest first.

    The tutorial divides all coefficients by the number of members, which `numpy.average` undoes.
    """
    count = len(members)
    coefficients = {
        "equal": [1] * count,
        "linear": [count - age for age in range(count)],
        "exponential": [np.exp(-(age + 1) / 2) for age in range(count)],
    }[rule]
    for value, *values in zip(own, *members, strict=True):
        expected = np.average(np.array(values, np.float64), axis=0, weights=coefficients).astype(value.dtype)
        if not np.array_equal(value, expected):
            raise AssertionError(f"the {rule} average of {count} models is not the tutorial's")


def tables(folder: Path, settings: Settings) -> Iterator[Table]:
    found: dict[str, dict[str, np.ndarray]] = {}
    for name, task in tasks(settings).items():
        runs = []
        for split in range(settings.splits):
            for seed in range(1, settings.seeds + 1):
                place = folder / f"{name.replace(', ', '-')}-{split}-{seed}"
                runs.append(measured(task, split, seed, place, settings.members))
        found[name] = {each: np.array([accuracies[each] for accuracies in runs]) for each in runs[0]}
    own = {name: values[: settings.seeds] for name, values in found["blobs, SGD"].items()}
    yield of_sections(own, settings.members)
    yield of_tasks(found)
    for name, values in found.items():
        yield of_gains(name, values)
    with styled():
        draw(found, folder / "averaging.svg")


def of_sections(own: dict[str, np.ndarray], members: int) -> Table:
    """The tutorial's numbers beside those on the tutorial's own split."""

    def rows() -> Iterator[tuple[str, ...]]:
        trained, tested = (with_error(own[name][:, 0], 1) for name in ("trained", ONE))
        yield ("the last model: training, test", "86.0%, 81.2%", f"{trained}, {tested}")
        for name, values in ORIGINAL.items():
            for count in (each for each in (2, 5, 10) if each <= members):
                what = f"{count}-th newest model" if name == ONE else f"{name} average of {count}"
                yield (what, f"{values[count - 1]:.1%}", with_error(own[name][:, count - 1], 1))

    return Table(("accuracy", "tutorial, one run", f"here, {len(own[ONE])} runs"), rows(), title="The tutorial's split")


def of_tasks(found: dict[str, dict[str, np.ndarray]]) -> Table:
    """The last model, what all members come to, and how steady single models and averages are within a run."""
    columns = ("task", "last model", *(f"{rule} average" for rule in RULES), ENSEMBLE, "decayed rate")
    spreads = ("sd of single models", "sd of equal averages")

    def rows() -> Iterator[tuple[str, ...]]:
        for name, values in found.items():
            accuracies = [values[ONE][:, 0], *(values[each][:, -1] for each in (*RULES, ENSEMBLE, "decayed"))]
            deviations = [values[each].std(axis=1, ddof=1) for each in (ONE, "equal")]
            yield (name, *(with_error(each, 1) for each in accuracies), *(with_error(each, 2) for each in deviations))

    return Table((*columns, *spreads), rows(), title="All members")


def of_gains(task: str, values: dict[str, np.ndarray]) -> Table:
    """How much better than the last model of the run, in points."""

    def rows() -> Iterator[tuple[str, ...]]:
        for count in range(2, values[ONE].shape[1] + 1):
            gains = [100 * (values[name][:, count - 1] - values[ONE][:, 0]) for name in NAMES]
            yield (str(count), *(with_error(gain, 2, percent=False) for gain in gains))

    return Table(("members", *NAMES), rows(), words=0, title=f"Points gained over the last model: {task}")


def draw(found: dict[str, dict[str, np.ndarray]], output: Path) -> None:
    """Gains over the last model, a panel for each task: means and standard errors over the runs."""
    from matplotlib.figure import Figure

    figure = Figure((WIDTH, 2.7), layout="constrained")
    for (task, values), axes in zip(found.items(), figure.subplots(1, len(found), squeeze=False)[0], strict=True):
        runs, most = values[ONE].shape
        for number, name in enumerate(NAMES):
            gains = 100 * (values[name] - values[ONE][:, :1])
            mark = (
                {"marker": "o", "linestyle": "", "markersize": 3} if name == ONE else {"linestyle": DASHES[number - 1]}
            )
            errors = gains.std(axis=0, ddof=min(1, runs - 1)) / runs**0.5
            x = np.arange(1, most + 1) + 0.08 * (number - 2)
            axes.errorbar(x, gains.mean(axis=0), errors, color=COLOURS[number], elinewidth=0.8, **mark)
        axes.axhline(0, color="black", linewidth=0.6)
        axes.set_xticks(range(1, most + 1, 3))
        axes.set_title(task)
    figure.axes[0].set_ylabel("points over the last model")
    figure.axes[len(found) // 2].set_xlabel("newest models in the average or ensemble")
    labels = ["k-th newest alone", *NAMES[1:]]
    figure.legend(figure.axes[0].containers, labels, loc="outside upper left", ncols=len(NAMES), fontsize=8)
    publish([figure], str(output), force=True)


if __name__ == "__main__":
    run(tables, Settings(), quick=Settings(splits=1, seeds=2, blob_epochs=4, digit_epochs=4, members=3))
