"""Composed models in tests: what the commands do with a composition, without a command."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from wtool.checkpoint.compose import compose
from wtool.checkpoint.composition import Composition
from wtool.checkpoint.lineage import Record
from wtool.checkpoint.model import Checkpoint, Slot, Tensor
from wtool.io.places import Target
from wtool.run import pipeline
from wtool.run.rebuilding import edits_of


def composed(base: Checkpoint, composition: Composition, target: Path) -> Path:
    """The file of a composed model."""
    lineage = [Record("convert")]
    with ExitStack() as stack:
        rebuilt = compose(base, composition, Target.at(str(target)), lineage, stack)
        pipeline.run([base], edits_of(rebuilt.arrays), rebuilt.output)
        rebuilt.output.publish(lineage)
    return target


def slots_of(base: Checkpoint) -> dict[str, list[tuple[Slot, Tensor]]]:
    """What the optimizer of a file keeps, by its groups in files of Keras 3."""
    found: dict[str, list[tuple[Slot, Tensor]]] = {}
    for tensor in base.slots:
        group = "optimizer" if base.format == "h5" else tensor.stored.rpartition("/vars/")[0]
        assert tensor.slot is not None
        found.setdefault(group, []).append((tensor.slot, tensor))
    return found
