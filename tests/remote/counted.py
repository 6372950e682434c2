"""What commands fetch of models in S3, as JSON: `python -m tests.remote.counted MODEL...`.

For each model and command: the requests, how many of them wait for another (`rounds`), and the bytes of the answers.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

from tests.remote.faults import Fault
from tests.remote.s3 import S3

WAY = 0.1
"""Seconds that each answer takes, so that requests which do not wait for each other are seen to overlap."""

COMMANDS = ("inspect", "inspect --statistics", "check --configuration", "check", "history", "stroke --seed 1 -n")


def main(paths: list[str]) -> None:
    store = S3()
    environment = {**os.environ, **store.environment}
    found: dict[str, dict[str, dict[str, int]]] = {}
    for path in map(Path, paths):
        store.clear()
        address = store.put(path.name, path.read_bytes())
        for words in COMMANDS:
            command, *others = words.split()
            store.server.forget()
            store.server.plan(Fault(wait=WAY, times=math.inf))
            argv = [sys.executable, "-m", "wtool", command, address, *others]
            subprocess.run(argv, env=environment, check=True, stdout=subprocess.DEVNULL)
            server = store.server
            counts = {"requests": len(server.requests), "rounds": server.rounds, "bytes": server.sent}
            found.setdefault(path.name, {})[words] = counts
    store.close()
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main(sys.argv[1:])
