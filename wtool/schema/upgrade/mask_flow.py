"""How masks go through a model, in Keras 2 and in Keras 3, and where a layer computes by another one in Keras 3."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from typing import Any

from wtool.schema.inbound_nodes import CallKey, Key, layer_settings, refs_of
from wtool.schema.layers import class_of
from wtool.schema.upgrade.context import Context, Place
from wtool.schema.upgrade.mask_rules import (
    ATTENDING,
    MERGING,
    PASSING,
    PASSING_IN_KERAS3,
    TAKING,
    UNMASKED,
    Masked,
    at_each_step,
    merged,
    mixes_steps,
)
from wtool.schema.upgrade.mask_steps import Step, Write, sources_of
from wtool.schema.upgrade.mask_terms import EVERY, NONE
from wtool.schema.upgrade.masks import makes_masks
from wtool.schema.upgrade.operation_call import Cannot
from wtool.values import dataclass

MAX_DIFFERENT_MASKS = 8
"""For how many different masks of its inputs a model inside others is looked at."""

FURTHER = -1
"""Index that stands for all outputs of a call of which no rule tells."""


@dataclass(slots=True)
class Flow:
    """The masks of one model.

    Attributes:
        path: of the model.
        steps: its calls, each after those that it depends on.
        inputs, outputs: its tensors.
        write: writes a mask into the new graph.
        context: takes refusals and notes; has all masks of the whole model, and the flows of the models inside.
        sources: tensor -> the tensor that it may be itself, where layers give the very tensor that they take.
        stripping: how many calls take the mask off a tensor as Keras 3 runs them.
        known: the masks of inputs -> those of the outputs.
        taken: call -> the masks by which the call's layer computes, each time that this model is called.
        refused: calls that are refused already.
    """

    path: str
    steps: Sequence[Step]
    inputs: Sequence[Key]
    outputs: Sequence[Key]
    write: Write
    context: Context
    sources: Mapping[Key, Key] = field(init=False)
    stripping: Counter[Key] = field(init=False)
    known: dict[tuple[Masked, ...], list[Masked]] = field(default_factory=dict)
    taken: dict[CallKey, list[tuple[Masked, ...]]] = field(default_factory=dict)
    refused: set[CallKey] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.sources = sources_of(self.steps)
        self.stripping = Counter(
            key for step in self.steps if step.strips for key in {self._source(key) for _, key in step.inputs}
        )

    def through(self, given: Sequence[Masked]) -> list[Masked]:
        """Returns the masks of the outputs where those of the inputs are given."""
        key = tuple([*given, *[UNMASKED] * len(self.inputs)][: len(self.inputs)])
        if key in self.known:
            return self.known[key]
        if len(self.known) == MAX_DIFFERENT_MASKS:
            self._refuse(
                Place(self.path, "Functional"), ("", 0), f"it is called with more than {len(self.known)} masks"
            )
            return [UNMASKED for _ in self.outputs]
        masks: dict[Key, Masked] = dict(zip(self.inputs, key, strict=True))
        for step in self.steps:
            inputs = [(word, self._as_found(step, _of(masks, tensor), tensor)) for word, tensor in step.inputs]
            behind = self._behind(step, inputs)
            masks |= {(*step.key, number): mask for number, mask in enumerate(behind)} | {
                (*step.key, FURTHER): behind[-1]
            }
        self.known[key] = [_of(masks, tensor) for tensor in self.outputs]
        return self.known[key]

    def _behind(self, step: Step, inputs: Sequence[tuple[int | str, Masked]]) -> list[Masked]:
        """Returns the masks of a call's outputs; the last one is that of all further outputs."""
        first = [mask for word, mask in inputs if word == 0]
        kind, settings = class_of(step.entry), layer_settings(step.entry)
        if "mask" in step.arguments and first:
            first = self._told(step.arguments["mask"], first)
        found = self._by_class(step, kind, settings, first, inputs)
        causes = [mask.cause for _, mask in inputs if mask.cause]
        cause = causes[0] if causes else step.place.path
        looks = kind in TAKING or step.place.path in self.context.flows
        changed = [mask.changed for mask in found] + [mask.changed for mask in first if not looks]
        if any(changed) and not any(mask.changed and mask.old != NONE for mask in found):
            self._refuse(
                step.place, step.key,
                f"it computes by steps that are masked, and {cause} gives other values there in Keras 3",
            )  # fmt: skip
        return [replace(mask, cause=mask.cause or cause) if mask.differs else mask for mask in found]

    def _by_class(
        self,
        step: Step,
        kind: str | None,
        settings: Mapping[str, Any],
        first: list[Masked],
        inputs: Sequence[tuple[int | str, Masked]],
    ) -> list[Masked]:
        mask = first[0] if first else UNMASKED
        if self._replacement(step) is not None:
            return self._replaced(step, kind, mask)
        if step.place.path in self.context.flows:
            return self._model(step, first)
        if makes_masks(step.entry):
            return [replace(self._made(step, kind, settings), changed=False)] if not mask.changed else [UNMASKED]
        if kind in MERGING:
            return [merged(kind, settings, first, self.context.terms), UNMASKED]
        if kind in TAKING:
            return self._taking(step, kind, settings, mask)
        if kind in PASSING:
            return [UNMASKED if mask.changed and mixes_steps(kind, settings) else mask, UNMASKED]
        if kind in PASSING_IN_KERAS3:
            return [replace(mask, old=NONE, changed=False), UNMASKED]
        if kind == "TimeDistributed":
            return self._each_step(step, settings, mask)
        if kind in ATTENDING:
            return self._attending(step, [*first[:2], UNMASKED, UNMASKED][:2])
        if kind == "MultiHeadAttention":
            return self._with_heads(step, mask, inputs)
        if kind is None or ">" in kind:
            return self._custom(step, [each for _, each in inputs])
        return [UNMASKED]

    def _made(self, step: Step, kind: str | None, settings: Mapping[str, Any]) -> Masked:
        """Returns the mask that an Embedding or a Masking makes of its input."""
        tensors, rank = step.of(0), step.rank
        if kind == "Embedding":
            term = self.context.terms.of("nonzero", self.path, *tensors[:1], rank=rank)
        else:
            value = settings.get("mask_value", 0.0)
            value = value if isinstance(value, (int, float)) else repr(value)
            term = self.context.terms.of("nonempty", self.path, *tensors[:1], value, rank=rank and rank - 1)
        return Masked(term, term, term)

    def _taking(self, step: Step, kind: str | None, settings: Mapping[str, Any], mask: Masked) -> list[Masked]:
        """Returns the masks behind a layer that computes by its mask, and notes by which."""
        seen = mask if step.takes_one else mask.as_it_runs
        if "mask" not in step.arguments and (len(step.of(0)) > 1 or step.of("initial_state")):
            seen = replace(mask, noted=NONE, found=NONE)  # Keras 3 looks for a mask where there is one tensor alone
        self._take(step, seen)
        behind = mask.written() if seen.differs else replace(mask, found=mask.seen if step.takes_one else mask.found)
        if kind == "Softmax":
            return [behind, UNMASKED]
        inner = settings.get("layer") if kind == "Bidirectional" else step.entry
        sequences = isinstance(inner, Mapping) and layer_settings(inner).get("return_sequences")
        behind = replace(behind, changed=False) if sequences else UNMASKED
        if kind == "Bidirectional" and settings.get("merge_mode", "concat") is None:
            return [behind, behind, UNMASKED]
        return [behind, UNMASKED]

    def _of_heads(self, query: Masked, inputs: Sequence[tuple[int | str, Masked]]) -> list[Masked]:
        """Returns the masks of query, value and key; Keras 3 takes that of the query as it runs."""
        by_word = dict(inputs)
        value = by_word.get("value", UNMASKED)
        return [replace(query, noted=query.found), value, by_word.get("key", value)]

    def _attending(self, step: Step, masks: list[Masked]) -> list[Masked]:
        """Returns the masks behind attention, and notes those that it computes by."""
        query = masks[0]
        if any(mask.changed for mask in masks):
            return [replace(UNMASKED, changed=True)]
        seen = [mask.as_it_runs for mask in masks]
        self._take(step, *seen)
        return [query.written() if any(mask.differs for mask in seen) else query, UNMASKED]

    def _with_heads(self, step: Step, query: Masked, inputs: Sequence[tuple[int | str, Masked]]) -> list[Masked]:
        """Returns the masks behind MultiHeadAttention, those of the query, whatever mask its call tells."""
        by_word = dict(inputs)
        value = by_word.get("value", UNMASKED)
        behind = self._attending(step, [query, value, by_word.get("key", value)])
        return behind if behind[0].changed else [query, UNMASKED]

    def _each_step(self, step: Step, settings: Mapping[str, Any], mask: Masked) -> list[Masked]:
        """Returns the masks behind a TimeDistributed."""
        inner = settings.get("layer")
        if not isinstance(inner, Mapping):
            return [UNMASKED]
        kind = class_of(inner)
        place = step.place.inner(str(layer_settings(inner).get("name", "")), str(kind))
        if kind in PASSING and kind != "Softmax":
            return [mask]
        self._take(step, mask)
        given = replace(mask.written() if mask.differs else mask, changed=mask.changed)
        within = Step((f"{step.key[0]}/{place.path}", step.key[1]), place, inner, ((0, ("", 0, 0)),), {})
        behind = self._behind(within, [(0, replace(given, found=given.seen))])[0]
        here = f"{self.path}/{step.key[0]}/{step.key[1]}"
        return [at_each_step(given, behind, here, self.context.terms)]

    def _model(self, step: Step, given: Sequence[Masked]) -> list[Masked]:
        """Returns the masks behind a model: nothing is noted inside of what hangs on its inputs."""
        given = list(given) if step.takes_one else [mask.as_it_runs for mask in given]
        path = step.place.path
        outer = {NONE: NONE, EVERY: EVERY}  # a mask inside the model -> that mask outside
        inner = dict(outer)
        for term in (term for mask in given for term in (mask.old, mask.seen)):
            if term not in inner:
                inner[term] = self.context.terms.of("given", path, len(inner), rank=self.context.terms[term].rank)
                outer[inner[term]] = term

        def outside(term: int) -> int:
            rank = self.context.terms[term].rank
            return (
                outer[term]
                if term in outer
                else self.context.terms.of("elsewhere", step.place, step.key, term, rank=rank)
            )

        found = self.context.flows[path].through(
            [replace(mask, old=inner[mask.old], noted=NONE, found=inner[mask.seen]) for mask in given]
        )
        behind = [replace(mask, old=outside(mask.old), found=outside(mask.found), noted=NONE) for mask in found]
        return behind or [UNMASKED]

    def _replacement(self, step: Step) -> Mapping[str, Any] | None:
        wishes = self.context.wishes.replacements
        return wishes.get(step.place.path, wishes.get(step.key[0]))

    def _replaced(self, step: Step, kind: str | None, mask: Masked) -> list[Masked]:
        """Returns the masks behind what the user puts in the place of a layer."""
        new = self._replacement(step) or {}
        old = mask.old if kind in PASSING else NONE
        if class_of({"class_name": str(new.get("class_name")), "config": {}}) in (*PASSING, *PASSING_IN_KERAS3):
            return [replace(mask, old=old, changed=mask.changed and old != NONE)]
        return [Masked(old)]

    def _custom(self, step: Step, masks: Sequence[Masked]) -> list[Masked]:
        """Returns the masks behind a layer of an author's own, which may do anything with a mask."""
        for mask in masks:
            if mask.differs:
                self.context.note(
                    f"layer {step.place.path} is given another mask in Keras 3, since {mask.cause} makes it otherwise"
                )
        if not any(mask.is_there for mask in masks):
            return [UNMASKED]
        term = self.context.terms.of("elsewhere", self.path, step.key)
        return [Masked(term, term, term)]

    def _told(self, told: Any, masks: Sequence[Masked]) -> list[Masked]:
        """Returns the masks of a call that says its mask: one, or one for each input; null is none in Keras 2."""
        several = told if isinstance(told, list) and not any(isinstance(each, str) for each in told[:1]) else [told]
        found = []
        for each, mask in zip(several, masks, strict=False):
            refs = list(refs_of(each))
            term = self.context.terms.of("tensor", self.path, refs[0].key) if refs else NONE
            found.append(Masked(term, term, term, mask.changed) if told is not None else replace(mask, old=NONE))
        return [*found, *masks[len(found) :]]

    def _source(self, key: Key) -> Key:
        return self.sources.get(key, key)

    def _as_found(self, step: Step, mask: Masked, key: Key) -> Masked:
        """Returns the masks of a tensor as a call finds them: another call may have taken the mask off."""
        if self.stripping[self._source(key)] <= step.strips or mask.found in (NONE, EVERY):
            return mask
        return replace(mask, found=self.context.terms.of("maybe", mask.found, rank=self.context.terms[mask.found].rank))

    def _take(self, step: Step, *masks: Masked) -> None:
        self.taken.setdefault(step.key, []).append(masks)

    def finish(self) -> None:
        """Writes the masks that differ out, or refuses the layers that compute by them."""
        for step in self.steps:
            runs = self.taken.get(step.key, [])
            differing = next((mask for run in runs for mask in run if mask.differs), None)
            if differing is None:
                continue
            try:
                if len({tuple(mask.old for mask in run) for run in runs}) > 1:
                    raise Cannot("is given several masks, since the model that it is in is called several times")
                worst = next(run for run in runs if any(mask.differs for mask in run))
                self.write(step, list(worst), self.context.terms)
            except Cannot as reason:
                cause = differing.cause or step.place.path
                self._refuse(
                    step.place, step.key,
                    f"it computes by a mask that {cause} makes otherwise in Keras 3, and it {reason}; build the model "
                    "in Keras 3 with this mask as an argument of the call",
                )  # fmt: skip
            else:
                self.context.change(
                    step.place, "written mask",
                    f"its call tells its mask, since {differing.cause or step.place.path} makes another in Keras 3",
                )  # fmt: skip

    def _refuse(self, place: Place, key: CallKey, text: str) -> None:
        if key not in self.refused:
            self.refused.add(key)
            self.context.refuse(place, "other mask", text)


def _of(masks: Mapping[Key, Masked], key: Key) -> Masked:
    """Returns the masks of a tensor."""
    return masks.get(key, masks.get((*key[:2], FURTHER), UNMASKED))


def follow_masks(context: Context, trained: bool) -> None:
    """Follows the masks through a whole model, and writes or refuses those that Keras 3 would make otherwise.

    Args:
        context: of the upgrade, which has finished the model's configuration.
        trained: whether the model has a loss.
    """
    flows = list(context.flows.values())
    for flow in sorted(flows, key=lambda flow: flow.path != ""):  # the models inside are called by the whole model
        if flow.known:
            continue
        found = flow.through([])
        places = {step.key[0]: step.place for step in flow.steps}
        for (name, _, _), mask in zip(flow.outputs, found, strict=True) if flow.path == "" else ():
            place = places.get(name, Place(name, "InputLayer"))
            if mask.changed:
                context.refuse(
                    place, "other mask",
                    f"it is an output of the model, and {mask.cause or name} gives other values where a mask lets "
                    "nothing pass in Keras 3",
                )  # fmt: skip
            elif trained and mask.differs:
                context.note(
                    f"the loss of {name} leaves out other steps when Keras 3 trains it: {mask.cause} joins masks"
                )
    for flow in flows:
        flow.finish()
