"""Callbacks for `model.fit`: the transforms of files after every epoch, gradual pruning, zeros that stay, averages."""

from wtool.training.fitting.callbacks import AverageCheckpoints, HoldZeros, NeuroPlast, Pruning, Stroke
from wtool.training.fitting.low_magnitude import PruneLowMagnitude
from wtool.training.fitting.power_ema import PowerEMA
from wtool.transforms.gradual import ConstantSparsity, PolynomialDecay

__all__ = [
    "AverageCheckpoints",
    "ConstantSparsity",
    "HoldZeros",
    "NeuroPlast",
    "PolynomialDecay",
    "PowerEMA",
    "PruneLowMagnitude",
    "Pruning",
    "Stroke",
]
