"""Every model of Keras 2 in the collection, converted, against what its own Keras predicted; and what the page says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.converted import BEGIN, END, PAGE, named, old_models, tried
from tests.real_models import Saved


@pytest.mark.tensorflow
@pytest.mark.parametrize("saved", old_models(), ids=str)
def test_keras_3_predicts_what_the_old_keras_stored(saved: Saved, tmp_path: Path) -> None:
    pytest.importorskip("keras")
    assert tried(saved, tmp_path)


def test_the_page_knows_every_version_and_no_failure() -> None:
    lines = PAGE.read_text().partition(BEGIN)[2].partition(END)[0].splitlines()
    rows = {row[0]: row[1:] for row in (line.strip("| ").split(" | ") for line in lines if line.startswith("|"))}
    for saved in old_models():
        row = rows[named(saved.version)]
        assert row[0] == row[1], "some are not converted"
