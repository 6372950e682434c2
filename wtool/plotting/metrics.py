"""What plots call metrics."""

from __future__ import annotations

from wtool.ops.metric_names import EARLY_STOP, VALIDATION, base_of
from wtool.plotting.style import label


def told(metric: str) -> str:
    """Returns the words for a metric on an axis: `loss, validation`."""
    if metric == EARLY_STOP:
        return "epoch of lowest validation loss"
    words = base_of(metric).replace("_", " ")
    return label(f"{words}, {'validation' if metric.startswith(VALIDATION) else 'training'}", 40)
