"""The look at models that `--doctor` asks for, before anything is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from wtool.run.plan import Plan
from wtool.words import Progress

if TYPE_CHECKING:
    from wtool.run.diagnosis import Diagnosis


class Asking(Protocol):
    """Options of an operation that may look at its models first."""

    @property
    def doctor(self) -> bool:
        """Whether it shall look."""

    @property
    def include(self) -> Sequence[str]:
        """Only tensors with paths like these."""

    @property
    def exclude(self) -> Sequence[str]:
        """No tensors with paths like these."""

    @property
    def progress(self) -> Progress | None:
        """Called with bytes done and bytes in all."""

    @property
    def diagnosed(self) -> Callable[[Diagnosis], None] | None:
        """Called with what was found."""


def diagnose(options: Asking, plan: Plan, shares: Sequence[float] | None = None) -> Diagnosis | None:
    """Looks at the models of a plan, and hands on what was found; does nothing unless the options ask for it.

    Args:
        options: of the operation.
        plan: whose first operation tells the models; the one with the role `base` is what they are compared with.
        shares: of the models in an average; equal ones, if None.
    """
    if not options.doctor:
        return None
    from wtool.run.doctor import examine  # most averages and merges are made without a look

    operands = plan.operations[0].operands
    base = next((each.checkpoint for each in operands if each.role == "base"), None)
    models = [each.checkpoint for each in operands if each.role != "base"]
    keeper = next(at for at, each in enumerate(models) if each is plan.base)
    found = examine(models, keeper, base, shares, options.include, options.exclude, options.progress)
    if options.diagnosed is not None:
        options.diagnosed(found)
    return found
