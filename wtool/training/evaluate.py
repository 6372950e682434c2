"""Loss and metrics of saved models, and of the average of their predictions."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Any

import keras

from wtool.errors import Usage, WtoolError, explained
from wtool.io.addresses import without_query
from wtool.run.batch import Failed, SomeFailed
from wtool.run.executors import executor_of
from wtool.run.progress import Meter
from wtool.training.checks import check_evaluate
from wtool.training.data import reading
from wtool.training.evaluate_options import Evaluate, Evaluated
from wtool.training.evaluating import Evaluating
from wtool.training.fitting.compiling import Compilation, compile_model
from wtool.training.fitting.loop import misfit
from wtool.training.fitting.telling import Tested
from wtool.training.loading.load import import_all, load
from wtool.words import Progress

ENSEMBLE = "ensemble"
PARTS = 1000
"""How much the evaluation of a model counts in the progress."""

HOW = ("loss", "loss_weights", "metrics", "weighted_metrics")
"""Keys of a compilation that an ensemble takes from its first member."""


def evaluate(words: Sequence[str], options: Evaluate) -> list[Evaluated]:
    """Returns loss and metrics of one or many models: `wtool.evaluate`.

    Args:
        words: files, folders (searched for models), patterns, or `-` for standard input.
        options: see `training.evaluate_options.Evaluate`.

    Raises:
        SomeFailed: after all others were evaluated; of a single model, the error itself.
        Usage: words that do not go together.
    """
    paths = check_evaluate(words, options)
    import_all(options.imports)
    report = options.report or _ignore
    results: list[Evaluated | Failed] = []
    members: list[Any] = []
    meter = Meter(options.progress, [PARTS] * (len(paths) + options.ensemble))
    with closing(_each(paths, options, members, meter)) as each:
        for result in each:
            results.append(result)
            report(result)
            if isinstance(result, Failed) and len(paths) == 1:
                raise result.error
    if failed := sum(isinstance(each, Failed) for each in results):
        raise SomeFailed(results, failed, len(results))
    if members:
        results.append(_of_members(members, options, Tested(partial(meter.reached, len(paths)))))
        report(results[-1])
    return [each for each in results if isinstance(each, Evaluated)]


def _each(
    paths: Sequence[str], options: Evaluate, members: list[Any], meter: Meter
) -> Generator[Evaluated | Failed, None, None]:
    """Yields the result of each model, in order; the models of an ensemble become members."""
    if options.cluster is not None:
        alone = replace(options, cluster=None, report=None, progress=None)
        with executor_of(len(paths), cluster=options.cluster) as executor:
            for found in executor.results([Evaluating(path, alone) for path in paths], meter):
                if isinstance(found, Failed) and isinstance(found.error, Usage):
                    raise found.error
                yield found
        return
    for number, path in enumerate(paths):
        yield _of_file(path, options, members, Tested(partial(meter.reached, number)))
        meter.finished(number)


def evaluated(path: str, options: Evaluate, progress: Progress | None) -> Evaluated:
    """Returns loss and metrics of one model, on a worker that evaluates no others beside it.

    Args:
        path: of the model.
        options: see `evaluate`.
        progress: called with thousandths of the model.

    Raises:
        WtoolError: the model cannot be evaluated.
    """
    import_all(options.imports)
    tested = Tested(lambda share: progress(int(share * PARTS), PARTS) if progress is not None else None)
    found = _of_file(path, options, [], tested)
    if isinstance(found, Failed):
        raise found.error
    return found


def score(model: Any, data: Any, batch_size: int = 32, callbacks: Sequence[Any] = ()) -> dict[str, float]:
    """Returns loss and metrics of a live model.

    Args:
        model: compiled.
        data: a result of `reading.read_data`.
        batch_size: of `Samples`.
        callbacks: of Keras.
    """
    found = model.evaluate(reading.fed(data, batch_size), verbose=0, return_dict=True, callbacks=[*callbacks])
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


def _of_file(path: str, options: Evaluate, members: list[Any], tested: Tested) -> Evaluated | Failed:
    name = without_query(path)
    try:
        loaded = load(path, options.unsafe)
        model = loaded.model
        wanted = Compilation(options.loss, tuple(options.metrics))
        compile_model(model, wanted, trains=False, why=loaded.uncompiled)
        batch_size = options.batch_size
        data = reading.read_data(options.data, model, "test", batch_size)
        found = Evaluated(name, score(model, data, batch_size, [tested]))
    except Usage:
        raise
    except WtoolError as error:
        return Failed(name, error.about(name))
    except Exception as error:  # Keras raises what it likes where data does not fit a model
        told = unfit(error).about(name)
        told.__cause__ = error
        return Failed(name, told)
    if options.ensemble:
        members.append(model)
    return found


def _of_members(members: Sequence[Any], options: Evaluate, tested: Tested) -> Evaluated:
    """Returns the ensemble, compiled with the first member's loss and metrics."""
    ensemble = Ensemble(members)
    first = members[0]
    settings = keras.saving.deserialize_keras_object(first.get_compile_config())
    batch_size = options.batch_size
    try:
        ensemble.compile(**{name: settings.get(name) for name in HOW})
        data = reading.read_data(options.data, first, "test", batch_size)
        return Evaluated(ENSEMBLE, score(ensemble, data, batch_size, [tested]))
    except (ValueError, TypeError) as error:
        raise unfit(error).about(ENSEMBLE) from error


def unfit(error: Exception) -> WtoolError:
    """Returns the error of data that does not fit a model, from whatever Keras raised."""
    return explained(error) if isinstance(error, (OSError, MemoryError)) else misfit(error, "evaluate")
