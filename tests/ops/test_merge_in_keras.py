"""Merged models in Keras: loaded with what they were compiled with, they predict what NumPy's formula predicts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wtool
from tests.models import FIXTURES, ZOO, noisy

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("quiet_keras")]


def set_by_formula(library: Any, base: Path, models: list[Path]) -> Any:
    """A live model with b + .7 d_1 + .4 d_2, and of moving statistics the mean with the weights .7 and .4."""
    old, one, other = (library.models.load_model(path) for path in (base, *models))
    new = []
    for variable, b, m, n in zip(one.weights, old.get_weights(), one.get_weights(), other.get_weights(), strict=True):
        b, m, n = (each.astype(np.float64) for each in (b, m, n))
        is_followed = "moving_" in variable.name
        new.append((0.7 * m + 0.4 * n) / 1.1 if is_followed else b + 0.7 * (m - b) + 0.4 * (n - b))
    one.set_weights(new)
    return one


@pytest.mark.parametrize("kind", [".keras", ".h5"])
def test_keras_loads_a_merge_and_predicts_as_the_formula(kind: str, tmp_path: Path) -> None:
    keras = pytest.importorskip("keras")
    base, *models = (FIXTURES / "bn" / f"ckpt-{number}{kind}" for number in (9, 10, 11))
    out = tmp_path / f"out{kind}"
    wtool.merge(models, method="task-arithmetic", base=base, weight=[0.7, 0.4], output=out)
    merged, expected = keras.models.load_model(out), set_by_formula(keras, base, models)
    x = np.random.default_rng(0).normal(size=(16, *merged.input_shape[1:]))
    np.testing.assert_allclose(merged.predict(x, verbose=0), expected.predict(x, verbose=0), rtol=1e-4, atol=1e-5)
    assert type(merged.optimizer) is type(keras.models.load_model(models[0]).optimizer)
    assert int(np.asarray(merged.optimizer.iterations)) == 0


def test_a_merge_of_models_of_keras_2_is_one(tmp_path: Path) -> None:
    library = pytest.importorskip("tf_keras")
    base, *models = noisy(ZOO / "k2.2.4" / "mlp_defaultnames.h5", tmp_path, 3)
    out = tmp_path / "out.h5"
    wtool.merge(models, method="task-arithmetic", base=base, weight=[0.7, 0.4], output=out)
    merged, expected = library.models.load_model(out), set_by_formula(library, base, models)
    for one, other in zip(merged.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    with np.load(ZOO / "k2.2.4" / "mlp_defaultnames.npz") as data:
        x = data["x0"]
    np.testing.assert_allclose(merged.predict(x, verbose=0), expected.predict(x, verbose=0), rtol=1e-4, atol=1e-5)
