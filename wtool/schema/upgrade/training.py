"""How a model was compiled, as Keras 3 tells that: optimizer, losses, metrics, and how steps are run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from wtool.schema.layers import class_of
from wtool.schema.optimizers import TABLE
from wtool.schema.upgrade.context import Context
from wtool.schema.upgrade.masks import layers_within
from wtool.schema.upgrade.objectives import placed, upgraded_loss, upgraded_metric
from wtool.schema.upgrade.optimizers import upgraded_optimizer

METRICS = ("metrics", "weighted_metrics")


def upgraded_training(
    training: Mapping[str, Any], outputs: Sequence[str] | None, moved: Mapping[str, str], context: Context
) -> dict[str, Any]:
    """Returns the `compile_config` of a model in Keras 3; empty, with a note, where its optimizer cannot be kept.

    A model that is compiled without an optimizer would get one that nobody chose.

    Args:
        training: `training_config` of an `.h5`, or `compile_config` of an archive, of Keras 1 or 2.
        outputs: what the old model calls its outputs; None where nobody knows.
        moved: name of a layer of the old model -> its name in the new model, where that differs.
        context: notes what is done, and what is left out.
    """
    if not training:
        return {}
    optimizer = upgraded_optimizer(training.get("optimizer_config", training.get("optimizer")), context)
    if optimizer is None:
        context.note("the new model is not compiled: compile it before it is trained")
        return {}
    if training.get("sample_weight_mode"):
        context.note("sample_weight_mode is left out: Keras 3 goes by the shape of the sample weights")
    losses = placed(_losses(training.get("loss") or None, outputs, moved), partial(upgraded_loss, context=context))
    found = {"optimizer": optimizer, "loss": losses, "loss_weights": _named(training.get("loss_weights"), moved)}
    for kind in METRICS:
        found[kind] = _metrics(_named(training.get(kind), moved), outputs, context)
    found["run_eagerly"] = training.get("run_eagerly") is True
    steps = training.get("steps_per_execution")
    found["steps_per_execution"] = steps if isinstance(steps, int) and steps > 0 else 1
    if isinstance(training.get("jit_compile"), bool):
        found["jit_compile"] = training["jit_compile"]
    return found


def note_embeddings(entry: Mapping[str, Any], compiled: Mapping[str, Any], context: Context) -> None:
    """Note that an Embedding trains on otherwise, where a batch has the same word several times.

    Args:
        entry: of the new model.
        compiled: how the model is compiled.
        context: takes the note.
    """
    optimizer = compiled["optimizer"]
    optimizer = optimizer["config"].get("inner_optimizer", optimizer)
    for each in layers_within(entry) if _squares_apart(optimizer["class_name"]) else ():
        if class_of(each) == "Embedding" and each["config"].get("trainable") is not False:
            context.note(
                f"where a word comes several times in a batch, {optimizer['class_name']} of Keras 3 on TensorFlow "
                f"takes each of its gradients apart, and Keras 2 took their sum: {each['config'].get('name')} trains "
                "on a little otherwise"
            )
            return


def _squares_apart(optimizer: str) -> bool:
    return optimizer in TABLE and TABLE[optimizer].squares_apart


def _losses(losses: Any, outputs: Sequence[str] | None, moved: Mapping[str, str]) -> Any:
    """Returns losses by outputs; Keras 3 wants to be told of outputs without a loss, too."""
    named = _named(losses, moved)
    if not isinstance(named, Mapping) or named is losses or not outputs:
        return named
    return {**{moved.get(name, name): None for name in outputs}, **named}


def _named(parts: Any, moved: Mapping[str, str]) -> Any:
    """Returns what is told of each output under the new name of the output."""
    if not isinstance(parts, Mapping) or isinstance(parts.get("class_name"), str):
        return parts
    return {moved.get(name, name): part for name, part in parts.items()}


def _metrics(metrics: Any, outputs: Sequence[str] | None, context: Context) -> Any:
    """Returns metrics as Keras 3 takes them: for several outputs, a list for each.

    Keras 2 gave a plain list of metrics to every output, and stored the name of the output before that of the metric.
    """
    if not metrics:
        return None
    if isinstance(metrics, Mapping) and not isinstance(metrics.get("class_name"), str):
        return {name: _list(own, "", context) for name, own in metrics.items()}
    several = outputs if outputs is not None and len(outputs) > 1 else None
    entries = metrics if isinstance(metrics, list) else [metrics]
    is_nested = any(isinstance(each, list) for each in entries)
    if several is None:
        return [_list(each, "", context) for each in entries] if is_nested else _list(entries, "", context)
    own = entries if is_nested else [entries] * len(several)
    return [_list(each, f"{output}_", context) for each, output in zip(own, several, strict=False)]


def _list(metrics: Any, prefix: str, context: Context) -> Any:
    entries = metrics if isinstance(metrics, list) else [metrics]
    upgrade = partial(upgraded_metric, context=context, prefix=prefix)
    return [found for found in (placed(each, upgrade) for each in entries) if found is not None]
