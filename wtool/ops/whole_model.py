"""Operations on the graph of a model: which files have one, and what is said of a graph that makes no sense."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from wtool.checkpoint.model import Checkpoint
from wtool.errors import Refused, in_short


def refuse_without_layers(base: Checkpoint, operation: str) -> None:
    """Refuse a checkpoint that is no whole model, or is in a format in which its structure is not changed.

    Args:
        base: the checkpoint.
        operation: name of the operation, for messages.
    """
    if base.config is not None and base.format == "safetensors":
        raise Refused(f"{operation} writes .keras and .h5 models; wtool convert makes one of a safetensors file")
    if base.config is None or base.format not in ("keras", "h5"):
        raise Refused(f"a file with weights only does not say which layers there are; {operation} needs a whole model")


@contextmanager
def graph_of_keras() -> Iterator[None]:
    """Refuse a configuration whose values are of other types than those that Keras writes."""
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise Refused(
            f"its configuration has something where Keras has something else ({in_short(error):.120}); if Keras "
            "loads the model, please report it"
        ) from error
