"""Files that are read by position: those with a path, and standard input."""

from __future__ import annotations

import os
import re
import sys
from typing import BinaryIO

from wtool.errors import Usage, WtoolError
from wtool.io.addresses import SINGLE, is_address, local_path, without_query
from wtool.io.pipes import piped_input
from wtool.io.source import Source
from wtool.io.system import READ


def descriptor_of(path: str, what: str = "model") -> int:
    """Open a file, and return its descriptor, which the caller closes.

    Args:
        path: of the file, or `-` for standard input, all of which is read into an unnamed file.
        what: the noun for the file in messages.

    Raises:
        WtoolError: the file is missing or unreadable, or standard input is closed or a terminal.
        Usage: the path is an empty text.
    """
    if path == "-" and (pipe := piped_input()) is not None:
        return os.dup(pipe.fd)
    if path == "-":
        return _spooled(getattr(sys.stdin, "buffer", None), what)
    if not path:
        raise Usage(f"the name of a {what} is empty")
    try:
        return os.open(path, READ)
    except (OSError, ValueError) as error:
        hint = "; an address has two slashes" if re.match(SINGLE, path) and not os.path.lexists(path) else ""
        raise WtoolError(f"{getattr(error, 'strerror', None) or error}{hint}", path) from None


def _spooled(stream: BinaryIO | None, what: str) -> int:
    """Returns a descriptor of an unnamed file with all bytes of a stream: an archive's directory is at its end."""
    if stream is None:
        raise WtoolError("standard input is closed", "-")
    if stream.isatty():
        raise WtoolError(f"standard input is a terminal; pipe a {what} in, or name a file", "-")
    import shutil
    import tempfile

    with tempfile.TemporaryFile() as spool:
        shutil.copyfileobj(stream, spool, 1 << 20)
        spool.flush()
        return os.dup(spool.fileno())


def source_of(path: str, what: str = "model") -> Source:
    """Open a file by its path or its address.

    Args:
        path: see `descriptor_of`; or an address, such as `s3://bucket/model.keras`.
        what: the noun for the file in messages.

    Raises:
        WtoolError: the file is missing or unreadable.
        Usage: the path is an empty text.
    """
    if not is_address(local_path(path)) or os.path.lexists(path):
        return Source(descriptor_of(local_path(path), what), path)
    from wtool.io.remote.files import opened  # only here: local files need no fsspec

    return Source(opened(path), without_query(path))
