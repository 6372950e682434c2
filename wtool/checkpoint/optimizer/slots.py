"""The variables of a saved optimizer: which slot each is, and of which weight.

Files store them as a plain sequence. Which weights had slots is not stored: layers may have been frozen, quantised or
given LoRA factors before or after compiling. So the sequence that an optimizer's class and settings would have written
is generated under each guess, and the first whose number and shapes are the file's is taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from wtool.checkpoint.layouts.stored import StoredLayer, StoredVariable
from wtool.checkpoint.model import Optimizer, Slot, Tensor
from wtool.checkpoint.optimizer.candidates import Candidates, candidates
from wtool.checkpoint.optimizer.fitting import Match, fits
from wtool.checkpoint.optimizer.names import by_name
from wtool.errors import Note
from wtool.hdf5.reader import Dataset
from wtool.schema.layers import Shape
from wtool.schema.optimizer_settings import Settings, initial_value, inner_settings, scales_loss, scaling
from wtool.schema.optimizers import CLASSES, SCALARS
from wtool.values import dataclass


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


def _matches(stored: Sequence[Stored], settings: Settings, guesses: Candidates) -> list[Match]:
    """Of every class that it may be, the likeliest layout that fits; all that fit where no configuration tells."""
    shapes = [item.dataset.shape for item in stored]
    candidates = _candidates(settings)
    for exactly in (True, False):
        most = 1 if settings.config else None
        found = [fit for each in candidates for fit in islice(fits(shapes, each, guesses, exactly), most)]
        if found:
            return found
    return []


def _candidates(settings: Settings) -> list[Settings]:
    """The settings if they tell the class, else one for each known class, the commonest first."""
    if settings.class_name in CLASSES:
        return [settings]
    if not scales_loss(settings):
        return [Settings(class_name, settings.config, settings.older) for class_name in CLASSES]
    return [scaling(settings, inner) for inner in _candidates(inner_settings(settings))]


def _agreed(matches: Sequence[Match]) -> Match:
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
    return Match(tuple(slots), False)


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
    if name in SCALARS:
        return f"optimizer/{prefix}{name}"
    return f"optimizer/{prefix}{name}/{item.key}"


def described(settings: Settings, tensors: Sequence[Tensor]) -> Optimizer | None:
    """The optimizer as the checkpoint shows it; None if there is neither state nor configuration."""
    if settings.class_name is None and not tensors:
        return None
    return Optimizer(settings.class_name, dict(settings.config))
