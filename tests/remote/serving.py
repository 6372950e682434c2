"""HTTP servers on this machine that record what they are asked, and that fail as a test plans it.

A server speaks HTTP/1.1 with connections that stay open, as stores do, and gives each request to a WSGI application in
a thread of the test's process. Commands in child processes reach it by its address. Nothing leaves the machine.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import math
import os
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.remote.faults import Fault, Request

PIECE = 1 << 17
"""Bytes that are sent, or received, at once."""

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Server:
    """A WSGI application at a port of this machine, with its record and its plan of faults.

    Attributes:
        requests: in the order in which they came; requests in progress are among them.
    """

    def __init__(self, application: Application) -> None:
        self.application = application
        self.requests: list[Request] = []
        self._faults: list[Fault] = []
        self._changed = threading.Condition()
        self._server = _HTTPServer(("127.0.0.1", 0), _Handler)
        self._server.owner = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """Such as `http://127.0.0.1:43210`."""
        return "http://{}:{}".format(*self._server.server_address[:2])

    @property
    def received(self) -> int:
        """Bytes of the bodies of all requests."""
        return sum(each.received for each in self.requests)

    @property
    def sent(self) -> int:
        """Bytes of the bodies of all answers."""
        return sum(each.sent for each in self.requests)

    @property
    def most_at_once(self) -> int:
        """How many requests were in progress at the same time, at most."""
        times = [(each.began, 1) for each in self.requests]
        times += [(each.ended, -1) for each in self.requests if each.ended is not None]
        at_once = most = 0
        for _, step in sorted(times):
            at_once += step
            most = max(most, at_once)
        return most

    @property
    def rounds(self) -> int:
        """How many requests waited for the end of all before them: what each costs is the way there and back."""
        count, end = 0, 0.0
        for each in self.requests:
            ended = each.ended or math.inf
            if each.began >= end:
                count, end = count + 1, ended
            end = max(end, ended)
        return count

    def plan(self, *faults: Fault) -> None:
        """Adds faults; a request meets the first that it matches."""
        self._faults.extend(faults)

    def forget(self) -> None:
        """Begins a new record, without faults. Requests that still hang end."""
        for each in self._faults:
            if each.until is not None:
                each.until.set()
        self.requests, self._faults = [], []

    def wait_for(self, matching: Callable[[Request], bool], count: int = 1, timeout: float = 20.0) -> list[Request]:
        """Waits until the record has `count` requests that match. Returns them.

        A request matches by what it is so far: `lambda each: each.received > 1000` waits for a part of an upload.
        """
        with self._changed:
            found: list[Request] = []

            def enough() -> bool:
                found[:] = [each for each in list(self.requests) if matching(each)]
                return len(found) >= count

            if not self._changed.wait_for(enough, timeout):
                told = "\n".join(map(str, self.requests))
                raise AssertionError(f"{len(found)} of {count} requests in {timeout} s; these came:\n{told}")
            return found

    def close(self) -> None:
        """Closes the port, and the connections that are open."""
        self.forget()
        self._server.shutdown()
        self._server.server_close()
        self._server.end_connections()
        self._thread.join()

    def _begin(self, request: Request) -> Fault:
        with self._changed:
            self.requests.append(request)
            self._changed.notify_all()
            return next((each for each in self._faults if each.meets(request)), Fault())

    def _note(self) -> None:
        with self._changed:
            self._changed.notify_all()


class _HTTPServer(ThreadingHTTPServer):
    """Threads and connections of a `Server`."""

    owner: Server
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, *arguments: Any) -> None:
        self._connections: set[socket.socket] = set()
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)

    def end_connections(self) -> None:
        for each in list(self._connections):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


class _Lost(ConnectionError):
    """The connection was lost, as planned."""


class _Handler(BaseHTTPRequestHandler):
    """One connection: requests in turn, each given to the application."""

    server: _HTTPServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 0

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
        pass

    def answer(self) -> None:
        url = urlsplit(self.path if not self.path.startswith("//") else f"/.{self.path}")
        path = url.path.removeprefix("/.") if self.path.startswith("//") else url.path
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, unquote(path), url.query, headers)
        owner = self.server.owner
        fault = owner._begin(request)
        try:
            body = self._body(request, fault, owner)
            if fault.meanwhile is not None:
                fault.meanwhile()
            time.sleep(fault.wait)
            if fault.until is not None:
                fault.until.wait(120)
            if fault.status is not None:
                self._refuse(request, fault)
            else:
                self._give(request, fault, body)
        except _Lost:
            self._lose(fault.is_reset)
        finally:
            request.ended = time.monotonic()
            owner._note()

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer

    def _body(self, request: Request, fault: Fault, owner: Server) -> bytes:
        """Reads the request's body, at the planned speed and as far as planned."""
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            return self._chunks(request)
        left, parts = int(self.headers.get("Content-Length") or 0), []
        is_plain = fault.rate == math.inf and fault.received_before_end is None
        while left and (part := self.rfile.read(left if is_plain and left < 10 * PIECE else min(left, PIECE))):
            parts.append(part)
            left -= len(part)
            request.received += len(part)
            owner._note()
            time.sleep(len(part) / fault.rate)
            if fault.received_before_end is not None and request.received >= fault.received_before_end:
                raise _Lost
        if left:
            raise _Lost
        return b"".join(parts)

    def _chunks(self, request: Request) -> bytes:
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        body = b"".join(parts)
        request.received += len(body)
        return body

    def _refuse(self, request: Request, fault: Fault) -> None:
        text = f"<Error><Code>{fault.code}</Code><Message>{fault.code} of a test</Message></Error>"
        body = b"" if request.method == "HEAD" else text.encode()
        headers = {"Content-Type": "application/xml", "Content-Length": str(len(body)), **fault.headers}
        self._head(request, f"{fault.status} {fault.code}", list(headers.items()))
        self.wfile.write(body)
        request.sent += len(body)

    def _give(self, request: Request, fault: Fault, body: bytes) -> None:
        begun: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[..., object]:
            begun[:] = [status, headers]
            return lambda data: None

        given = self.server.owner.application(self._environ(request, body), start_response)
        try:
            pieces = iter(given)
            first = next(pieces, b"")
            status, headers = begun
            names = {name.lower(): value for name, value in headers}
            is_chunked = (
                not names.keys() & {"content-length", "connection"}
                and request.method != "HEAD"
                and not status.startswith(("204", "304"))
            )
            self._head(request, status, headers + [("Transfer-Encoding", "chunked")] * is_chunked)
            self.close_connection |= names.get("connection") == "close"
            for data in itertools.chain([first], pieces) if request.method != "HEAD" else ():
                for at in range(0, len(data), PIECE):
                    self._send(request, data[at : at + PIECE], fault, is_chunked)
            if is_chunked:
                self.wfile.write(b"0\r\n\r\n")
        finally:
            if hasattr(given, "close"):
                given.close()

    def _head(self, request: Request, status: str, headers: list[tuple[str, str]]) -> None:
        code, _, reason = status.partition(" ")
        request.status = int(code)
        self.send_response(request.status, reason)
        for name, value in headers:
            if name.lower() not in ("date", "server"):
                self.send_header(name, value)
        self.end_headers()

    def _send(self, request: Request, piece: bytes, fault: Fault, is_chunked: bool) -> None:
        left = math.inf if fault.sent_before_end is None else fault.sent_before_end - request.sent
        piece = piece if len(piece) <= left else piece[: int(left)]
        request.sent += len(piece)  # before, since who has got it may look at once
        self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if is_chunked and piece else piece)
        time.sleep(len(piece) / fault.rate)
        if left <= len(piece):
            raise _Lost

    def _lose(self, is_reset: bool) -> None:
        """Ends the connection at once: with a reset, or as if all had been said."""
        self.close_connection = True
        if not is_reset:
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, self.connection.fileno())  # closes the socket, whoever else holds a file of it
        os.close(nothing)

    def _environ(self, request: Request, body: bytes) -> dict[str, Any]:
        host, port = self.server.server_address[:2]
        named = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in request.headers.items()}
        return {
            **named,
            "REQUEST_METHOD": request.method,
            "SCRIPT_NAME": "",
            "PATH_INFO": request.path.encode().decode("latin-1"),
            "QUERY_STRING": request.query,
            "RAW_URI": self.path,
            "REQUEST_URI": self.path,
            "REMOTE_ADDR": self.client_address[0],
            "SERVER_NAME": str(host),
            "SERVER_PORT": str(port),
            "SERVER_PROTOCOL": self.protocol_version,
            "CONTENT_TYPE": request.headers.get("content-type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
