"""Names of metrics as Keras gives them, in training and on validation data, and which of them are drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence

from wtool.errors import Usage

VALIDATION = "val_"
"""What Keras puts before the name of a metric on validation data."""

EARLY_STOP = "early_stop"
"""Name of a metric of whole trainings: the epoch of the lowest validation loss."""

LARGEST = 1e100
"""Values beyond it are not drawn: calculations with them, such as the distance of two, would overflow."""

SHOWN = 20  # names in a message


def score_of(metrics: Sequence[str]) -> str:
    """Returns the metric that scores a model: an accuracy, else the first metric that is no loss, else the loss."""
    own = [name for name in metrics if not name.startswith(VALIDATION) and name != "loss"]
    return next((name for name in own if "acc" in name), own[0] if own else "loss")


def both_of(name: str, metrics: Sequence[str]) -> list[str]:
    """Returns the names of a metric in training and on validation data, as far as there are such metrics."""
    return [each for each in (name, f"{VALIDATION}{name}") if each in metrics]


def validated(name: str, metrics: Sequence[str]) -> str:
    """Returns the name of a metric on validation data where there is one, else on training data."""
    return (both_of(name, metrics) or [name])[-1]


def asked_for(words: Sequence[str], metrics: Sequence[str], where: str) -> list[str]:
    """Returns the names of metrics that a user asks for: `loss` is that of training, and of validation beside it.

    Args:
        words: of the user.
        metrics: names of the metrics that there are.
        where: path of the log or experiment, for messages.

    Raises:
        Usage: there is no such metric.
    """
    found: list[str] = []
    for word in words:
        if not both_of(word, metrics):
            raise Usage(f"has no metric {word!r}, but {', '.join(sorted(metrics)[:SHOWN])}", where)
        found += both_of(word, metrics)
    return list(dict.fromkeys(found))


def base_of(metric: str) -> str:
    """Returns the name of a metric in training: `loss` for `val_loss`."""
    return metric.removeprefix(VALIDATION)


def drawable(value: float) -> float:
    """Returns a value as it is drawn: NaN, which leaves a gap, for those that are too large."""
    return value if abs(value) <= LARGEST else math.nan
