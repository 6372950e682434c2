"""A recalibration behind an average or a merge, in the same file. What runs models is imported when data is given."""

from __future__ import annotations

from typing import Any

from wtool.run.derive import Derived
from wtool.run.plan import Plan
from wtool.training.recalibrate_options import Drift, Recalibration


def recalibrated_after(plan: Plan, data: Any) -> tuple[Plan, tuple[str, ...]]:
    """Returns a plan and, behind it, a recalibration of its result with the usual options; and notes.

    Args:
        plan: makes a model that has other weights than its base.
        data: see `wtool.training.data.reading.read_inputs`; None for no recalibration.

    Raises:
        WtoolError: data is missing, or the file holds weights only.
    """
    if data is None:
        return plan, ()
    from wtool.training.data.words import check_data
    from wtool.training.recalibration.planning import NOTHING, Recalibrating

    check_data(data, labelled=False)
    behind = plan.then(Recalibrating(data, Recalibration(), by="--recalibrate").plan_of(plan.base))
    return behind, () if len(behind.operations) > len(plan.operations) else (NOTHING,)


def drifts_of(derived: Derived) -> dict[str, Drift]:
    """Returns how far off the statistics of each layer were that a plan recalibrated."""
    if len(derived.changes) < 2:
        return {}
    from wtool.training.recalibration.planning import NewStatistics

    found = [each.found.layers for each in derived.changes if isinstance(each, NewStatistics)]
    return {path: drift for layers in found for path, drift in layers.items()}
