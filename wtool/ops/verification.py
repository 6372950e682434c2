"""Whether a model that should compute what another one does is believed to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wtool.checkpoint.model import Checkpoint
from wtool.checkpoint.opener import open_checkpoint
from wtool.errors import WtoolError

if TYPE_CHECKING:
    from wtool.training.compare import DifferenceAndSpeed

NARROW, WIDE = 0.05, 1e-4
"""Largest difference between outputs up to 1 that rounding explains: in two bytes, and in four or more."""


def did_not_verify(output: str, error: WtoolError) -> WtoolError:
    """Returns the error of a result that Keras does not load or run.

    Args:
        output: path of the result, which stays.
        error: says what Keras said.
    """
    told = f"{output} was written, but did not verify: {error.message}"
    return WtoolError(f"{told}; if this is the newest Keras, please report it")


def refuse_difference(output: str, base: Checkpoint, difference: float, largest: float) -> None:
    """Refuse a result whose outputs differ from those of its base by more than rounding explains.

    Args:
        output: path of the result.
        base: the checkpoint that it was made of.
        difference: largest absolute difference between outputs of the two models for the same input.
        largest: absolute value of the largest output.

    Raises:
        WtoolError: the difference is too large, or is no number.
    """
    narrow = any(tensor.dtype in ("float16", "bfloat16") for tensor in base.weights) or "mixed_" in str(base.config)
    if not difference <= (NARROW if narrow else WIDE) * max(1.0, largest):
        raise WtoolError(
            f"{output} was written and should compute the same, but differs by {difference:.3g} in outputs up to "
            f"{largest:.3g}: do not use it, and please report it"
        )


def verified(output: str, base: Checkpoint, same: bool) -> tuple[tuple[float, float] | None, tuple[str, ...]]:
    """Run a result and its base with Keras.

    Args:
        output: path of the result.
        base: the checkpoint that it was made of, open.
        same: whether the two models should compute the same.

    Returns:
        the largest difference between their outputs and the largest output, None where they cannot be run; and notes.

    Raises:
        WtoolError: Keras does not load or run the result, or the models differ, and should not.
    """
    found, notes = _run(output, base, "largest_difference")
    if found is not None and same:
        refuse_difference(output, base, *found)
    return found, notes


def verified_and_timed(output: str, base: Checkpoint, same: bool) -> tuple[DifferenceAndSpeed | None, tuple[str, ...]]:
    """Run a result and its base with Keras, and time both.

    Args:
        output, base, same: see `verified`.

    Returns:
        the difference between their outputs and the time of each, None where they cannot be run; and notes.

    Raises:
        WtoolError: see `verified`.
    """
    found, notes = _run(output, base, "difference_and_speed")
    if found is not None and same:
        refuse_difference(output, base, found.difference, found.largest)
    return found, notes


def _run(output: str, base: Checkpoint, comparison: str) -> tuple[Any, tuple[str, ...]]:
    """What a function of `training.compare` says of two models; None and a note where they cannot be run."""
    from wtool.training.quiet import silent_import, without_advice

    with silent_import():
        from wtool.training import compare
    try:
        with without_advice(), open_checkpoint(output) as made:
            return getattr(compare, comparison)(base, made), ()
    except compare.Unusable as error:
        raise did_not_verify(output, error) from None
    except WtoolError as error:
        return None, (f"not verified: {error.message}",)
