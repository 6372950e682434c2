"""The variables of a saved optimizer: which slot each is, and of which weight.

Files store them as a plain sequence. Which weights had slots is not stored: layers may have been frozen, quantised or
given LoRA factors before or after compiling. So the sequence that an optimizer's class and settings would have written
is generated under each hypothesis, and the first whose number and shapes are the file's is taken.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from wtool.errors import Note
from wtool.files.alignment import Lanes, align
from wtool.files.checkpoint import Optimizer, Slot, Tensor
from wtool.files.hdf5 import Dataset
from wtool.files.hypotheses import Hypotheses, hypotheses
from wtool.files.owners import Held, Owner
from wtool.files.slot_names import by_name
from wtool.files.variables import Shape

Groups = tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Stored:
    """A variable of an optimizer as the file has it: where, of which dtype, and under which name or number."""

    dataset: Dataset
    dtype: str
    key: str


@dataclass(frozen=True, slots=True)
class Settings:
    """An optimizer's class and configuration; both empty where the file does not tell.

    Attributes:
        class_name: without its package.
        config: its settings.
        older: whether TensorFlow 2.10 or an older Keras 2 may have written it.
    """

    class_name: str | None
    config: Mapping[str, Any]
    older: bool = False


@dataclass(frozen=True, slots=True)
class _Plan:
    """How an optimizer lays out its variables: scalars, then groups of slots, then scalars.

    Within a group the slots of a weight follow each other; the groups follow each other.
    """

    head: tuple[str, ...]
    groups: Groups
    tail: tuple[str, ...] = ()

    def weights(self, total: int) -> int | None:
        """For how many weights it stores `total` variables."""
        slots = sum(map(len, self.groups))
        rest = total - len(self.head) - len(self.tail)
        if rest < 0 or (rest % slots if slots else rest):
            return None
        return rest // slots if slots else 0

    def layout(self, count: int) -> Iterator[tuple[str, int | None]]:
        """The name of every variable in order, and the number of its weight."""
        yield from ((name, None) for name in self.head)
        for group in self.groups:
            yield from ((name, number) for number in range(count) for name in group)
        yield from ((name, None) for name in self.tail)


def inner_settings(settings: Settings) -> Settings:
    """Of the optimizer that a LossScaleOptimizer wraps."""
    return replace(settings_of(settings.config.get("inner_optimizer")), older=settings.older)


def scaling(outer: Settings, inner: Settings) -> Settings:
    """A LossScaleOptimizer around an optimizer. For mixed_float16, Keras wraps it without telling the configuration."""
    config = {"inner_optimizer": {"class_name": inner.class_name, "config": inner.config}}
    if not _scales_loss(outer):
        return Settings("LossScaleOptimizer", config, outer.older)
    return Settings(outer.class_name, {**outer.config, **config}, outer.older)


def _scales_loss(settings: Settings) -> bool:
    return (settings.class_name or "").startswith("LossScaleOptimizer")


def settings_of(entry: Any, default_name: Any = None, older: bool = False) -> Settings:
    """An optimizer's entry in `compile_config` or `training_config`; or what its name in the file tells."""
    if isinstance(entry, str):
        return Settings(_class_named(entry), {}, older)
    if isinstance(entry, Mapping):
        class_name, config = entry.get("class_name"), entry.get("config")
        if isinstance(class_name, str):
            return Settings(class_name.rpartition(">")[2], config if isinstance(config, Mapping) else {}, older)
    return Settings(_class_named(default_name) if isinstance(default_name, str) else None, {}, older)


def _class_named(name: str) -> str | None:
    plain = re.sub(r"_\d+$", "", name).replace("_", "").lower()
    return next((known for known in (*_GROUPS, "LossScaleOptimizer") if known.lower() == plain), None)


# The slots of each class in Keras 3, the commonest first. ScheduleFreeAdamW calls its running parameters "momentum";
# they start from the weights and are averaged, as EMA slots are.
_ADAM: Groups = (("momentum", "velocity"),)
_GROUPS: dict[str, Groups] = {
    "Adam": _ADAM,
    "AdamW": _ADAM,
    "SGD": (),
    "RMSprop": (("velocity",),),
    "Nadam": _ADAM,
    "Lamb": _ADAM,
    "Adagrad": (("accumulator",),),
    "Adadelta": (("accumulated_grad", "accumulated_delta_var"),),
    "Adamax": (("momentum", "norm"),),
    "Ftrl": (("accumulator", "linear"),),
    "Lion": (("momentum",),),
    "Adafactor": (("r", "c", "velocity"),),
    "ScheduleFreeAdamW": (("average", "velocity"),),
    "Muon": (),
}


def _groups(class_name: str, config: Mapping[str, Any]) -> list[Groups]:
    """What the class may store for its weights: first as the configuration says, then as older versions did."""
    basic = _GROUPS[class_name]
    momentum: Groups = (("momentum",),)
    centered: Groups = (("average_gradient",),)
    hat: Groups = (("velocity_hat",),)
    match class_name:
        case "SGD":
            found: list[Groups] = [momentum, ()]
            return found if config.get("momentum") or not config else found[::-1]
        case "RMSprop":
            more = [basic, basic + momentum, basic + centered, basic + momentum + centered]
            chosen = basic + (momentum if config.get("momentum") else ()) + (centered if config.get("centered") else ())
            return [chosen, *(other for other in more if other != chosen)]
        case "Adam" | "AdamW":
            both = [basic, basic + hat]
            return both[::-1] if config.get("amsgrad") else both
    return [basic]


def _plans(settings: Settings) -> Iterator[_Plan]:
    """Every layout that some Keras version writes for an optimizer, the likeliest first."""
    class_name, config = settings.class_name, settings.config
    if _scales_loss(settings):
        inner = inner_settings(settings)
        for plan in _plans(inner):
            scale = ("iteration", "learning_rate", "step_counter", "dynamic_scale")
            yield _Plan(scale + plan.head, plan.groups, plan.tail)
        yield from _plans(inner)
        return
    if class_name not in _GROUPS:
        return
    if settings.older:
        yield from _older_plans(class_name, config)
    scheduled = isinstance(config.get("learning_rate"), Mapping)
    heads: list[tuple[str, ...]] = [("iteration", "learning_rate"), ("iteration",)]
    tails: tuple[tuple[str, ...], ...] = (("u_product",), ()) if class_name == "Nadam" else ((),)
    for before in _before(config):
        for groups in _groups(class_name, config):
            for head in heads[::-1] if scheduled else heads:
                for tail in tails:
                    yield _Plan(head, before + groups, tail)


def _before(config: Mapping[str, Any]) -> list[Groups]:
    """What any optimizer stores before its own slots: averages of the weights, accumulated gradients."""
    average: Groups = (("average",),)
    accumulator: Groups = (("gradient_accumulator",),)
    if not config:
        return [(), average, accumulator, average + accumulator]
    chosen = average if config.get("use_ema") else ()
    return [chosen + accumulator if config.get("gradient_accumulation_steps") else chosen]


def _older_plans(class_name: str, config: Mapping[str, Any]) -> Iterator[_Plan]:
    """What Keras 2 wrote up to TensorFlow 2.10: all first slots, then all second ones; some without a step count."""
    for groups in _groups(class_name, config):
        apart: Groups = tuple((name,) for group in groups for name in group)
        if apart == () and class_name != "SGD":
            continue
        heads: list[tuple[str, ...]] = [("iteration",), ()]
        if class_name == "Nadam":
            heads.insert(0, ("iteration", "momentum_cache"))
        for head in heads:
            yield _Plan(head, apart)
            if class_name == "Adam" and ("velocity_hat",) not in apart:
                yield _Plan(head, (*apart, ("velocity_hat",)))


def initial_value(slot: str, settings: Settings) -> float:
    """What a fresh optimizer starts a variable from."""
    config: Any = settings.config
    if slot == "dynamic_scale":
        return _number(config.get("initial_scale"), 32768.0)
    if _scales_loss(settings):
        return initial_value(slot, inner_settings(settings))
    if slot == "accumulator" and settings.class_name in ("Adagrad", "Ftrl"):
        return _number(config.get("initial_accumulator_value"), 0.1)
    return 1.0 if slot in ("u_product", "momentum_cache") else 0.0


def _number(value: Any, default: float) -> float:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else default


@dataclass(frozen=True, slots=True)
class _Match:
    """What every stored variable is: slot, and weight where certain; `exact` if no hypothesis was loosened."""

    slots: tuple[tuple[str, Held | None], ...]
    exact: bool


def read(
    stored: Sequence[Stored], settings: Settings, model: Owner, names: bool, prefix: str = ""
) -> tuple[list[Tensor], list[str]]:
    """The tensors of an optimizer, in the order of the file, and notes.

    Args:
        stored: its variables.
        settings: its class and configuration.
        model: the model that it trains; its variables have their paths.
        names: whether the keys are names that tell slot and weight (older files), not numbers.
        prefix: to the paths, for optimizers inside others.
    """
    guesses = hypotheses(model)
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
    return list(_tensors(stored, slots, settings, prefix)), notes


def _matches(stored: Sequence[Stored], settings: Settings, guesses: Hypotheses) -> list[_Match]:
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
    if settings.class_name in _GROUPS:
        return [settings]
    if not _scales_loss(settings):
        return [Settings(class_name, settings.config, settings.older) for class_name in _GROUPS]
    return [scaling(settings, inner) for inner in _candidates(inner_settings(settings))]


def _fits(shapes: Sequence[Shape], settings: Settings, guesses: Hypotheses, exactly: bool) -> Iterator[_Match]:
    tried: set[_Plan] = set()
    for plan in _plans(settings):
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
    if _is_muon(settings):
        yield from _muon(shapes, settings, guesses, exactly)


def _trained_shapes(plan: _Plan, shapes: Sequence[Shape]) -> list[Shape] | None:
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


def _is_muon(settings: Settings) -> bool:
    return settings.class_name == "Muon"


def _muon(shapes: Sequence[Shape], settings: Settings, guesses: Hypotheses, exactly: bool) -> Iterator[_Match]:
    """Muon's own layout: matrices have a momentum only, other weights a velocity as well."""
    config = settings.config
    excluded = [word for word in config.get("exclude_layers") or () if isinstance(word, str)]
    embeddings = config.get("exclude_embeddings", True)
    for segments, strict in guesses:
        if strict is not exactly or isinstance(segments, Lanes) or any(segment.loose for segment in segments):
            continue
        slots: list[tuple[str, Held | None]] = [("iteration", None), ("learning_rate", None)]
        wanted: list[Shape | None] = [(), ()]
        for held in (held for segment in segments for held in segment.holds):
            by_adam = held.shape is None or len(held.shape) != 2 or any(word in held.path for word in excluded)
            by_adam = by_adam or (bool(embeddings) and "embedding" in held.path.lower())
            for name in ("momentum", "velocity")[: 1 + by_adam]:
                slots.append((name, held))
                wanted.append(held.shape)
        skipped = int(isinstance(config.get("learning_rate"), Mapping))
        if wanted[: 2 - skipped] + wanted[2:] == list(shapes):
            yield _Match(tuple(slots[: 2 - skipped] + slots[2:]), exactly)


def _agreed(matches: Sequence[_Match]) -> _Match:
    """What all layouts that fit agree on; slots whose names differ are numbered."""
    if len(matches) == 1:
        return matches[0]
    slots: list[tuple[str, Held | None]] = []
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


def _by_shape(stored: Sequence[Stored], model: Owner) -> list[tuple[str, Held | None]]:
    """The last resort: the weight of a shape that no other weight has."""
    of_shape: dict[Shape, list[Held]] = {}
    for owner in model.walk():
        for held in owner.holds:
            if held.shape and held.trainable is not False:
                of_shape.setdefault(held.shape, []).append(held)
    found = []
    for item in stored:
        candidates = of_shape.get(item.dataset.shape, [])
        found.append(("unknown", candidates[0] if len(candidates) == 1 else None))
    return found


def _tensors(
    stored: Sequence[Stored], slots: Sequence[tuple[str, Held | None]], settings: Settings, prefix: str
) -> Iterator[Tensor]:
    taken: set[str] = set()
    for item, (name, held) in zip(stored, slots, strict=True):
        path = _path(item, name, held, prefix)
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
            slot=Slot(name, held.path if held else None, initial_value(name, settings)),
        )


def _path(item: Stored, name: str, held: Held | None, prefix: str) -> str:
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
