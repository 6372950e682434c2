"""Whether the layers of Keras 3 take and give the tensors that the calls of a functional model name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from wtool.schema.inbound_nodes import CallKey, Key, Ref, arguments_of, layer_settings
from wtool.schema.keras_settings import SETTINGS
from wtool.schema.layers import class_of, count_of_outputs, entry_of
from wtool.schema.upgrade.context import Context, Place
from wtool.schema.upgrade.operations import OPERATIONS
from wtool.schema.upgrade.recurrent_calls import takes_states
from wtool.schema.upgrade.replacements import is_replaced

Calls = Mapping[CallKey, tuple[Any, list[Ref]]]
ALONE, PAIR, ANY = (1, 1), (2, 2), (1, None)
OF_SEVERAL: dict[str, tuple[int, int | None]] = {
    "AdditiveAttention": (2, 3), "Attention": (2, 3), "Dot": PAIR, "HashedCrossing": PAIR, "Identity": ANY,
    "Subtract": PAIR,
}  # fmt: skip
"""Class of Keras 3 -> the least and the greatest number of tensors in the list that it takes; None is any."""

APART = ("GRUCell", "GroupQueryAttention", "LSTMCell", "MultiHeadAttention", "SimpleRNNCell", "StackedRNNCells")
"""Classes of Keras 3 that take each of several tensors as an argument of its own."""

BESIDE = (0, "mask", "training")
"""Words of the arguments that the call of a layer keeps, whatever takes its place."""

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
    """Refuses what the user puts in the place of a layer where it does not take or give the tensors of the model.

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
        operates = places[name].class_name in OPERATIONS
        for reason in dict.fromkeys(
            _misfit(kind, refs, operates) for call, (_, refs) in calls.items() if call[0] == name
        ):
            if reason:
                context.refuse(places[name], "unfit replacement", reason)
        count = None if kind == "Identity" else count_of_outputs(kind, settings)
        if count is not None and last.get(name, 0) >= count:
            given = "one output" if count == 1 else f"{count} outputs"
            context.refuse(
                places[name], "unfit replacement",
                f"the model uses {last[name] + 1} of its outputs, and {kind}, which --replace names, gives {given}; "
                "name a layer that gives all of them, such as one of your own",
            )  # fmt: skip


def _misfit(kind: str | None, refs: Iterable[Ref], operates: bool) -> str:
    """Returns why a class does not take the tensors of a call, in a sentence; empty where it does, or nobody knows.

    Args:
        kind: the class, as `class_of` tells.
        refs: the tensors.
        operates: whether an operation of TensorFlow takes them now, whose further arguments are dropped.
    """
    told = f"{kind}, which --replace names," if kind is not None else "the layer that --replace names"
    words = dict.fromkeys(str(ref.word) for ref in refs if ref.word not in BESIDE)
    if words and (operates or (kind in SETTINGS and not takes_states(kind))):
        return f"it takes tensors as {' and '.join(words)} besides its first argument, and {told} would not get them"
    if kind is None or kind not in SETTINGS:
        return ""
    count = sum(ref.word == 0 for ref in refs)
    if kind in APART:
        return f"{told} takes each of several tensors as an argument of its own, which --replace cannot say"
    least, most = _taken(kind)
    if count >= least and (most is None or count <= most):
        return ""
    wanted = f"{least}" if least == most else f"{least} or more" if most is None else f"{least} to {most}"
    return f"it takes {count} tensor{'s' * (count != 1)}, and {told} takes {wanted}"


def _taken(kind: str) -> tuple[int, int | None]:
    """Returns the least and the greatest number of tensors that a class of Keras 3 takes in a list; None is any."""
    entry = entry_of(kind)
    if kind in OF_SEVERAL:
        return OF_SEVERAL[kind]
    if takes_states(kind):
        return ANY
    return (2, None) if entry is not None and entry.channels in ("merge", "concatenate") else ALONE


def _used(calls: Calls, outputs: Iterable[Key]) -> Iterable[Key]:
    """Yields the tensors that calls take, and the outputs of the model."""
    for _, refs in calls.values():
        for ref in refs:
            yield ref.key
    yield from outputs
