"""The variables of a saved optimizer: which slot each is, and of which weight.

Files store them as a plain sequence. Which weights had slots is not stored: layers may have been frozen, quantised or
given LoRA factors before or after compiling. So the sequence that an optimizer's class and settings would have written
is generated under each hypothesis, and the first whose number and shapes are the file's is taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from wtool.checkpoint.layouts.stored import StoredLayer, StoredVariable
from wtool.checkpoint.model import Optimizer, Slot, Tensor
from wtool.checkpoint.optimizer import muon
from wtool.checkpoint.optimizer.alignment import align
from wtool.checkpoint.optimizer.candidates import Candidates, candidates
from wtool.checkpoint.optimizer.names import by_name
from wtool.errors import Note
from wtool.hdf5.reader import Dataset
from wtool.schema.layers import Shape
from wtool.schema.optimizers import (
    GROUPS,
    Plan,
    Settings,
    initial_value,
    inner_settings,
    plans,
    scales_loss,
    scaling,
)


@dataclass(frozen=True, slots=True)
class Stored:
    """A variable of an optimizer as the file has it: where, of which dtype, and under which name or number."""

    dataset: Dataset
    dtype: str
    key: str


@dataclass(frozen=True, slots=True)
class Named:
    """What a variable is: its slot's name, the weight that it belongs to, and what a fresh optimizer starts it from."""

    slot: str
    held: StoredVariable | None
    initial: float


@dataclass(frozen=True, slots=True)
class Layout:
    """The slots of an optimizer in order, each with the number of its weight; and the shapes of these weights."""

    slots: Sequence[tuple[str, int | None]]
    weights: Sequence[Shape]


@dataclass(frozen=True, slots=True)
class _Match:
    """What every stored variable is: slot, and weight where certain; `exact` if no hypothesis was loosened."""

    slots: tuple[tuple[str, StoredVariable | None], ...]
    exact: bool


def read(
    stored: Sequence[Stored], settings: Settings, model: StoredLayer, names: bool, guesses: Candidates | None = None
) -> tuple[list[Tensor], list[str]]:
    """The tensors of an optimizer, in the order of the file, and notes; for the arguments see `named`."""
    found, notes = named(stored, settings, guesses or candidates(model), model, names)
    return list(tensors(stored, found, settings, "")), notes


def named(
    stored: Sequence[Stored], settings: Settings, guesses: Candidates, model: StoredLayer, names: bool
) -> tuple[list[Named], list[str]]:
    """What the variables of an optimizer are, and notes.

    Args:
        stored: its variables.
        settings: its class and configuration.
        guesses: which weights it may have kept slots for.
        model: the model that it trains; its variables have their paths.
        names: whether the keys are names that tell slot and weight, not numbers.
    """
    matches = _matches(stored, settings, guesses)
    told = by_name([(item.key, item.dataset.shape) for item in stored], model) if names else {}
    notes: list[str] = []
    match = _agreed(matches) if matches else None
    if match is None and len(told) < len(stored):
        told_of = "the optimizer's variables match no known optimizer of this model; most are left unnamed"
        notes.append(Note(told_of, "note"))
    slots = list(match.slots) if match else _by_shape(stored, model)
    for number, (name, held) in told.items():
        slots[number] = (slots[number][0] if match else name, held or slots[number][1])
    if settings.class_name is None and told:
        slots = [told.get(number, slot) for number, slot in enumerate(slots)]
    return [Named(name, held, initial_value(name, settings)) for name, held in slots], notes


def _matches(stored: Sequence[Stored], settings: Settings, guesses: Candidates) -> list[_Match]:
    """Of every class that it may be, the likeliest layout that fits; all that fit where no configuration tells."""
    shapes = [item.dataset.shape for item in stored]
    candidates = _candidates(settings)
    for exactly in (True, False):
        most = 1 if settings.config else None
        found = [fit for each in candidates for fit in islice(_fits(shapes, each, guesses, exactly), most)]
        if found:
            return found
    return []


def _candidates(settings: Settings) -> list[Settings]:
    """The settings if they tell the class, else one for each known class, the commonest first."""
    if settings.class_name in GROUPS:
        return [settings]
    if not scales_loss(settings):
        return [Settings(class_name, settings.config, settings.older) for class_name in GROUPS]
    return [scaling(settings, inner) for inner in _candidates(inner_settings(settings))]


def _fits(shapes: Sequence[Shape], settings: Settings, guesses: Candidates, exactly: bool) -> Iterator[_Match]:
    tried: set[Plan] = set()
    for plan in plans(settings) if settings.class_name != muon.NAME else ():
        if plan in tried:
            continue
        tried.add(plan)
        weights = _trained_shapes(plan, shapes)
        if weights is None:
            continue
        for segments, strict in guesses:
            if strict is exactly and (held := align(segments, weights)) is not None:
                layout = plan.layout(len(weights))
                yield _Match(tuple((name, None if i is None else held[i]) for name, i in layout), exactly)
                break  # other hypotheses on the weights are less likely; other plans may be as likely
    if settings.class_name == muon.NAME:
        for segments, strict in guesses:
            found = list(muon.lined_up(segments, shapes, settings.config)) if strict is exactly else []
            yield from (_Match(slots, exactly) for slots in found[:1])
            if found:
                break


def first_layout(shapes: Sequence[Shape], settings: Settings) -> Layout | None:
    """The likeliest layout of an optimizer that stores variables of these shapes, for whatever weights."""
    if settings.class_name == muon.NAME:
        found = muon.slots_of(shapes)
        return None if found is None else Layout(*found)
    for plan in plans(settings):
        weights = _trained_shapes(plan, shapes)
        if weights is not None:
            return Layout(list(plan.layout(len(weights))), weights)
    return None


def _trained_shapes(plan: Plan, shapes: Sequence[Shape]) -> list[Shape] | None:
    """The shapes of the weights that have slots; None if the stored shapes do not follow the plan."""
    count = plan.weights(len(shapes))
    if count is None:
        return None
    of_weight: list[dict[str, Shape]] = [{} for _ in range(count)]
    for (name, number), shape in zip(plan.layout(count), shapes, strict=True):
        if number is not None:
            of_weight[number][name] = shape
        elif shape not in ((), (1,)):
            return None
    found = []
    for slots in of_weight:
        whole = slots.get("velocity") or next(iter(slots.values()))
        if not all(_as_wanted(name, shape, whole, slots) for name, shape in slots.items()):
            return None
        found.append(whole)
    return found


def _as_wanted(name: str, shape: Shape, whole: Shape, slots: Mapping[str, Shape]) -> bool:
    if name in ("r", "c") and "r" in slots:
        return shape == (() if len(whole) < 2 else whole[:-1] if name == "r" else (*whole[:-2], whole[-1]))
    return shape == whole or (name == "velocity_hat" and shape == (1,))  # a placeholder of Keras 2 without amsgrad


def _agreed(matches: Sequence[_Match]) -> _Match:
    """What all layouts that fit agree on; slots whose names differ are numbered."""
    if len(matches) == 1:
        return matches[0]
    slots: list[tuple[str, StoredVariable | None]] = []
    numbers: dict[str, int] = {}
    for position, (name, held) in enumerate(matches[0].slots):
        others = [match.slots[position] for match in matches]
        same = all(other is held for _, other in others)
        if any(other != name for other, _ in others):
            owner = held.path if held and same else str(position)
            name = f"slot{numbers.get(owner, 0)}"
            numbers[owner] = numbers.get(owner, 0) + 1
        slots.append((name, held if same else None))
    return _Match(tuple(slots), False)


def _by_shape(stored: Sequence[Stored], model: StoredLayer) -> list[tuple[str, StoredVariable | None]]:
    """The last resort: the weight of a shape that no other weight has; every optimizer counts its steps first."""
    of_shape: dict[Shape, list[StoredVariable]] = {}
    for owner in model.walk():
        for held in owner.holds:
            if held.shape and held.trainable is not False:
                of_shape.setdefault(held.shape, []).append(held)
    found: list[tuple[str, StoredVariable | None]] = []
    for position, item in enumerate(stored):
        candidates = of_shape.get(item.dataset.shape, [])
        counts = position == 0 and item.dataset.shape == () and item.dtype in ("int64", "int32")
        found.append(("iteration" if counts else "unknown", candidates[0] if len(candidates) == 1 else None))
    return found


def tensors(stored: Sequence[Stored], found: Sequence[Named], settings: Settings, prefix: str) -> Iterator[Tensor]:
    """The variables as tensors, in the order of the file.

    Args:
        stored: where they are.
        found: what they are.
        settings: of the optimizer.
        prefix: to the paths, for optimizers inside others.
    """
    taken: set[str] = set()
    for item, each in zip(stored, found, strict=True):
        path = _path(item, each.slot, each.held, prefix)
        if path in taken:
            path = item.dataset.path
        taken.add(path)
        yield Tensor(
            path=path,
            role="optimizer slot",
            layer="optimizer",
            layer_class=settings.class_name,
            trainable=False,
            shape=item.dataset.shape,
            dtype=item.dtype,
            stored=item.dataset.path,
            offset=item.dataset.offset,
            nbytes=item.dataset.nbytes,
            slot=Slot(each.slot, each.held.path if each.held else None, each.initial),
        )


def _path(item: Stored, name: str, held: StoredVariable | None, prefix: str) -> str:
    if name == "unknown":
        return f"optimizer/{prefix}{item.key}"
    if held is not None:
        return f"optimizer/{prefix}{name}/{held.path}"
    if name in _SCALARS:
        return f"optimizer/{prefix}{name}"
    return f"optimizer/{prefix}{name}/{item.key}"


_SCALARS = ("iteration", "learning_rate", "step_counter", "dynamic_scale", "u_product", "momentum_cache")


def described(settings: Settings, tensors: Sequence[Tensor]) -> Optimizer | None:
    """The optimizer as the checkpoint shows it; None if there is neither state nor configuration."""
    if settings.class_name is None and not tensors:
        return None
    return Optimizer(settings.class_name, dict(settings.config))
