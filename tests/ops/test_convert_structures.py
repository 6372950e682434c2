"""Functional models whose outputs are lists and dictionaries inside each other: Keras 3 gives the same structure."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wtool

pytestmark = pytest.mark.tensorflow
keras = pytest.importorskip("keras")
keras2 = pytest.importorskip("tf_keras")
L = keras2.layers

STRUCTURES: dict[str, Callable[[Any, Any, Any], Any]] = {
    "list of one": lambda a, b, c: [a],
    "list with a dictionary": lambda a, b, c: [a, {"z": b, "a": c}],
    "dictionary": lambda a, b, c: {"z": a, "a": b},
    "dictionary with lists": lambda a, b, c: {"z": [a, b], "a": c},
    "dictionary with a list of one": lambda a, b, c: {"z": [a]},
    "deep": lambda a, b, c: {"m": {"k": a}, "b": [b, {"q": c}]},
    "lists": lambda a, b, c: [[a, b], c],
}


@pytest.mark.parametrize("ending", ["h5", "keras"])
@pytest.mark.parametrize("name", STRUCTURES)
def test_outputs_keep_their_structure_and_their_losses(name: str, ending: str, tmp_path: Path) -> None:
    given = keras2.Input((4,))
    first = L.Dense(3)(given)
    second = L.Dense(2)(first)
    model = keras2.Model(given, STRUCTURES[name](first, second, L.Dense(1)(second)))
    model.compile("sgd", "mse")
    model.save(tmp_path / f"old.{ending}")
    old = keras2.models.load_model(tmp_path / f"old.{ending}")
    wtool.convert(tmp_path / f"old.{ending}", output=tmp_path / "new.keras")
    new = keras.models.load_model(tmp_path / "new.keras")
    x = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    before, after = (keras.tree.map_structure(np.asarray, each(x)) for each in (old, new))
    keras.tree.assert_same_structure(before, after)
    keras.tree.map_structure(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), before, after)
    wanted = keras.tree.map_structure(np.ones_like, after)
    totals = [np.ravel(each.test_on_batch(x, wanted))[0] for each in (old, new)]
    assert totals[0] == pytest.approx(totals[1], rel=1e-5)
