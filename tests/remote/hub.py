"""A model hub on this machine, as far as the file system of `huggingface_hub` asks it: repositories with revisions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs, quote, unquote

from tests.remote.serving import Server
from tests.remote.web import Answer, Site

Files = dict[str, bytes]
"""Name in a repository -> content."""

PAGE = 1000
"""Entries of a listing that one answer has."""


class Hub:
    """A hub, and what is in it.

    Attributes:
        server: with the record of requests and the plan of faults.
        repositories: `user/name` -> revision (`main`, a branch, a tag) -> files.
        gated: repositories that nobody here may read.
    """

    def __init__(self) -> None:
        self.repositories: dict[str, dict[str, Files]] = {}
        self.gated: set[str] = set()
        self.server = Server(self)
        self._blobs = Site()  # gives ranges of what the hub redirects to

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        """Answers a request (WSGI)."""
        raw = environ["RAW_URI"].partition("?")[0].lstrip("/")
        if raw.startswith("blobs/"):
            return self._blobs({**environ, "PATH_INFO": "/" + raw.removeprefix("blobs/")}, start)
        answer = self._answer([unquote(part) for part in raw.split("/")], environ)
        start(answer.status, list(answer.headers.items()))
        return [] if environ["REQUEST_METHOD"] == "HEAD" else answer.body

    @property
    def environment(self) -> dict[str, str]:
        """Variables with which a command finds the server."""
        return {
            "HF_ENDPOINT": self.server.address,
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
        }

    def clear(self) -> None:
        """Forgets all repositories, requests and faults."""
        self.server.forget()
        self.repositories.clear()
        self.gated.clear()
        self._blobs.files.clear()

    def put(self, repository: str, name: str, content: bytes, revision: str = "main") -> str:
        """Stores a file in a revision of a repository. Returns its address."""
        self.repositories.setdefault(repository, {}).setdefault(revision, {})[name] = content
        at = "" if revision == "main" else f"@{quote(revision, safe='')}"
        return f"hf://{repository}{at}/{name}"

    def commit(self, repository: str, revision: str = "main") -> str:
        """Returns the hash of the commit that a revision is at."""
        files = self.repositories[repository][revision]
        told = repr(sorted((name, _hash(content)) for name, content in files.items()))
        return hashlib.sha1(told.encode()).hexdigest()

    def close(self) -> None:
        """Closes the server."""
        self.server.close()

    def _answer(self, parts: list[str], environ: dict[str, Any]) -> Answer:
        if parts[:2] == ["api", "models"] and len(parts) >= 4:
            repository, verb, rest = "/".join(parts[2:4]), *(parts[4:5] or [""]), parts[5:]
        elif len(parts) > 4 and parts[2] == "resolve":
            repository, verb, rest = "/".join(parts[:2]), "resolve", parts[3:]
        else:
            return _refusal(404, "EntryNotFound")
        if repository not in self.repositories:
            return _refusal(401, "RepoNotFound")
        if repository in self.gated and verb == "resolve":
            return _refusal(401, "GatedRepo")
        revision = rest[0] if rest else "main"
        revisions = self.repositories[repository]
        name = (
            revision
            if revision in revisions
            else next((each for each in revisions if self.commit(repository, each) == revision), None)
        )
        if name is None:
            return _refusal(404, "RevisionNotFound")
        path, query = "/".join(rest[1:]), parse_qs(environ["QUERY_STRING"])
        files = revisions[name]
        if verb in ("", "revision"):
            return _json({"id": repository, "sha": self.commit(repository, name), "siblings": []})
        if verb == "tree":
            return self._tree(files, path, query, environ)
        if verb == "paths-info":
            return _json(self._paths_info(files, environ))
        return self._resolve(repository, name, files, path)

    def _tree(self, files: Files, path: str, query: dict[str, list[str]], environ: dict[str, Any]) -> Answer:
        """A listing of a folder, in pages."""
        below = {name: content for name, content in files.items() if not path or name.startswith(path + "/")}
        if not below and path:
            return _refusal(404, "EntryNotFound")
        entries = {}
        for name, content in below.items():
            parts = name.split("/")
            start = len(path.split("/")) if path else 0
            depths = range(start + 1, len(parts) + 1)
            for depth in depths if query.get("recursive", [""])[0].lower() == "true" else depths[:1]:
                entry = "/".join(parts[:depth])
                entries[entry] = _file(entry, content) if depth == len(parts) else _folder(entry)
        begin = int(query.get("cursor", ["0"])[0])
        found = [entries[name] for name in sorted(entries)]
        answer = _json(found[begin : begin + PAGE])
        if begin + PAGE < len(found):
            kept = {name: values[0] for name, values in query.items()} | {"cursor": str(begin + PAGE)}
            words = "&".join(f"{name}={value}" for name, value in kept.items())
            path = environ["RAW_URI"].partition("?")[0]
            answer.headers["Link"] = f'<{self.server.address}{path}?{words}>; rel="next"'
        return answer

    @staticmethod
    def _paths_info(files: Files, environ: dict[str, Any]) -> list[dict[str, Any]]:
        asked = parse_qs(environ["wsgi.input"].read().decode()).get("paths", [])
        found = []
        for path in asked:
            if path in files:
                found.append(_file(path, files[path]))
            elif any(name.startswith(path + "/") for name in files):
                found.append(_folder(path))
        return found

    def _resolve(self, repository: str, revision: str, files: Files, path: str) -> Answer:
        """Redirects to the content, as the hub does for large files."""
        if path not in files:
            return _refusal(404, "EntryNotFound")
        content = files[path]
        blob = _hash(content)
        self._blobs.files[blob] = content
        headers = {
            "Location": f"{self.server.address}/blobs/{blob}",
            "Content-Length": "0",
            "ETag": f'"{blob}"',
            "X-Repo-Commit": self.commit(repository, revision),
            "X-Linked-Size": str(len(content)),
            "X-Linked-Etag": f'"{blob}"',
            "Accept-Ranges": "bytes",
        }
        return Answer("302 Found", headers, [])


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _file(name: str, content: bytes) -> dict[str, Any]:
    lfs = {"oid": _hash(content), "size": len(content), "pointerSize": 130}
    return {"type": "file", "path": name, "size": len(content), "oid": _hash(content)[:40], "lfs": lfs}


def _folder(name: str) -> dict[str, Any]:
    return {"type": "directory", "path": name, "size": 0, "oid": hashlib.sha1(name.encode()).hexdigest()}


def _json(value: Any, status: str = "200 OK") -> Answer:
    body = json.dumps(value).encode()
    return Answer(status, {"Content-Type": "application/json", "Content-Length": str(len(body))}, [body])


def _refusal(status: int, code: str) -> Answer:
    answer = _json({"error": code}, f"{status} No")
    answer.headers |= {"X-Error-Code": code, "X-Error-Message": f"{code} of a test"}
    return answer
