"""What the optimizer of an old model has kept, as the new model can go on with it.

A weight whose values are computed from old ones has slots that are computed alike: wherever a value goes, its slots go.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import chain
from typing import Any

from wtool.checkpoint.compose import check_composition
from wtool.checkpoint.composition import Composition
from wtool.checkpoint.model import Checkpoint, Tensor
from wtool.checkpoint.optimizer.composed import INNER, OUTER, Kept, Source, State, composed_state
from wtool.checkpoint.relaid import relaid_values
from wtool.checkpoint.structure import Fresh
from wtool.dtypes import Array
from wtool.errors import Refused, a_few
from wtool.schema.config import COMPILED, read_architecture
from wtool.schema.optimizer_settings import (
    Settings,
    initial_value,
    innermost_settings,
    keeps_slots,
    scales_loss,
    settings_of,
)
from wtool.schema.optimizers import AVERAGE, DYNAMIC_SCALE, MOMENTUM_CACHE, TABLE, U_PRODUCT, rule_of
from wtool.schema.upgrade.upgraded import ArrayChange, Upgraded, moved_path
from wtool.transforms.relaying import cudnn_bias_lstm

SCALING = "LossScaleOptimizer"

NOTHING_STORED = (
    "the file stores no state of its optimizer, which starts anew: Keras 2 stores none before a model is trained, and "
    "none of a legacy optimizer in a .keras"
)

NOTICEABLE = 1e-4
"""Product of Nadam's momenta below which losses do not depend on the product any more, to five digits."""


def stored_state(base: Checkpoint) -> State:
    """Returns the state of the optimizer of a model of Keras 3 as it is, in the groups of files of Keras 3.

    An `.h5` file has a single group, in which the variables of an optimizer inside another follow those of that one.
    """
    found: State = {}
    for tensor in base.slots:
        assert tensor.slot is not None
        group = OUTER if base.format == "h5" else tensor.stored.rpartition("/vars/")[0]
        found.setdefault(group, []).append((tensor.slot, tensor))
    head = [scalar.name for scalar in TABLE[SCALING].head]
    if base.format == "h5" and [slot.name for slot, _ in found.get(OUTER, ())][: len(head)] == head:
        found[INNER] = found[OUTER][len(head) :]
    return found


def tells_slots(base: Checkpoint, composition: Composition) -> bool:
    """Returns whether a composed model tells whose slots are whose, as far as classes of the user's own are concerned.

    Args:
        base: the checkpoint of whose tensors the model is composed.
        composition: the model.
    """
    if composition.config is None:
        return True
    root, _ = read_architecture(composition.config, composition.keras_version)
    if all(node.variants is not None for node in root.walk()):
        return True
    with ExitStack() as stack:
        try:
            check_composition(base, composition, stack)
        except Refused:
            return False
    return True


def compiled_as(base: Checkpoint) -> Mapping[str, Any] | None:
    """Returns how the model of an archive of Keras 2 was compiled; None where it was not.

    For mixed_float16, Keras 2 wraps the optimizer in one that scales the loss, and only the file's groups tell that.
    """
    compiled = (base.config or {}).get(COMPILED)
    if not isinstance(compiled, Mapping) or not compiled:
        return None
    optimizer, entry = base.contents.optimizer, compiled.get("optimizer")
    is_wrapped = optimizer is not None and scales_loss(Settings(optimizer.class_name, {}))
    if not is_wrapped or scales_loss(settings_of(entry)):
        return compiled
    return {**compiled, "optimizer": {"class_name": SCALING, "config": {"inner_optimizer": entry}}}


def upgraded_state(base: Checkpoint, upgraded: Upgraded, variables: Mapping[str, Source]) -> tuple[State, list[str]]:
    """Returns the state of the optimizer of an upgraded model, by its groups, and notes.

    Args:
        base: the old model.
        upgraded: what became of its architecture.
        variables: path of each variable of the new model -> what fills it.
    """
    compiled = upgraded.config.get(COMPILED)
    entry = compiled.get("optimizer") if isinstance(compiled, Mapping) else None
    if not base.slots:
        return {}, [NOTHING_STORED] if entry is not None and base.format in ("keras", "h5") else []
    if entry is None:
        return {}, ["the optimizer's state is left out, since the new model has no optimizer"]
    if unclear := [each.path for each in base.slots if each.slot and each.slot.weight is None and any(each.shape)]:
        return {}, [f"the optimizer's state is left out: the file does not tell what {a_few(unclear)} are"]
    old = _by_weight(base)
    if not old and keeps_slots(settings_of(entry)):
        return {}, [NOTHING_STORED]
    slots: dict[str, Mapping[str, Source]] = {}
    read = {path for array in upgraded.arrays for path in array.reads}
    for path, own in old.items():
        if path not in read:
            slots[moved_path(path, upgraded.moved)] = own
    notes = []
    for array in upgraded.arrays:
        if array.path in variables and all(path in old for path in array.reads):
            slots[array.path] = _followed(base, array, [old[path] for path in array.reads], variables[array.path])
            if array.function == cudnn_bias_lstm.__name__:
                notes.append(f"the two biases of {array.path} are one now, which moves half as far in a step")
    scalars = {each.slot.name: each for each in base.slots if each.slot and each.slot.weight is None}
    root, _ = read_architecture(upgraded.config)
    state, lost = composed_state(
        Kept(scalars, slots), settings_of(entry), root, variables, lambda each: base.read(each)[()]
    )
    told = (_told_of_nadam(scalars, settings_of(entry), state), _told_of_scale(scalars, settings_of(entry)))
    return state, [lost] if lost else [*notes, *chain(*told)]


def _told_of_nadam(scalars: Collection[str], settings: Settings, state: State) -> Iterator[str]:
    """Yields notes where the next steps of a Nadam differ from those of the old one.

    Neither the newer Nadam of Keras 2 nor a LossScaleOptimizer of Keras 3 stores the product of the momenta so far.
    That product is next to nothing after some steps, and then nothing depends on it.
    Source: `update_step` of tf_keras/src/optimizers/nadam.py, which counts in Python how often it has multiplied.

    Args:
        scalars: names of the numbers that the old optimizer keeps.
        settings: of the new optimizer.
        state: of the new optimizer.
    """
    optimizer = TABLE.get(innermost_settings(settings).class_name or "")
    if optimizer is None or U_PRODUCT not in optimizer.tail:
        return
    if scales_loss(settings):
        yield "Keras 3 stores no product of momenta for a Nadam that scales the loss: the next steps differ a little"
    elif MOMENTUM_CACHE.name not in scalars:
        sources = [source for slot, source in state[OUTER] if slot.name == U_PRODUCT.name]
        if any(source.make() > NOTICEABLE for source in sources if isinstance(source, Fresh)):
            yield (
                "Nadam's product of momenta is what its formula gives for the step count; graphs of Keras 2 multiply "
                "once for each weight, so the next losses may differ in the third digit"
            )


def _told_of_scale(scalars: Collection[str], settings: Settings) -> Iterator[str]:
    """Yields a note where the file does not tell the scale of the loss at which the training stood.

    Keras 2 saves neither that scale nor the count of steps without an overflow. A power of two, the scale changes
    losses only where gradients overflow or are too small for half precision.

    Args:
        scalars: names of the numbers that the old optimizer keeps.
        settings: of the new optimizer.
    """
    if scales_loss(settings) and DYNAMIC_SCALE.name not in scalars:
        yield (
            "Keras 2 does not save the dynamic scale of the loss, nor its count of steps: the scale starts anew from "
            f"{initial_value(DYNAMIC_SCALE.name, settings):g}, and everything else of the optimizer goes on"
        )


def _by_weight(base: Checkpoint) -> dict[str, dict[str, Tensor]]:
    """Returns path of a weight -> its slots by their names."""
    found: dict[str, dict[str, Tensor]] = {}
    for each in base.slots:
        if each.slot is not None and each.slot.weight is not None:
            found.setdefault(each.slot.weight, {})[each.slot.name] = each
    return found


def _followed(
    base: Checkpoint, array: ArrayChange, read: Sequence[Mapping[str, Tensor]], weight: Source
) -> dict[str, Source]:
    """Returns the slots of a weight whose values are computed from those of other weights."""
    names = [name for name in read[0] if all(name in own for own in read)]
    return {
        name: Fresh(weight.shape, own[0].dtype, partial(_computed, base, array, name, own))
        for name in names
        for own in [[each[name] for each in read]]
    }


def _computed(base: Checkpoint, array: ArrayChange, name: str, read: Sequence[Tensor]) -> Array:
    """Returns the values of a slot. Two biases of which the sum counts have equal gradients, so their mean is taken."""
    values = relaid_values(base, array, read)
    is_mean = array.function == cudnn_bias_lstm.__name__ and rule_of(name) is not AVERAGE
    return values / 2 if is_mean else values
