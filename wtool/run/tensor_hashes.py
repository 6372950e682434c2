"""Content hashes of tensors, which do not depend on the format of their file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from math import prod

import numpy as np
from blake3 import blake3

from wtool.checkpoint.model import Checkpoint, Tensor
from wtool.dtypes import Array
from wtool.run import pipeline
from wtool.run.pipeline import Edit
from wtool.words import Progress


class TensorHash:
    """The content hash of a tensor's bytes, which come block by block from the first value on.

    A block that begins with the first value begins the hash anew, so that a tensor may be gone through again.
    """

    def __init__(self) -> None:
        self._hash = blake3()

    def take(self, values: Array, start: int) -> None:
        """Take the values from `start` on."""
        if start == 0:
            self._hash = blake3()
        self._hash.update(values.view(np.uint8).data)

    def text(self) -> str:
        """Returns `blake3:` and 64 hexadecimal digits."""
        return f"blake3:{self._hash.hexdigest()}"


def hashes_of(checkpoint: Checkpoint, tensors: Sequence[Tensor], progress: Progress | None = None) -> dict[str, str]:
    """Returns path -> content hash of tensors of a checkpoint, from one pass over its file."""
    taken = {tensor.path: TensorHash() for tensor in tensors}
    edits = [Edit(tensor, (tensor,), partial(_take, taken[tensor.path])) for tensor in tensors]
    for _ in pipeline.scan([checkpoint], edits, progress):
        pass
    return {path: each.text() for path, each in taken.items()}


def _take(own: TensorHash, blocks: Sequence[Array], start: int, stop: int) -> None:
    own.take(blocks[0], start)


def hash_of_all(tensors: Iterable[Tensor], hashes: Mapping[str, str]) -> str:
    """Returns one hash of many tensors: of their paths, dtypes, shapes and hashes, in the order of the paths."""
    lines = sorted(json.dumps([each.path, each.dtype, list(each.shape), hashes[each.path]]) for each in tensors)
    return f"blake3:{blake3(chr(10).join(lines).encode()).hexdigest()}"


def is_last(tensor: Tensor, stop: int) -> bool:
    """Returns whether a block that ends before the value `stop` is the last one of a tensor."""
    return stop == prod(tensor.shape)
