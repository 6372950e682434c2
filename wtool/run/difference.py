"""What a comparison of two models found, as values that need no NumPy."""

from __future__ import annotations

from typing import Any, ClassVar

from wtool.values import dataclass


@dataclass(frozen=True, slots=True)
class SettingDifference:
    """A setting that two models have with different values.

    Attributes:
        layer: path of the layer; empty for the model, its optimizer and its training configuration.
        key: the setting, `activation`; `class` for the class of a layer.
        old: its value in the first model; None where that has none.
        new: its value in the second model; None where that has none.
    """

    layer: str
    key: str
    old: Any
    new: Any


@dataclass(frozen=True, slots=True)
class ValueDifference:
    """How far the values of a tensor are from those of its counterpart, in float64.

    A NaN is equal to a NaN, and -0.0 to 0.0. RMS, relative difference and cosine are over pairs of finite values.

    Attributes:
        changed: how many values are not equal.
        beyond: of these, how many are further apart than the tolerance, |a - b| > atol + rtol * |b|.
        largest: the largest |a - b|; infinite where one of the two values is.
        where: index of the first value that is so far apart; None where no value is.
        rms: root of the mean of (a - b)².
        relative: ||a - b|| / ||a||; infinite where a is zero and b is not.
        cosine: of the angle between a and b; NaN where one of them is zero.
        sign_flips: how many values have opposite signs, neither being zero.
        zeros_gained: how many values are zero in b only.
        zeros_lost: how many values are zero in a only.
        nans: how many values are NaN in a, and in b.
        hidden: how many values are equal and have different bytes: -0.0 and 0.0, or different NaN.
    """

    changed: int = 0
    beyond: int = 0
    largest: float = 0.0
    where: tuple[int, ...] | None = None
    rms: float = 0.0
    relative: float = 0.0
    cosine: float = 1.0
    sign_flips: int = 0
    zeros_gained: int = 0
    zeros_lost: int = 0
    nans: tuple[int, int] = (0, 0)
    hidden: int = 0


@dataclass(frozen=True, slots=True)
class TensorDifference:
    """A tensor of the first model beside its counterpart in the second.

    Attributes:
        path: in the first model.
        other_path: in the second model; another one where layers have other automatic names.
        shapes: in both models.
        dtypes: in both models.
        has_same_bytes: whether dtype, shape and all bytes are equal; then `values` is None.
        values: how far the values are apart; None where the shapes differ, or all bytes are equal.
        is_dtype_forced: whether the format of one file cannot hold the dtype that the other file has.
    """

    path: str
    other_path: str
    shapes: tuple[tuple[int, ...], tuple[int, ...]]
    dtypes: tuple[str, str]
    has_same_bytes: bool
    values: ValueDifference | None
    is_dtype_forced: bool = False

    TOLD: ClassVar[tuple[str, ...]] = ("is_different",)

    @property
    def is_different(self) -> bool:
        """Whether shape or dtype differ, or values by more than the tolerance."""
        if self.shapes[0] != self.shapes[1] or (self.dtypes[0] != self.dtypes[1] and not self.is_dtype_forced):
            return True
        return self.values is not None and self.values.beyond > 0


@dataclass(frozen=True, slots=True)
class Diff:
    """The result of `wtool.diff`: everything in which two models differ.

    Attributes:
        models: what the user called them.
        layers_added: paths of the layers that only the second model has.
        layers_removed: paths of the layers that only the first model has.
        settings: settings of layers that differ.
        tensors: every weight that both have, in the order of the first model.
        tensors_added: paths of the weights that only the second model has.
        tensors_removed: paths of the weights that only the first model has.
        optimizer: settings of the optimizer that differ.
        slots: every variable of the optimizer that both have.
        slots_added: paths of the variables of the optimizer that only the second model has.
        slots_removed: paths of the variables of the optimizer that only the first model has.
        training: settings of the training configuration that differ: loss, metrics.
        notes: what else is worth knowing and is no difference, one line each: lineage, versions, formats.
    """

    models: tuple[str, str]
    layers_added: tuple[str, ...] = ()
    layers_removed: tuple[str, ...] = ()
    settings: tuple[SettingDifference, ...] = ()
    tensors: tuple[TensorDifference, ...] = ()
    tensors_added: tuple[str, ...] = ()
    tensors_removed: tuple[str, ...] = ()
    optimizer: tuple[SettingDifference, ...] = ()
    slots: tuple[TensorDifference, ...] = ()
    slots_added: tuple[str, ...] = ()
    slots_removed: tuple[str, ...] = ()
    training: tuple[SettingDifference, ...] = ()
    notes: tuple[str, ...] = ()

    TOLD: ClassVar[tuple[str, ...]] = ("equal",)

    @property
    def equal(self) -> bool:
        """Whether the models differ in nothing but what the notes tell."""
        lists = (
            self.layers_added, self.layers_removed, self.settings, self.tensors_added, self.tensors_removed,
            self.optimizer, self.slots_added, self.slots_removed, self.training,
        )  # fmt: skip
        return not any(lists) and not any(each.is_different for each in (*self.tensors, *self.slots))
