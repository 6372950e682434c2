"""Names that training commands take of losses, metrics, optimizers and modules, looked at before Keras is imported."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.machinery import PathFinder
from importlib.util import find_spec
from typing import Any

from wtool.errors import Usage
from wtool.schema.keras_names import CLASSES, FUNCTIONS, OPTIMIZERS, SHORT
from wtool.suggestions import meant
from wtool.training.data.words import is_function, paths_of

_SCORES = CLASSES | FUNCTIONS | SHORT
_OPTIMIZERS = frozenset(name.lower() for name in OPTIMIZERS)


def check_names(options: Any) -> None:
    """Refuse names that neither Keras nor a module of the user's can know.

    What a module registers with Keras is not known here: if one is imported, or Keras is there already, Keras decides.

    Args:
        options: of a training command; of the fields imports, data, validation_data, recalibrate, loss, metrics and
            new_optimizer those that it has.

    Raises:
        Usage: Keras has no loss, metric or optimizer of a name, or there is no such module.
    """
    given = [getattr(options, name, None) for name in ("data", "validation_data", "recalibrate")]
    functions = [word for words in given for word in paths_of(words) or () if is_function(word)]
    modules = [*options.imports, *(word.partition(":")[0] for word in functions if not os.path.exists(word))]
    for module in modules:
        if not _may_be_imported(module.partition(".")[0]):
            raise Usage(f"cannot import {module}: there is no module of this name")
    if modules or "keras" in sys.modules:
        return
    loss, optimizer = getattr(options, "loss", None), getattr(options, "new_optimizer", None)
    _check("loss", [loss] if loss else [], _SCORES)
    _check("metric", getattr(options, "metrics", ()), _SCORES)
    _check("optimizer", [optimizer.lower()] if optimizer else [], _OPTIMIZERS)


def _may_be_imported(module: str) -> bool:
    """Returns whether there is a module outside of packages, also in the current folder; imports nothing."""
    if not module.isidentifier():
        return False
    is_known = module in sys.modules or find_spec(module) is not None
    return is_known or PathFinder.find_spec(module, [os.getcwd()]) is not None


def _check(noun: str, names: Sequence[str], known: frozenset[str]) -> None:
    for name in names:
        if name not in known:
            told = meant(name, sorted(known)) or "; --import MODULE imports what registers others"
            raise Usage(f"Keras has no {noun} {name!r}{told}")
