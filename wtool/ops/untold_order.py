"""The order of weights in an `.h5`: for which layers nobody can tell it."""

from __future__ import annotations

from collections.abc import Iterator

from wtool.checkpoint.composition import Composition
from wtool.checkpoint.layouts.legacy_compose import faults_of
from wtool.checkpoint.model import Checkpoint
from wtool.schema.upgrade.upgraded import Change


def untold_order(base: Checkpoint, composition: Composition) -> Iterator[Change]:
    """Yields a refusal for each layer that an `.h5` cannot hold; none for other formats.

    Args:
        base: the checkpoint.
        composition: what is to be written of it.
    """
    if composition.format == "h5":
        for fault in faults_of(base, composition):
            yield Change(fault.layer, fault.class_name, "untold order", f"it {fault.text}")
