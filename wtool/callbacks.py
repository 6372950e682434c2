"""Callbacks for `model.fit`: the transforms of files at the end of every epoch, zeros that stay, and averages."""

from wtool.training.fitting.callbacks import AverageCheckpoints, HoldZeros, NeuroPlast, Pruning, Stroke
from wtool.training.fitting.power_ema import PowerEMA

__all__ = ["AverageCheckpoints", "HoldZeros", "NeuroPlast", "PowerEMA", "Pruning", "Stroke"]
