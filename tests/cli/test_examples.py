"""The examples in docs/reference print what the pages say."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.examples import BLOCK, EXAMPLES, fill, places, shown


def test_every_example_has_its_place() -> None:
    assert {*places()} == {*EXAMPLES}


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_print_what_the_page_shows(name: str, tmp_path: Path) -> None:
    fill(tmp_path)
    text = places()[name].read_text()
    (block,) = [found[0] for found in BLOCK.finditer(text) if found[1] == name]
    assert shown(name, tmp_path) == block
