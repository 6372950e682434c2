"""Losses and metrics of Keras 1 and 2 as Keras 3 writes them.

Whatever is the user's own is kept as an entry that the user has to register, and noted. Source: keras/src/losses,
keras/src/metrics and the same of tf_keras, whose classes of one name compute the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from wtool.schema.upgrade.context import Context
from wtool.schema.upgrade.finishing import Entry, written

_LOGITS = ("from_logits", "label_smoothing", "axis")
LOSSES: Mapping[str, tuple[str, ...]] = {
    "BinaryCrossentropy": _LOGITS, "BinaryFocalCrossentropy": (*_LOGITS, "apply_class_balancing", "alpha", "gamma"),
    "CategoricalCrossentropy": _LOGITS, "CategoricalFocalCrossentropy": (*_LOGITS, "alpha", "gamma"),
    "SparseCategoricalCrossentropy": ("from_logits", "ignore_class"), "CategoricalHinge": (),
    "CosineSimilarity": ("axis",), "Hinge": (), "SquaredHinge": (), "Huber": ("delta",), "KLDivergence": (),
    "LogCosh": (), "MeanAbsoluteError": (), "MeanAbsolutePercentageError": (), "MeanSquaredError": (),
    "MeanSquaredLogarithmicError": (), "Poisson": (),
}  # fmt: skip
"""Class of a loss, called alike in Keras 2 and 3 -> its own settings, which mean the same."""

_CURVE = ("num_thresholds", "class_id")
_CONFUSION = ("thresholds",)
_CHOSEN = ("thresholds", "top_k", "class_id")
_OVERLAP = ("num_classes", "ignore_class", "sparse_y_true", "sparse_y_pred", "axis")
METRICS: Mapping[str, tuple[str, ...]] = {
    "Accuracy": (), "BinaryAccuracy": ("threshold",), "CategoricalAccuracy": (), "SparseCategoricalAccuracy": (),
    "TopKCategoricalAccuracy": ("k",), "SparseTopKCategoricalAccuracy": ("k",),
    "BinaryCrossentropy": _LOGITS[:2], "CategoricalCrossentropy": _LOGITS,
    "SparseCategoricalCrossentropy": ("from_logits", "ignore_class", "axis"), "KLDivergence": (), "Poisson": (),
    "CategoricalHinge": (), "Hinge": (), "SquaredHinge": (), "CosineSimilarity": ("axis",), "LogCoshError": (),
    "MeanAbsoluteError": (), "MeanAbsolutePercentageError": (), "MeanSquaredError": (),
    "MeanSquaredLogarithmicError": (), "RootMeanSquaredError": (), "R2Score": ("class_aggregation", "num_regressors"),
    "AUC": ("num_thresholds", "curve", "summation_method", "thresholds", "multi_label", "num_labels", "label_weights",
            "from_logits"),
    "FalseNegatives": _CONFUSION, "FalsePositives": _CONFUSION, "TrueNegatives": _CONFUSION,
    "TruePositives": _CONFUSION, "Precision": _CHOSEN, "Recall": _CHOSEN,
    "PrecisionAtRecall": (*_CURVE, "recall"), "RecallAtPrecision": (*_CURVE, "precision"),
    "SensitivityAtSpecificity": (*_CURVE, "specificity"), "SpecificityAtSensitivity": (*_CURVE, "sensitivity"),
    "F1Score": ("average", "threshold"), "FBetaScore": ("average", "threshold", "beta"),
    "IoU": (*_OVERLAP, "target_class_ids"), "BinaryIoU": ("target_class_ids", "threshold"), "MeanIoU": _OVERLAP,
    "OneHotIoU": (*_OVERLAP, "target_class_ids"), "OneHotMeanIoU": _OVERLAP, "Mean": (), "Sum": (),
}  # fmt: skip
"""Class of a metric, called alike in Keras 2 and 3 -> its own settings, which mean the same."""

_GONE = ("MeanRelativeError", "MeanTensor", "SumOverBatchSize", "SumOverBatchSizeMetricWrapper", "cosine_proximity")
_AUTOMATIC = ("accuracy", "acc", "crossentropy", "ce")
"""Metrics that either Keras chooses by the shapes of the outputs and of the targets."""

_SHORT = {
    "bce": "binary_crossentropy", "mse": "mean_squared_error", "mae": "mean_absolute_error",
    "mape": "mean_absolute_percentage_error", "msle": "mean_squared_logarithmic_error", "kld": "kl_divergence",
    "kullback_leibler_divergence": "kl_divergence", "logcosh": "log_cosh", "huber_loss": "huber",
}  # fmt: skip
_FUNCTIONS = {
    "binary_crossentropy": "BinaryCrossentropy", "binary_focal_crossentropy": "BinaryFocalCrossentropy",
    "categorical_crossentropy": "CategoricalCrossentropy",
    "categorical_focal_crossentropy": "CategoricalFocalCrossentropy",
    "sparse_categorical_crossentropy": "SparseCategoricalCrossentropy", "categorical_hinge": "CategoricalHinge",
    "cosine_similarity": "CosineSimilarity", "hinge": "Hinge", "squared_hinge": "SquaredHinge", "huber": "Huber",
    "kl_divergence": "KLDivergence", "log_cosh": "LogCosh", "mean_absolute_error": "MeanAbsoluteError",
    "mean_absolute_percentage_error": "MeanAbsolutePercentageError", "mean_squared_error": "MeanSquaredError",
    "mean_squared_logarithmic_error": "MeanSquaredLogarithmicError", "poisson": "Poisson",
}  # fmt: skip
"""Function that Keras 3 has as a loss -> the class of the loss that applies it."""

_AS_METRICS = {
    **{name: kind for name, kind in _FUNCTIONS.items() if kind in METRICS},
    "log_cosh": "LogCoshError", "accuracy": "Accuracy", "binary_accuracy": "BinaryAccuracy",
    "categorical_accuracy": "CategoricalAccuracy", "sparse_categorical_accuracy": "SparseCategoricalAccuracy",
    "top_k_categorical_accuracy": "TopKCategoricalAccuracy",
    "sparse_top_k_categorical_accuracy": "SparseTopKCategoricalAccuracy",
}  # fmt: skip
"""Function -> the class of the metric that is the mean of its values."""


def upgraded_loss(loss: Any, context: Context) -> Any:
    """Returns a loss in Keras 3; None, with a note, for one that cannot be kept.

    Args:
        loss: in the old model: a name, or an entry.
        context: notes what is left out, and what has to be registered.
    """
    name, settings = _told(loss)
    if name is None:
        return None
    if settings is None:
        long = _long(name)
        return long if long in _FUNCTIONS else _own(name, "loss", context, LOSSES)
    kept = _without_nulls(settings)
    if kept.get("reduction", "auto") == "auto":
        kept["reduction"] = "sum_over_batch_size"
    if name in LOSSES:
        chosen = {key: kept[key] for key in ("name", "reduction", *LOSSES[name]) if key in kept}
        return written(name, chosen, "keras.losses")
    if name == "LossFunctionWrapper":
        fn = _function(kept.get("fn"), "loss", context)
        return None if fn is None else written(name, {**kept, "fn": fn}, "keras.losses.loss")
    return _class(loss, name, kept if "reduction" in settings else settings, "loss", context)


def upgraded_metric(metric: Any, context: Context, prefix: str = "") -> Any:
    """Returns a metric in Keras 3; None, with a note, for one that cannot be kept.

    Args:
        metric: in the old model: a name, or an entry.
        context: notes what is left out, and what has to be registered.
        prefix: what Keras 2 put before the name of the metric, and Keras 3 puts there itself.
    """
    name, settings = _told(metric)
    if name is None or (settings is None and name in _AUTOMATIC):
        return name
    if settings is None:
        long = "accuracy" if name == "ACC" else _long(name)
        if long in _AS_METRICS:
            return written(_AS_METRICS[long], {"name": name}, "keras.metrics")
        if long in _FUNCTIONS:
            return _mean_of({"name": name, "fn": long}, context)
        return _own(name, "metric", context, METRICS)
    kept = _without_nulls(settings)
    if isinstance(kept.get("name"), str):
        kept["name"] = kept["name"].removeprefix(prefix)
    if name in METRICS:
        chosen = {key: kept[key] for key in ("name", "dtype", *METRICS[name]) if key in kept}
        return written(name, chosen, "keras.metrics")
    if name == "MeanMetricWrapper":
        return _mean_of(kept, context)
    return _class(metric, name, kept, "metric", context)


def _mean_of(settings: Mapping[str, Any], context: Context) -> Entry | None:
    """Returns the metric that is the mean of the values of a function."""
    called = _told(settings.get("fn"))[0]
    own = {key: value for key, value in settings.items() if key != "fn"}
    if called is not None and _long(called) in _AS_METRICS and own.keys() <= {"name", "dtype"}:
        return written(_AS_METRICS[_long(called)], own, "keras.metrics")
    fn = _function(settings.get("fn"), "metric", context)
    is_own = fn is not None and fn["config"] not in _FUNCTIONS
    if is_own and own.get("name") == called and own.keys() <= {"name", "dtype"}:
        return fn  # Keras 3 takes a name in an entry for the registered function of that name
    return None if fn is None else written("MeanMetricWrapper", {**own, "fn": fn}, "keras.metrics")


def _told(part: Any) -> tuple[str | None, Mapping[str, Any] | None]:
    """Returns the name of a loss or metric, and its settings; None in their place for a function, or a bare name."""
    if isinstance(part, str):
        return part or None, None
    if not isinstance(part, Mapping) or not isinstance(part.get("class_name"), str):
        return None, None
    name, config = part["class_name"], part.get("config")
    if name in ("function", "builtin_function_or_method"):
        return (config, None) if isinstance(config, str) else (None, None)
    return name, config if isinstance(config, Mapping) else {}


def _long(name: str) -> str:
    return _SHORT.get(name.lower(), name)


def _without_nulls(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if value is not None}


def _own(name: str, what: str, context: Context, classes: Mapping[str, Any]) -> Any:
    """Returns what a name means that is no function of Keras: a class of Keras, or a function of the user's."""
    if name in classes:
        return written(name, {}, f"keras.{'losses' if what == 'loss' else 'metrics'}")
    return _function(name, what, context)


def _function(fn: Any, what: str, context: Context) -> Entry | None:
    """Returns the entry of a function; None, with a note, for code without a name."""
    name = _told(fn)[0]
    if name is None or name in _GONE or name.startswith("<") or name == "__lambda__":
        context.note(f"the {what} {name or 'without a name'} is left out: Keras 3 has none by that name")
        return None
    long = _long(name)
    if long not in _FUNCTIONS:
        long = _registered(name, what, context)
    return {"module": "builtins", "class_name": "function", "config": long, "registered_name": "function"}


def _class(part: Mapping[str, Any], name: str, kept: Mapping[str, Any], what: str, context: Context) -> Entry | None:
    """Returns the entry of a class of the user's; None, with a note, for one that Keras 3 does not have."""
    if name in _GONE or name == "__lambda__":
        context.note(f"the {what} {name} is left out: Keras 3 has none by that name")
        return None
    told = part.get("registered_name")
    registered = _registered(told if isinstance(told, str) else name, what, context)
    plain = registered.rpartition(">")[2]
    return {"module": None, "class_name": plain, "config": dict(kept), "registered_name": registered}


def _registered(name: str, what: str, context: Context) -> str:
    name = context.new_name(name)
    context.note(f"register the {what} {name} before the new model is loaded, or load the model with compile=False")
    return name


def placed(parts: Any, upgrade: Callable[[Any], Any]) -> Any:
    """Returns losses or metrics in the lists and objects in which they stand; None for those that cannot be kept."""
    if isinstance(parts, list):
        return [placed(part, upgrade) for part in parts]
    if isinstance(parts, Mapping) and not isinstance(parts.get("class_name"), str):
        return {name: placed(part, upgrade) for name, part in parts.items()}
    return upgrade(parts)
