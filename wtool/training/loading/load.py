"""From files to live models: a file is looked at as data first, so that Keras runs nothing that nobody asked for."""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from typing import Any

import keras
from keras.src.backend.common import global_state

import wtool.layers  # noqa: F401  registers them, so that models with them load
from wtool.checkpoint.layouts.hdf5_file import training_config
from wtool.checkpoint.layouts.keras3 import OLD_ROOT
from wtool.checkpoint.layouts.registry import EXTENSIONS
from wtool.checkpoint.lineage import Record
from wtool.checkpoint.model import Checkpoint, Tensor
from wtool.checkpoint.opener import open_checkpoint
from wtool.errors import Usage, WtoolError, in_short
from wtool.io.addresses import without_query
from wtool.io.private import private_copy, private_tree
from wtool.schema.config import is_keras2
from wtool.schema.unsafe import unsafe_parts
from wtool.schema.unsafe_entries import RUNNING
from wtool.schema.unsafe_place import UnsafePart
from wtool.training.checks import refuse_weights_only
from wtool.training.loading.holes import warn_of_holes
from wtool.training.loading.old_names import older_objects
from wtool.training.loading.optimizer_state import restored
from wtool.training.variables import by_place, variables_by_path
from wtool.values import dataclass

UIDS = "object_name_uids"
"""Key of Keras's global state in which Keras counts the layers that it named."""

NAMING = ("class_name", "module", "registered_name")
"""Keys that tell the class of an entry in a configuration."""


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """A live model, and the knowledge from its file that Keras does not keep.

    Attributes:
        name: path of the file.
        model: Keras's.
        lineage: what wtool did to make it, oldest first.
        hashes: of the content of its files.
        format: `keras` or `h5`.
        weights: of the file.
        variables: path of each of them -> the model's variable, where Keras has one.
        lost: why the optimizer's state is not the file's; empty if it is, or if there is none.
        uncompiled: why the model is not compiled, though it was when it was saved.
        notes: what is worth knowing of the optimizer's state, one line each.
    """

    name: str
    model: Any
    lineage: tuple[Record, ...]
    hashes: tuple[str, ...]
    format: str
    weights: tuple[Tensor, ...]
    variables: Mapping[str, Any]
    lost: str = ""
    uncompiled: str = ""
    notes: tuple[str, ...] = ()


def load(path: str, unsafe: bool = False) -> Loaded:
    """Load a whole model with Keras, compiled as it was saved, with its optimizer's state.

    Args:
        path: a `.keras` (unzipped or not) or whole-model `.h5` file, or `-` for standard input.
        unsafe: load it also if that runs or imports more than Keras and what is registered.

    Raises:
        Refused: the file is damaged, hostile or no Keras model.
        WtoolError: the file is missing or holds weights only, or Keras cannot load it.
    """
    with open_checkpoint(path) as seen, private(seen) as (real, checkpoint):
        if not unsafe:
            refuse_unsafe(checkpoint)
        hashes = checkpoint.finish()
        model, uncompiled = _loaded(real, checkpoint, unsafe, way_out(seen))
        variables = _variables(model, checkpoint)
        state = restored(model, checkpoint, variables)
        return Loaded(
            name=without_query(path),
            model=model,
            lineage=checkpoint.lineage,
            hashes=hashes,
            format=checkpoint.format,
            weights=tuple(checkpoint.weights),
            variables=variables,
            lost=state.lost,
            uncompiled=uncompiled,
            notes=state.notes,
        )


def load_to_run(seen: Checkpoint, unsafe: bool = False, by: str = "") -> tuple[Any, dict[str, Any]]:
    """Loads the model of an open checkpoint, without its optimizer, and with nothing compiled.

    Args:
        seen: a whole model, open: the file that was opened is loaded, whatever its name leads to now.
        unsafe: see `load`.
        by: see `refuse_unsafe`.

    Returns:
        the model; and path of each weight of the file -> the model's variable, where Keras has one.

    Raises:
        Refused: the file is damaged, hostile or no Keras model.
        WtoolError: the file holds weights only, or Keras cannot load it.
    """
    with private(seen) as (real, checkpoint):
        if not unsafe:
            refuse_unsafe(checkpoint, by)
        model, _ = _loaded(real, checkpoint, unsafe, way_out(seen), compiles=False)
        return model, _variables(model, checkpoint)


@contextmanager
def private(seen: Checkpoint) -> Iterator[tuple[str, Checkpoint]]:
    """Gives a copy of a whole model that no other process can change: the path for Keras, and the open checkpoint.

    What is checked in the copy is what Keras reads from it, even if the original is exchanged or rewritten meanwhile.

    Args:
        seen: the original, open.

    Raises:
        WtoolError: it holds weights only, or there is no room for the copy; errors about the copy name the original.
    """
    refuse_weights_only(seen)
    warn_of_holes(keras.__version__)
    with _copied(seen) as path:
        try:
            with open_checkpoint(path) as checkpoint:
                refuse_weights_only(checkpoint)
                yield path, checkpoint
        except WtoolError as error:
            error.file = seen.name if not error.file or error.file.startswith(path) else error.file
            raise


def _copied(seen: Checkpoint) -> AbstractContextManager[str]:
    """Gives the path of a private copy, which is removed at the end."""
    if seen.parts:
        return private_tree(seen.parts, "model")
    return private_copy(seen.sources[0], f"model{EXTENSIONS[seen.format][0]}")


def import_all(modules: Sequence[str]) -> None:
    """Import modules by name, also from the current folder; they register layers, losses and metrics with Keras.

    Raises:
        Usage: one cannot be imported.
    """
    for name in modules:
        imported(name)


def imported(name: str) -> Any:
    """Returns a module by its name, also from the current folder.

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


def refuse_unsafe(checkpoint: Checkpoint, by: str = "") -> None:
    """Refuse a model whose loading would do more than build layers of Keras or registered ones.

    Args:
        checkpoint: the model.
        by: the option that loads the model, `--verify`, of a command that has neither --unsafe nor --import.

    Raises:
        WtoolError: the configuration has an unsafe part.
    """
    for config in (checkpoint.config, training_config(checkpoint)):
        found = next(unsafe_parts(_without_registered(config, keras.saving.get_custom_objects())), None)
        if found is not None:
            raise WtoolError(_reason(found, by))


def _reason(found: UnsafePart, by: str) -> str:
    where = f" ({found.where})" if found.where else ""
    reason = f"loading it {found.kind} {found.what}{where}"
    if by:
        own = "; in Python, it loads classes that are registered" if found.kind == "imports" else ""
        return f"{reason}, which {by} does not do{own}"
    own = "; --import the module that registers it, or" if found.kind == "imports" else ";"
    return f"{reason}{own} --unsafe if you trust the file"


def _without_registered(value: Any, known: Mapping[str, Any]) -> Any:
    """Returns a configuration with Keras's own in place of registered classes and functions; entries inside stay."""
    if isinstance(value, list):
        return [_without_registered(each, known) for each in value]
    if isinstance(value, str):
        return "linear" if value in known else value
    if not isinstance(value, dict):
        return value
    rest = {name: _without_registered(each, known) for name, each in value.items() if name not in NAMING}
    if not _is_registered(value, known):
        return {**value, **rest}
    return "linear" if value.get("class_name") == "function" else {**rest, "class_name": "Dense"}


def _is_registered(entry: Mapping[str, Any], known: Mapping[str, Any]) -> bool:
    """Returns whether Keras makes a registered object of an entry, or none, in each way in which it looks it up.

    Functions: by `config`. Classes: by `registered_name`, but in older formats by `class_name`, whatever else is there.
    """
    kind, name, registered = (entry.get(key) for key in ("class_name", "config", "registered_name"))
    if kind == "function":
        return isinstance(name, str) and name in known
    if not isinstance(kind, str) or kind in RUNNING:
        return False
    if registered is None:
        return kind in known and entry.get("module") is None
    if not isinstance(registered, str) or registered not in known:
        return False
    return kind in (registered, getattr(known[registered], "__name__", None))


def way_out(seen: Checkpoint) -> str:
    """Returns what helps where Keras cannot load a file, as the end of a sentence; empty for files of Keras 3."""
    if not is_keras2(seen.keras_version or "1"):
        return ""
    file = "" if seen.name == "-" else f" {seen.name}"
    return f"; `wtool convert{file}` makes a model that Keras 3 loads"


def _loaded(path: str, checkpoint: Checkpoint, unsafe: bool, hint: str, compiles: bool = True) -> tuple[Any, str]:
    """Returns the model, and the reason why it is not compiled, if the file says that it was.

    Args:
        path: for Keras.
        checkpoint: the file at the path, open.
        unsafe: see `load`.
        hint: end of the message that says that Keras cannot load the file.
        compiles: whether the model is compiled as it was saved.
    """
    with warnings.catch_warnings(), _policy_of(checkpoint), _names_from_the_first(), older_objects(checkpoint) as known:
        warnings.filterwarnings("ignore", "Skipping variable loading for optimizer")  # that is looked at below
        load_model = partial(keras.models.load_model, path, custom_objects=known, safe_mode=not unsafe)
        try:
            return load_model(compile=compiles), ""
        except MemoryError:
            raise
        except Exception as error:  # Keras raises what it likes, over many lines
            keras_cannot, why = f"Keras {keras.__version__} cannot", in_short(error)
            with suppress(Exception):
                return load_model(compile=False), f"{keras_cannot} compile it as it was saved ({why})"
            raise WtoolError(f"{keras_cannot} load it ({why}){hint}") from error


@contextmanager
def _policy_of(checkpoint: Checkpoint) -> Iterator[None]:
    """Load a model whose loss was scaled by its optimizer; Keras scales it again only under this global policy."""
    optimizer = checkpoint.contents.optimizer
    before = keras.config.dtype_policy()
    if optimizer is not None and optimizer.class_name == "LossScaleOptimizer":
        keras.config.set_dtype_policy("mixed_float16")  # the layers have their own
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


@contextmanager
def _names_from_the_first() -> Iterator[None]:
    """Load a model as in a new process, where layers without names of their own become `dense`, `dense_1` and so on."""
    before = global_state.get_global_attribute(UIDS)
    global_state.set_global_attribute(UIDS, defaultdict(int))
    try:
        yield
    finally:
        global_state.set_global_attribute(UIDS, before)


def _variables(model: Any, checkpoint: Checkpoint) -> dict[str, Any]:
    """Returns path of each weight of a file -> the model's variable, found by its place in the file, else by its name.

    Names alone do not do: layers of subclassed models get others whenever they are made.
    """
    called = {path: variable for path, (_, variable) in variables_by_path(model).items()}
    known = {id(variable) for variable in called.values()}
    placed = by_place(model) if checkpoint.format == "keras" else {}
    found = {}
    for tensor in checkpoint.weights:
        variable: Any = placed.get(tensor.stored.replace(OLD_ROOT, "layers"), called.get(tensor.path))
        if id(variable) in known and tuple(variable.shape) == tensor.shape:
            found[tensor.path] = variable
    return found
