"""How a model was compiled, as Keras 3 tells that: optimizer, losses, metrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wtool.schema.upgrade.context import Context
from wtool.schema.upgrade.optimizers import upgraded_optimizer


def upgraded_training(training: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """Returns the `compile_config` of a model in Keras 3; empty where nothing of it can be kept.

    Args:
        training: `training_config` of an `.h5`, or `compile_config` of an archive, of Keras 1 or 2.
        context: notes what is done, and what is left out.
    """
    optimizer = upgraded_optimizer(training.get("optimizer_config", training.get("optimizer")), context)
    return {} if optimizer is None else {"optimizer": optimizer}
