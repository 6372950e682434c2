"""Layers for Keras 3 models, on any backend: linked neurons.

Importing this module registers them, so that `keras.models.load_model` opens models that have them.
"""

from __future__ import annotations

from wtool.layers.linked import LKSELU, Linked, LKPReLU, LKReLU, LKSwish

__all__ = ["LKSELU", "LKPReLU", "LKReLU", "LKSwish", "Linked"]
