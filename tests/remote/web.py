"""A web server on this machine that gives files by ranges, and in all the ways in which other servers do not."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from tests.remote.serving import PIECE, Server

MODIFIED = "Wed, 21 Oct 2026 07:28:00 GMT"
RANGE = re.compile(r"bytes=(\d*)-(\d*)")
MOVED = re.compile(r"moved/(\w+)/(.*)", re.DOTALL)


@dataclass
class Manners:
    """How a web server behaves; a test sets what it wants otherwise.

    Attributes:
        ranges: whether it gives ranges. Where not, it gives the whole, with status 200.
        says_ranges: whether it says that it does (`Accept-Ranges`).
        length: whether it says how long an answer is (`Content-Length`).
        etag: `strong`, `weak`, or an empty text for none.
        modified: value of `Last-Modified`, or an empty text for none.
        shift: how many bytes behind those that were asked for an answer begins, as its `Content-Range` says.
        false_range: what `Content-Range` says in place of the truth.
        surplus: zeros that a ranged answer has behind what was asked for.
        gzip: whether whole answers are packed, as `Content-Encoding` then says.
        head: whether HEAD is allowed.
        login: status of all answers, such as 401 or 403; 0 for none.
        endless: whether whole answers never end.
        listing: whether a name that ends in a slash gives a page with links to what is below it.
    """

    ranges: bool = True
    says_ranges: bool = True
    length: bool = True
    etag: str = "strong"
    modified: str = MODIFIED
    shift: int = 0
    false_range: str = ""
    surplus: int = 0
    gzip: bool = False
    head: bool = True
    login: int = 0
    endless: bool = False
    listing: bool = False


@dataclass
class Answer:
    """Status, headers and body of an answer."""

    status: str
    headers: dict[str, str]
    body: Iterable[bytes]


@dataclass
class Site:
    """The files of a web server, and its manners.

    A name below `moved/2/` is one to which two redirections lead, and below `moved/ever/` there is no end of them.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    manners: Manners = field(default_factory=Manners)

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        """Answers a request (WSGI)."""
        name = environ["PATH_INFO"].encode("latin-1").decode().removeprefix("/")
        answer = self._answer(name, environ)
        if not self.manners.length:
            answer.headers.pop("Content-Length", None)
        start(answer.status, list(answer.headers.items()))
        return [] if environ["REQUEST_METHOD"] == "HEAD" else answer.body

    def _answer(self, name: str, environ: dict[str, Any]) -> Answer:
        method, manners = environ["REQUEST_METHOD"], self.manners
        if manners.login:
            return _page(f"{manners.login} No", "please log in")
        if method not in (("GET", "HEAD") if manners.head else ("GET",)):
            return _page("405 Method Not Allowed", "not so")
        if moved := MOVED.fullmatch(name):
            times, name = moved.groups()
            if times != "0":
                left = times if times == "ever" else str(int(times) - 1)
                query = f"?{environ['QUERY_STRING']}" if environ["QUERY_STRING"] else ""
                return _page("302 Found", "over there", Location=f"/moved/{left}/{quote(name)}{query}")
        if manners.listing and (not name or name.endswith("/")):
            links = (f'<a href="/{quote(each)}">{each}</a>' for each in self.files if each.startswith(name))
            return _page("200 OK", "".join(links))
        if name not in self.files:
            return _page("404 Not Found", "not here")
        return self._file(self.files[name], environ.get("HTTP_RANGE"), environ)

    def _file(self, content: bytes, asked: str | None, environ: dict[str, Any]) -> Answer:
        manners = self.manners
        tag = f'"{hashlib.md5(content).hexdigest()}"'
        headers = {"Content-Type": "application/octet-stream"}
        if manners.says_ranges:
            headers["Accept-Ranges"] = "bytes" if manners.ranges else "none"
        if manners.etag:
            headers["ETag"] = tag if manners.etag == "strong" else f"W/{tag}"
        if manners.modified:
            headers["Last-Modified"] = manners.modified
        if environ.get("HTTP_IF_MATCH", headers.get("ETag")) not in (headers.get("ETag"), "*"):
            return _page("412 Precondition Failed", "changed")
        found = RANGE.fullmatch(asked or "") if manners.ranges else None
        if found:
            return self._part(content, *found.groups(), headers)
        if manners.endless:
            return Answer("200 OK", headers, itertools.repeat(bytes(PIECE)))  # mind the disk
        if manners.gzip:
            content = gzip.compress(content, mtime=0)
            headers["Content-Encoding"] = "gzip"
        return Answer("200 OK", {**headers, "Content-Length": str(len(content))}, [content])

    def _part(self, content: bytes, first: str, last: str, headers: dict[str, str]) -> Answer:
        begin = int(first) if first else max(0, len(content) - int(last))
        end = min(len(content), int(last) + 1) if first and last else len(content)
        if begin >= len(content):
            return _page("416 Range Not Satisfiable", "no", **{"Content-Range": f"bytes */{len(content)}"})
        begin, end = (min(at + self.manners.shift, len(content)) for at in (begin, end))
        body = content[begin:end] + bytes(self.manners.surplus)
        told = self.manners.false_range or f"bytes {begin}-{end - 1}/{len(content)}"
        return Answer(
            "206 Partial Content", {**headers, "Content-Range": told, "Content-Length": str(len(body))}, [body]
        )


class Web:
    """A web server, and what is in it.

    Attributes:
        server: with the record of requests and the plan of faults.
        site: files and manners.
    """

    def __init__(self) -> None:
        self.site = Site()
        self.server = Server(self.site)

    @property
    def manners(self) -> Manners:
        """How the server behaves."""
        return self.site.manners

    def clear(self) -> None:
        """Forgets all files, requests and faults, and behaves well again."""
        self.server.forget()
        self.site.files.clear()
        self.site.manners = Manners()

    def put(self, name: str, content: bytes) -> str:
        """Serves a file. Returns its address."""
        self.site.files[name] = content
        return self.at(name)

    def at(self, name: str) -> str:
        """Returns the address of a name."""
        return f"{self.server.address}/{quote(name)}"

    def close(self) -> None:
        """Closes the server."""
        self.server.close()


def _page(status: str, words: str, **headers: str) -> Answer:
    body = f"<html>{words}</html>".encode()
    return Answer(status, {"Content-Type": "text/html", "Content-Length": str(len(body)), **headers}, [body])
