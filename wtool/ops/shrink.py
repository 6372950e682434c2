"""Channels taken out of models.

`wtool/ops/signatures.pyi` has the function's signature for type checkers and editors; `make docs` writes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from wtool.io.addresses import text_of
from wtool.ops.functions import function_of, given_of
from wtool.ops.shrink_options import Shrink
from wtool.ops.shrunk import Shrunk
from wtool.run.batch import check_verifying, check_words, do_all, fresh_seed, tasks_of, words_of
from wtool.run.options import Common
from wtool.words import Models

if TYPE_CHECKING:
    from wtool.ops.shrinking import Shrinking
    from wtool.ops.signatures import shrink as shrink

NAME = "shrink"


def shrinking(given: Mapping[str, Any]) -> Shrinking:
    """Returns what plans a shrinking with these arguments."""
    from wtool.ops.shrinking import Shrinking

    how, options = Shrink(**given_of(Shrink, given)), Common(**given_of(Common, given))
    like = None if how.like is None else text_of(how.like)
    seed = fresh_seed() if options.seed is None else options.seed
    return Shrinking(how, like, options.optimizer, seed, seed_is_given=options.seed is not None)


def _shrink(models: Models, given: Mapping[str, Any]) -> list[Shrunk]:
    words = words_of(models)
    how, options = Shrink(**given_of(Shrink, given)), Common(**given_of(Common, given))
    like = None if how.like is None else text_of(how.like)
    check_words(words, options, like)
    tasks = tasks_of(shrinking(given), words, NAME, options, initial=like)
    if how.verify:
        check_verifying(tasks, options)
    return do_all(tasks, options)


globals()[NAME] = function_of(Shrink, NAME, (Shrink, Common), Shrunk, _shrink)
