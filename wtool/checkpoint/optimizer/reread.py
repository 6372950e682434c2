"""A rebuilt checkpoint as wtool reads it again: whether the optimizer's variables are still what they were.

Files number an optimizer's variables. If a new file has one variable too many, or two of them in another order, Keras
gives slots to the wrong weights or leaves the whole state out, with a warning that nobody sees.
"""

from __future__ import annotations

from wtool.checkpoint.model import Checkpoint
from wtool.checkpoint.structure import Structure


def misread(base: Checkpoint, structure: Structure, made: Checkpoint) -> list[str]:
    """Returns, in words, the variables of the optimizer that the new file does not tell as what they are.

    Args:
        base: the old checkpoint.
        structure: what it becomes.
        made: the new checkpoint, as wtool reads it.
    """
    if not structure.keep_optimizer:
        return []
    told = [each.slot for each in base.slots if each.slot is not None]
    wanted = {(slot.name, slot.weight) for slot in told if slot.weight is None or slot.weight in structure.paths}
    wanted |= {(name, path) for path, slots in structure.slots.items() for name in slots}
    found = {(each.slot.name, each.slot.weight) for each in made.slots if each.slot is not None}
    wrong = sorted(wanted ^ found, key=str)
    return list(dict.fromkeys(f"{name} of {weight}" if weight else name for name, weight in wrong))
