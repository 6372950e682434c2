"""The same model in fewer bytes.

`wtool/ops/signatures.pyi` has the function's signature for type checkers and editors; `make docs` writes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from wtool.errors import Usage
from wtool.ops.functions import function_of, given_of
from wtool.ops.pack_options import Pack
from wtool.run.batch import check_words, do_all, tasks_of, words_of
from wtool.run.options import Keeping
from wtool.run.packed import Packed
from wtool.run.packing import NAME, Packing, Rework
from wtool.words import Models

if TYPE_CHECKING:
    from wtool.ops.signatures import pack as pack


def packing(given: Mapping[str, Any]) -> Packing:
    """Returns what plans a packing with these arguments."""
    options, how = Pack(**given_of(Pack, given)), Keeping(**given_of(Keeping, given))
    if options.policy and options.dtype is None:
        raise Usage("--policy: only with --dtype, which names the number type")
    drops = options.drop_optimizer or how.optimizer == "drop"
    return Packing(options.compression, drops, options.dtype, options.policy, options.strip, _rework(options))


def _pack(models: Models, given: Mapping[str, Any]) -> list[Packed]:
    how = Keeping(**given_of(Keeping, given))
    words = words_of(models)
    check_words(words, how)
    return do_all(tasks_of(packing(given), words, "packed", how), how)


def _rework(options: Pack) -> Rework | None:
    if options.quantize is None:
        return None
    if options.dtype is not None:
        raise Usage("--quantize stores codes, and --dtype another number type: one of the two")
    from wtool.ops.quantising import quantised  # imports all that makes other models of models

    return Rework({"quantize": options.quantize}, quantised)


globals()[NAME] = function_of(Pack, NAME, (Pack, Keeping), Packed, _pack)
