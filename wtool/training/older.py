"""What `.h5` files call losses and metrics, where Keras 3 does not find it, even in files of its own."""

from __future__ import annotations

from typing import Any

import keras

SHORT = {
    "bce": "binary_crossentropy",
    "kld": "kl_divergence",
    "mae": "mean_absolute_error",
    "mape": "mean_absolute_percentage_error",
    "mse": "mean_squared_error",
    "msle": "mean_squared_logarithmic_error",
}
"""Short name of a loss -> the name of the function that it is."""


class _Wrapped(keras.metrics.MeanMetricWrapper):
    """Makes metrics of the configurations of Keras 2, which name functions: Keras 3 would call the name."""

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """A metric of Keras's own class."""
        function = config.get("fn")
        if not isinstance(function, str):
            return keras.metrics.MeanMetricWrapper.from_config(config)
        found = getattr(keras.metrics, function, None) or keras.metrics.get(function)
        return keras.metrics.MeanMetricWrapper(**{**config, "fn": found})


def older_objects() -> dict[str, Any]:
    """Name -> what it means, for `load_model`."""
    short = {name: getattr(keras.losses, function) for name, function in SHORT.items()}
    return short | {name.upper(): function for name, function in short.items()} | {"MeanMetricWrapper": _Wrapped}
