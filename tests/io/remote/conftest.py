"""What tests of files in stores share."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from wtool.io.descriptor import source_of
from wtool.io.source import Source


@pytest.fixture
def opened() -> Iterator[Callable[[str], Source]]:
    """Opens files at addresses, which are closed after the test, and once more."""
    sources: list[Source] = []

    def opened(address: str) -> Source:
        sources.append(source_of(address))
        return sources[-1]

    yield opened
    for source in sources:
        source.close()
        source.close()
