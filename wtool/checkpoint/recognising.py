"""Signs that a file is a model, by its bytes and whatever its name, for commands that must look at every file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from wtool.errors import WtoolError
from wtool.hdf5.reader import SIGNATURE, possible_starts
from wtool.io.addresses import is_address
from wtool.io.descriptor import source_of
from wtool.io.json_text import parse_as_python
from wtool.io.limits import MAX_JSON, MIB
from wtool.io.source import Source
from wtool.io.system import UNFOLLOWED
from wtool.io.zip_format import COMMENT, END

BLANKS = b"\xef\xbb\xbf\xff\xfe\0 \t\r\n"
"""Bytes that may come before the bracket of a JSON text: spaces, byte order marks, and the zeros of UTF-16."""

MARKS = (b"class_name", b"config.json", b"layer_names", b"model.weights", b"model_config", b"weight_map")
"""Texts, at least one of which stands uncompressed in every model."""


def may_be_model(path: str) -> bool:
    """Returns whether a reader could take a file for an archive, HDF5 or JSON.

    Raises:
        WtoolError: the file cannot be read.
    """
    with _opened(path) as file:
        start = file.read(0, min(1024, file.size))
        if start.startswith((b"PK\3\4", b"PK\5\6")) or start.lstrip(BLANKS)[:1] == b"{":
            return True
        tail = max(0, file.size - END.size - COMMENT)
        if b"PK\5\6" in file.read(tail, file.size - tail):
            return True
        starts = list(possible_starts(file.size))
        file.prefetch((at, at + len(SIGNATURE)) for at in starts)
        return any(file.read(at, len(SIGNATURE)) == SIGNATURE for at in starts)


def mentions(path: str, texts: Sequence[bytes] = MARKS) -> bool:
    """Returns whether one of some texts, by default those that models hold, stands anywhere in a file.

    Raises:
        WtoolError: the file cannot be read.
    """
    longest = max(map(len, texts))
    with _opened(path) as file:
        before = b""
        for at in range(0, file.size, MIB):
            block = file.read(at, min(MIB, file.size - at))
            seen = (before + block).replace(b"\0", b"")  # UTF-16 has a zero beside each letter
            if any(text in seen for text in texts):
                return True
            before = block[-2 * longest :]
    return False


def architecture(path: str) -> dict[str, object] | None:
    """Returns the architecture in a file that `model.to_json()` wrote; None of any other file.

    Raises:
        WtoolError: the file cannot be read.
    """
    found = _json(path)
    return found if found is not None and _is_architecture(found) else None


def is_plain_json(path: str) -> bool:
    """Returns whether a file is a JSON object that is neither an architecture nor a map of shards.

    Raises:
        WtoolError: the file cannot be read.
    """
    found = _json(path)
    return found is not None and not _is_architecture(found) and "weight_map" not in found


def _is_architecture(value: dict[str, object]) -> bool:
    return "class_name" in value and "config" in value


def _json(path: str) -> dict[str, object] | None:
    with _opened(path) as file:
        if file.read(0, min(64, file.size)).lstrip(BLANKS)[:1] not in (b"{", b""):
            return None
        text = file.read(0, min(MAX_JSON + 1, file.size))
    if text.lstrip(BLANKS)[:1] != b"{":
        return None
    try:
        return parse_as_python(text, "the file")
    except WtoolError:
        return None


@contextmanager
def _opened(path: str) -> Iterator[Source]:
    file = source_of(path) if is_address(path) else Source(_unfollowed(path), path)
    try:
        yield file
    finally:
        file.close()


def _unfollowed(path: str) -> int:
    try:
        return os.open(path, UNFOLLOWED)
    except OSError as error:
        raise WtoolError(error.strerror or str(error), path) from None
