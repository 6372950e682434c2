"""`doctor=True` of the operations that make one model of several: the look comes first, and changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import wtool
from tests.models import ZOO, Array, changed, hdf5_bytes, noisy

MLP = ZOO / "k3.15.1" / "mlp.keras"

OPERATIONS: list[tuple[Any, dict[str, Any]]] = [
    (wtool.average, {}),
    (wtool.merge, {"method": "linear"}),
    (wtool.merge, {"method": "ties", "base": MLP, "density": 0.5}),
]


@pytest.mark.parametrize(("operation", "options"), OPERATIONS)
def test_the_look_comes_first_and_changes_nothing(operation: Any, options: dict[str, Any], tmp_path: Path) -> None:
    paths, out = noisy(MLP, tmp_path, 3), tmp_path / "out.keras"
    seen = []

    def look(found: Any) -> None:
        seen.append((found, out.exists()))

    done = operation(paths, doctor=True, diagnosed=look, output=out, **options)
    ((found, was_there),) = seen
    assert found is done.diagnosis
    assert not was_there
    assert out.exists()
    plain = operation(paths, output=tmp_path / "plain.keras", **options)
    assert plain.diagnosis is None
    assert hdf5_bytes(out) == hdf5_bytes(tmp_path / "plain.keras")
    again = operation(paths, doctor=True, dry_run=True, **options)
    assert again.diagnosis == found
    assert again.output is None


def test_a_merge_is_looked_at_by_differences_from_the_base(tmp_path: Path) -> None:
    paths = noisy(MLP, tmp_path, 3)
    plain = wtool.merge(paths, method="linear", doctor=True, dry_run=True).diagnosis
    based = wtool.merge(paths, method="ties", base=MLP, doctor=True, dry_run=True).diagnosis
    assert plain is not None
    assert based is not None
    assert all(each.cosine > 0.8 for each in plain.kernels if each.cosine is not None)
    assert all(abs(each.cosine) < 0.5 for each in based.kernels if each.cosine is not None)
    assert "differences from the base have" in " ".join(based.verdict)
    alone = wtool.merge(paths[:1], method="wise-ft", base=MLP, t=0.5, doctor=True, dry_run=True).diagnosis
    assert alone is not None
    assert alone.is_safe
    assert [each.cosine for each in alone.kernels] == [None] * 3  # of a pair of models


def test_models_that_are_refused_are_looked_at_first(tmp_path: Path) -> None:
    def with_nan(name: str, value: Array) -> Array:
        return value * float("nan") if value.shape == (8, 16) and "optimizer" not in name else value

    seen: list[Any] = []
    broken = changed(MLP, tmp_path / "broken.keras", with_nan)
    with pytest.raises(wtool.Refused, match="NaN or infinite"):
        wtool.average([MLP, broken], doctor=True, diagnosed=seen.append, output=tmp_path / "out.keras")
    assert f"{broken}: fc1/kernel with NaN or infinite values" in seen[0].verdict
    assert not (tmp_path / "out.keras").exists()
