"""Codes of differences: decoded, they are the differences again; whatever else is decoded is refused."""

from __future__ import annotations

import zlib
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wtool.errors import Refused
from wtool.transforms.streams import CHUNK
from wtool.transforms.xor_coding import Encoder, chunks, decoded, encoded


@given(st.integers(0, 2**32), st.integers(1, 3000), st.sampled_from([1, 2, 4, 8]), st.sampled_from([0, 0.01, 0.3, 1]))
def test_a_chunk_comes_back(seed: int, count: int, width: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    bits = np.frombuffer(rng.bytes(count * width), f"u{width}") * (rng.random(count) < share)
    bits = bits.astype(f"u{width}")
    code = encoded(bits)
    assert decoded(code, count, width).tobytes() == bits.tobytes()
    assert (code == b"") == (not bits.any())
    assert len(code) <= 1 + (2 + width) * np.count_nonzero(bits)


@pytest.mark.parametrize(
    "code",
    [
        b"\x03",
        b"\x01",
        b"\x01\x00\x00\x01",
        b"\x01\x05\x00\x04\x00" + bytes(8),
        b"\x01\x05\x00\x05\x00" + bytes(8),
        b"\x01\x0a\x00" + bytes(4),
        b"\x02" + zlib.compress(bytes(40))[:-1],
        b"\x02" + zlib.compress(bytes(41)),
        b"\x02" + zlib.compress(bytes(39)),
        b"\x02" + zlib.compress(bytes(40)) + b"x",
        b"\x02" + zlib.compress(bytes(1 << 26)),
        b"\x02nonsense",
    ],
    ids=["kind", "none", "cut", "order", "twice", "beyond", "zlib cut", "more", "less", "behind", "bomb", "no zlib"],
)
def test_what_is_no_code(code: bytes) -> None:
    with pytest.raises(Refused, match="damaged"):
        decoded(code, 10, 4)


@given(st.integers(0, 2**32), st.integers(1, 3 * CHUNK), st.lists(st.integers(1, 3 * CHUNK), max_size=6))
def test_pieces_of_any_length(seed: int, count: int, ends: list[int]) -> None:
    bits = np.frombuffer(np.random.default_rng(seed).bytes(count), np.uint8)
    written: list[bytes] = []
    encoder = Encoder(count, 1, written.append)
    places = sorted({0, count, *(end for end in ends if end < count)})
    for start, stop in pairwise(places):
        encoder.add(start, bits[start:stop])
    encoder.finish()
    assert [len(each) for each in written] == [int(each) for each in encoder.sizes]
    assert len(written) == chunks(count)
    parts = [decoded(code, min(CHUNK, count - at * CHUNK), 1) for at, code in enumerate(written)]
    assert np.concatenate(parts).tobytes() == bits.tobytes()
