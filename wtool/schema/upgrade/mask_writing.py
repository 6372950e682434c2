"""Masks that are written out: operations of Keras 3 that make a mask, and the argument of a call that takes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from wtool.schema.inbound_nodes import Key
from wtool.schema.layers import class_of
from wtool.schema.upgrade.mask_rules import ATTENDING, Masked
from wtool.schema.upgrade.mask_steps import Step
from wtool.schema.upgrade.mask_terms import EVERY, NONE, Terms
from wtool.schema.upgrade.names import Names
from wtool.schema.upgrade.operation_call import Cannot, Entry, OperationCall, noted
from wtool.schema.upgrade.specs import Spec, Tensor

MAX_PARTS = 64
"""Of how many masks one that is written out may be made."""


class WrittenMasks:
    """The masks that are written into one functional model."""

    def __init__(self, path: str, tensor: Callable[[Key], Tensor], free: Names) -> None:
        """Begins with no mask.

        Args:
            path: of the model in the old model.
            tensor: gives the new tensor in the place of an old one.
            free: gives names to operations.
        """
        self._path, self._tensor, self._free = path, tensor, free
        self._made: dict[int, Tensor] = {}

    def arguments(
        self, step: Step, name: str, masks: Sequence[Masked], terms: Terms
    ) -> tuple[dict[str, Any], list[Entry]]:
        """Returns the arguments of a call that say its masks as they were in Keras 2, and the operations behind these.

        Args:
            step: the call.
            name: of the layer in the new model; operations are called after it.
            masks: of what the layer looks at: one, those of query and value, or those of query, value and key.
            terms: the masks of the model.

        Raises:
            Cannot: the masks cannot be written there.
        """
        at = OperationCall("", None, {}, f"{name}_mask", self._free)
        if step.arguments.get("attention_mask") is not None:
            raise Cannot("has an attention mask already")
        kind = class_of(step.entry)
        if kind == "MultiHeadAttention":
            made = {"attention_mask": noted(self._of_attention(at, masks, terms))}
        elif kind in ATTENDING:
            made = {"mask": [noted(self._made_of(at, mask, terms)) for mask in masks]}
        else:
            made = {"mask": noted(self._made_of(at, masks[0], terms))}
        return made, at.entries

    def _made_of(self, at: OperationCall, mask: Masked, terms: Terms) -> Tensor | None:
        """Returns the old mask of a tensor; one that lets all pass where Keras 3 alone sees a mask."""
        if mask.old not in (NONE, EVERY):
            return self._term(at, mask.old, terms)
        if mask.seen in (NONE, EVERY):
            return None
        seen = self._term(at, mask.seen, terms)
        return at.pair("numpy.LogicalOr", seen, at.each("numpy.LogicalNot", seen), "bool")

    def _of_attention(self, at: OperationCall, masks: Sequence[Masked], terms: Terms) -> Tensor:
        """Returns which steps of the value each step of the query looks at: `[batch, steps, steps of the value]`.

        Keras 3 takes the masks that it sees besides, which must let all pass that this one does.
        """
        if not all(terms.implies(mask.old, mask.seen) for mask in masks):
            raise Cannot("would still take the mask that Keras 3 makes")
        every, new = slice(None), None
        found: Tensor | None = None
        for mask, places in zip(masks, ([every, every, new], [every, new, every], [every, new, every]), strict=True):
            if mask.old in (NONE, EVERY):
                continue
            term = self._term(at, mask.old, terms)
            steps = _steps(term)
            shape = (steps[0], steps[1], 1) if places[2] is new else (steps[0], 1, steps[1])
            part = at.op("numpy.GetItem", term, places, spec=Spec(shape, "bool"))
            found = part if found is None else at.pair("numpy.LogicalAnd", found, part, "bool")
        if found is None:
            raise Cannot("has no mask in Keras 2")
        return found

    def _term(self, at: OperationCall, number: int, terms: Terms) -> Tensor:
        """Returns a mask as a tensor of the new graph: the operations that make it are there once."""
        waiting, order = [number], []
        while waiting:
            each = waiting.pop()
            order.append(each)
            waiting += [part for part in terms[each].masks if part not in self._made]
            if len(order) > MAX_PARTS:
                raise Cannot(f"is made of more than {MAX_PARTS} masks")
        for each in reversed(order):
            if each not in self._made:
                self._made[each] = self._operation(at, each, terms)
        return self._made[number]

    def _operation(self, at: OperationCall, number: int, terms: Terms) -> Tensor:
        term = terms[number]
        parts = [self._made[part] for part in term.masks]
        if term.kind in ("and", "or"):
            found = parts[0]
            for part in parts[1:]:
                found = at.pair("numpy.LogicalAnd" if term.kind == "and" else "numpy.LogicalOr", found, part, "bool")
            return found
        if term.kind == "steps" and NONE not in term.masks and EVERY not in term.masks:
            shapes = [_steps(part) for part in parts]
            sizes = [shape[1] for shape in shapes if shape[1] is not None]
            steps = sum(sizes) if len(sizes) == len(shapes) else None
            return at.op("numpy.Concatenate", parts, spec=Spec((shapes[0][0], steps), "bool"), axis=1)
        if term.kind == "any":
            return self._any(at, parts[0])
        if term.kind in ("nonzero", "nonempty", "tensor") and term.parts[0] == self._path and len(term.parts) > 1:
            return self._of_tensor(at, term.kind, term.parts)
        raise Cannot("is not made in the model that the layer is in, so that it cannot be written out there")

    def _of_tensor(self, at: OperationCall, kind: str, parts: Sequence[Any]) -> Tensor:
        tensor = self._tensor(parts[1])
        if tensor.key is None:
            raise Cannot("is made of a size")
        if kind == "tensor":
            return tensor
        if kind == "nonzero":
            return at.pair("numpy.NotEqual", tensor, 0, "bool")
        if not isinstance(parts[2], (int, float)):
            raise Cannot(f"is made by a Masking of {parts[2]!r:.40}")
        return self._any(at, at.pair("numpy.NotEqual", tensor, parts[2], "bool"))

    def _any(self, at: OperationCall, x: Tensor) -> Tensor:
        """Returns whether any value along the last axis is true."""
        shape = x.spec.shape[:-1] if x.spec.shape is not None else None
        return at.op("numpy.Any", x, spec=Spec(shape, "bool"), axis=-1)


def _steps(mask: Tensor) -> tuple[int | None, int | None]:
    """Returns the shape of a mask of steps: the batch and the number of steps."""
    shape = mask.spec.shape
    if shape is None:
        return None, None
    if len(shape) != 2:
        raise Cannot(f"has a mask of {len(shape)} axes, which is none of steps")
    return shape[0], shape[1]
