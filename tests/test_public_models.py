"""The trials on models of public packages: they pass on models at hand, and notice what is wrong."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.models import FIXTURES, arrays, changed
from tests.public_models import (
    BEGIN,
    END,
    PACKAGES,
    PAGE,
    TRIALS,
    as_keras_loads,
    assert_as_stored,
    assert_pruned,
)

MODELS = [
    FIXTURES / "bn" / "ckpt-9.keras",
    FIXTURES / "bn" / "ckpt-9.h5",
    FIXTURES / "bn" / "ckpt-9.weights.h5",
    FIXTURES / "zoo" / "k2.2.4" / "mlp_defaultnames.h5",
]
BEFORE = np.array([[1.0, -2.0], [3.0, 4.0]], np.float32)


@pytest.mark.parametrize("trial", TRIALS)
@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.name)
def test_trials_pass_on_models_at_hand(trial: str, path: Path, tmp_path: Path) -> None:
    TRIALS[trial](path, tmp_path)


def test_an_array_that_no_tensor_shows_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "ckpt-9.weights.h5"
    path.write_bytes(MODELS[2].read_bytes())
    with h5py.File(path, "r+") as file:
        file["beside"] = np.ones(3, np.float32)
    with pytest.raises(AssertionError, match="beside"):
        TRIALS["open"](path, tmp_path)


def test_other_values_than_those_stored_are_noticed() -> None:
    stored = {name: value + 1 for name, value in arrays(MODELS[0]).items()}
    with pytest.raises(AssertionError, match="read otherwise"):
        assert_as_stored(MODELS[0], stored)


@pytest.mark.parametrize(
    ("after", "fault"),
    [
        ([[0, 0], [0, 4]], "not half"),
        ([[0, -2], [3, 4]], "not half"),
        ([[1, -2], [0, 0]], "not the smallest"),
        ([[0, 5], [3, 4]], "other values than zero"),
    ],
)
def test_a_wrong_prune_is_noticed(after: list[list[int]], fault: str) -> None:
    with pytest.raises(AssertionError, match=fault):
        assert_pruned("layer/kernel", BEFORE, np.array(after, np.float32))


def test_a_right_prune_is_right() -> None:
    assert_pruned("layer/kernel", BEFORE, np.array([[0, 0], [3, 4]], np.float32))


@pytest.mark.tensorflow
def test_other_values_than_those_loaded_are_noticed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("keras")
    import tests.public_models as trials

    live = trials._loaded(MODELS[0], "keras")
    assert as_keras_loads(MODELS[0], "keras")
    other = changed(MODELS[0], tmp_path / "other.keras", lambda name, value: value * 2)
    monkeypatch.setattr(trials, "_loaded", lambda path, library: live)
    with pytest.raises(AssertionError, match="loads other values"):
        as_keras_loads(other, "keras")


def test_the_page_tells_every_package_and_no_failure() -> None:
    page = PAGE.read_text().partition(BEGIN)[2].partition(END)[0]
    rows = {line.strip("| ").split(" | ")[0]: line for line in page.splitlines() if line.startswith("|")}
    assert {str(package) for package in PACKAGES} <= rows.keys()
    assert len({package.name for package in PACKAGES}) >= 15
    assert "What failed" not in page
