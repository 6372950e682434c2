"""The callback that tracks power-function averages of the weights during training, and saves snapshots of them."""

from __future__ import annotations

import math
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from wtool.checkpoint.opener import open_checkpoint
from wtool.dtypes import is_floating, round_into
from wtool.errors import Usage, WtoolError
from wtool.io.addresses import is_address, text_of
from wtool.run.tracked import Tracked, tracked_of
from wtool.training.loading.optimizer_state import inner
from wtool.training.saving.save import save
from wtool.training.variables import array, variables_by_path
from wtool.transforms.power import exponent_of

ENDINGS = (".keras", ".weights.h5")

Averages = dict[str, np.ndarray[Any, Any]]
"""Path of each trained variable -> its average, float64, of the variable's shape."""


class PowerEMA(keras.callbacks.Callback):
    """Track averages of the weights during training, and save snapshots from which `wtool ema` makes any other length.

    After step t each average becomes beta * average + (1 - beta) * weights with beta = (1 - 1/t)^(g+1), in float64. So
    step u counts (u/t)^(g+1) - ((u-1)/t)^(g+1), which has the standard deviation sigma_rel * t. Where a step of the
    callback is n steps of training (`steps_per_execution`), beta is (1 - n/t)^(g+1).

    A snapshot is a model with the averages for its trained weights, rounded to their types; all other variables are the
    model's, and there is no state of the optimizer. The model that is trained keeps its weights.

    Training that goes on (a model at the step of the newest snapshots in the folder, as its optimizer counts) goes on
    tracking from these snapshots.

    Args:
        folder: of the snapshots; made if it is not there. They are called `ema-<step>-<sigma_rel>.keras`, and their
            lineage tells both.
        sigma_rel: relative widths of the averages, one or more.
        every: number of steps between snapshots; by default they are saved at the end of each epoch. The last ones are
            saved at the end of training.
        ending: `.keras`, or `.weights.h5` for models that Keras cannot save whole.

    Raises:
        Usage: a width or number out of range; in training, a folder with snapshots of another training, or of other
            steps than the model's.
        WtoolError: a snapshot exists already, or cannot be written.

    Source: Karras et al., Analyzing and Improving the Training Dynamics of Diffusion Models, arXiv:2312.02696.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        sigma_rel: float | Sequence[float] = (0.05, 0.10),
        every: int | None = None,
        ending: str = ".keras",
    ) -> None:
        super().__init__()
        widths = (sigma_rel,) if isinstance(sigma_rel, int | float) else sigma_rel
        self.folder = text_of(folder)
        self.exponents = {float(width): exponent_of(float(width)) for width in widths}
        self.every = every
        self.ending = ending
        if is_address(self.folder):
            raise Usage("snapshots are written as training goes on, into a folder of this machine", self.folder)
        if not self.exponents:
            raise Usage("no relative width of an average to track")
        if every is not None and every < 1:
            raise Usage(f"snapshots every {every} steps are none")
        if ending not in ENDINGS:
            raise Usage(f"snapshots end in {' or '.join(ENDINGS)}, not {ending!r}")
        self.step = 0
        self.training = secrets.token_hex(8)
        self.averages: dict[float, Averages] = {width: {} for width in self.exponents}
        self._saved = 0
        self._batches = 0
        self._variables: dict[str, Any] = {}

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Find the snapshots from which tracking goes on, if there are any."""
        found = {path: each for path, (_, each) in variables_by_path(self.model).items() if each.trainable}
        self._variables = {path: each for path, each in found.items() if is_floating(each.dtype)}
        if self.step:
            return
        os.makedirs(self.folder, exist_ok=True)
        snapshots = _snapshots(self.folder)
        if snapshots:
            self._go_on(snapshots)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Count the batches of the epoch."""
        self._batches = 0

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Bring the averages up to date."""
        # An execution may have several steps. Keras counts the last one of an epoch full, whatever is left for it.
        most = (self.params or {}).get("steps") or batch + 1
        steps = min(batch + 1, most) - self._batches
        self._batches += steps
        before = self.step
        self.step += steps
        with np.errstate(divide="ignore"):  # of the first step, which counts alone
            shares = {
                width: -math.expm1((g + 1) * float(np.log1p(-steps / self.step))) for width, g in self.exponents.items()
            }
        _ = self.model  # under JAX, variables have values again when a callback asks for the model
        for path, variable in self._variables.items():
            value = array(variable).astype(np.float64)
            for width, share in shares.items():
                average = self.averages[width].setdefault(path, value.copy())
                average += share * (value - average)
        if self.every is not None and before // self.every < self.step // self.every:
            self._save()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Save snapshots, unless they come every so many steps."""
        if self.every is None:
            self._save()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Save the last snapshots."""
        self._save()

    def _iteration(self) -> int | None:
        if getattr(self.model, "optimizer", None) is None:
            return None
        return int(keras.ops.convert_to_numpy(inner(self.model).iterations))

    def _save(self) -> None:
        if self.step == self._saved:
            return
        iteration = self._iteration()
        for width in self.exponents:
            tracked = Tracked(width, self.step, iteration, self.training)
            target = os.path.join(self.folder, f"ema-{self.step:07d}-{width!r}{self.ending}")
            with _holding(self._variables, self.averages[width]):
                save(self.model, target, [tracked.record()], drop_optimizer=True)
        self._saved = self.step

    def _go_on(self, found: Mapping[str, Tracked]) -> None:
        """Take the averages of the newest snapshots, if the model is where these were saved."""
        newest = max(each.step for each in found.values())
        last = {path: each for path, each in found.items() if each.step == newest}
        own, told = self._iteration(), next(iter(last.values()))
        if len({each.training for each in found.values()}) > 1:
            raise Usage("the folder has snapshots of several trainings; name another one", self.folder)
        if not told.iteration or told.iteration != own:
            raise Usage(
                f"its newest snapshots were saved when the optimizer had done {told.iteration} steps, the model's has "
                f"done {own}: name another folder, or go on from the checkpoint of that step",
                self.folder,
            )
        if {each.sigma_rel for each in last.values()} != set(self.exponents):
            raise Usage(f"its newest snapshots have other relative widths than {sorted(self.exponents)}", self.folder)
        for path, each in last.items():
            self.averages[each.sigma_rel] = _read(path, self._variables)
        self.step = self._saved = newest
        self.training = told.training


def _snapshots(folder: str) -> dict[str, Tracked]:
    """Path of each snapshot in a folder -> what its lineage tells."""
    found = {}
    names = sorted(os.listdir(folder))
    for path in (os.path.join(folder, name) for name in names if name.endswith(ENDINGS)):
        with open_checkpoint(path) as checkpoint:
            tracked = tracked_of(checkpoint)
        if tracked is not None:
            found[path] = tracked
    return found


def _read(path: str, variables: Mapping[str, Any]) -> Averages:
    with open_checkpoint(path) as checkpoint:
        named = {tensor.path: tensor for tensor in checkpoint.weights}
        missing = [name for name, each in variables.items() if name not in named or named[name].shape != each.shape]
        if missing:
            raise WtoolError(f"has no average of {missing[0]}: it is of another model", path)
        return {name: checkpoint.read(named[name]).astype(np.float64) for name in variables}


@contextmanager
def _holding(variables: Mapping[str, Any], averages: Averages) -> Iterator[None]:
    """Give variables their averages for a while."""
    own = {path: array(variable) for path, variable in variables.items()}
    try:
        for path, variable in variables.items():
            rounded = np.empty_like(own[path])
            round_into(rounded, averages.get(path, own[path].astype(np.float64)))
            variable.assign(rounded)
        yield
    finally:
        for path, variable in variables.items():
            variable.assign(own[path])
