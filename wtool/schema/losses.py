"""Losses and metrics by name: short names, which some readers of files do not find, and which scores are better."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from wtool.errors import Usage

SHORT = {
    "bce": "binary_crossentropy",
    "kld": "kl_divergence",
    "mae": "mean_absolute_error",
    "mape": "mean_absolute_percentage_error",
    "mse": "mean_squared_error",
    "msle": "mean_squared_logarithmic_error",
}
"""Short name of a loss -> name of its function. Keras knows the short names in capital letters too."""

Mode = Literal["min", "max"]
"""Whether a low or a high value is the better one."""

BETTER: dict[Mode, tuple[str, ...]] = {
    "min": (
        *("loss", "crossentropy", "ce", "hinge", "kl_divergence", "kullback_leibler_divergence", "logcosh", "log_cosh"),
        *("mean_absolute_error", "mean_absolute_percentage_error", "mean_squared_error", "poisson", "huber"),
        *("mean_squared_logarithmic_error", "root_mean_squared_error", "false_negatives", "false_positives"),
        *SHORT,
        *("kldivergence", "rmse", "perplexity"),
    ),
    "max": (
        *("accuracy", "acc", "auc", "precision", "recall", "f1_score", "fbeta_score", "f1", "r2_score", "io_u", "iou"),
        *("precision_at_recall", "recall_at_precision", "sensitivity_at_specificity", "specificity_at_sensitivity"),
        *("cosine_similarity", "pearson_correlation", "concordance_correlation", "true_negatives", "true_positives"),
    ),
}
"""Endings of the names of losses and metrics, whose low or high values are the better ones."""


def mode_of(metric: str) -> Mode:
    """Returns whether a low or a high value of a loss or metric is better, by its name, as Keras's callbacks do.

    Args:
        metric: such as `val_loss`, `accuracy`, `out_auc_1` (of an output, the second of its kind).

    Raises:
        Usage: the name tells nothing.
    """
    name = re.sub(r"_\d+$", "", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", metric).lower())
    fitting = [
        (len(ending), mode)
        for mode, endings in BETTER.items()
        for ending in endings
        if name == ending or name.endswith(f"_{ending}")
    ]
    if not fitting:
        raise Usage(f"nothing tells whether a high or a low {metric} is better; say --mode max or --mode min")
    return max(fitting)[1]


def with_long_names(told: Any) -> Any:
    """Returns losses or metrics (a name, an entry, or lists and dictionaries of these) with long names."""
    if isinstance(told, str):
        return SHORT.get(told.lower(), told) if told in (told.lower(), told.upper()) else told
    if isinstance(told, list):
        return [with_long_names(each) for each in told]
    if isinstance(told, Mapping) and "class_name" not in told:
        return {name: with_long_names(each) for name, each in told.items()}
    return told


ACCURACIES = ("binary_accuracy", "categorical_accuracy", "sparse_categorical_accuracy")
"""Functions among which Keras chooses for the metric `accuracy`, by the shape of an output."""


def as_asked_for(metrics: Any) -> Any:
    """Returns metrics as the author names them, without what a Keras 2 that built the model writes in their place.

    An `.h5` of Keras 2 tells the function that Keras chose for `accuracy`, and a list of metrics for each output; an
    archive tells the words of `compile`.
    """
    if isinstance(metrics, list):
        named = [as_asked_for(each) for each in metrics]
        return named[0] if len(named) == 1 and isinstance(named[0], list) else named
    own = metrics.get("config") if isinstance(metrics, Mapping) else None
    if not isinstance(own, Mapping) or metrics.get("class_name") != "MeanMetricWrapper":
        return metrics
    is_chosen = own.get("name") in ("accuracy", "acc") and own.get("fn") in ACCURACIES
    return own["name"] if is_chosen else metrics
