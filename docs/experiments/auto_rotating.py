"""Networks of bounded activations on scikit-learn's digits, with and without auto-rotation; five minutes.

    python docs/experiments/auto_rotating.py FOLDER [--quick] [--latex]

The perceptron of the notebook that comes with arpkeras, with other L, xQ and activations, and a convolutional and a
recurrent network. Prints the tables of docs/experiments/auto-rotating.md and draws FOLDER/auto-rotating.svg. Results
that are in FOLDER are taken from there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from math import pi
from pathlib import Path
from typing import Any

import keras
import numpy as np
from experiment import Table, kept, run, with_error
from learning import fits

from wtool.layers import AutoRotConv2D, AutoRotDense, AutoRotLSTM, AutoRotSimpleRNN, arctan
from wtool.plotting.style import COLOURS, publish, styled

RANGES = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0), "arctan": (-pi / 2, pi / 2)}
PIXELS = (0.0, 1.0)
PAPER = {"plain": ".217", "rotated": ".338", "rotation switched off": ".236"}
"""The notebook's test accuracies on CIFAR-10 in shades of grey, of one training each."""


@dataclass(frozen=True)
class Settings:
    seeds: int = 3
    epochs: int = 20
    units: tuple[int, ...] = (50, 50, 40, 40, 30)
    filters: int = 8
    levels: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0, 7.0, 10.0)
    points: tuple[float, ...] = (0.5, 1.0, 1.5, 2.0, 3.0, 5.0)


def perceptron(units: tuple[int, ...], activation: str, rotated: bool, **how: Any) -> keras.Model:
    """Hidden layers whose inputs are pixels and then outputs of the activation; `how` goes to Auto-Rotating layers."""
    layers: list[keras.Layer] = []
    for count in units:
        limits = RANGES[activation] if layers else PIXELS
        if rotated:
            layers.append(AutoRotDense(count, *limits, **{"L": "auto", **how}, activation=activation))
        else:
            layers.append(keras.layers.Dense(count, arctan if activation == "arctan" else activation))
    return keras.Sequential([keras.Input((64,)), *layers, keras.layers.Dense(10)])


def convolutional(filters: int, activation: str, rotated: bool) -> keras.Model:
    """Five convolutions."""
    layers: list[keras.Layer] = []
    for _ in range(5):
        limits = RANGES[activation] if layers else PIXELS
        how = {"activation": activation, "padding": "same"}
        layers.append(
            AutoRotConv2D(filters, 3, *limits, "auto", **how) if rotated else keras.layers.Conv2D(filters, 3, **how)
        )
    last = (keras.layers.Flatten(), keras.layers.Dense(10))
    return keras.Sequential([keras.Input((64,)), keras.layers.Reshape((8, 8, 1)), *layers, *last])


def recurrent(units: int, kind: str, rotated: bool) -> keras.Model:
    """Two recurrent layers, which read an image row by row."""
    plain, rotating = {
        "LSTM": (keras.layers.LSTM, AutoRotLSTM),
        "SimpleRNN": (keras.layers.SimpleRNN, AutoRotSimpleRNN),
    }[kind]
    layers = [
        rotating(units, *limits, "auto", return_sequences=goes_on)
        if rotated
        else plain(units, return_sequences=goes_on)
        for limits, goes_on in ((PIXELS, True), (RANGES["tanh"], False))
    ]
    return keras.Sequential([keras.Input((64,)), keras.layers.Reshape((8, 8)), *layers, keras.layers.Dense(10)])


def curves(place: Path, make: Callable[[], keras.Model], settings: Settings) -> list[list[float]]:
    """The accuracy on test samples after each epoch, for each seed."""

    def found() -> list[Any]:
        keras.utils.clear_session()
        how = {"optimizer": "rmsprop", "batch": 128, "watch": True}
        return [list(each.accuracy) for each in fits(make(), settings.seeds, settings.epochs, **how)]

    return kept(place.with_name(f"{place.name}.json"), found)


def tables(folder: Path, settings: Settings) -> Iterator[Table]:
    def of(name: str, make: Callable[..., keras.Model], *words: Any, **how: Any) -> str:
        return with_error(each[-1] for each in curves(folder / name, partial(make, *words, **how), settings))

    units = settings.units
    layers: dict[str, tuple[str, bool, dict[str, Any]]] = {
        "plain": ("perceptron-sigmoid-False", False, {}),
        "rotated": ("perceptron-sigmoid-True", True, {}),
        "rotation switched off": ("switched-off", True, {"AutoRot": False}),
    }
    notebook = {
        name: curves(folder / file, partial(perceptron, units, "sigmoid", rotated, **how), settings)
        for name, (file, rotated, how) in layers.items()
    }
    epochs = sorted({1, 5, 10, 20, settings.epochs} & set(range(settings.epochs + 1)))
    columns = ("layers", "notebook, CIFAR-10", *(f"epoch {epoch}" for epoch in epochs))
    rows = (
        (name, PAPER[name], *(with_error(seed[epoch - 1] for seed in found) for epoch in epochs))
        for name, found in notebook.items()
    )
    yield Table(columns, rows, title="The notebook's network")
    with styled():
        draw(notebook, folder / "auto-rotating.svg")

    rows = ((f"{level:g}", of(f"L-{level}", perceptron, units, "sigmoid", True, L=level)) for level in settings.levels)
    yield Table(("L", "accuracy"), rows, words=0, title="L, of sigmoid layers")
    rows = (
        (f"{point:g}", of(f"xQ-{point}", perceptron, units, "sigmoid", True, xQ_scalar=point))
        for point in settings.points
    )
    yield Table(("xQ", "accuracy"), rows, words=0, title="xQ, of sigmoid layers")

    networks: dict[str, Callable[[bool], keras.Model]] = {
        **{f"perceptron, {name}": partial(perceptron, units, name) for name in RANGES},
        **{f"convolutional, {name}": partial(convolutional, settings.filters, name) for name in ("sigmoid", "tanh")},
        **{f"recurrent, {kind}": partial(recurrent, 4 * settings.filters, kind) for kind in ("LSTM", "SimpleRNN")},
    }
    rows = (
        (name, *(of(f"{name.replace(', ', '-')}-{rotated}", make, rotated) for rotated in (False, True)))
        for name, make in networks.items()
    )
    yield Table(("network", "plain", "rotated"), rows, title="Other activations and networks")


def draw(found: dict[str, list[list[float]]], output: Path) -> None:
    """Learning curves: the mean over seeds, and its standard error."""
    from matplotlib.figure import Figure

    figure = Figure((4.6, 2.6), layout="constrained")
    axes = figure.subplots()
    for number, (name, each) in enumerate(found.items()):
        values = 100 * np.array(each)
        mean = values.mean(0)
        error = values.std(0, ddof=1) / len(values) ** 0.5 if len(values) > 1 else np.zeros_like(mean)
        epochs = np.arange(1, 1 + len(mean))
        axes.plot(epochs, mean, color=COLOURS[number], linestyle=("-", "-", ":")[number], label=name)
        axes.fill_between(epochs, mean - error, mean + error, color=COLOURS[number], alpha=0.2, linewidth=0)
    axes.set_xlabel("epochs")
    axes.set_ylabel("test accuracy, %")
    axes.legend()
    publish([figure], str(output), force=True)


if __name__ == "__main__":
    run(tables, Settings(), quick=Settings(1, 1, (4, 4), 1, (4.0,), (2.0,)))
