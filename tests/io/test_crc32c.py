"""CRC-32C against its definition, byte by byte, and against published values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import bundles
from wtool.io.crc32c import crc32c, masked

PUBLISHED = {  # RFC 3720, B.4
    bytes(32): 0x8A9136AA,
    b"\xff" * 32: 0x62A8AB43,
    bytes(range(32)): 0x46DD794E,
    bytes(range(31, -1, -1)): 0x113FDB5C,
    b"123456789": 0xE3069283,
}


@pytest.mark.parametrize(("data", "crc"), PUBLISHED.items())
def test_published_values(data: bytes, crc: int) -> None:
    assert crc32c(data) == crc


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 511, 512, 767, 768, 70_001])
def test_any_size(size: int) -> None:
    data = np.random.default_rng(size).bytes(size)
    assert crc32c(data) == bundles.crc32c(data)
    assert crc32c(memoryview(data), 12345) == bundles.crc32c(data, 12345)


def test_more_than_is_computed_at_once() -> None:
    data = np.random.default_rng(1).bytes((2 << 20) + 777)
    parts = [crc32c(data[:1_000_003])]
    assert crc32c(data) == crc32c(data[1_000_003:], parts[0])


@given(st.binary(max_size=2000), st.integers(0, 2000))
def test_parts_one_after_the_other(data: bytes, cut: int) -> None:
    assert crc32c(data[cut:], crc32c(data[:cut])) == crc32c(data) == bundles.crc32c(data)


def test_the_masked_form() -> None:
    assert masked(crc32c(b"foo")).to_bytes(4, "little") == bundles.masked(crc32c(b"foo"))
    assert masked(0) == 0xA282EAD8
