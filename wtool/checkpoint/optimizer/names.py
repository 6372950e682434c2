"""What the names of optimizer variables in older files tell: slot and weight."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from wtool.checkpoint.layouts.stored import StoredLayer, StoredVariable
from wtool.schema.layers import Shape
from wtool.schema.optimizers import SCALARS, SLOT_KINDS

# The names of Keras 3, and those of Keras 2.
_SLOTS = {name: kind.name for kind in SLOT_KINDS for name in (kind.name, *kind.keras2)}
_SCALARS = {name: scalar.name for scalar in SCALARS.values() for name in (scalar.name, *scalar.keras2)}
_LONGEST_FIRST = sorted((name for name in _SLOTS if len(name) > 2), key=len, reverse=True)


def by_name(stored: Sequence[tuple[str, Shape]], model: StoredLayer) -> dict[int, tuple[str, StoredVariable | None]]:
    """What can be told from names alone, by position.

    Args:
        stored: names (`Adam/m/fc1/kernel:0`, `Adam/fc1/kernel/m:0`, `adam/fc1_kernel_momentum`) and shapes.
        model: its variables have the paths under which Keras stored them.
    """
    weights = _weights(model)
    found: dict[int, tuple[str, StoredVariable | None]] = {}
    for position, (name, shape) in enumerate(stored):
        parts = name.removesuffix(":0").split("/")
        if shape == () and parts[-1] in _SCALARS:
            found[position] = (_SCALARS[parts[-1]], None)
            continue
        for slot, key in _readings(parts):
            held = weights.get(key)
            if held is not None and held.shape == shape:
                found[position] = (slot, held)
                break
    return found


def _weights(model: StoredLayer) -> dict[str, StoredVariable]:
    """Every weight by the paths that optimizers may know it under; paths of several weights are left out."""
    known: dict[str, StoredVariable | None] = {}
    for owner in model.walk():
        for held in owner.holds:
            for key in {held.key, held.key.replace("/", "_"), held.path, held.path.replace("/", "_")}:
                known[key] = held if known.get(key, held) is held else None
    return {key: held for key, held in known.items() if held is not None}


def _readings(parts: list[str]) -> Iterator[tuple[str, str]]:
    """Every way to read a name as a slot and the path of a weight."""
    if parts[-1] in _SLOTS:
        for start in range(len(parts) - 1):
            yield _SLOTS[parts[-1]], "/".join(parts[start:-1])
    for position, part in enumerate(parts[:-1]):
        if part in _SLOTS:
            yield _SLOTS[part], "/".join(parts[position + 1 :])
    for slot in _LONGEST_FIRST:
        if parts[-1].endswith(f"_{slot}"):
            yield _SLOTS[slot], parts[-1].removesuffix(f"_{slot}")
            return
