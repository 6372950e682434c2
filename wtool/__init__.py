"""wtool: offline transforms of saved Keras models, as files.

>>> import wtool
>>> wtool.inspect("model.keras")  # doctest: +SKIP
>>> wtool.prune("model.keras", sparsity=0.8, output="pruned.keras")  # doctest: +SKIP
>>> wtool.average(["ckpt-1.keras", "ckpt-2.keras"], decay=0.9, output="average.keras")  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from wtool.errors import Refused, Usage, WtoolError, explained
from wtool.transforms.registry import REGISTRY
from wtool.version import __version__

if TYPE_CHECKING:
    from wtool import callbacks as callbacks
    from wtool import layers as layers
    from wtool.checkpoint.model import Checkpoint, Tensor
    from wtool.checkpoint.opener import open_checkpoint
    from wtool.ops.align import align
    from wtool.ops.align_options import Aligned, Reordered
    from wtool.ops.average import average
    from wtool.ops.average_options import Averaged, Considered
    from wtool.ops.check import Checked, Finding, check
    from wtool.ops.converted import Converted, Unconvertible
    from wtool.ops.cost import cost
    from wtool.ops.diff import diff
    from wtool.ops.diff_patch import make_patch
    from wtool.ops.ema import ema
    from wtool.ops.history import history
    from wtool.ops.history_options import History, HistoryInput, HistoryStep
    from wtool.ops.index import index
    from wtool.ops.index_options import Indexed, IndexedModel
    from wtool.ops.inspect import inspect
    from wtool.ops.merge import merge
    from wtool.ops.merge_options import Merged
    from wtool.ops.pack import pack
    from wtool.ops.patch import patch
    from wtool.ops.replay import replay
    from wtool.ops.replay_options import Replayed
    from wtool.ops.shrink import shrink
    from wtool.ops.shrunk import Shrunk, ShrunkLayer
    from wtool.ops.signatures import *  # noqa: F403  the transforms
    from wtool.ops.soup import soup
    from wtool.ops.swapped import Swapped
    from wtool.ops.training import evaluate, recalibrate, resume
    from wtool.ops.transforms import convert, swap
    from wtool.plotting.plot import Plotted, plot
    from wtool.recipes.history_recipe import history_recipe
    from wtool.recipes.run import run_recipe
    from wtool.recipes.running import RecipeRun
    from wtool.reporting.options import Reported
    from wtool.reporting.report import report
    from wtool.run.action import Action
    from wtool.run.batch import Failed, SomeFailed
    from wtool.run.diagnosis import Diagnosis, KernelDiagnosis
    from wtool.run.difference import Diff, SettingDifference, TensorDifference, ValueDifference
    from wtool.run.input_model import InputModel
    from wtool.run.moving_average import MovingAverage
    from wtool.run.packed import Packed
    from wtool.run.patch_making import PatchMade
    from wtool.run.patched import Patched
    from wtool.run.transform import Transformed
    from wtool.training.evaluate_options import Evaluated
    from wtool.training.lottery.experiment import lottery
    from wtool.training.lottery.options import Lottery
    from wtool.training.recalibrate_options import Drift, Recalibrated
    from wtool.training.resume_options import Resumed
    from wtool.training.soups.options import Souped

_HOMES = {
    "Action": "wtool.run.action",
    "InputModel": "wtool.run.input_model",
    "align": "wtool.ops.align",
    "Aligned": "wtool.ops.align_options",
    "Reordered": "wtool.ops.align_options",
    "average": "wtool.ops.average",
    "Averaged": "wtool.ops.average_options",
    "Checked": "wtool.ops.check",
    "Checkpoint": "wtool.checkpoint.model",
    "Considered": "wtool.ops.average_options",
    "Converted": "wtool.ops.converted",
    "Diagnosis": "wtool.run.diagnosis",
    "Diff": "wtool.run.difference",
    "SettingDifference": "wtool.run.difference",
    "TensorDifference": "wtool.run.difference",
    "ValueDifference": "wtool.run.difference",
    "KernelDiagnosis": "wtool.run.diagnosis",
    "Tensor": "wtool.checkpoint.model",
    "Evaluated": "wtool.training.evaluate_options",
    "Failed": "wtool.run.batch",
    "MovingAverage": "wtool.run.moving_average",
    "Drift": "wtool.training.recalibrate_options",
    "Lottery": "wtool.training.lottery.options",
    "Plotted": "wtool.plotting.plot",
    "Recalibrated": "wtool.training.recalibrate_options",
    "Resumed": "wtool.training.resume_options",
    "SomeFailed": "wtool.run.batch",
    "Transformed": "wtool.run.transform",
    "Finding": "wtool.ops.check",
    "Unconvertible": "wtool.ops.converted",
    "check": "wtool.ops.check",
    "convert": "wtool.ops.transforms",
    "cost": "wtool.ops.cost",
    "diff": "wtool.ops.diff",
    "ema": "wtool.ops.ema",
    "evaluate": "wtool.ops.training",
    "history": "wtool.ops.history",
    "History": "wtool.ops.history_options",
    "HistoryInput": "wtool.ops.history_options",
    "HistoryStep": "wtool.ops.history_options",
    "history_recipe": "wtool.recipes.history_recipe",
    "index": "wtool.ops.index",
    "Indexed": "wtool.ops.index_options",
    "IndexedModel": "wtool.ops.index_options",
    "inspect": "wtool.ops.inspect",
    "lottery": "wtool.training.lottery.experiment",
    "make_patch": "wtool.ops.diff_patch",
    "merge": "wtool.ops.merge",
    "Merged": "wtool.ops.merge_options",
    "open_checkpoint": "wtool.checkpoint.opener",
    "pack": "wtool.ops.pack",
    "Packed": "wtool.run.packed",
    "patch": "wtool.ops.patch",
    "PatchMade": "wtool.run.patch_making",
    "Patched": "wtool.run.patched",
    "plot": "wtool.plotting.plot",
    "recalibrate": "wtool.ops.training",
    "replay": "wtool.ops.replay",
    "Replayed": "wtool.ops.replay_options",
    "RecipeRun": "wtool.recipes.running",
    "run_recipe": "wtool.recipes.run",
    "report": "wtool.reporting.report",
    "Reported": "wtool.reporting.options",
    "resume": "wtool.ops.training",
    "shrink": "wtool.ops.shrink",
    "Shrunk": "wtool.ops.shrunk",
    "ShrunkLayer": "wtool.ops.shrunk",
    "soup": "wtool.ops.soup",
    "Souped": "wtool.training.soups.options",
    "swap": "wtool.ops.transforms",
    "Swapped": "wtool.ops.swapped",
    **dict.fromkeys(REGISTRY, "wtool.ops.transforms"),
}
"""Where each name lives: imported when it is first used, so that `import wtool` costs nothing."""

__all__ = [
    "Action",
    "Aligned",
    "Averaged",
    "Checked",
    "Checkpoint",
    "Considered",
    "Converted",
    "Diagnosis",
    "Diff",
    "Drift",
    "Evaluated",
    "Failed",
    "Finding",
    "History",
    "HistoryInput",
    "HistoryStep",
    "Indexed",
    "IndexedModel",
    "InputModel",
    "KernelDiagnosis",
    "Lottery",
    "Merged",
    "MovingAverage",
    "Packed",
    "PatchMade",
    "Patched",
    "Plotted",
    "Recalibrated",
    "RecipeRun",
    "Refused",
    "Reordered",
    "Replayed",
    "Reported",
    "Resumed",
    "SettingDifference",
    "Shrunk",
    "ShrunkLayer",
    "SomeFailed",
    "Souped",
    "Swapped",
    "Tensor",
    "TensorDifference",
    "Transformed",
    "Unconvertible",
    "Usage",
    "ValueDifference",
    "WtoolError",
    "__version__",
    "align",
    "average",
    "check",
    "convert",
    "cost",
    "diff",
    "ema",
    "evaluate",
    "history",
    "history_recipe",
    "index",
    "inspect",
    "lottery",
    "make_patch",
    "merge",
    "open_checkpoint",
    "pack",
    "patch",
    "plot",
    "recalibrate",
    "replay",
    "report",
    "resume",
    "run_recipe",
    "shrink",
    "soup",
    "swap",
    *REGISTRY,
]


_ROOMS = ("callbacks", "layers")
"""Modules that need Keras: imported when they are first used, and not among the names that editors try."""


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        try:
            return import_module(f"wtool.{name}")
        except ModuleNotFoundError as error:
            raise explained(error) from error
    if name not in _HOMES:
        raise AttributeError(f"module 'wtool' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
