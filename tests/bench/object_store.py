"""An S3 on this machine whose buckets are the folders in a folder: as fast as the kernel sends, or as slowly as told.

    python tests/bench/object_store.py FOLDER [--latency SECONDS] [--rate BYTES_PER_SECOND]

It prints its address and serves until its standard input ends. It knows HEAD and GET with ranges, all that reading
takes. moto, whose server knows all of S3, reads an object whole for
each range. The latency comes before each answer, the rate is that of each connection.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import os
import re
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

PIECE = 1 << 20
RANGE = re.compile(r"bytes=(\d+)-(\d*)")


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    folder: Path
    latency: float
    rate: float

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        time.sleep(self.latency)
        key = unquote(urlsplit(self.path).path).lstrip("/")
        path = self.folder / key
        if not key or ".." in key.split("/") or not path.is_file():
            self.answer(404, {"Content-Length": "0"})
            return
        status = path.stat()
        tag = hashlib.md5(f"{status.st_size} {status.st_mtime_ns}".encode()).hexdigest()
        headers = {
            "ETag": f'"{tag}"',
            "Accept-Ranges": "bytes",
            "Last-Modified": self.date_time_string(status.st_mtime),
        }
        if self.headers.get("If-Match", headers["ETag"]) != headers["ETag"]:
            self.answer(412, {"Content-Length": "0"})
            return
        begin, end, code = 0, status.st_size, 200
        if found := RANGE.fullmatch(self.headers.get("Range", "")):
            begin, code = int(found[1]), 206
            end = min(int(found[2]) + 1, end) if found[2] else end
            headers["Content-Range"] = f"bytes {begin}-{end - 1}/{status.st_size}"
        self.answer(code, {**headers, "Content-Length": str(end - begin)})
        if self.command == "GET":
            self.send(path, begin, end)

    def answer(self, code: int, headers: dict[str, str]) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def send(self, path: Path, begin: int, end: int) -> None:
        size = PIECE if self.rate < math.inf else end - begin
        with path.open("rb") as file:
            while begin < end:
                sent = os.sendfile(self.connection.fileno(), file.fileno(), begin, min(size, end - begin))
                begin += sent
                time.sleep(sent / self.rate)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # a client that went away


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--latency", type=float, default=0.0)
    parser.add_argument("--rate", type=float, default=math.inf)
    words = parser.parse_args()
    Handler.folder, Handler.latency, Handler.rate = words.folder, words.latency, words.rate
    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print("http://{}:{}".format(*server.server_address[:2]), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
