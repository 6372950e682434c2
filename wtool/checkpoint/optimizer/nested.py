"""Optimizers inside optimizers, as Keras-3 files have them: around scaled losses, and one for each part of a model.

A wrapper stores its own scalars and then all variables of the optimizers inside it, which store them once more in
groups of their own. So what the innermost groups are tells what the outer ones are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any

from wtool.checkpoint.demands import stored_dtype
from wtool.checkpoint.layouts.keras3_groups import Groups
from wtool.checkpoint.layouts.stored import StoredLayer, StoredVariable
from wtool.checkpoint.model import Tensor
from wtool.checkpoint.optimizer import slots as optimizer
from wtool.checkpoint.optimizer.alignment import Lanes, deal
from wtool.checkpoint.optimizer.candidates import Candidates, candidates, scattered
from wtool.checkpoint.optimizer.fitting import first_part
from wtool.checkpoint.optimizer.slots import Named, Stored
from wtool.schema import optimizer_settings
from wtool.schema.optimizer_settings import Settings
from wtool.schema.optimizers import TABLE, OptimizerClass
from wtool.values import dataclass


def scalars_by_number(table: Mapping[str, OptimizerClass]) -> dict[int, tuple[str, ...]]:
    """The names of a wrapper's scalars, by their number; none in Keras 2.

    Raises:
        ValueError: two wrappers have the same number of other scalars, so that the number tells neither.
    """
    heads: dict[int, tuple[str, ...]] = {0: ()}
    for name, entry in table.items():
        own = tuple(scalar.name for scalar in entry.head)
        if heads.setdefault(len(own), own) != own:
            raise ValueError(f"{name} has as many scalars as another wrapper, which has others")
    return heads


_HEADS = scalars_by_number(TABLE)

_INNER = ("inner_optimizer", "_optimizer")


@dataclass(slots=True)
class _Node:
    """A group of an optimizer: its variables, and what each of them is, as soon as that is known."""

    group: str
    settings: Settings
    stored: list[Stored]
    parts: list[_Node] = field(default_factory=list)
    named: Sequence[Named] | None = None

    def walk(self) -> Iterator[_Node]:
        yield self
        for part in self.parts:
            yield from part.walk()


def read(groups: Groups, entry: Any, model: StoredLayer) -> tuple[Settings, list[Tensor], list[str]]:
    """The settings of a model's optimizer, its tensors in the order of the file, and notes.

    Args:
        groups: of the file.
        entry: the optimizer's entry in the configuration, where there is one.
        model: the model that it trains; its variables have their paths.
    """
    settings = optimizer_settings.settings_of(entry, groups.name("optimizer"))
    wrapped = next((f"optimizer/{name}" for name in _INNER if groups.is_object(f"optimizer/{name}")), None)
    if wrapped is not None and "inner_optimizer" not in settings.config:
        inner = settings if entry else optimizer_settings.settings_of(None, groups.name(wrapped))
        settings = optimizer_settings.scaling(settings, inner)
    policy = "bfloat16" if any(held.dtype == "bfloat16" for owner in model.walk() for held in owner.holds) else None
    root = _node(groups, "optimizer", settings, policy)
    guesses = candidates(model) if any(node.stored for node in root.walk()) else []
    for node in root.walk():
        if _is_multi(node):
            _deal(node.parts, guesses)
    tensors: list[Tensor] = []
    notes: dict[str, None] = {}
    some = scattered(guesses) if any(map(_is_multi, root.walk())) else []
    for node in reversed(list(root.walk())):
        node.named, told = _named(node, [*guesses, *some], model)
        notes |= dict.fromkeys(told)
    for node in root.walk():
        below = node.group.removeprefix("optimizer").lstrip("/")
        tensors += optimizer.tensors(node.stored, node.named or (), node.settings, f"{below}/" if below else "")
    return settings, tensors, list(notes)


def _is_multi(node: _Node) -> bool:
    """Whether it is an optimizer of several, each of which trains some of the weights."""
    return node.settings.class_name == "MultiOptimizer" or len(node.parts) > 1


def _node(groups: Groups, group: str, settings: Settings, policy: str | None) -> _Node:
    stored = [Stored(dataset, stored_dtype(dataset, policy), key) for key, dataset in groups.variables(group)]
    node = _Node(group, settings, stored)
    for found in groups.objects(group, skip=("vars",)):
        name = found.rpartition("/")[2]
        is_inner = name in _INNER
        own = optimizer_settings.inner_settings(settings) if is_inner else _settings_of_part(groups, found, settings)
        node.parts.append(_node(groups, found, own, policy))
    return node


def _settings_of_part(groups: Groups, group: str, settings: Settings) -> Settings:
    """Of one of a MultiOptimizer's: its entry has its name, or is the only one of its class."""
    name = groups.name(group)
    own = optimizer_settings.settings_of(None, name or group.rpartition("/")[2])
    entries = list(optimizer_settings.parts_settings(settings))
    for fitting in (
        [each for each in entries if name is not None and each.config.get("name") == name],
        [each for each in entries if each.class_name == own.class_name],
    ):
        if len(fitting) == 1:
            return fitting[0]
    return own


def _named(node: _Node, guesses: Candidates, model: StoredLayer) -> tuple[Sequence[Named], list[str]]:
    """What each variable of a group is: known already, that of the groups inside, or worked out."""
    if node.named is not None:
        return node.named, []
    inside = [named for part in node.parts for named in part.named or ()]
    head = _HEADS.get(len(node.stored) - len(inside))
    shapes = [each.dataset.shape for part in node.parts for each in part.stored]
    own = [each.dataset.shape for each in node.stored]
    if node.parts and head is not None and own == [()] * len(head) + shapes:
        return [*(_slot(name, None, (), node.settings) for name in head), *inside], []
    if not node.stored:
        return [], []
    return optimizer.named(node.stored, node.settings, guesses, model, names=False)


def _deal(parts: Sequence[_Node], guesses: Candidates) -> None:
    """Find whose slots the optimizers of a MultiOptimizer hold: each weight has them in one of these only."""
    found = [first_part([each.dataset.shape for each in part.stored], part.settings) for part in parts]
    known = [each for each in found if each is not None]
    if len(known) < len(found):
        return
    for segments, strict in guesses:
        if not strict or isinstance(segments, Lanes) or any(segment.loose for segment in segments):
            continue
        holds = [held for segment in segments for held in segment.holds]
        dealt = deal(holds, [each.weights for each in known], any(not each.weights for each in known))
        if dealt is not None:
            for part, each, own in zip(parts, known, dealt, strict=True):
                part.named = [_slot(name, number, own, part.settings) for name, number in each.slots]
            return


def _slot(name: str, number: int | None, own: Sequence[StoredVariable | None], settings: Settings) -> Named:
    held = None if number is None else own[number]
    return Named(name, held, optimizer_settings.initial_value(name, settings))
