"""What went wrong in a store: which errors go away by themselves, and one line for each of the others.

Stores raise errors of many packages, which are known here by the names of their classes: none of these packages is
imported for it.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from typing import Any

from wtool.errors import WtoolError, in_short
from wtool.io.addresses import Address, protocol_of, without_query
from wtool.io.remote.protocols import PROTOCOLS


class Truncated(Exception):
    """A store sent fewer bytes than it should, or bytes from elsewhere."""


class Unanswerable(Exception):
    """A store answers requests in a way in which no file can be read; the text says how."""


class Changed(Exception):
    """A file has another version than when it was opened."""


_TEMPORARY = {
    "ConnectionResetError",
    "ConnectionAbortedError",
    "BrokenPipeError",
    "TimeoutError",
    "ServerDisconnectedError",
    "ServerTimeoutError",
    "ClientPayloadError",
    "ConnectionClosedError",
    "ConnectTimeoutError",
    "ReadTimeoutError",
    "IncompleteReadError",
    "ResponseStreamingError",
    "ReadTimeout",
    "ReadError",
    "RemoteProtocolError",
    "ConnectTimeout",
    "Truncated",
}
"""Names of the classes of errors that go away: a connection that broke, an answer that did not come or was cut."""

_BROKEN = {errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE}
"""Numbers of errors of a connection that broke, whatever a package calls them."""

_TEMPORARY_CODES = {"SlowDown", "Throttling", "ThrottlingException", "RequestTimeout", "RequestLimitExceeded"}

_URL = re.compile(r"https?://[^\s'\")]+")


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yields an error and those that led to it; at most ten."""
    for _ in range(10):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__


def status_of(error: BaseException) -> int | None:
    """Returns the status of HTTP with which a store refused a request, or None."""
    response: Any = getattr(error, "response", None)
    if isinstance(response, dict):  # of botocore
        found = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    else:
        found = getattr(error, "status", None) or getattr(response, "status_code", None)
    return found if isinstance(found, int) else None


def _names(error: BaseException) -> set[str]:
    return {each.__name__ for each in type(error).__mro__}


def _code(error: BaseException) -> str:
    response = getattr(error, "response", None)
    found = response.get("Error", {}).get("Code", "") if isinstance(response, dict) else ""
    return str(found)


def is_temporary(error: BaseException) -> bool:
    """Returns whether a request may succeed if it is tried again."""
    for each in chain(error):
        status = status_of(each)
        if status is not None:
            return status >= 500 or status in (408, 429) or _code(each) in _TEMPORARY_CODES
        if _names(each) & _TEMPORARY or (isinstance(each, OSError) and each.errno in _BROKEN):
            return True
    return False


def is_refused_login(error: BaseException) -> bool:
    """Returns whether a store wants credentials, or others."""
    wanted = {"NoCredentialsError", "PartialCredentialsError", "GatedRepoError", "PermissionError"}
    return any(status_of(each) in (401, 403) or _names(each) & wanted for each in chain(error))


def _short(error: BaseException) -> str:
    """Returns an error in short, without the queries of addresses, which may be secret."""
    return _URL.sub(lambda found: without_query(found[0]), in_short(error))


def line(error: BaseException, address: str) -> str:
    """Returns what a store's error means, and what to do, in a line."""
    protocol = protocol_of(address)
    if isinstance(error, Unanswerable):
        return str(error)
    if isinstance(error, TypeError) and Address.of(address).tail:  # fsspec gives a store options of an archive
        return "is no address that fsspec knows: the address of an archive stands behind ::"
    if isinstance(error, Changed):
        return "changed while it was being read; nothing was written, run the command again"
    if is_refused_login(error):
        known = PROTOCOLS.get(protocol)
        login = (known and known.login) or "where the package of its protocol looks for them"
        return f"the store refuses access ({_short(error)}); credentials come from {login}"
    names = {name for each in chain(error) for name in _names(each)}
    if names & {"ClientConnectorDNSError", "gaierror"}:
        return "the name of its server is not known; is there a connection?"
    if names & {"ConnectionRefusedError", "ClientConnectorError", "EndpointConnectionError", "ConnectError"}:
        return "its server cannot be reached"
    if "TimeoutError" in names or any("Timeout" in name for name in names):
        return "its server did not answer in time"
    statuses = [status for each in chain(error) if (status := status_of(each)) is not None]
    if statuses:
        return f"the store refused a request with status {statuses[0]} ({_short(error)})"
    if isinstance(error, OSError) and error.errno is not None and error.strerror:
        return os.strerror(error.errno)
    has_path = "/" in address.rpartition("://")[2].strip("/")
    if isinstance(error, (ValueError, NotImplementedError)) and not has_path:
        return f"names no file and no folder of a store ({_short(error).partition(': ')[2]})"
    return _short(error)


def explained(error: BaseException, address: str) -> WtoolError:
    """Returns a store's error as one of wtool, of one line that names the address without its query."""
    return WtoolError(line(error, address), without_query(address))
