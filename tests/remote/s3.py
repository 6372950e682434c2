"""An S3 on this machine: that of moto, whose requests are recorded and fail as planned.

`python -m tests.remote.s3 FOLDER` serves the folders in a folder as buckets to programs.
"""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.remote.serving import Server

ACCOUNT = "123456789012"
"""The account of requests with any key, in moto."""

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}
"""What a client needs to have beside the address of the server (`AWS_ENDPOINT_URL`)."""

BUCKET = "zoo"


class S3:
    """A server of S3, and what is in it, seen past the server.

    Attributes:
        server: with the record of requests and the plan of faults.
    """

    def __init__(self) -> None:
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

        self.server = Server(DomainDispatcherApplication(create_backend_app))

    @property
    def environment(self) -> dict[str, str]:
        """Variables with which a command finds the server."""
        return {**ENVIRONMENT, "AWS_ENDPOINT_URL": self.server.address}

    @property
    def _backend(self) -> Any:
        from moto.s3.models import s3_backends

        return s3_backends[ACCOUNT]["aws"]

    def clear(self) -> None:
        """Forgets all objects, requests and faults; an empty bucket `zoo` is there."""
        self.server.forget()
        self._backend.reset()
        self.make_bucket(BUCKET)

    def make_bucket(self, name: str) -> None:
        """Makes an empty bucket; S3 wants names of at least three characters."""
        self._backend.create_bucket(name, "us-east-1")

    def put(self, key: str, content: bytes, bucket: str = BUCKET) -> str:
        """Stores an object. Returns its address.

        moto reads and hashes an object whole for each range of it. It does neither where the hash is there, and where
        all is in memory in one piece.
        """
        stored = self._backend.put_object(bucket, key, b"", etag=hashlib.md5(content).hexdigest())
        stored._value_buffer, stored.contentsize = io.BytesIO(content), len(content)
        return f"s3://{bucket}/{key}"

    def get(self, key: str, bucket: str = BUCKET) -> bytes:
        """Returns the content of an object."""
        return bytes(self._backend.get_object(bucket, key).value)

    def etag(self, key: str, bucket: str = BUCKET) -> str:
        """Returns the version of an object."""
        return str(self._backend.get_object(bucket, key).etag)

    def delete(self, key: str, bucket: str = BUCKET) -> None:
        """Deletes an object."""
        self._backend.delete_object(bucket, key)

    def keys(self, bucket: str = BUCKET) -> list[str]:
        """Returns the names of all objects, in order."""
        return sorted(self._backend.buckets[bucket].keys)

    def uploads(self, bucket: str = BUCKET) -> list[str]:
        """Returns the keys of the uploads in parts that were begun, and neither completed nor aborted."""
        return sorted(each.key_name for each in self._backend.buckets[bucket].multiparts.values())

    def close(self) -> None:
        """Closes the server."""
        self._backend.reset()
        self.server.close()


@contextmanager
def served(folder: Path) -> Iterator[dict[str, str]]:
    """Serves the folders in a folder as buckets, in a process of its own. Yields the variables that commands need."""
    argv = [sys.executable, "-m", "tests.remote.s3", str(folder)]
    root, pipe = Path(__file__).parents[2], subprocess.PIPE
    with subprocess.Popen(argv, cwd=root, stdin=pipe, stdout=pipe, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        yield {**ENVIRONMENT, "AWS_ENDPOINT_URL": server.stdout.readline().strip()}
        server.stdin.close()


def main() -> None:
    """Serves until standard input ends."""
    store, root = S3(), Path(sys.argv[1])
    for bucket in root.iterdir():
        store.make_bucket(bucket.name)
        for path in bucket.rglob("*"):
            if path.is_file():
                store.put(path.relative_to(bucket).as_posix(), path.read_bytes(), bucket.name)
    print(store.server.address, flush=True)
    sys.stdin.read()
    store.close()


if __name__ == "__main__":
    main()
