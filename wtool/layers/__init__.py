"""Layers for Keras 3 models, on any backend: Auto-Rotating layers and linked neurons.

Importing this module registers them, so that `keras.models.load_model` opens models that have them.
"""

from __future__ import annotations

from wtool.layers.autorot import (
    AutoRotConv1D,
    AutoRotConv1DTranspose,
    AutoRotConv2D,
    AutoRotConv2DTranspose,
    AutoRotConv3D,
    AutoRotConv3DTranspose,
    AutoRotDense,
    AutoRotDepthwiseConv1D,
    AutoRotDepthwiseConv2D,
    AutoRotSeparableConv,
    AutoRotSeparableConv1D,
    AutoRotSeparableConv2D,
)
from wtool.layers.linked import LKSELU, Linked, LKPReLU, LKReLU, LKSwish, arctan
from wtool.layers.recurrent import AutoRotGRU, AutoRotLSTM, AutoRotSimpleRNN

__all__ = [
    "LKSELU",
    "AutoRotConv1D",
    "AutoRotConv1DTranspose",
    "AutoRotConv2D",
    "AutoRotConv2DTranspose",
    "AutoRotConv3D",
    "AutoRotConv3DTranspose",
    "AutoRotDense",
    "AutoRotDepthwiseConv1D",
    "AutoRotDepthwiseConv2D",
    "AutoRotGRU",
    "AutoRotLSTM",
    "AutoRotSeparableConv",
    "AutoRotSeparableConv1D",
    "AutoRotSeparableConv2D",
    "AutoRotSimpleRNN",
    "LKPReLU",
    "LKReLU",
    "LKSwish",
    "Linked",
    "arctan",
]
