"""Callbacks for `model.fit`: the transforms of files at the end of every epoch, zeros that stay, and an average."""

from wtool.training.fitting.callbacks import AverageCheckpoints, HoldZeros, NeuroPlast, Pruning, Stroke

__all__ = ["AverageCheckpoints", "HoldZeros", "NeuroPlast", "Pruning", "Stroke"]
