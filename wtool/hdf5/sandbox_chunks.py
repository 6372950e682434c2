"""What the HDF5 library does not check of a chunked array: it reads memory of its own where a chunk holds too little.

Chunks whose filters were left out, or whose streams end early, are as large as the file says. The library takes them
for whole ones: what it reads behind their ends differs from reading to reading.

This module runs only in a child process (see `sandbox`).
"""

from __future__ import annotations

import zlib
from math import prod
from typing import Any

from h5py import h5z

from wtool.errors import Refused

_CHECKSUM = 4  # bytes that Fletcher's filter puts behind a chunk


def check_chunks(item: Any) -> None:
    """Refuse a chunked array whose chunks are not those of its shape, each as large as the array has it.

    The streams of LZF and SZIP are not looked into: those of LZF have no checksum, so that damage shows nowhere.

    Args:
        item: the dataset, as the library has it open.

    Raises:
        Refused: a chunk is too many, lies elsewhere, or holds another number of bytes.
    """
    plan = item.get_create_plist()
    chunk, shape = plan.get_chunk(), item.shape
    codes = [plan.get_filter(number)[0] for number in range(plan.get_nfilters())]
    whole = prod(chunk) * item.get_type().get_size()
    seen = set[tuple[int, ...]]()

    def check(info: Any) -> str | None:
        at = info.chunk_offset
        if at in seen or any(x % step or x >= n for x, step, n in zip(at, chunk, shape, strict=True)):
            return "damaged: its list of chunks has one twice, or one outside"
        seen.add(at)
        done = [code for number, code in enumerate(codes) if not info.filter_mask >> number & 1]
        data = item.read_direct_chunk(at)[1]  # fails where the list has the chunk, but a search does not find it
        held = _bytes_held(data, done, whole)
        if held is not None and held != whole:
            told = f"more than {whole:,}" if held > whole else f"{held:,}"
            return f"damaged: a chunk of it holds {told} bytes, and its shape takes {whole:,}"
        return None

    if reason := item.chunk_iter(check):
        raise Refused(reason)
    wanted = prod(-(-n // step) for n, step in zip(shape, chunk, strict=True))
    if len(seen) != wanted:
        raise Refused(f"damaged: it lists {len(seen):,} chunks, and has {wanted:,}")


def _bytes_held(data: bytes, done: list[int], whole: int) -> int | None:
    """Returns how many bytes a chunk comes to, at most one more than a whole one; None where nobody can tell."""
    if h5z.FILTER_LZF in done or h5z.FILTER_SZIP in done:
        return None
    behind = _CHECKSUM * done.count(h5z.FILTER_FLETCHER32)
    if h5z.FILTER_DEFLATE not in done:
        return len(data) - behind
    if done.count(h5z.FILTER_DEFLATE) > 1 or h5z.FILTER_FLETCHER32 in done[: done.index(h5z.FILTER_DEFLATE)]:
        raise Refused("is compressed twice, or with a checksum inside; save it with one filter of a kind")
    try:
        return len(zlib.decompressobj().decompress(data[: len(data) - behind], whole + 1))
    except zlib.error:
        return 0
