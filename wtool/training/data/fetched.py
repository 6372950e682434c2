"""Data at addresses: files of which a copy on this machine is read, and removed when the process ends."""

from __future__ import annotations

import atexit
import os
import tempfile
from contextlib import ExitStack

from wtool.errors import WtoolError
from wtool.io.addresses import is_address, name_of, without_query
from wtool.io.descriptor import source_of
from wtool.io.private import private_folder
from wtool.io.source import copy
from wtool.io.tree import state_of

_copies: dict[tuple[str, tuple[object, ...]], str] = {}
_at_exit = ExitStack()


def local_copy(path: str) -> str:
    """Returns the path of a copy of the file at an address, which is fetched once; any other path as it is.

    Raises:
        WtoolError: nothing is there, the store cannot be reached, or there is no room for a copy.
    """
    if not is_address(path):
        return path
    try:
        key = path, state_of(path)
    except FileNotFoundError:
        raise WtoolError("no such file or folder", without_query(path)) from None
    if key not in _copies:
        try:
            _copies[key] = _fetched(path)
        except OSError as error:
            told = f"cannot be fetched to {tempfile.gettempdir()} ({error.strerror}); TMPDIR names another folder"
            raise WtoolError(told, without_query(path)) from error
    return _copies[key]


def _fetched(address: str) -> str:
    if not _copies:
        atexit.register(_at_exit.close)
    source = source_of(address, "file")
    try:
        folder = _at_exit.enter_context(private_folder(tempfile.gettempdir()))
        path = os.path.join(folder, f"data{os.path.splitext(name_of(address))[1]}")
        with open(path, "xb") as file:
            copy(source, 0, source.size, file.write)
        source.refuse_changed()
    finally:
        source.close()
    return path
