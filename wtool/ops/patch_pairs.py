"""Which tensor of one model is which of another, for the patch between them, and what no patch can carry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from wtool.checkpoint.layer_files import named_contents_of
from wtool.checkpoint.model import Checkpoint, Tensor
from wtool.errors import Refused, a_few
from wtool.ops.compared import Compared, slots_by_key
from wtool.ops.compared import both as compared
from wtool.run.comparing import Source, paired_slots
from wtool.run.pairing import paired_paths
from wtool.run.patch_making import Paired
from wtool.schema.config import is_keras2

METRIC = "metric"
"""Role of the states of metrics, which Keras 2 saved beside weights, and which are not compared."""


def paired(old: Checkpoint, new: Checkpoint) -> Paired:
    """Returns which tensors two models share, and which tensors only one of them has.

    Tensors of two files of one kind have equal paths. Between others, tensors are matched as `wtool.diff` matches them:
    files of weights alone call layers otherwise, and archives number the variables of custom layers.

    Raises:
        Refused: the models differ in what a patch cannot carry.
    """
    is_told = old.config is not None and new.config is not None and _is_alike(old, new)
    found = _by_path(old, new) if is_told else _as_compared(old, new)
    both = [(a, b) for a, b in found if (a.shape, a.dtype) == (b.shape, b.dtype)]
    known = {a.path for a, _ in both}, {b.path for _, b in both}
    left, right = (
        [each for each in one.tensors if each.path not in own] for one, own in zip((old, new), known, strict=True)
    )
    notes = []
    for one, other, alone in ((old, new, left), (new, old, right)):
        if not other.slots and one.slots and one.format != other.format:
            alone[:] = [each for each in alone if each.slot is None]
            notes.append(f"{other.name} holds no state of an optimizer: the patch leaves that of {one.name} out")
    if not is_told and any(each.role == METRIC for each in (*left, *right)):
        both = [(a, b) for a, b in both if a.role != METRIC]
        left, right = ([each for each in alone if each.role != METRIC] for alone in (left, right))
        notes.append("the models keep other states of metrics, which the patch leaves out")
    if old.config is not None and new.config is not None and not _is_alike(old, new):
        notes.append("the models are of different formats: the patch carries values of tensors, and no settings")
    own, theirs = named_contents_of(old), named_contents_of(new)
    if own and theirs and own != theirs:
        raise Refused(f"its vocabularies, or other files of layers, are not those of {old.name}: no patch", new.name)
    has_architectures = bool(left or right) or (is_told and old.config != new.config)
    if has_architectures and not (_is_whole(old) and _is_whole(new)):
        named_here = a_few([each.path for each in (*left, *right)]) or "settings of layers"
        raise Refused(
            f"differs from {old.name} in {named_here}; only a patch between .keras models of Keras 3 carries "
            "other layers or settings: wtool convert makes such models",
            new.name,
        )
    return Paired(both, left, right, has_architectures, notes)


def _is_alike(old: Checkpoint, new: Checkpoint) -> bool:
    return (old.format, old.keras_version) == (new.format, new.keras_version)


def _is_whole(checkpoint: Checkpoint) -> bool:
    """Returns whether a checkpoint can become another architecture, and tell its own to a patch."""
    version = checkpoint.keras_version
    return (
        checkpoint.format == "keras"
        and checkpoint.config is not None
        and version is not None
        and not is_keras2(version)
    )


def _by_path(old: Checkpoint, new: Checkpoint) -> Iterator[tuple[Tensor, Tensor]]:
    named = {tensor.path: tensor for tensor in new.tensors}
    yield from ((each, named[each.path]) for each in old.tensors if each.path in named)


def _as_compared(old: Checkpoint, new: Checkpoint) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields the tensors of two models that are compared with each other, as the files themselves call them."""
    left, right = compared(old, new)
    weights = paired_paths(left.shapes, right.shapes).pairs
    pairs = [(left.weights[a], right.weights[b]) for a, b in weights]
    pairs += _slots(left, right, {b: a for a, b in weights})
    here, there = ({_place(each): each for each in one.tensors} for one in (old, new))
    for a, b in pairs:
        if isinstance(a, Tensor) and isinstance(b, Tensor):  # and not values that a conversion computes
            yield here.pop(_place(a)), there.pop(_place(b))
    metrics = {each.path: each for each in there.values() if each.role == METRIC}
    yield from ((a, metrics[a.path]) for a in here.values() if a.role == METRIC and a.path in metrics)


def _slots(left: Compared, right: Compared, renamed: Mapping[str, str]) -> list[tuple[Source, Source]]:
    """Returns the variables of both optimizers, paired by their meaning."""
    own, theirs = slots_by_key(left), slots_by_key(right, renamed)
    return [(own[here], theirs[there]) for here, there in paired_slots(own, theirs).pairs]


def _place(tensor: Tensor) -> tuple[int, str]:
    return tensor.shard, tensor.stored
