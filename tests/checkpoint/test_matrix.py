"""Every operation on the files of every Keras version, and what the documentation says of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.matrix import SIGNIFICANT, TRIALS, WEIGHTS, WHAT, feature, form, in_keras, outcome, told
from tests.real_models import Saved, saved_files


@pytest.mark.slow
@pytest.mark.parametrize("saved", saved_files(), ids=str)
def test_every_operation_on_every_file(saved: Saved, tmp_path: Path) -> None:
    """Right values or the documented refusal; the page says which."""
    found = {trial: outcome(trial, saved, tmp_path) for trial in TRIALS}
    cells = told()[feature(saved)]
    for trial, cell in zip(SIGNIFICANT, cells, strict=True):
        said = {WEIGHTS, *cell.split("; or ")}
        assert found[trial] in said, f"{trial}: {found[trial]}, but the page says {cell}"


@pytest.mark.tensorflow
@pytest.mark.parametrize("saved", [each for each in saved_files() if not each.only_weights], ids=str)
def test_results_load_where_originals_do_and_predict_the_same(saved: Saved, tmp_path: Path) -> None:
    pytest.importorskip("keras")
    outcome("swap", saved, tmp_path)
    _, agrees = in_keras(saved, tmp_path)
    assert agrees is not False


def test_the_page_knows_every_version_and_form() -> None:
    page = told()
    for saved in saved_files():
        version = saved.version
        name = f"TensorFlow {version[2:]}" if version.startswith("tf") else f"Keras {version[1:]}"
        assert form(saved) in page[name][0]
    assert {feature(saved) for saved in saved_files()} <= WHAT.keys() | page.keys()
