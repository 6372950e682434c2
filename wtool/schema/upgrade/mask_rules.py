"""What layers do with masks, in Keras 2 and in Keras 3.

Both Kerases hang a mask on a tensor. Keras 3 does so twice. As it loads a model, it works masks out by operations of
the graph, and notes them with the calls of layers that take a mask and one tensor alone. As the model runs, a layer
whose call has no mask noted takes the mask that hangs on its input. A model inside another sees the outer masks only as
it runs, and nothing is noted behind it.

- Add, Average, ...: Keras 2 lets a step pass that all masks let pass, and leaves inputs without a mask aside; Keras 3
  lets a step pass that one mask lets pass, and there is no mask if one input has none.
- Concatenate of features: likewise, but in Keras 3 an input without a mask lets all steps pass.
- Multiply, Maximum, Minimum: Keras 2 computes every step; Keras 3 leaves inputs aside where they are masked.
- Identity, Normalization, Rescaling: Keras 2 drops a mask, Keras 3 passes the mask on.
- TimeDistributed: in Keras 2 what the inner layer gives makes one mask of the steps; Keras 3 passes the mask of the
  input on, with all of its axes.
- Recurrent layers with initial states: Keras 2 takes the mask of the sequences; Keras 3 takes none, and passes that of
  the sequences on.
- MultiHeadAttention: Keras 3 takes the masks off its inputs as it runs.

Sources: `compute_mask` of merging/base_merge.py, merging/concatenate.py and rnn/time_distributed.py, `_merge_function`
of merging/base_merge.py and merging/multiply.py, `Layer.__call__` of layer.py ("Populate mask argument(s)") and
`MultiHeadAttention.call`, in keras/src/layers (3.15.1) and tf_keras/src/layers (2.21.0).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace
from typing import Any

from wtool.schema.upgrade.mask_terms import EVERY, NONE, Terms, same
from wtool.schema.upgrade.rules import CUDNN, RECURRENT, SPATIAL_DROPOUT
from wtool.values import dataclass

DROPPING = (*SPATIAL_DROPOUT, "Dropout", "AlphaDropout", "GaussianDropout", "GaussianNoise", "ActivityRegularization")
"""Layers that give the very tensor that they take, where they do not train."""

PASSING = (
    *DROPPING, "Activation", "BatchNormalization", "Dense", "ELU", "GroupNormalization", "LayerNormalization",
    "LeakyReLU", "PReLU", "ReLU", "Softmax", "SyncBatchNormalization", "ThresholdedReLU", "UnitNormalization",
)  # fmt: skip
"""Layers that pass the mask of their input on, in either Keras."""

PASSING_IN_KERAS3 = ("Identity", "Normalization", "Rescaling")
"""Layers behind which there is no mask in Keras 2, and the mask of the input in Keras 3."""

MERGING = ("Add", "Average", "Concatenate", "Maximum", "Minimum", "Multiply", "Subtract")
"""Layers that make one mask of those of their inputs."""

LOOKING = ("Maximum", "Minimum", "Multiply")
"""Merging layers whose values are others in Keras 3 where an input is masked."""

TAKING = (*RECURRENT, *CUDNN, "Bidirectional", "GlobalAveragePooling1D", "Softmax")
"""Layers that compute by the mask of their first input."""

ATTENDING = ("Attention", "AdditiveAttention")


@dataclass(frozen=True, slots=True)
class Masked:
    """The masks of one tensor.

    Attributes:
        old: in Keras 2.
        noted: that Keras 3 works out as it loads the model.
        found: that hangs on the tensor as the model runs in Keras 3.
        changed: whether its values are others in Keras 3 where the old mask lets nothing pass.
        cause: path of the layer that made the masks differ.
    """

    old: int = NONE
    noted: int = NONE
    found: int = NONE
    changed: bool = False
    cause: str = field(default="", compare=False)

    @property
    def seen(self) -> int:
        """The mask that a layer of Keras 3 computes by."""
        return self.found if self.noted == NONE else self.noted

    @property
    def as_it_runs(self) -> Masked:
        """The masks as a call finds them with which no mask is noted."""
        return replace(self, noted=NONE)

    @property
    def is_there(self) -> bool:
        """Whether there is a mask in either Keras."""
        return not (self.old == self.noted == self.found == NONE)

    @property
    def differs(self) -> bool:
        """Whether a layer that computes by the mask computes otherwise in Keras 3."""
        return not same(self.old, self.seen)

    def written(self) -> Masked:
        """The masks where the old one is written out as an argument of a call in Keras 3."""
        return replace(self, noted=self.old, found=self.old, cause="")


UNMASKED = Masked()


def each(masks: Sequence[Masked], join: Callable[[str, list[int]], int]) -> Masked:
    """Returns masks that are made of several, by a function of the name of the mask (`old`, ...) and its values."""
    return Masked(
        old=join("old", [mask.old for mask in masks]),
        noted=join("noted", [mask.noted for mask in masks]),
        found=join("found", [mask.found for mask in masks]),
    )


def merged(kind: str, settings: Mapping[str, Any], masks: Sequence[Masked], terms: Terms) -> Masked:
    """Returns the masks behind a merging layer."""
    along_time = settings.get("axis") in (1, -2)

    def join(name: str, values: list[int]) -> int:
        if all(value == NONE for value in values):
            return NONE
        if kind == "Concatenate" and along_time:
            return terms.in_turn(values)
        if name == "old":
            return terms.all_of(values)
        if NONE in values:
            return EVERY if kind == "Concatenate" else NONE
        return terms.any_of(values)

    looks = kind in LOOKING and any(mask.found not in (NONE, EVERY) for mask in masks)
    return replace(each(masks, join), changed=looks or any(mask.changed for mask in masks))


def at_each_step(given: Masked, inner: Masked, here: str, terms: Terms) -> Masked:
    """Returns the masks behind a TimeDistributed.

    Args:
        given: of its input.
        inner: behind the layer inside, where the input's masks are given.
        here: names the call.
        terms: of the model.
    """
    old = given.old if same(inner.old, given.old) else terms.of("elsewhere", here)
    if inner.old == NONE and given.old != NONE:
        rank = terms[given.old].rank
        one = given.old if rank == 2 else terms.of("elsewhere", here)
        old = terms.of("any", given.old, rank=2) if rank == 3 else one
    return replace(given, old=old, found=given.seen, changed=inner.changed)


def mixes_steps(kind: str, settings: Mapping[str, Any]) -> bool:
    """Whether a layer that passes masks on computes a step by the values of others."""
    axis = settings.get("axis", -1)
    whole = axis[0] if isinstance(axis, list) and len(axis) == 1 else axis
    return kind == "GroupNormalization" or (
        kind in ("LayerNormalization", "UnitNormalization", "Softmax") and whole not in (-1, 2)
    )
