"""Linked and other neurons in wide networks, for inputs that are not normalised, and in AllCNN and ResNet; ten minutes.

    python docs/experiments/linked_neurons.py FOLDER [--quick] [--latex]

Prints tables of docs/experiments/linked-neurons.md, but for those of deep networks, which `linked_neurons_depth.py`
makes. Results that are in FOLDER are taken from there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
from experiment import Table, kept, run, with_error
from learning import fits
from linked_networks import ACTIVATIONS, all_convolutional, dense, residual, wide

INPUTS: dict[str, dict[str, float]] = {
    "0 to 1": {},
    "-0.5 to 0.5": {"shift": -0.5},
    "0 to 16": {"scale": 16.0},
    "0 to 255": {"scale": 255.0},
    "10 to 11": {"shift": 10.0},
}
MEASURED = ("parameters", "accuracy", "ms per step")
WITHOUT = ("ReLU", "LK-ReLU", "SELU", "LK-SELU")


@dataclass(frozen=True)
class Settings:
    seeds: int = 3
    epochs: int = 15
    epochs_of_deep: int = 8
    widths: tuple[int, ...] = (50, 400)
    depth: int = 4
    filters: int = 8
    blocks: int = 4
    activations: int = len(ACTIVATIONS)


def measured(
    place: Path, make: Callable[[], keras.Model], seeds: int, epochs: int, images: bool = True, **how: Any
) -> dict[str, Any]:
    """The parameters of a network, its accuracies on test samples, and the median time of a step."""

    def found() -> dict[str, Any]:
        keras.utils.clear_session()
        model = make()
        done = [*fits(model, seeds, epochs, images=images, **how)]
        step = float(np.median([each.step for each in done]))
        return {"parameters": model.count_params(), "accuracy": [each.accuracy[-1] for each in done], "step": step}

    return kept(place.with_name(f"{place.name}.json"), found)


def cells(of: dict[str, Any]) -> tuple[str, str, str]:
    """Parameters, accuracy and time."""
    return str(of["parameters"]), with_error(of["accuracy"]), f"{of['step']:.1f}"


def tables(folder: Path, settings: Settings) -> Iterator[Table]:
    names = list(ACTIVATIONS)[: settings.activations]
    shallow = {"seeds": settings.seeds, "epochs": settings.epochs}
    deep = {"seeds": settings.seeds, "epochs": settings.epochs_of_deep, "initializer": "he_normal"}

    def width(name: str) -> tuple[str, ...]:
        each = [
            measured(folder / f"wide-{name}-{units}", partial(wide, name, units), optimizer="sgd", **shallow)
            for units in settings.widths
        ]
        return name, *(cell for one in each for cell in cells(one))

    several = (f"{name}, {units}" for units in settings.widths for name in MEASURED)
    yield Table(("activation", *several), map(width, names), title="One convolution")

    def shifted(name: str, normalised: bool = False) -> tuple[str, ...]:
        make = partial(dense, name, settings.depth, 4 * settings.filters, normalised)
        called = f"{name}{', batch normalisation' if normalised else ''}"
        each = [
            measured(folder / f"shift-{called}-{at}", make, images=False, initializer="he_normal", **shallow, **how)
            for at, how in enumerate(INPUTS.values())
        ]
        return called, *(with_error(one["accuracy"]) for one in each)

    rows = (shifted(*each) for each in (*((name,) for name in names), ("ReLU", True)))
    yield Table(("activation", *INPUTS), rows, title="Inputs that are not normalised")

    def with_and_without(name: str) -> tuple[str, ...]:
        make = partial(residual, name, settings.blocks, 2 * settings.filters)
        each = [measured(folder / f"residual-{name}-{how}", partial(make, how), **deep) for how in (True, False)]
        return name, *(cell for one in each for cell in cells(one)), f"{each[0]['step'] / each[1]['step']:.2f}"

    columns = (f"{name}, {how}" for how in ("with", "without") for name in MEASURED)
    rows = map(with_and_without, (name for name in WITHOUT if name in names))
    yield Table(("activation", *columns, "ratio"), rows, title="ResNet, with and without batch normalisation")

    def convolutional(name: str) -> tuple[str, ...]:
        make = partial(all_convolutional, name, settings.filters)
        return name, *cells(measured(folder / f"all-{name}", make, **deep))

    yield Table(("activation", *MEASURED), map(convolutional, names), title="AllCNN")


if __name__ == "__main__":
    run(
        tables,
        Settings(),
        quick=Settings(seeds=1, epochs=1, epochs_of_deep=1, widths=(2, 4), depth=1, filters=2, blocks=1, activations=2),
    )
