"""Files to live models: looked at as data first, so that Keras runs nothing that nobody asked for."""

from __future__ import annotations

import importlib
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras

import wtool.layers  # noqa: F401  registers them, so that models with them load
from wtool.errors import Usage, WtoolError, in_short
from wtool.files.checkpoint import Checkpoint
from wtool.files.inputs import extension
from wtool.files.opener import open_checkpoint, training_config
from wtool.files.suspects import Suspect, suspects


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """A live model, and what its file told.

    Attributes:
        name: path of the file.
        model: Keras's.
        lineage: what wtool did to make it, oldest first.
        hashes: of the content of its files.
        format: `keras` or `h5`.
        lost: why the optimizer's state is not the file's; empty if it is, or if there is none.
    """

    name: str
    model: Any
    lineage: tuple[dict[str, Any], ...]
    hashes: tuple[str, ...]
    format: str
    lost: str = ""


def load(path: str, unsafe: bool = False) -> Loaded:
    """Load a whole model with Keras, compiled as it was saved, with its optimizer's state.

    Args:
        path: a `.keras` or whole-model `.h5` file, or `-` for standard input.
        unsafe: load it also if that runs or imports more than Keras and what is registered.

    Raises:
        Refused: damaged, hostile or no Keras model.
        WtoolError: missing, weights only, or nothing that Keras loads.
    """
    with _on_disk(path) as real, open_checkpoint(real) as checkpoint:
        try:
            if checkpoint.config is None:
                raise WtoolError("holds weights only; training and predicting need a whole model (.keras, .h5)")
            if not unsafe:
                refuse_suspects(checkpoint)
            hashes = checkpoint.finish()
            model = _loaded(real, checkpoint, unsafe)
            if checkpoint.format == "h5" and getattr(model, "optimizer", None) is not None:
                _restore_optimizer(model, checkpoint)
            lost = _lost_optimizer(model, checkpoint)
        except WtoolError as error:
            raise error.about(path) from error.__cause__
        return Loaded(path, model, checkpoint.lineage, hashes, checkpoint.format, lost)


def import_all(modules: Sequence[str]) -> None:
    """Import modules by name, from the current folder too: they register their layers, losses and metrics with Keras.

    Raises:
        Usage: one cannot be imported.
    """
    for name in modules:
        imported(name)


def imported(name: str) -> Any:
    """A module by its name, from the current folder too.

    Raises:
        Usage: it cannot be imported.
    """
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except Exception as error:  # whatever a module does while it is imported
        raise Usage(f"cannot import {name} ({type(error).__name__}: {error})") from error


def refuse_suspects(checkpoint: Checkpoint) -> None:
    """Raise WtoolError if loading would do more than build layers of Keras, or registered ones."""
    for config in (checkpoint.config, training_config(checkpoint)):
        found = next(suspects(_without_registered(config, keras.saving.get_custom_objects())), None)
        if found is not None:
            raise WtoolError(_reason(found))


def _reason(found: Suspect) -> str:
    own = "; --import the module that registers it, or" if found.kind == "imports" else ";"
    return f"loading it {found.kind} {found.what} ({found.where}){own} --unsafe if you trust the file"


def _without_registered(value: Any, known: Mapping[str, Any]) -> Any:
    """A configuration without the classes and functions that are registered with Keras; what is in them stays."""
    if isinstance(value, list):
        return [_without_registered(each, known) for each in value]
    if isinstance(value, str):
        return "linear" if value in known else value
    if not isinstance(value, dict):
        return value
    decisive = value.get("config") if value.get("class_name") == "function" else value.get("registered_name")
    if decisive is None:
        decisive = value.get("class_name")  # as older files name it
    names = ("class_name", "module", "registered_name") if isinstance(decisive, str) and decisive in known else ()
    return {name: _without_registered(each, known) for name, each in value.items() if name not in names}


@contextmanager
def _on_disk(path: str) -> Iterator[str]:
    """A path that Keras can open: standard input becomes a file for that."""
    if path != "-":
        yield path
        return
    with open_checkpoint("-") as checkpoint, tempfile.TemporaryDirectory() as folder:
        source = checkpoint.sources[0]
        target = os.path.join(folder, "model.keras" if checkpoint.format == "keras" else "model.h5")
        with open(target, "wb") as file, os.fdopen(os.dup(source.fd), "rb") as spool:
            spool.seek(0)
            shutil.copyfileobj(spool, file)
        yield target


def _loaded(path: str, checkpoint: Checkpoint, unsafe: bool) -> Any:
    fitting = (".keras",) if checkpoint.format == "keras" else (".h5", ".hdf5")
    if extension(path) not in fitting:
        raise WtoolError(f"Keras opens it only if its name ends in {fitting[0]}")
    try:
        with warnings.catch_warnings(), _policy_of(checkpoint):
            warnings.filterwarnings("ignore", "Skipping variable loading for optimizer")  # that is looked at below
            return keras.models.load_model(path, safe_mode=not unsafe)
    except Exception as error:  # Keras raises what it likes, over many lines
        raise WtoolError(f"Keras {keras.__version__} cannot load it ({in_short(error)})") from error


@contextmanager
def _policy_of(checkpoint: Checkpoint) -> Iterator[None]:
    """Load a model whose loss was scaled as it was compiled: Keras scales it again only under this global policy."""
    optimizer = checkpoint.contents.optimizer
    before = keras.config.dtype_policy()
    if optimizer is not None and optimizer.class_name == "LossScaleOptimizer":
        keras.config.set_dtype_policy("mixed_float16")  # the layers have their own
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _restore_optimizer(model: Any, checkpoint: Checkpoint) -> None:
    """Give a model from an `.h5` file its optimizer: the one that Keras 3 builds there knows no layer's variables."""
    optimizer = type(model.optimizer).from_config(model.optimizer.get_config())
    optimizer.build(model.trainable_variables)
    saved = checkpoint.slots
    if [tensor.shape for tensor in saved] == [tuple(variable.shape) for variable in optimizer.variables]:
        for variable, tensor in zip(optimizer.variables, saved, strict=True):
            variable.assign(checkpoint.read(tensor))
    model.optimizer = optimizer


def _lost_optimizer(model: Any, checkpoint: Checkpoint) -> str:
    """What is wrong if the optimizer's state is in the file and Keras did not take it: it only warns then."""
    steps = [tensor for tensor in checkpoint.slots if tensor.slot is not None and tensor.slot.name == "iteration"]
    if not steps or getattr(model, "optimizer", None) is None:
        return ""
    saved, taken = int(checkpoint.read(steps[-1])), int(model.optimizer.iterations)
    if saved == taken:
        return ""
    return f"Keras does not restore its optimizer, which is at step {saved:,} in the file and at {taken:,} when loaded"
