"""A merge by one of the methods of `transforms.merging`, as an operation on checkpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from wtool.checkpoint.lineage import Record
from wtool.checkpoint.model import Checkpoint
from wtool.run.merging import Merging, Recipe, Words
from wtool.run.plan import Operand, Plan
from wtool.transforms.averaging import CACHE_BLOCK
from wtool.transforms.change import Data, Site
from wtool.transforms.merging.registry import Method
from wtool.transforms.merging.settings import Settings, settings_of
from wtool.transforms.streams import CHUNK
from wtool.values import dataclass

if TYPE_CHECKING:
    from numpy.typing import NDArray

WORDS = Words("merged", "merge", "the first", "other models", "--exclude keeps the first model's tensor")


@dataclass(frozen=True, eq=False)
class ByMethod:
    """A merge by a method, and how.

    Attributes:
        method: how tensors are merged.
        given: its options by name, as the user gave them.
        models: how many models there are, without the base.
        has_base: whether there is a base.
        seed: of the random numbers.
        seed_is_given: the user wants this seed; otherwise a result with any other is as good.
        bn: what becomes of the statistics of batch normalisation: `average`, `pool` or `first`.
        recalibrates: these statistics are taken anew from data afterwards.
        include, exclude: merge only tensors with paths like these, and none like those.
        optimizer: what becomes of it.
        differing: paths of tensors that are kept although the models disagree; known after the run only.

    Raises:
        Usage: the method has no use for an option, needs another one, or takes another number of models.
    """

    method: Method
    given: Mapping[str, Any]
    models: int
    has_base: bool
    seed: int
    seed_is_given: bool = True
    bn: str = "average"
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    optimizer: str = "follow"
    recalibrates: bool = False
    differing: dict[str, None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._settings(None, ())

    def plan(self, checkpoints: Sequence[Checkpoint]) -> Plan:
        """What will be done to the first model; the base comes before it, if there is one, and the others behind."""
        told = [*([{"as": "base"}] if self.has_base else []), *({"as": "model", **each} for each in self._weights())]
        operands = [Operand(each, own, own["as"]) for each, own in zip(checkpoints, told, strict=True)]
        merging = self._merging([each.name for each in checkpoints])
        any_seed = self.method.is_random and not self.seed_is_given
        return merging.plan(operands, int(self.has_base), self._record(), any_seed)

    def parameters(self, base: Checkpoint) -> int:
        """Returns how many numbers of a model are merged."""
        return sum(prod(each.shape) for each in self._merging(()).merged(base))

    def _merging(self, names: Sequence[str]) -> Merging:
        return Merging(
            lambda data: self._recipe(data, names),
            WORDS,
            bn=self.bn,
            recalibrates=self.recalibrates,
            must_agree=True,
            include=self.include,
            exclude=self.exclude,
            optimizer=self.optimizer,
            has_base=self.has_base,
            step=CHUNK if self.method.is_random else CACHE_BLOCK,
            differing=self.differing,
        )

    def kept_but_different(self) -> list[str]:
        """A note on what had to be kept although the models disagree; right only after the run."""
        return WORDS.kept_but_different(self.differing)

    def _weights(self) -> list[dict[str, Any]]:
        """What the record tells of each model: its weight, where that is the same for all tensors."""
        numbers = self._settings(None, ()).numbers.get("weight")
        entries = () if numbers is None else numbers.entries
        is_one = (
            len(entries) == 1 and entries[0].pattern is None and all(len(each) == 1 for each in entries[0].gradients)
        )
        if "weight" not in self.method.takes or (numbers is not None and not is_one):
            return [{}] * self.models
        values = [each[0] for each in entries[0].gradients] if is_one else [1.0]
        return [{"weight": each} for each in (values if len(values) > 1 else values * self.models)]

    def _settings(self, sites: Sequence[Site] | None, names: Sequence[str]) -> Settings:
        return settings_of(
            self.method, self.models, self.given, sites, has_base=self.has_base, seed=self.seed, names=names
        )

    def _recipe(self, data: Data, names: Sequence[str]) -> Recipe:
        settings = self._settings(data.sites, names)
        prepared = self.method.prepare(data, settings)
        return Recipe(prepared, lambda site: self._shares(settings, site), lambda site: self._told(settings, site))

    def _shares(self, settings: Settings, site: Site) -> NDArray[np.float64]:
        """The coefficients of a statistic: how much each operand counts in the merged weights.

        Between the base and one model these are 1-t and t, or equal where the method does not say where between.
        A model that is subtracted counts nothing, since variances are not subtracted; where no model counts, the
        base's statistics are kept, or without a base those of all models are averaged.
        """
        if self.method.is_interpolation:
            t = settings.number("t", site)
            return np.array([1 - t, t])
        if self.method.most == 1:
            return np.ones(2)
        base = np.zeros(int(self.has_base))
        weights = settings.of_models("weight", site) if "weight" in self.method.takes else np.ones(self.models)
        counted = np.maximum(weights, 0)
        if not counted.sum() > 0:
            base, counted = np.ones_like(base), np.full(self.models, 0.0 if self.has_base else 1.0)
        return np.concatenate([base, counted])

    def _told(self, settings: Settings, site: Site) -> str:
        """The numbers that a tensor is merged with."""
        told = []
        for name, parameter in self.method.takes.items():
            if parameter.is_number:
                values = settings.of_models(name, site) if parameter.per_model else [settings.number(name, site)]
                texts = [f"{each:g}" for each in values]
                listed = texts[:1] if len(set(texts)) == 1 else texts
                told.append(f"{name.replace('_', '-')} {', '.join(listed)}")
        return f" ({'; '.join(told)})" if told else ""

    def _record(self) -> Record:
        settings = self._settings(None, ())
        told = {name: list(numbers.texts) for name, numbers in settings.numbers.items()}
        own = {name: settings.chosen.get(name, told.get(name)) for name in self.method.takes}
        parameters = {"method": self.method.name} | {name: each for name, each in own.items() if each is not None}
        parameters |= {"optimizer": self.optimizer, "bn": self.bn}
        globs = (("include", self.include), ("exclude", self.exclude))
        parameters |= {name: list(patterns) for name, patterns in globs if patterns}
        return Record("merge", parameters, seed=self.seed if self.method.is_random else None)
