"""Lottery experiments over several splits of a data set into training and test samples, by `wtool lottery`.

Each split has a network with initial weights of its own and a seed of its own, so that errors tell of all three.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import digits
import keras
import mnist
import numpy as np
from digits import cut
from experiment import with_error

import wtool
from wtool.training.lottery.arms import read_arm
from wtool.training.lottery.options import Trained
from wtool.training.lottery.summaries import Line, last_lines, read_metrics

DATA = {"digits": digits.everything, "mnist": mnist.everything}
METRIC = "val_accuracy"
CRITERIA = {
    "large-final": "large final",
    "large-init-large-final": "large init, large final",
    "magnitude-increase": "magnitude increase",
    "movement": "movement",
    "large-final-same-sign": "large final, same sign",
    "random": "random",
}
"""The criteria of pruning, and random pruning -> what a table calls them."""


def lenet(inputs: int) -> keras.Model:
    """LeNet-300-100, the fully connected network of the paper, with the paper's optimizer."""
    sizes = [keras.layers.Dense(300, "relu"), keras.layers.Dense(100, "relu"), keras.layers.Dense(10, "softmax")]
    model = keras.Sequential([keras.Input((inputs,)), *sizes])
    model.compile(keras.optimizers.Adam(1.2e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


@dataclass(frozen=True)
class Found:
    """What an experiment measured: the last lines of its trainings on each split.

    Args:
        lines: (arm, round) -> a line for each split; the dense network is arm `dense`, round 0.
    """

    lines: Mapping[tuple[str, int], Sequence[Line]]

    def scores(self, arm: str, number: int, metric: str = METRIC) -> list[float]:
        """The last metric of an arm's round, for each split."""
        return [line.metrics[metric] for line in self.lines[_name(arm), number]]

    def cell(self, arm: str, number: int) -> str:
        """The mean test accuracy of an arm's round and its standard error."""
        return with_error(self.scores(arm, number))

    def behind(self, arm: str, number: int, other: str, its: int) -> str:
        """The mean difference of two accuracies on the same split, with its standard error, in points."""
        pairs = zip(self.scores(arm, number), self.scores(other, its), strict=True)
        return with_error([100 * (mine - theirs) for mine, theirs in pairs], percent=False)

    def remaining(self, arm: str, number: int) -> str:
        """The share of the weights of kernels that are left."""
        return f"{statistics.fmean(line.remaining for line in self.lines[_name(arm), number]):.1%}"


def _name(arm: str) -> str:
    return "dense" if arm == "dense" else read_arm(arm).name


@dataclass(frozen=True)
class Splits:
    """Splits of a data set, and a network for each.

    Args:
        folder: of all experiments.
        data: `digits` or `mnist`.
        count: the number of splits; a fifth of the samples are for testing.
        network: makes a compiled network, of the number of inputs.
    """

    folder: Path
    data: str
    count: int
    network: Callable[[int], keras.Model] = lenet

    def places(self) -> Iterable[tuple[int, Path]]:
        """Yields the seed and the folder of each split, where `data.npz` and `init.keras` are."""
        for seed in range(1, self.count + 1):
            place = self.folder / f"{self.data}-{seed}"
            if not (place / "init.keras").exists():
                place.mkdir(parents=True, exist_ok=True)
                samples = DATA[self.data]()
                train, test = cut(samples, 0.2, seed=seed)
                np.savez(place / "data.npz", x_train=train.x, y_train=train.y, x_test=test.x, y_test=test.y)
                keras.utils.set_random_seed(seed)
                self.network(samples.x[0].size).save(place / "init.keras")
            yield seed, place

    def lottery(self, name: str, arms: Iterable[str], dense: str | None = None, **words: Any) -> Found:
        """Does an experiment on each split, or what is left of it.

        Args:
            name: of the experiment; RUN/ is the folder of that name beside the data.
            arms: written into NAME.txt, for `--arms-from`.
            dense: name of an earlier experiment whose dense network is taken over (`--dense-from`).
            words: the other options of `wtool lottery`.
        """
        grid = self.folder / f"{name}.txt"
        grid.write_text("".join(f"- {arm}\n" for arm in arms))
        lines: dict[tuple[str, int], list[Line]] = {}
        for seed, place in self.places():
            done = wtool.lottery(
                place / "init.keras",
                data=place / "data.npz",
                out=place / name,
                arms_from=grid,
                dense_from=None if dense is None else place / dense,
                seed=seed,
                keep="all" if dense is None else "last",
                report=_tell,
                **words,
            )
            if done.signal is not None:
                raise SystemExit(128 + done.signal)
            for line in last_lines(read_metrics(place / name)):
                lines.setdefault((line.arm, line.round), []).append(line)
        return Found(lines)


def _tell(done: Trained) -> None:
    last = done.last
    print(f"{last.arm} round {last.round}: {last.metrics[METRIC]:.3f} in {done.seconds:.1f} s", file=sys.stderr)
