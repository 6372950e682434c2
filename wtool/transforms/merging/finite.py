"""NaN and infinite values are refused, also where a method would lose sight of them: no mask may hide one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from wtool.errors import Refused
from wtool.transforms.averaging import all_finite
from wtool.transforms.change import Blocks, Data, Look, Site
from wtool.transforms.merging.method import Combine, Prepared
from wtool.transforms.merging.settings import Settings
from wtool.values import dataclass

if TYPE_CHECKING:
    from numpy.typing import NDArray


def refuse_nonfinite(settings: Settings, site: Site, blocks: Blocks) -> None:
    """Look at all values of the blocks.

    Raises:
        Refused: a value is NaN or infinite; with the tensor and the model.
    """
    for at, block in enumerate(blocks):
        if not all_finite(block):
            number = at + 1 - settings.has_base
            which = "the base" if number == 0 else f"model {number}"
            known = settings.names[at] if at < len(settings.names) else ""
            whose = "" if known else f" of {which}"
            raise Refused(
                f"{site.path}{whose} holds NaN or infinite values; --exclude keeps the first model's tensor", known
            )


@dataclass(frozen=True, slots=True, eq=False)
class _LookedThrough:
    """Data that refuse values which are not finite."""

    data: Data
    settings: Settings

    @property
    def sites(self) -> Sequence[Site]:
        return self.data.sites

    def walk(self, look: Look, sites: Sequence[Site]) -> Iterator[tuple[Site, int, Any]]:
        return self.data.walk(partial(self._look, look), sites)

    def read(self, site: Site, start: int, stop: int) -> Blocks:
        return self.data.read(site, start, stop)  # of a sample, or to tell models apart: a walk or the merge sees all

    def _look(self, look: Look, site: Site, blocks: Blocks, start: int) -> Any:
        refuse_nonfinite(self.settings, site, blocks)
        with np.errstate(over="ignore", invalid="ignore"):  # whoever needs a result looks whether it is finite
            return look(site, blocks, start)


def looked_through(data: Data, settings: Settings) -> Data:
    """Returns the same data, which raise Refused where a value that is looked at is not finite."""
    return _LookedThrough(data, settings)


def guarded(prepared: Prepared, sites: Sequence[Site], settings: Settings) -> Prepared:
    """Returns a prepared method whose functions raise Refused for blocks that are not finite.

    Tensors without values, of which a method has nothing to say, get a function as well.
    """
    combines = {
        site.path: partial(_combined, prepared.combines.get(site.path, _nothing), site, settings) for site in sites
    }
    return replace(prepared, combines=combines)


def _nothing(blocks: Blocks, start: int) -> NDArray[np.float64]:
    return blocks[0].astype(np.float64)


def _combined(combine: Combine, site: Site, settings: Settings, blocks: Blocks, start: int) -> NDArray[np.float64]:
    refuse_nonfinite(settings, site, blocks)
    with np.errstate(over="ignore", invalid="ignore"):  # the merged values are looked at before they are written
        return combine(blocks, start)
