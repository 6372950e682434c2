"""Which values of a model a mask holds, as its lineage tells: zeros, or whatever pruned weights were left as."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from wtool.checkpoint.lineage import own_records
from wtool.checkpoint.masks import RecordedMasks, recorded_masks
from wtool.dtypes import Array
from wtool.errors import Refused, Usage, WtoolError, a_few
from wtool.run.selection import by_role
from wtool.training.loading.load import Loaded
from wtool.training.variables import array, variables_by_path
from wtool.transforms.registry import transforms
from wtool.values import dataclass

MASKING = frozenset({"prune", "rewind-schedule", *(name for name, kind in transforms().items() if kind.of_initial)})
"""Operations after which zeros are a mask: those that prune, and those that keep the mask of a pruned model."""

MASKS, ALL = "masks", "all"
"""How records name the zeros that were held: those of masks, or all zeros of kernels."""

_CHOICE = "--hold-zeros holds all zeros of kernels, --no-hold-zeros none"


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """What is to be held of a model.

    Attributes:
        kept: path in the file -> mask of the variable's shape, False where a value is held.
        values: path -> what is held there, of the variable's shape and dtype; zeros for those without.
    """

    kept: Mapping[str, Array]
    values: Mapping[str, Array]


def held_values(loaded: Loaded, which: str) -> Held:
    """Returns what is to be held of a model as it was loaded.

    A recorded mask says exactly which values are pruned; without one, those that are zero count as pruned.

    Args:
        loaded: the model.
        which: `MASKS` or `ALL`.

    Raises:
        WtoolError: the lineage tells of tensors that are not there, or has a damaged mask.
    """
    variables = masked_variables(loaded) if which == MASKS else zeros(loaded)
    told = recorded(loaded).masks
    kept, values = {}, {}
    for path, variable in variables.items():
        now = array(variable)
        kept[path] = now != 0
        if path in told:
            own = told[path].kept(now.reshape(-1)).reshape(now.shape)
            kept[path] = own if which == MASKS else own & kept[path]
            if told[path].holds_values:
                values[path] = now
    return Held(kept, values)


def recorded(loaded: Loaded) -> RecordedMasks:
    """Returns the masks that the lineage of a model records.

    Raises:
        WtoolError: a mask is damaged.
    """
    try:
        return recorded_masks(loaded.lineage, loaded.weights)
    except Refused as error:
        raise WtoolError(f"{error.message}; {_CHOICE}") from None


def masked_variables(loaded: Loaded) -> dict[str, Any]:
    """Returns path in the file -> Keras variable of the variables that have a mask, as the lineage tells.

    Not of those that a swap gave new zeros after that: these are there to be trained.

    Raises:
        WtoolError: the lineage tells of tensors that are not there.
    """
    found: set[str] = set()
    for record in own_records(loaded.lineage):
        if record.operation == "swap":
            found -= set(_globs(record.more.get("new")))
            continue
        parameters = record.parameters
        if not parameters or parameters.get("set_value", 0) != 0:
            continue
        if record.operation not in MASKING and parameters.get("hold_zeros") != ALL:
            continue
        include, exclude = (_globs(parameters.get(name)) for name in ("include", "exclude"))
        kinds = (parameters.get("weights") is not False, parameters.get("biases") is True)
        try:
            found |= {tensor.path for tensor in by_role(loaded.weights, include, exclude, *kinds)}
        except Usage as error:
            raise WtoolError(f"its lineage tells of zeros to hold, but {error.message}; {_CHOICE}") from None
    return _live(loaded, found | recorded(loaded).masks.keys())


def zeros(loaded: Loaded) -> dict[str, Any]:
    """Returns path in the file -> Keras variable of all kernels, and of others that the lineage calls masked."""
    kernels = {tensor.path for tensor in by_role(loaded.weights, (), (), kernels=True, biases=False)}
    with suppress(WtoolError):
        return _live(loaded, kernels) | masked_variables(loaded)
    return _live(loaded, kernels)


def _live(loaded: Loaded, paths: set[str]) -> dict[str, Any]:
    missing = sorted(paths - loaded.variables.keys())
    if missing:
        raise WtoolError(f"Keras has no variable for {a_few(missing)}, whose zeros were to be held; {_CHOICE}")
    layers = variables_by_path(loaded.model).values()
    adapted = {id(variable) for layer, variable in layers if getattr(layer, "lora_enabled", False)}
    odd = sorted(path for path in paths if id(loaded.variables[path]) in adapted)
    if odd:
        raise WtoolError(f"zeros of {a_few(odd)} cannot be held: LoRA is added to them on saving; see --no-hold-zeros")
    return {path: variable for path, variable in loaded.variables.items() if path in paths}


def _globs(value: Any) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []
