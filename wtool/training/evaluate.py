"""Loss and metrics of saved models, and of the average of their predictions."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import keras

from wtool.errors import Usage, WtoolError, explained
from wtool.run.batch import Failed, SomeFailed
from wtool.run.options import refuse_unknown
from wtool.training.checks import check_evaluate
from wtool.training.data import reading
from wtool.training.fitting.compiling import Compilation, compile_model
from wtool.training.fitting.loop import misfit
from wtool.training.loading.load import import_all, load
from wtool.words import Path, Unpack

ENSEMBLE = "ensemble"
HOW = ("loss", "loss_weights", "metrics", "weighted_metrics")
"""Keys of a compilation that an ensemble takes from its first member."""


@dataclass(frozen=True, slots=True)
class Evaluated:
    """Loss and metrics of a model.

    Attributes:
        model: path of the model; `ensemble` for the average of all models' predictions.
        metrics: name -> value, the loss first.
    """

    model: str
    metrics: dict[str, float]


class EvaluateOptions(TypedDict, total=False):
    """How models are evaluated.

    Attributes:
        ensemble: also evaluate the average of the models' predictions.
        batch_size: number of samples in a batch, for data that does not come in batches; default 32.
        loss: Keras's name of a loss, instead of the one that a model was saved with.
        metrics: Keras's names of metrics, instead of those that a model was saved with.
        imports: modules that register layers, losses and metrics.
        unsafe: load models even if that runs code or imports modules that are not Keras's.
        report: called with the result of each model, in the order of the models.
    """

    ensemble: bool
    batch_size: int
    loss: str | None
    metrics: Sequence[str]
    imports: Sequence[str]
    unsafe: bool
    report: Callable[[Evaluated | Failed], None] | None


def evaluate(models: Path | Sequence[Path], *, data: Any, **options: Unpack[EvaluateOptions]) -> list[Evaluated]:
    """Returns loss and metrics of one or many models.

    Args:
        models: files, folders (searched for models), patterns, or `-` for standard input.
        data: see `training.data.reading.read_data`; of a `.npz` file the test part, if it has one.
        options: see `Options`.

    Raises:
        SomeFailed: after all others were evaluated; of a single model, the error itself.
        Usage: words that do not go together.

    Example:
        >>> wtool.evaluate(["a.keras", "b.keras"], data="digits.npz", ensemble=True)  # doctest: +SKIP
    """
    refuse_unknown("evaluate", options, EvaluateOptions)
    words = [os.fspath(models)] if isinstance(models, (str, os.PathLike)) else [os.fspath(each) for each in models]
    paths = check_evaluate(words, data, options)
    import_all(options.get("imports", ()))
    report = options.get("report") or _ignore
    results: list[Evaluated | Failed] = []
    members: list[Any] = []
    for path in paths:
        result = _of_file(path, data, options, members)
        results.append(result)
        report(result)
        if isinstance(result, Failed) and len(paths) == 1:
            raise result.error
    if any(isinstance(each, Failed) for each in results):
        raise SomeFailed(results)
    if members:
        results.append(_of_members(members, data, options))
        report(results[-1])
    return [each for each in results if isinstance(each, Evaluated)]


def score(model: Any, data: Any, batch_size: int = 32) -> dict[str, float]:
    """Returns loss and metrics of a live model.

    Args:
        model: compiled.
        data: a result of `reading.read_data`.
        batch_size: of `Samples`.
    """
    found = model.evaluate(reading.fed(data, batch_size), verbose=0, return_dict=True)
    return {"loss": float(found["loss"]), **{name: float(value) for name, value in found.items()}}


class Ensemble(keras.Model):
    """A model whose prediction is the average of its members', without the penalties that members add to their losses.

    Args:
        members: models with the same inputs and outputs.
    """

    def __init__(self, members: Sequence[Any]) -> None:
        super().__init__(name=ENSEMBLE)
        self.members = list(members)
        self.output_names = getattr(members[0], "output_names", None)  # by which losses and metrics may be told

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Returns the mean of the members' predictions."""
        each = [member(inputs, training=training) for member in self.members]
        return keras.tree.map_structure(_mean, *each)

    @property
    def losses(self) -> list[Any]:
        """Returns no losses: the members' penalties are about their weights, not about the prediction."""
        return []


def _mean(*outputs: Any) -> Any:
    if len({tuple(output.shape) for output in outputs}) > 1:
        raise ValueError("the outputs of the models have different shapes")
    return sum(outputs[1:], outputs[0]) / len(outputs)


def _ignore(result: Evaluated | Failed) -> None:
    """A report that is thrown away."""


def _of_file(path: str, data: Any, options: EvaluateOptions, members: list[Any]) -> Evaluated | Failed:
    try:
        loaded = load(path, options.get("unsafe", False))
        model = loaded.model
        wanted = Compilation(options.get("loss"), tuple(options.get("metrics", ())))
        compile_model(model, wanted, trains=False, why=loaded.uncompiled)
        batch_size = options.get("batch_size", 32)
        found = Evaluated(path, score(model, reading.read_data(data, model, "test", batch_size), batch_size))
    except Usage:
        raise
    except WtoolError as error:
        return Failed(path, error.about(path))
    except Exception as error:  # Keras raises what it likes where data does not fit a model
        told = _unfit(error).about(path)
        told.__cause__ = error
        return Failed(path, told)
    if options.get("ensemble"):
        members.append(model)
    return found


def _of_members(members: Sequence[Any], data: Any, options: EvaluateOptions) -> Evaluated:
    """Returns the ensemble, compiled with the first member's loss and metrics."""
    ensemble = Ensemble(members)
    first = members[0]
    settings = keras.saving.deserialize_keras_object(first.get_compile_config())
    batch_size = options.get("batch_size", 32)
    try:
        ensemble.compile(**{name: settings.get(name) for name in HOW})
        return Evaluated(ENSEMBLE, score(ensemble, reading.read_data(data, first, "test", batch_size), batch_size))
    except (ValueError, TypeError) as error:
        raise _unfit(error).about(ENSEMBLE) from error


def _unfit(error: Exception) -> WtoolError:
    return explained(error) if isinstance(error, (OSError, MemoryError)) else misfit(error, "evaluate")
