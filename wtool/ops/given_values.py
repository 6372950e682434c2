"""Values that words give to tensors: a number for all of them, or an array out of a `.npy` file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from fnmatch import fnmatchcase
from functools import partial
from math import prod
from typing import Any, TypeAlias

import numpy as np

from wtool.checkpoint.model import Checkpoint, Tensor
from wtool.dtypes import Array, dtype_of, is_floating, round_into
from wtool.errors import Refused, Usage
from wtool.io.npy import NpyFile, open_npy
from wtool.run.action import Action
from wtool.run.pipeline import Edit
from wtool.suggestions import meant_paths
from wtool.values import dataclass

FILE = "@"
"""Begins a word that names a file in the place of a number."""

BLOCK = 1 << 18
"""Values that are looked at together."""

Words: TypeAlias = tuple[tuple[str, float | str], ...]
"""Pairs of a pattern of paths, and the number for the tensors with such paths, or the path of a file of values."""


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """What the tensors with some paths get.

    Attributes:
        pattern: of the paths.
        value: a number, or an open file of values.
        told: the value in a record of the lineage.
    """

    pattern: str
    value: float | NpyFile
    told: Any

    @property
    def action(self) -> Action:
        """What becomes of the tensors."""
        number = self.value
        told = f"{number:g}" if isinstance(number, float) else f"the array in {number.source.name}"
        return Action("set", f"set to {told}")


def words_in(words: Sequence[str]) -> Words:
    """Returns the pairs that words such as `dense/bias=0` and `dense/kernel=@kernel.npy` tell.

    Raises:
        Usage: a word tells none.
    """
    found: list[tuple[str, float | str]] = []
    for word in words:
        pattern, is_file, path = word.partition(f"={FILE}")
        number: float | str = path
        if not is_file:
            pattern, _, text = word.rpartition("=")
            try:
                number = float(text)
            except ValueError:
                pattern = ""
        if not pattern or number == "":
            raise Usage(f"--set {word}: write a path and a number or a file, such as dense/bias=0 or dense/bias=@b.npy")
        found.append((pattern, number))
    return tuple(found)


def opened(words: Words, stack: ExitStack) -> tuple[Given, ...]:
    """Returns what words give; the stack closes the files.

    Raises:
        Refused: a file holds no array of numbers.
        WtoolError: a file cannot be read.
    """
    found = []
    for pattern, value in words:
        if isinstance(value, str):
            file = open_npy(value, stack)
            found.append(Given(pattern, file, file.source.finish()))
        else:
            found.append(Given(pattern, value, value))
    return tuple(found)


def edits_of(given: Sequence[Given], base: Checkpoint, paths: Mapping[str, str]) -> list[tuple[Edit, Given]]:
    """Returns the edits that give tensors their values, each with what it gives; of two for a tensor, the last.

    Args:
        given: the values.
        base: the checkpoint.
        paths: path of each tensor -> the path that patterns are compared with.

    Raises:
        Usage: a pattern matches no tensor.
        Refused: a tensor has another shape than its values, or its number type cannot hold them.
    """
    found: dict[str, tuple[Edit, Given]] = {}
    for each in given:
        chosen = [
            tensor
            for tensor in base.tensors
            if (tensor.slot is None or each.pattern.startswith("optimizer/"))
            and any(fnmatchcase(paths[path], each.pattern) for path in (tensor.path, tensor.copy_of or tensor.path))
        ]
        if not chosen:
            told = meant_paths(each.pattern, [*paths.values()], "wtool inspect --tensors")
            raise Usage(f"no tensor has a path like {each.pattern!r}{told}")
        found |= {tensor.path: (Edit(tensor, (), _values(each.value, tensor)), each) for tensor in chosen}
    return list(found.values())


def notes_of(edits: Sequence[tuple[Edit, Given]]) -> Iterator[str]:
    """Yields a note on each array whose values are rounded to the number type of a tensor."""
    for edit, given in edits:
        file, tensor = given.value, edit.target
        if isinstance(file, NpyFile) and _is_rounded(file, tensor):
            yield f"{file.source.name} holds {np.dtype(file.dtype).name}, rounded to {tensor.dtype} for {tensor.path}"


def _is_rounded(file: NpyFile, tensor: Tensor) -> bool:
    return is_floating(tensor.dtype) and not np.can_cast(np.dtype(file.dtype), dtype_of(tensor.dtype))


def _values(value: float | NpyFile, tensor: Tensor) -> Any:
    """Returns a function that gives the values of a tensor."""
    if isinstance(value, float):
        return partial(_full, _number(tensor, value))
    if value.shape != tensor.shape:
        raise Refused(f"has shape {value.shape}, and {tensor.path} has {tensor.shape}", value.source.name)
    for start in range(0, prod(tensor.shape), BLOCK):
        _cast(value, tensor, start, min(start + BLOCK, prod(tensor.shape)))
    return partial(_out_of, value, tensor)


def _number(tensor: Tensor, number: float) -> Array:
    """Returns a number in the type of a tensor.

    Raises:
        Refused: it is not finite, or the type cannot hold it.
    """
    dtype = dtype_of(tensor.dtype)
    with np.errstate(all="ignore"):
        value: Array = np.asarray(number).astype(dtype)
        back = float(value)
    is_number = dtype.kind in "biu"
    if not np.isfinite(number):
        raise Refused(f"{tensor.path} would be {number:g}; --set takes finite numbers, and @FILE.npy any values")
    if (is_number and back != number) or not np.isfinite(back):
        raise Refused(f"{tensor.path} holds {tensor.dtype}, which cannot hold {number:g}")
    return value


def _full(value: Array, blocks: Sequence[Array], start: int, stop: int) -> Array:
    return np.full(stop - start, value, value.dtype)


def _out_of(file: NpyFile, tensor: Tensor, blocks: Sequence[Array], start: int, stop: int) -> Array:
    values = _cast(file, tensor, start, stop)
    if stop == prod(tensor.shape):
        file.source.refuse_changed()
    return values


def _cast(file: NpyFile, tensor: Tensor, start: int, stop: int) -> Array:
    """Returns values of a file in the type of a tensor: as they are where the types are one, else rounded once.

    Raises:
        Refused: the type cannot hold a value, not even rounded.
    """
    stored, dtype = np.dtype(file.dtype), dtype_of(tensor.dtype)
    values: Array = np.frombuffer(file.data(start, stop), stored).astype(stored.newbyteorder("="))
    if values.dtype == dtype:
        return values
    if is_floating(tensor.dtype):
        new = np.empty(values.shape, dtype)
        round_into(new, values.astype(np.float64))
        fits = np.isfinite(new.astype(np.float32)) if dtype.itemsize < 4 else np.isfinite(new)
        fits = fits == np.isfinite(values)
    else:
        with np.errstate(all="ignore"):
            new = values.astype(dtype)
            fits = (new == values) & _is_in_range(values, dtype)
    if not fits.all():
        bad = values[np.argmin(fits)]
        raise Refused(f"holds {bad:g}, which {tensor.path} ({tensor.dtype}) cannot hold", file.source.name)
    return new


def _is_in_range(values: Array, dtype: np.dtype[Any]) -> Any:
    """Returns which floats are in the range of a type of whole numbers: casts of others give any number."""
    if values.dtype.kind != "f" or dtype.kind == "b":
        return True
    range_ = np.iinfo(dtype)
    return (values >= float(range_.min)) & (values < float(range_.max) + 1)
