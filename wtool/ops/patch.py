"""A patch as an operation on models: of a patch file, or of words.

`wtool/ops/signatures.pyi` has the function's signature for type checkers and editors; `make docs` writes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from wtool.errors import Usage
from wtool.io.addresses import text_of
from wtool.ops.functions import function_of, given_of
from wtool.ops.given_values import words_in
from wtool.ops.patch_options import Patch
from wtool.ops.transplanting import Transplanting, names_in
from wtool.run.batch import check_words, do_all, tasks_of, words_of
from wtool.run.options import Unseeded
from wtool.run.patched import Patched
from wtool.run.patching import NAME, Patching
from wtool.run.task import Planner
from wtool.words import Models

if TYPE_CHECKING:
    from wtool.ops.signatures import patch as patch


def patching(given: Mapping[str, Any]) -> Planner[Patched]:
    """Returns what plans a patch with these arguments."""
    return _planner(Patch(**given_of(Patch, given)), Unseeded(**given_of(Unseeded, given)))


def _patch(models: Models, given: Mapping[str, Any]) -> list[Patched]:
    options, how = Patch(**given_of(Patch, given)), Unseeded(**given_of(Unseeded, given))
    words = words_of(models)
    source = options.source if options.patch is None else options.patch
    further = None if source is None else text_of(source)
    check_words(words, how, further)
    return do_all(tasks_of(patching(given), words, "patched", how, initial=further), how)


def _planner(options: Patch, how: Unseeded) -> Planner[Patched]:
    if options.patch is None:
        source = None if options.source is None else text_of(options.source)
        values, names = words_in(options.set), names_in(options.rename)
        return Transplanting(source, tuple(options.include), tuple(options.exclude), values, names, how.optimizer)
    if how.optimizer != "follow":
        raise Usage("a patch file says what becomes of the optimizer, and --optimizer has no meaning beside it")
    return Patching(text_of(options.patch), options.reverse)


globals()[NAME] = function_of(Patch, NAME, (Patch, Unseeded), Patched, _patch)
