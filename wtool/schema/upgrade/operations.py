"""TensorFlow's operations in graphs of Keras 2 become operations of Keras 3, by a table; all others are refused.

The table is in `operation_rules`, `operation_moves`, `operation_products` and `operation_images`; what is made of the
sizes of tensors is worked out (`operation_sizes`).
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping
from typing import Any

from wtool.schema.config import is_operation
from wtool.schema.layers import snake_case
from wtool.schema.operations import function_of
from wtool.schema.upgrade.names import Names
from wtool.schema.upgrade.operation_call import Cannot, Entry, OperationCall
from wtool.schema.upgrade.operation_images import IMAGES
from wtool.schema.upgrade.operation_moves import MOVES
from wtool.schema.upgrade.operation_nodes import call_of_node
from wtool.schema.upgrade.operation_products import PRODUCTS
from wtool.schema.upgrade.operation_rules import RULES, Rule
from wtool.schema.upgrade.operation_sizes import OF_TENSORS, worked_out
from wtool.schema.upgrade.specs import Tensor

OPERATIONS = (
    "TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer", "ClassMethod", "InstanceMethod", "InstanceProperty",
)  # fmt: skip
"""Classes of layers of Keras 2 that are an operation of TensorFlow."""

TABLE: dict[str, Rule] = {**RULES, **MOVES, **PRODUCTS, **IMAGES}
"""Last part of the name of an operation of TensorFlow -> the rule that puts operations of Keras 3 in its place."""

_NAMELESS = ("Elu", "Round", "StopGradient")
"""Operations whose settings may be left out, and that take no name before Keras 3.11."""

_UNNUMBERED = re.compile(r"_\d+$")

_OTHER_MEANING = ("compat.v1.image.", "compat.v1.where", "image.transpose", "keras.activations.relu")
"""Beginnings of names whose last part is in the table, but means something else."""


def operation(
    kind: str, settings: Mapping[str, Any], first: Any, others: Mapping[str, Any], name: str, free: Names
) -> tuple[list[Entry], list[Tensor]]:
    """Returns the operations of Keras 3 that do one call of an operation of TensorFlow, and what they give.

    Args:
        kind: class of the layer that is the operation.
        settings: of the layer.
        first: the first argument of the call, with a `Tensor` in the place of each tensor.
        others: the other arguments by name, likewise.
        name: of the last operation.
        free: gives names to the others.

    Raises:
        Cannot: Keras 3 has nothing that computes the same.
    """
    if kind == "TensorFlowOpLayer":
        function, first, others = call_of_node(settings, first)
    else:
        function = _function(kind, settings)
    at = OperationCall(function, first, others, name, free)
    outputs = worked_out(at)
    if outputs is None and function not in TABLE:
        raise Cannot(f"does {function} of sizes of tensors")
    if outputs is None:
        made = TABLE[function](at)
        outputs = made if isinstance(made, list) else [made]
    unread = [word for word, value in others.items() if value is not None and word not in (*at.read, "name")]
    if unread:
        raise Cannot(f"is called with {unread[0]}={others[unread[0]]!r:.40}, which is not known")
    return _named(at, outputs)


def _function(kind: str, settings: Mapping[str, Any]) -> str:
    """Returns the last part of the name of the function that a layer calls, if a rule knows the function."""
    name = str(settings.get("attr_name" if kind.startswith("Instance") else "function"))
    if kind == "ClassMethod":
        name = f"{settings.get('cls_symbol')}.{settings.get('method_name')}"
    function = "" if name.startswith(_OTHER_MEANING) else function_of({"function": name})
    if kind not in ("TFOpLambda", "SlicingOpLambda") or (function not in TABLE and function not in OF_TENSORS):
        raise Cannot(f"is TensorFlow's {name:.60}, and no operation of Keras 3 is known to do the same")
    return function


def _named(at: OperationCall, outputs: list[Tensor]) -> tuple[list[Entry], list[Tensor]]:
    """Returns the operations and their outputs, the last of them under the name of the layer."""
    if not at.entries:
        return [], outputs
    last = at.entries[-1]
    old, last["name"], last["config"]["name"] = last["name"], at.name, at.name
    keys = [(at.name, *each.key[1:]) if each.key is not None and each.key[0] == old else each.key for each in outputs]
    return at.entries, [Tensor(key, each.spec) for key, each in zip(keys, outputs, strict=True)]


def leave_names_out(entries: Iterable[Entry], outputs: Container[str], taken: set[str]) -> None:
    """Leaves the names of operations out of their settings where nothing needs them.

    Before 3.11, Keras takes no name for operations that have settings. Such an operation gets a name of its class and
    a number when it is loaded, so the name is left out unless a layer may be called so, or the operation gives one of
    the whole model's outputs, which are known by its name.

    Args:
        entries: of a functional model.
        outputs: names of the entries that give the whole model's outputs.
        taken: names of the model's further entries, without their numbers; those of these entries are added.
    """
    entries = list(entries)
    taken.update(_UNNUMBERED.sub("", str(entry["name"])) for entry in entries)
    for entry in entries:
        needed = entry["name"] in outputs or snake_case(entry["class_name"]) in taken
        takes_none = len(entry["config"]) > 1 or entry["class_name"] in _NAMELESS
        if is_operation(entry) and takes_none and not needed:
            del entry["config"]["name"]
