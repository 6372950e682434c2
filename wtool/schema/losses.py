"""Short names of losses and metrics, under which some readers of files do not find them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SHORT = {
    "bce": "binary_crossentropy",
    "kld": "kl_divergence",
    "mae": "mean_absolute_error",
    "mape": "mean_absolute_percentage_error",
    "mse": "mean_squared_error",
    "msle": "mean_squared_logarithmic_error",
}
"""Short name of a loss -> name of its function. Keras knows the short names in capital letters too."""


def with_long_names(told: Any) -> Any:
    """Returns losses or metrics (a name, an entry, or lists and dictionaries of these) with long names."""
    if isinstance(told, str):
        return SHORT.get(told.lower(), told) if told in (told.lower(), told.upper()) else told
    if isinstance(told, list):
        return [with_long_names(each) for each in told]
    if isinstance(told, Mapping) and "class_name" not in told:
        return {name: with_long_names(each) for name, each in told.items()}
    return told
