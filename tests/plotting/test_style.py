"""Colours of plots: their contrast with white, and how far apart the colour-blind see them."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest

from wtool.plotting import style

matplotlib = pytest.importorskip("matplotlib")

Array = np.ndarray[Any, Any]

BLINDNESS = {
    "none": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}
"""Matrices on linear RGB of Machado, Oliveira and Fernandes, "A physiologically-based model" (2009), severity 1."""

TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = np.array([0.95047, 1, 1.08883])


def linear(colour: Any) -> Array:
    """Linear RGB of an sRGB colour."""
    values = np.array(matplotlib.colors.to_rgb(colour))
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def contrast_with_white(colour: Any) -> float:
    """The contrast ratio of WCAG 2."""
    return float(1.05 / (linear(colour) @ [0.2126, 0.7152, 0.0722] + 0.05))


def lab(rgb: Array) -> Array:
    """CIELAB of linear RGB."""
    x = TO_XYZ @ np.clip(rgb, 0, 1) / WHITE
    f = np.where(x > 0.008856, np.cbrt(x), 7.787 * x + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("colour", [*style.COLOURS, style.GREY])
def test_lines_stand_out_from_white(colour: str) -> None:
    """WCAG 2.1, 1.4.11: 3:1 for graphics."""
    assert contrast_with_white(colour) >= 3


def test_the_measures_are_those_of_the_standards() -> None:
    assert contrast_with_white("#000000") == pytest.approx(21)
    assert contrast_with_white("#767676") == pytest.approx(4.54, abs=0.01)
    assert lab(linear("#ff0000")) == pytest.approx([53.24, 80.09, 67.20], abs=0.05)


@pytest.mark.parametrize("blindness", BLINDNESS)
def test_the_colour_blind_can_tell_colours_apart(blindness: str) -> None:
    seen = [lab(np.array(BLINDNESS[blindness]) @ linear(colour)) for colour in style.COLOURS]
    assert min(np.linalg.norm(one - two) for one, two in combinations(seen, 2)) > 10


@pytest.mark.parametrize("share", np.linspace(0, style.LIGHTEST, 7))
def test_the_scale_of_rounds_stands_out_from_white(share: float) -> None:
    assert contrast_with_white(matplotlib.colormaps["plasma"](share)) >= 3
