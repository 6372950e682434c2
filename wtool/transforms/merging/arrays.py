"""A merging method as a pure function of arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from wtool.dtypes import Array, round_into
from wtool.errors import Refused
from wtool.transforms.averaging import all_finite
from wtool.transforms.change import Blocks, Look, Site
from wtool.transforms.merging.registry import METHODS
from wtool.transforms.merging.settings import settings_of
from wtool.values import dataclass


@dataclass(frozen=True, slots=True, eq=False)
class ModelArrays:
    """Tensors of several models in memory: for each model path -> array; the base, if there is one, comes first."""

    operands: Sequence[Mapping[str, Array]]
    sites: Sequence[Site]

    def walk(self, look: Look, sites: Sequence[Site]) -> Iterator[tuple[Site, int, Any]]:
        """Hand every tensor to `look`, whole."""
        for site in sites:
            yield site, 0, look(site, self.read(site, 0, site.size), 0)

    def read(self, site: Site, start: int, stop: int) -> Blocks:
        """The values [start, stop) of a tensor, in each of the models."""
        return [arrays[site.path].reshape(-1)[start:stop] for arrays in self.operands]


def merged_arrays(
    method: str,
    models: Sequence[Mapping[str, Array]],
    base: Mapping[str, Array] | None = None,
    *,
    seed: int = 0,
    unit_axes: Mapping[str, tuple[int, ...]] | None = None,
    **options: Any,
) -> dict[str, Array]:
    """Returns several models merged into one.

    Args:
        method: its name, `ties`.
        models: for each model path -> array of any shape and floating dtype, the same for all models.
        base: the same for the base, if there is one.
        seed: of the random numbers.
        unit_axes: path -> axes of the output units, for methods that work unit by unit; a tensor without an entry is
            one unit.
        options: those of the method by name, as `settings.settings_of` takes them.

    Returns:
        path -> new array, of the shape and dtype of the first operand's.

    Raises:
        Refused: values are not finite, or the method is not defined for them.
        Usage: an option is not the method's, or a number out of its range.

    Example:
        >>> merged_arrays("linear", [{"kernel": np.array([1.0])}, {"kernel": np.array([3.0])}])
        {'kernel': array([2.])}
    """
    operands = [*([] if base is None else [base]), *models]
    units = unit_axes or {}
    layers = list(dict.fromkeys(path.rpartition("/")[0] for path in operands[0]))
    depths = {layer: number / max(1, len(layers) - 1) for number, layer in enumerate(layers)}
    sites = [
        Site(path, array.shape, array.dtype.name, unit_axes=units.get(path, ()), depth=depths[path.rpartition("/")[0]])
        for path, array in operands[0].items()
    ]
    data = ModelArrays(operands, sites)
    settings = settings_of(METHODS[method], len(models), options, sites, has_base=base is not None, seed=seed)
    prepared = METHODS[method].prepare(data, settings)
    result = {path: np.empty(array.shape, array.dtype) for path, array in operands[0].items()}
    for site in sites:
        new = result[site.path].reshape(-1)
        round_into(new, prepared.combines[site.path](data.read(site, 0, site.size), 0))
        if not all_finite(new):
            raise Refused(f"the merged values of {site.path} are too large for {new.dtype.name}")
    return result
