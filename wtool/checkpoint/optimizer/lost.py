"""Whole models that lost their optimizer on the way through an `.h5` file, which Keras 3 does not say."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from wtool.checkpoint.model import Checkpoint
from wtool.errors import Note
from wtool.schema.config import COMPILED
from wtool.schema.optimizer_settings import Settings, keeps_slots


def saved_step(checkpoint: Checkpoint) -> int | None:
    """The step that the optimizer of a checkpoint has reached; None if there is none.

    Optimizers around others count less than these, and those without weights count nothing.
    """
    counts = [each for each in checkpoint.slots if each.slot is not None and each.slot.name == "iteration"]
    steps = [float(checkpoint.read(each)) for each in counts if not each.shape]
    return max((int(step) for step in steps if math.isfinite(step)), default=None)


def lost_slots(checkpoint: Checkpoint) -> bool:
    """Whether an optimizer has taken steps, but nothing is stored of what it knew of the weights.

    Keras 3 builds the optimizer of an `.h5` file before it knows the weights, and restores the step alone.
    """
    optimizer = checkpoint.contents.optimizer
    if optimizer is None or checkpoint.config is None or any(tensor.shape for tensor in checkpoint.slots):
        return False
    is_trained = any(tensor.trainable for tensor in checkpoint.weights)
    return is_trained and keeps_slots(Settings(optimizer.class_name, optimizer.config)) and bool(saved_step(checkpoint))


def lost_optimizer(checkpoint: Checkpoint) -> str:
    """What a whole model lost of its optimizer, and how; empty where nothing is lost."""
    step = saved_step(checkpoint)
    if lost_slots(checkpoint):
        return (
            f"the state of its optimizer is lost: only its step is stored ({step:,}); Keras 3 restores no optimizer "
            "from an .h5 file, so a model that was loaded from one and saved again has none"
        )
    compiled = checkpoint.config.get(COMPILED) if checkpoint.config is not None else None
    if isinstance(compiled, Mapping) and compiled and not compiled.get("optimizer") and step:
        return (
            f"its configuration lost the optimizer whose state is stored (step {step:,}), so that Keras loads it "
            "without one; Keras 3 takes it out of a model that is saved as .h5, and saves it as .keras without it"
        )
    return ""


def noted(checkpoint: Checkpoint) -> Checkpoint:
    """The same checkpoint, with a note if it lost its optimizer."""
    lost = lost_optimizer(checkpoint)
    return replace(checkpoint, notes=(*checkpoint.notes, Note(lost, "odd"))) if lost else checkpoint
