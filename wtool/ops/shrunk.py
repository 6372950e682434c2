"""What comes of shrinking a model. This module imports no NumPy, so that `--help` is instant."""

from __future__ import annotations

from dataclasses import field

from wtool.values import dataclass


@dataclass(frozen=True, slots=True)
class ShrunkLayer:
    """What a layer became.

    Attributes:
        parameters: how many values its weights have, before and after.
        multiply_adds: for a batch of one, of all its calls, before and after; None where they are not known.
    """

    parameters: tuple[int, int]
    multiply_adds: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Shrunk:
    """What was taken out of a model, or would be.

    Attributes:
        model: path.
        output: path of the result, `-` for standard output; None after a dry run.
        skipped: the output was there already, made of the same input in the same way.
        seed: of the random numbers; None where none were drawn.
        channels: for each group of channels that go together, how many there were and how many stay, by the path of the
            first layer that makes them.
        stays: the same path of each group of which no channel could be taken out -> why.
        layers: path of each layer with weights or multiply-adds -> what became of it.
        parameters: how many values all weights together have, before and after; None where nothing was done.
        bytes: of these weights, before and after; None where nothing was done.
        multiply_adds: of the model for a batch of one, before and after; None where they are not known.
        same: whether the new model computes what the old one did; None where nothing was done.
        difference: the largest one between outputs of the old and the new model on random input, and the largest of
            these outputs; None where they were not run.
        seconds: that the old and the new model take for a batch; None where they were not run.
        notes: what is worth knowing, one line each.
    """

    model: str
    output: str | None
    skipped: bool = False
    seed: int | None = None
    channels: dict[str, tuple[int, int]] = field(default_factory=dict)
    stays: dict[str, str] = field(default_factory=dict)
    layers: dict[str, ShrunkLayer] = field(default_factory=dict)
    parameters: tuple[int, int] | None = None
    bytes: tuple[int, int] | None = None
    multiply_adds: tuple[int, int] | None = None
    same: bool | None = None
    difference: tuple[float, float] | None = None
    seconds: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()
