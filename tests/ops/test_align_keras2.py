"""Aligned models of Keras 2, in Keras 2: operations of TensorFlow in their graphs, and files of old versions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wtool
from tests.models import ZOO, changed

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("quiet_keras")]
keras2 = pytest.importorskip("tf_keras")

from tests.graphs.test_keras2_graphs import OPERATIONS, L, assert_same, hidden, saved  # noqa: E402

FILES = [
    path
    for path in sorted({*ZOO.glob("k2*/*.h5"), *ZOO.glob("tf2*/*.h5")})
    if path.with_suffix(".npz").exists() and "custom" not in path.name
]


def unlike(path: Path, target: Path) -> Path:
    """The same model with other weights, for a reference."""
    random = np.random.default_rng(1)
    floating = lambda values: np.issubdtype(values.dtype, np.floating)  # noqa: E731
    return changed(path, target, lambda _, values: random.normal(size=values.shape) if floating(values) else values)


def aligned(path: Path, folder: Path) -> tuple[Path, bool] | str:
    """The aligned model and whether channels moved, where there are more than three; or why there is none."""
    out = folder / f"out{path.suffix}"
    try:
        (done,) = wtool.align(path, to=unlike(path, folder / f"other{path.suffix}"), output=out)
    except wtool.Refused as error:
        return error.message
    few = sum(each.channels for each in done.groups.values()) < 4  # these may be in the best order already
    return out, few or any(each.moved for each in done.groups.values())


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_of_tensorflow_compute_the_same(name: str, tmp_path: Path) -> None:
    shape, behind, passes = OPERATIONS[name]
    inputs, x = hidden(shape)
    model: Any = keras2.Model(inputs, L.Dense(2, name="after")(behind(x)))
    found = aligned(saved(model, tmp_path / "m.h5"), tmp_path)
    if isinstance(found, str):
        assert not passes, found
        return
    out, moved = found
    assert moved
    assert_same(model, out)


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_old_files_predict_what_their_keras_predicted(path: Path, tmp_path: Path) -> None:
    result = aligned(path, tmp_path)
    if isinstance(result, str):
        assert "no hidden channels" in result
        return
    out, moved = result
    assert moved
    with np.load(path.with_suffix(".npz")) as data:
        given = [data[name] for name in sorted(data.files) if name.startswith("x")]
        expected = [data[name] for name in sorted(data.files) if name.startswith("y")]
    model = keras2.models.load_model(out, compile=False)
    found = model(given if len(given) > 1 else given[0], training=False)
    for one, other in zip(found if isinstance(found, (list, tuple)) else [found], expected, strict=True):
        scale = max(1.0, float(np.abs(other).max()))
        np.testing.assert_allclose(np.asarray(one, float), other, atol=(1e-2 if "f16" in path.name else 1e-5) * scale)
