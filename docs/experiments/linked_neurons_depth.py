"""Deep, narrow convolutional networks of linked and of other neurons on scikit-learn's digits; ten minutes.

    python docs/experiments/linked_neurons_depth.py FOLDER [--quick] [--latex]

The depth test of the paper on linked neurons, and which initial values a deep network needs. Prints tables of
docs/experiments/linked-neurons.md and draws FOLDER/depth.svg. Results that are in FOLDER are taken from there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from digits import parts
from experiment import Table, kept, run, with_error
from learning import fits
from linked_networks import ACTIVATIONS, dead, deep, signal

from wtool.plotting.style import COLOURS, publish, styled

NETWORKS = ("ReLU", "ReLU, batch normalisation", *(name for name in ACTIVATIONS if name != "ReLU"))
WIDER = tuple(f"{name}, √2 wider" for name in ("ReLU", "SELU"))
PAPER = {
    "ReLU": ".100",
    "LK-ReLU": ".567",
    "PReLU": ".100",
    "LK-PReLU": ".546",
    "SELU": ".565",
    "LK-SELU": ".588",
    "Swish": ".100",
    "LK-Swish": ".100",
    "ReLU, batch normalisation": ".520",
    "ReLU, √2 wider": ".100",
    "SELU, √2 wider": ".571",
}
"""The paper's best test accuracies on CIFAR-10, after 200 epochs, in its table "Depth experiment"."""

LINES = {name: (number // 2, "-" if name.startswith("LK") else "--") for number, name in enumerate(ACTIVATIONS)}
LINES["ReLU, batch normalisation"] = (0, ":")
"""How networks are drawn: the number of a colour, and dashes; linked activations have whole lines."""


@dataclass(frozen=True)
class Settings:
    seeds: int = 3
    epochs: int = 12
    depths: tuple[int, ...] = (10, 50)
    width: int = 4
    initializers: tuple[str, ...] = ("glorot_uniform", "he_normal", "orthogonal")


def measured(folder: Path, name: str, depth: int, initializers: Sequence[str], settings: Settings) -> dict[str, Any]:
    """The parameters of a network, and for each initializer accuracies, shares of dead units and times of a step."""
    width = int(settings.width * 2**0.5) if name in WIDER else settings.width

    def make() -> dict[str, Any]:
        keras.utils.clear_session()
        model = deep(name.split(",")[0], depth, width, normalised=name.endswith("normalisation"))
        found: dict[str, Any] = {"parameters": model.count_params()}
        for initializer in initializers:
            each = fits(model, settings.seeds, settings.epochs, initializer, images=True)
            done = [(one.accuracy[-1], dead(model, one.test), one.step) for one in each]
            found[initializer] = dict(zip(("accuracy", "dead", "step"), zip(*done, strict=True), strict=True))
        return found

    return kept(folder / f"{name.replace(', ', '-').replace(' ', '-')}-{depth}.json", make)


def signals(settings: Settings) -> dict[str, list[float]]:
    """For each activation and initializer, the size of what comes through the deepest network before it is trained."""

    def size(name: str, initializer: str) -> float:
        (data, _), found = parts(0.9, images=True), []
        for seed in range(settings.seeds):
            keras.utils.set_random_seed(seed)
            found.append(signal(name, max(settings.depths), settings.width, initializer, data))
        return float(np.median(found))

    return {name: [size(name, kind) for kind in settings.initializers] for name in ACTIVATIONS}


def tables(folder: Path, settings: Settings) -> Iterator[Table]:
    all_of, last = settings.initializers, max(settings.depths)
    found = {(name, last): measured(folder, name, last, all_of, settings) for name in NETWORKS}
    for depth in settings.depths:
        found |= {(name, depth): measured(folder, name, depth, all_of[:2], settings) for name in NETWORKS}
    found |= {(name, last): measured(folder, name, last, all_of[1:2], settings) for name in WIDER}

    def cell(name: str, depth: int, initializer: str, what: str = "accuracy") -> str:
        of = found[name, depth].get(initializer)
        return with_error(of[what]) if of else ""

    def deepest(name: str) -> tuple[str, ...]:
        results = (cell(name, last, kind, what) for kind in all_of for what in ("accuracy", "dead"))
        step = np.median(found[name, last][all_of[1]]["step"])
        return name, PAPER[name], str(found[name, last]["parameters"]), *results, f"{step:.1f}"

    kinds = (column for kind in all_of for column in (f"`{kind}`", "dead units"))
    columns = ("activation", "paper", "parameters", *kinds, "ms per step")
    yield Table(columns, map(deepest, (*NETWORKS, *WIDER)), title=f"{last} layers")
    sizes = kept(folder / "signals.json", lambda: signals(settings))
    rows = ((name, *(f"{each:.1f}" for each in sizes[name])) for name in ACTIVATIONS)
    yield Table(("activation", *(f"`{kind}`" for kind in all_of)), rows, title="Signal before training")
    columns = ("activation", *(f"`{kind}`, {depth} layers" for kind in all_of[:2] for depth in settings.depths))
    rows = ((name, *(cell(name, depth, kind) for kind in all_of[:2] for depth in settings.depths)) for name in NETWORKS)
    yield Table(columns, rows, title="Depth")
    with styled():
        draw(found, settings, folder / "depth.svg")


def draw(found: dict[tuple[str, int], Any], settings: Settings, output: Path) -> None:
    """Accuracy over depth: a panel for each of two initializers."""
    from matplotlib.figure import Figure

    figure = Figure((7, 2.7), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, initializer in zip(panels, settings.initializers[:2], strict=True):
        for name, (colour, line) in LINES.items():
            values = [100 * np.array(found[name, depth][initializer]["accuracy"]) for depth in settings.depths]
            errors = [each.std(ddof=1) / len(each) ** 0.5 if len(each) > 1 else 0 for each in values]
            means = [each.mean() for each in values]
            axes.errorbar(settings.depths, means, errors, color=COLOURS[colour], linestyle=line, label=name)
        axes.set_title(initializer)
        axes.set_xlabel("layers")
        axes.set_xticks(settings.depths)
    panels[0].set_ylabel("test accuracy, %")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right upper")
    publish([figure], str(output), force=True)


if __name__ == "__main__":
    run(tables, Settings(), quick=Settings(1, 1, (1, 2), 2, ("glorot_uniform", "he_normal")))
