"""A live model that takes the values of files and of their means, one after the other, and is scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from math import prod
from typing import Any

import numpy as np

from wtool.dtypes import Array, dtype_of
from wtool.errors import WtoolError
from wtool.run import pipeline
from wtool.run.plan import Plan
from wtool.run.progress import Passes
from wtool.training.evaluate import score, unfit
from wtool.training.fitting.compiling import Compilation, compile_model
from wtool.training.loading.load import Loaded
from wtool.training.recalibrate_options import Recalibration
from wtool.training.recalibration.recalibrated import recalibrated
from wtool.values import dataclass


def values_of(plan: Plan, paths: Sequence[str]) -> dict[str, Array]:
    """The values that tensors have in the result of a plan, which is not written for it.

    Args:
        plan: its operations keep the structure of the base.
        paths: of weights of the base.

    Returns:
        path -> array of the tensor's shape and dtype.
    """
    wanted = {tensor.path: tensor for tensor in plan.base.weights if tensor.path in set(paths)}
    edits = [edit for edit in plan.work_out(Passes(None, 0)).edits if edit.target.path in wanted]
    found = {path: np.empty(prod(tensor.shape), dtype_of(tensor.dtype)) for path, tensor in wanted.items()}
    written = set()
    for tensor, start, block in pipeline.scan(plan.checkpoints, edits):
        if block is not None:
            found[tensor.path][start : start + block.size] = block
            written.add(tensor.path)
    for path in wanted.keys() - written:
        found[path] = plan.base.read(wanted[path])
    return {path: values.reshape(wanted[path].shape) for path, values in found.items()}


@dataclass(slots=True, eq=False)
class Taster:
    """Scores values of a model's weights.

    Attributes:
        loaded: the model, compiled.
        data: a result of `reading.read_data`.
        metric: name of the score among the model's loss and metrics. Empty stands for the first metric, else the loss,
            until the model was scored once.
        batch_size: of the data.
        statistics: data that the statistics of batch normalisation are set to before a score, a result of
            `reading.read_inputs`; None where they stay.
        how: of that.
    """

    loaded: Loaded
    data: Any
    metric: str = ""
    batch_size: int = 32
    statistics: Any = None
    how: Recalibration = field(default_factory=Recalibration)

    def put(self, values: Mapping[str, Array], recalibrates: bool = True) -> None:
        """Give the model's variables new values, path -> array, and then set the statistics, if there is data."""
        for path, array in values.items():
            self.loaded.variables[path].assign(array)
        if recalibrates and self.statistics is not None:
            recalibrated(self.loaded.model, self.loaded.variables, self.statistics, self.how)

    def score(self) -> float:
        """The score of the values that the model has now.

        Raises:
            Usage: the model has no such metric, and Keras knows none of that name.
            WtoolError: the data does not fit the model.
        """
        found = self._evaluated()
        if self.metric and self.metric not in found:
            compile_model(self.loaded.model, Compilation(metrics=(self.metric,)), trains=False)
            found = self._evaluated()
        metrics = [name for name in found if name != "loss"]
        if self.metric not in found:
            self.metric = metrics[0] if metrics else "loss"
        return found[self.metric]

    def _evaluated(self) -> dict[str, float]:
        try:
            return score(self.loaded.model, self.data, self.batch_size)
        except WtoolError:
            raise
        except Exception as error:  # Keras raises what it likes where data does not fit a model
            raise unfit(error).about(self.loaded.name) from error
