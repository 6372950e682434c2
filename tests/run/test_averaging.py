"""What an average says of what it cannot make right, and of what it keeps."""

from __future__ import annotations

from pathlib import Path

import wtool
from tests.models import BLOBS, FIXTURES
from wtool.checkpoint.model import Tensor
from wtool.run.selection import arithmetic

NORMALISED = [FIXTURES / "bn" / f"ckpt-{number}.h5" for number in (9, 10)]


def notes(paths: list[Path], **options: object) -> str:
    return " ".join(wtool.average(paths, dry_run=True, **options).notes)  # type: ignore[arg-type]


def test_averaged_moving_statistics_are_told() -> None:
    """They are those of no model: neither of the older ones nor of the average."""
    assert "moving statistics" in notes(NORMALISED)
    assert "moving statistics" not in notes(NORMALISED, include=["*/kernel"])
    assert "moving statistics" not in notes(NORMALISED[:1])
    assert "moving statistics" not in notes(BLOBS[:2])


def test_a_kept_optimizer_is_listed() -> None:
    with wtool.open_checkpoint(str(BLOBS[1])) as checkpoint:
        slots = [tensor.path for tensor in checkpoint.slots]
    actions = wtool.average(BLOBS[:2], optimizer="keep", dry_run=True).actions
    assert slots
    assert {str(actions[path]) for path in slots} == {"kept from the newest"}


def weight(role: str, dtype: str, layer: str = "dense") -> Tensor:
    return Tensor(f"{layer}/{role}", role, layer, "Dense", True, (4,), dtype, role, 0, 16)


def test_scales_are_numbers_unless_they_are_those_of_codes() -> None:
    """A layer of somebody's own may call a weight so, and a layer with another integer is not quantised."""
    scale = weight("kernel_scale", "float32")
    assert arithmetic([weight("kernel", "int8"), scale]) == []
    assert arithmetic([weight("kernel", "float32"), scale]) == [weight("kernel", "float32"), scale]
    assert arithmetic([weight("seed_generator_state", "uint32"), scale]) == [scale]
