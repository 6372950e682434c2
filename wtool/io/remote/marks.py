"""What S3 keeps beside a result: of which versions of which remote files the result was made.

A mark is no part of the file. It goes with the upload, and S3 forgets the mark when anybody puts another file there: so
it also tells that the file is still the one that was uploaded.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from blake3 import blake3

from wtool.io.addresses import is_address
from wtool.io.remote.retrying import retried
from wtool.io.remote.stores import store_of, told
from wtool.io.remote.whole import is_s3
from wtool.io.stored import Stamp

MARK = "wtool-made-of"
"""Name of the mark among what users may keep of an object."""


def mark_of(read: Iterable[tuple[str, Stamp]]) -> str:
    """Returns the mark of a result; an empty one where a store tells no versions of its files.

    Args:
        read: path and stamp of all files that the result is made of. Those of this machine do not count.
    """
    versions = [stamp for path, stamp in read if is_address(path)]
    if not all(stamp[-1] for stamp in versions):
        return ""
    return blake3(json.dumps(versions).encode()).hexdigest()


def has_mark(address: str, mark: str, stamp: Stamp) -> bool:
    """Returns whether a file has a mark.

    Args:
        address: of the file.
        mark: see `mark_of`.
        stamp: of the file when it was opened; another version has no mark.

    Raises:
        WtoolError: the store cannot be reached, or refuses.
    """
    store = store_of(address)
    if not mark or not is_s3(store.system):
        return False
    bucket, key, _ = store.system.split_path(store.path)
    with told(address, is_open=True):
        found = retried(lambda: store.system.call_s3("head_object", Bucket=bucket, Key=key))
    return bool(found.get("Metadata", {}).get(MARK) == mark and found.get("ETag") == stamp[-1])
