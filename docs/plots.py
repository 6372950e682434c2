"""Draw the plots of the reference pages: `make plots`.

    python docs/plots.py [FOLDER]

The values are those of wtool's layers. The same matplotlib writes the same bytes.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import keras
import matplotlib as mpl
import numpy as np

from wtool.layers import LKSELU, AutoRotDense, LKPReLU, LKReLU, LKSwish
from wtool.schema.layers.activations import LEVELS

mpl.use("svg")
from matplotlib import pyplot as plt

BLUE, VERMILLION, GREY = "#0072B2", "#D55E00", "#999999"
"""Of Okabe and Ito's colours, which the colour-blind can tell apart."""

STYLE = {
    "svg.hashsalt": "wtool",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "lines.linewidth": 2,
}
ACTIVATIONS = {"tanh": "tanh", "sigmoid": "sigmoid", "arctan": keras.ops.arctan}
REACH = 12
INPUTS, UNITS, SAMPLES = 64, 64, 500


def values(layer: keras.layers.Layer, x: np.ndarray) -> np.ndarray:
    """What a layer makes of x, to as many digits as can be seen."""
    return np.round(keras.ops.convert_to_numpy(layer(x.astype("float32"))), 4)


def curve(name: str, x: np.ndarray) -> np.ndarray:
    """The activation: a unit with weight 1 and no bias, not rotated."""
    layer = AutoRotDense(
        1, -1, 1, "auto", AutoRot=False, activation=ACTIVATIONS[name], kernel_initializer="ones", use_bias=False
    )
    return values(layer, x[:, None])[:, 0]


def pre_activations(level: float, rotate: bool) -> np.ndarray:
    """rho * f(x), or f(x), of inputs between -1 and 1 and weights with a standard deviation of 1."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (SAMPLES, INPUTS))
    layer = AutoRotDense(UNITS, -1, 1, level, AutoRot=rotate, activation=None)
    layer.build(x.shape)
    layer.set_weights([rng.normal(0, 1, (INPUTS, UNITS)), np.zeros(UNITS)])
    return values(layer, x).ravel()


def dynamic_region() -> Any:
    """Activations with their dynamic regions, and where pre-activations lie."""
    figure, axes = plt.subplots(2, 3, figsize=(9.5, 5), sharex=True, layout="constrained")
    x, bins = np.linspace(-REACH, REACH, 201), np.linspace(-REACH, REACH, 61)
    for (upper, lower), (name, level) in zip(axes.T, LEVELS.items(), strict=True):
        for each in (upper, lower):
            each.axvspan(-level, level, color=GREY, alpha=0.25, linewidth=0)
        upper.plot(x, curve(name, x), color="black")
        upper.set_title(f"{name}, L = {level:g}", fontsize=10)
        for rotate, colour, style, words in ((False, VERMILLION, "--", "f(x)"), (True, BLUE, "-", "rho * f(x)")):
            z = pre_activations(level, rotate)
            share, _ = np.histogram(z, bins)
            outside = np.mean(np.abs(z) > level)
            label = f"{words}: {outside:.0%} outside"
            lower.stairs(100 * share / z.size, bins, color=colour, linestyle=style, linewidth=2, label=label)
        lower.set_ylim(0, 1.5 * lower.get_ylim()[1])
        lower.set_xlim(-REACH, REACH)
        lower.set_xlabel("pre-activation")
        lower.legend(fontsize=9, loc="upper right", handlelength=1.5)
    axes[0, 0].set_ylabel("activation")
    axes[1, 0].set_ylabel("% of pre-activations")
    return figure


def linked_activations() -> Any:
    """Both halves of each linked activation."""
    slopes = LKPReLU()
    slopes.build((None, 1))
    slopes.set_weights([np.array([0.1]), np.array([0.4])])
    shown = {"LKReLU": LKReLU(), "LKSELU": LKSELU(), "LKSwish": LKSwish(), "LKPReLU": slopes}
    x = np.linspace(-4, 4, 201)
    figure, axes = plt.subplots(1, 4, figsize=(9.5, 2.8), sharex=True, sharey=True, layout="constrained")
    for each, (name, layer) in zip(axes, shown.items(), strict=True):
        both = values(layer, x[:, None])
        each.axhline(0, color=GREY, linewidth=0.8)
        each.axvline(0, color=GREY, linewidth=0.8)
        each.plot(x, both[:, 0], color=BLUE, label="act(x)")
        each.plot(x, both[:, 1], color=VERMILLION, linestyle="--", label="act(-x)")
        each.set_title(name, fontsize=10)
        each.set_xlabel("x")
    axes[0].legend(fontsize=9, loc="upper center")
    axes[3].annotate("alpha = 0.1", (-3.9, -1.1), fontsize=9, color=BLUE)
    axes[3].annotate("linked_alpha = 0.4", (-3.9, -1.7), fontsize=9, color=VERMILLION)
    return figure


def main(folder: Path) -> None:
    plt.rcParams.update(STYLE)
    for name, draw in {"auto-rotating": dynamic_region, "linked-neurons": linked_activations}.items():
        draw().savefig(folder / f"{name}.svg", metadata={"Date": None})


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).parent / "reference")
