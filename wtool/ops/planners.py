"""What plans each operation that makes one model of one: made of the arguments of its public function."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wtool.io.addresses import text_of
from wtool.ops.functions import given_of
from wtool.run.options import Initial, Unseeded, shared_by
from wtool.run.task import Planner
from wtool.transforms.registry import REGISTRY, transform


def planner_of(operation: str, given: Mapping[str, Any]) -> Planner[Any] | None:
    """Returns what plans an operation with these arguments; None for one that makes a model of several.

    Args:
        operation: name of its public function.
        given: arguments of that function.

    Raises:
        Usage: arguments that do not go together.
        WtoolError: a file that they name is missing.
    """
    if operation in REGISTRY:
        return _transforming(operation, given)
    found = _PLANNERS.get(operation)
    return None if found is None else found(given)


def _transforming(operation: str, given: Mapping[str, Any]) -> Planner[Any]:
    from wtool.run.batch import transforming

    kind = transform(operation)
    shared = shared_by(kind)
    initial = Initial(**given_of(Initial, given)).initial
    first = None if initial is None else text_of(initial)
    return transforming(kind(**given_of(kind, given)), first, shared(**given_of(shared, given)))


def _swapping(given: Mapping[str, Any]) -> Planner[Any]:
    from wtool.ops.transforms import swapping

    return swapping(given)


def _converting(given: Mapping[str, Any]) -> Planner[Any]:
    from wtool.ops.convert import converting
    from wtool.ops.convert_options import Convert

    return converting(Convert(**given_of(Convert, given)))


def _shrinking(given: Mapping[str, Any]) -> Planner[Any]:
    from wtool.ops.shrink import shrinking

    return shrinking(given)


def _packing(given: Mapping[str, Any]) -> Planner[Any]:
    from wtool.ops.pack import packing

    return packing(given)


def _patching(given: Mapping[str, Any]) -> Planner[Any]:
    from wtool.ops.patch import patching

    return patching(given)


def _aligning(given: Mapping[str, Any]) -> Planner[Any]:
    from wtool.ops.align import aligning

    return aligning(given)


def _taking_averages(given: Mapping[str, Any]) -> Planner[Any] | None:
    from wtool.ops.ema_options import Ema
    from wtool.run.optimizer_averages import TakingAverages

    is_of_several = Ema(**given_of(Ema, given)).sigma_rel is not None
    return None if is_of_several else TakingAverages(Unseeded(**given_of(Unseeded, given)).optimizer)


def _recalibrating(given: Mapping[str, Any]) -> Planner[Any]:
    from wtool.training.recalibrate import recalibrating
    from wtool.training.recalibrate_options import Recalibrate

    return recalibrating(Recalibrate(**given))


_PLANNERS = {
    "align": _aligning,
    "convert": _converting,
    "ema": _taking_averages,
    "pack": _packing,
    "patch": _patching,
    "recalibrate": _recalibrating,
    "shrink": _shrinking,
    "swap": _swapping,
}
