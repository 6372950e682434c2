"""The members of a `.keras` archive, which are also the files of an unzipped model."""

from __future__ import annotations

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
OTHER_WEIGHTS = "model.weights.npz"
"""Weights as Keras 3.8 could save them: arrays of Python objects, which Keras unpickled."""

KNOWN = frozenset((CONFIG, METADATA, WEIGHTS, OTHER_WEIGHTS))
"""The members that Keras asks for by name."""
