"""Channels of models in the order of a reference's, so that an average of both makes sense.

`wtool/ops/signatures.pyi` has the function's signature for type checkers and editors; `make docs` writes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from wtool.io.addresses import text_of
from wtool.ops.align_options import Align, Aligned
from wtool.ops.functions import function_of, given_of
from wtool.run.batch import check_verifying, check_words, do_all, fresh_seed, tasks_of, words_of
from wtool.run.options import KeepingSeeded
from wtool.words import Models

if TYPE_CHECKING:
    from wtool.ops.aligning import Aligning
    from wtool.ops.signatures import align as align


def aligning(given: Mapping[str, Any]) -> Aligning:
    """Returns what plans an alignment with these arguments."""
    from wtool.ops.aligning import Aligning

    options, how = Align(**given_of(Align, given)), KeepingSeeded(**given_of(KeepingSeeded, given))
    seed = fresh_seed() if how.seed is None else how.seed
    return Aligning(options, text_of(options.to), seed, how.seed is not None, how.optimizer)


def _align(models: Models, given: Mapping[str, Any]) -> list[Aligned]:
    from wtool.ops.aligning import NAME

    options, how = Align(**given_of(Align, given)), KeepingSeeded(**given_of(KeepingSeeded, given))
    words, reference = words_of(models), text_of(options.to)
    check_words(words, how, reference)
    tasks = tasks_of(aligning(given), words, NAME, how, initial=reference)
    if options.verify:
        check_verifying(tasks, how)
    return do_all(tasks, how)


globals()["align"] = function_of(Align, "align", (Align, KeepingSeeded), Aligned, _align, required=("to",))
