"""The evaluation of one model as a task for a worker. This module imports no Keras; the task does."""

from __future__ import annotations

from wtool.checkpoint.opener import Opener
from wtool.training.evaluate_options import Evaluate, Evaluated
from wtool.training.quiet import silent_import
from wtool.values import dataclass
from wtool.words import Progress


@dataclass(frozen=True, slots=True)
class Evaluating:
    """The evaluation of one model.

    Attributes:
        model: path.
        options: how, without functions, which cannot be sent.
        size: bytes of the model; not known.
    """

    model: str
    options: Evaluate
    size: int | None = None

    def run(self, opener: Opener, progress: Progress | None = None) -> Evaluated:
        """Returns loss and metrics; what is wrong with the model is raised."""
        with silent_import():
            from wtool.training.evaluate import evaluated
        return evaluated(self.model, self.options, progress)
