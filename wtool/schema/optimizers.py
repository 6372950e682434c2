"""What optimizers store, by class and settings: scalars, and slots for each weight."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

Groups = tuple[tuple[str, ...], ...]


KEPT = frozenset({"learning_rate", "dynamic_scale"})
"""Settings rather than state: they say how the user trains, not what happened so far."""

FIRST_MOMENTS = frozenset({"momentum", "gradient_accumulator"})
"""Slots that would go on pulling a weight to where its old value was going."""


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
class Plan:
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
    if not scales_loss(outer):
        return Settings("LossScaleOptimizer", config, outer.older)
    return Settings(outer.class_name, {**outer.config, **config}, outer.older)


def scales_loss(settings: Settings) -> bool:
    """Whether it is an optimizer around another one that scales the loss."""
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
    return next((known for known in (*GROUPS, "LossScaleOptimizer", "MultiOptimizer") if known.lower() == plain), None)


# The slots of each class in Keras 3, the commonest first. ScheduleFreeAdamW calls its running parameters "momentum";
# they start from the weights and are averaged, as EMA slots are.
_ADAM: Groups = (("momentum", "velocity"),)
GROUPS: dict[str, Groups] = {
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
    basic = GROUPS[class_name]
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


def plans(settings: Settings) -> Iterator[Plan]:
    """Every layout that some Keras version writes for an optimizer, the likeliest first."""
    class_name, config = settings.class_name, settings.config
    if scales_loss(settings):
        inner = inner_settings(settings)
        for plan in plans(inner):
            scale = ("iteration", "learning_rate", "step_counter", "dynamic_scale")
            yield Plan(scale + plan.head, plan.groups, plan.tail)
        yield from plans(inner)
        return
    if class_name not in GROUPS:
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
                    yield Plan(head, before + groups, tail)


def keeps_slots(settings: Settings) -> bool:
    """Whether an optimizer of this class, with these settings, stores something for each weight that it trains."""
    if scales_loss(settings):
        return keeps_slots(inner_settings(settings))
    first = next(plans(settings), None)
    return settings.class_name == "Muon" or (first is not None and bool(first.groups))


def _before(config: Mapping[str, Any]) -> list[Groups]:
    """What any optimizer stores before its own slots: averages of the weights, accumulated gradients."""
    average: Groups = (("average",),)
    accumulator: Groups = (("gradient_accumulator",),)
    if not config:
        return [(), average, accumulator, average + accumulator]
    chosen = average if config.get("use_ema") else ()
    return [chosen + accumulator if config.get("gradient_accumulation_steps") else chosen]


def _older_plans(class_name: str, config: Mapping[str, Any]) -> Iterator[Plan]:
    """What Keras 2 wrote up to TensorFlow 2.10: all first slots, then all second ones; some without a step count."""
    for groups in _groups(class_name, config):
        apart: Groups = tuple((name,) for group in groups for name in group)
        if apart == () and class_name != "SGD":
            continue
        heads: list[tuple[str, ...]] = [("iteration",), ()]
        if class_name == "Nadam":
            heads.insert(0, ("iteration", "momentum_cache"))
        for head in heads:
            yield Plan(head, apart)
            if class_name == "Adam" and ("velocity_hat",) not in apart:
                yield Plan(head, (*apart, ("velocity_hat",)))


def initial_value(slot: str, settings: Settings) -> float:
    """What a fresh optimizer starts a variable from."""
    config: Any = settings.config
    if slot == "dynamic_scale":
        return _number(config.get("initial_scale"), 32768.0)
    if scales_loss(settings):
        return initial_value(slot, inner_settings(settings))
    if slot == "accumulator" and settings.class_name in ("Adagrad", "Ftrl"):
        return _number(config.get("initial_accumulator_value"), 0.1)
    return 1.0 if slot in ("u_product", "momentum_cache") else 0.0


def _number(value: Any, default: float) -> float:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else default
