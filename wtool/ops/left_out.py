"""What each format can hold, and what is therefore left out of a converted model."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from wtool.checkpoint.model import Checkpoint
from wtool.errors import a_few

ARCHITECTURE, TRAINING, FILES = "architecture", "training", "files"
"""What files may hold besides weights and the state of an optimizer: how the model was compiled, files of layers."""

HOLDS = {
    "keras": frozenset({ARCHITECTURE, TRAINING, FILES}),
    "safetensors": frozenset({ARCHITECTURE, TRAINING, FILES}),
    "h5": frozenset({ARCHITECTURE, TRAINING}),
    "weights.h5": frozenset[str](),
    "weights.json": frozenset[str](),
}
"""Format of a result -> what it holds besides weights and the state of an optimizer, which all formats hold."""


def left_out(
    base: Checkpoint, wanted: str, files: Sequence[str], kept: Collection[str], is_compiled: bool, has_state: bool
) -> Iterator[str]:
    """Yields what is left out of a model in another format, or is held otherwise, in words.

    Args:
        base: the model.
        wanted: the format.
        files: names of the files that layers of the model keep, such as vocabularies.
        kept: those of them that go along.
        is_compiled: whether the model tells how it was compiled.
        has_state: whether the state of an optimizer goes along.
    """
    holds = HOLDS[wanted]
    if wanted == "h5" and any(tensor.dtype == "bfloat16" for tensor in base.weights):
        yield "h5 holds values of bfloat16 as float32, since Keras loads no others; the layers cast them again"
    if ARCHITECTURE not in holds:
        yield f"{wanted} holds weights alone: the architecture is left out"
    if is_compiled and TRAINING not in holds:
        yield f"{wanted} does not tell how a model was compiled: that is left out"
    if files and FILES not in holds:
        yield f"{wanted} has no place for files: {a_few(files)} of lookup tables are left out"
    elif stray := [name for name in files if name not in kept]:
        yield f"nothing tells which layers {a_few(stray)} belong to: left out"
    if has_state and wanted == "h5":
        yield "Keras 3 does not load the state of an optimizer from an .h5; wtool resume does"
