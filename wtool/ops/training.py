"""Training, evaluation and recalibration of models, as functions of files: made of their dataclasses.

`wtool/ops/signatures.pyi` has their signatures for type checkers and editors; `make docs` writes it. Keras and
NumPy are imported when a function is called, Keras after the checks of arguments that need none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from wtool.io.addresses import text_of
from wtool.ops.functions import First, function_of
from wtool.training.evaluate_options import Evaluate, Evaluated
from wtool.training.recalibrate_options import Recalibrate, Recalibrated
from wtool.training.resume_options import Resume, Resumed
from wtool.words import Models, Path

if TYPE_CHECKING:
    from wtool.ops.signatures import evaluate as evaluate
    from wtool.ops.signatures import recalibrate as recalibrate
    from wtool.ops.signatures import resume as resume

WHOLE_MODEL = First("model", Path, "a `.keras` or whole-model `.h5` file, or `-` for standard input.")


def _resume(model: Path, given: Mapping[str, Any]) -> Resumed:
    options = Resume(**given)
    from wtool.training.checks import check_resume

    check_resume(text_of(model), options)
    from wtool.training.resume import resume

    return resume(text_of(model), options)


def _evaluate(models: Models, given: Mapping[str, Any]) -> list[Evaluated]:
    options = Evaluate(**given)
    from wtool.run.batch import words_of
    from wtool.training.checks import check_evaluate

    check_evaluate(words_of(models), options)
    from wtool.training.evaluate import evaluate

    return evaluate(words_of(models), options)


def _recalibrate(models: Models, given: Mapping[str, Any]) -> list[Recalibrated]:
    options = Recalibrate(**given)
    from wtool.run.batch import words_of
    from wtool.training.recalibrate import recalibrate

    return recalibrate(words_of(models), options)


globals()["resume"] = function_of(Resume, "resume", (Resume,), Resumed, _resume, WHOLE_MODEL)
globals()["evaluate"] = function_of(Evaluate, "evaluate", (Evaluate,), Evaluated, _evaluate)
globals()["recalibrate"] = function_of(Recalibrate, "recalibrate", (Recalibrate,), Recalibrated, _recalibrate)
