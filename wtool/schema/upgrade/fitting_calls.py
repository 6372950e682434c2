"""Whether the layers of Keras 3 take and give the tensors that the calls of a functional model name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from wtool.schema.inbound_nodes import CallKey, Key, Ref, arguments_of, layer_settings
from wtool.schema.layers import class_of, count_of_outputs
from wtool.schema.upgrade.context import Context, Place
from wtool.schema.upgrade.replacements import is_replaced

Calls = Mapping[CallKey, tuple[Any, list[Ref]]]
WITH_SCORES = ("Attention", "AdditiveAttention", "MultiHeadAttention")


def refuse_late_scores(
    calls: Calls, first: Mapping[str, int], outputs: Iterable[Key], places: Mapping[str, Place], context: Context
) -> None:
    """Refuses attention whose scores are used, but not given by its first call: Keras 3 does not find them then.

    Args:
        calls: of the model's layers.
        first: name of a layer -> the index of its first call.
        outputs: of the model.
        places: name of a layer -> where the layer is.
        context: takes the refusals.
    """
    for name in dict.fromkeys(key[0] for key in _used(calls, outputs) if key[2] > 0):
        call = calls.get((name, first.get(name, 0)))
        if call is None or places[name].class_name not in WITH_SCORES:
            continue
        if not arguments_of(call[0]).get("return_attention_scores"):
            context.refuse(
                places[name], "late scores",
                "a later call gives its scores, and its first call does not, which Keras 3 cannot load",
            )  # fmt: skip


def refuse_unfit(
    new: Mapping[str, list[dict[str, Any]]],
    calls: Calls,
    outputs: Iterable[Key],
    places: Mapping[str, Place],
    context: Context,
) -> None:
    """Refuses what the user puts in the place of a layer where the model uses outputs that it does not give.

    Args:
        new: name of a layer -> its entries in Keras 3; what replaces a layer is one entry.
        calls: of the model's layers.
        outputs: of the model.
        places: name of a layer -> where the layer is.
        context: takes the refusals.
    """
    last: dict[str, int] = {}
    for name, _, output in _used(calls, outputs):
        last[name] = max(output, last.get(name, 0))
    for name, entries in new.items():
        if not entries or not is_replaced(name, places[name], context):
            continue
        kind, settings = class_of(entries[0]), layer_settings(entries[0])
        count = count_of_outputs(kind, settings)
        if count is not None and last.get(name, 0) >= count:
            given = "one output" if count == 1 else f"{count} outputs"
            context.refuse(
                places[name], "unfit replacement",
                f"the model uses {last[name] + 1} of its outputs, and {kind}, which --replace names, gives {given}; "
                "name a layer that gives all of them, such as one of your own",
            )  # fmt: skip


def _used(calls: Calls, outputs: Iterable[Key]) -> Iterable[Key]:
    """Yields the tensors that calls take, and the outputs of the model."""
    for _, refs in calls.values():
        for ref in refs:
            yield ref.key
    yield from outputs
