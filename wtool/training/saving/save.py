"""From live models to files, which appear whole or not at all and with their lineage."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from wtool.checkpoint.layouts.registry import extension
from wtool.checkpoint.lineage import Record
from wtool.checkpoint.opener import open_checkpoint
from wtool.dtypes import Array, is_floating
from wtool.errors import WtoolError, a_few, in_short
from wtool.io import places
from wtool.io.addresses import is_address
from wtool.io.places import Target
from wtool.io.private import private_folder
from wtool.run import optimizer_rule
from wtool.run.changes import Changes, Edited
from wtool.run.derive import derive
from wtool.run.pipeline import Edit
from wtool.run.plan import Operation, Plan
from wtool.run.progress import Passes
from wtool.run.target import Goal
from wtool.training.loading.optimizer_state import unsaved_state
from wtool.training.variables import array, variables_by_path


class Diverged(WtoolError):
    """Raised when the loss or a weight is NaN or infinite."""


def check_target(path: str, force: bool) -> None:
    """Refuse a target that cannot be written before any work is done for it; see `io.places.check_target`."""
    places.check_target(Target(path, force))


def save(
    model: Any,
    target: str,
    lineage: Sequence[Record],
    *,
    force: bool = False,
    fresh_optimizer: bool = False,
    drop_optimizer: bool = False,
) -> tuple[str, ...]:
    """Save a model with its lineage; until all of it is on the disk, the target is as it was.

    Args:
        model: Keras's.
        target: path that ends in `.keras`, `.h5` or `.weights.h5`, or `-` for standard output (`.keras`).
        lineage: what was done to it, oldest first.
        force: whether an existing file may be replaced.
        fresh_optimizer: start the optimizer anew, for weights that it did not make.
        drop_optimizer: leave its state out.

    Returns:
        notes on what is not in the file, as wtool reads it again.

    Raises:
        WtoolError: the target exists, or cannot be written.
    """
    check_target(target, force)
    with ExitStack() as stack:
        draft = stack.enter_context(private_folder(folder_of(target)))
        path = os.path.join(draft, f"model{'.keras' if target == '-' else extension(target)}")
        with _compilation_kept(model):
            try:
                (model.save_weights if path.endswith(".weights.h5") else model.save)(path)
            except (ValueError, TypeError, NotImplementedError) as error:
                raise WtoolError(f"Keras cannot save it: {in_short(error)}", target) from error
        base = stack.enter_context(open_checkpoint(path, drop_optimizer=drop_optimizer))
        *earlier, record = lineage
        operation = Operation(record, (), _restarted if fresh_optimizer else _kept)
        derive(Plan(base, (operation,), tuple(earlier), is_determined=False), Goal(target, force=force))
        return () if drop_optimizer else unsaved_state(model, base)


def folder_of(target: str) -> str:
    """Returns the folder in which a target is made before it gets its name."""
    is_elsewhere = target == "-" or is_address(target)
    return tempfile.gettempdir() if is_elsewhere else os.path.dirname(os.path.realpath(target))


@contextmanager
def _compilation_kept(model: Any) -> Iterator[None]:
    """Save to `.h5`; for that, Keras removes the optimizer from the live model's own compile configuration."""
    config = getattr(getattr(model, "_compile_config", None), "config", None)
    before = dict(config) if isinstance(config, dict) else {}
    try:
        yield
    finally:
        if isinstance(config, dict):
            config.update(before)


def refuse_nonfinite(model: Any) -> None:
    """Refuse to save a model that diverged.

    Raises:
        Diverged: a weight is NaN or infinite.
    """
    bad = [
        path
        for path, (_, variable) in variables_by_path(model).items()
        if is_floating(variable.dtype) and not np.isfinite(array(variable)).all()
    ]
    if bad:
        raise Diverged(f"training made values of {a_few(bad)} NaN or infinite")


def _kept(edited: Edited, passes: Passes) -> Changes:
    """Returns no changes: everything stays as Keras saved it."""
    return Changes()


def _restarted(edited: Edited, passes: Passes) -> Changes:
    """Returns the changes by which the optimizer starts anew; its moving averages take the weights as they are."""
    weights = {tensor.path: Edit(tensor, (tensor,), _same) for tensor in edited.base.weights}
    return Changes(optimizer_rule.anew(edited.base, weights).edits)


def _same(blocks: Sequence[Array], start: int, stop: int) -> Array:
    return blocks[0]
