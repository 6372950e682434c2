"""Stores on this machine that the benchmark reads from, each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import contenders

ROOT = contenders.HERE.parents[1]
KEYS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
    "NO_PROXY": "127.0.0.1",
}


@dataclass(frozen=True)
class Store:
    """A kind of store.

    Attributes:
        name: in the tables.
        argv: the program that serves the folders in a folder as buckets, but for that folder.
    """

    name: str
    argv: list[str]

    @contextmanager
    def serving(self, folder: Path) -> Iterator[dict[str, str]]:
        """Serves a folder. Yields the variables with which a program finds the store."""
        pipe = subprocess.PIPE
        server = subprocess.Popen([*self.argv, str(folder)], cwd=ROOT, stdin=pipe, stdout=pipe, text=True)
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            address = server.stdout.readline().strip()
            if not address:
                raise SystemExit(f"the store did not start: {self.name}")
            yield {**KEYS, "AWS_ENDPOINT_URL": address}
        finally:
            server.stdin.close()
            server.wait()


OBJECT_STORE = [sys.executable, str(contenders.HERE / "object_store.py")]
STORES = [
    Store("moto", [sys.executable, "-m", "tests.remote.s3"]),
    Store("a local S3", OBJECT_STORE),
    Store("a local S3, 20 ms away, 100 MB/s for each connection", [*OBJECT_STORE, "--latency", ".02", "--rate", "1e8"]),
]
