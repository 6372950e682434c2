"""Reads objects whole, one after the other, with fsspec: `python tests/bench/cat_objects.py ADDRESS...`."""

from __future__ import annotations

import sys

from fsspec.core import url_to_fs

for address in sys.argv[1:]:
    system, path = url_to_fs(address)
    system.cat_file(path)
