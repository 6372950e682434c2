"""Which errors of stores go away by themselves, and what the others are called; wrapped ones are seen through."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from wtool.io.remote.faults import Changed, Truncated, Unanswerable, explained, is_temporary


class ClientError(Exception):
    """Like that of botocore."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(f"An error occurred ({code})")
        self.response: dict[str, Any] = {"ResponseMetadata": {"HTTPStatusCode": status}, "Error": {"Code": code}}


class ResponseError(Exception):
    """Like that of aiohttp."""

    def __init__(self, status: int) -> None:
        super().__init__(f"{status}, url='https://cdn.example/m.keras?Signature=secret'")
        self.status = status


class ReadTimeoutError(Exception):
    """Like that of botocore."""


def wrapped(error: Exception) -> Exception:
    """Returns an error as s3fs raises it: one of the system, with the store's behind it."""
    outer = OSError(errno.EIO, "what the store said")
    outer.__cause__ = error
    return outer


@pytest.mark.parametrize(
    ("error", "temporary"),
    [
        (ClientError(503, "SlowDown"), True),
        (ClientError(500, "InternalError"), True),
        (ClientError(400, "RequestTimeout"), True),
        (ClientError(403, "AccessDenied"), False),
        (ClientError(404, "NoSuchKey"), False),
        (ResponseError(429), True),
        (ResponseError(502), True),
        (ResponseError(401), False),
        (ReadTimeoutError(), True),
        (TimeoutError(), True),
        (ConnectionResetError(), True),
        (OSError(errno.ECONNRESET, "reset"), True),
        (ConnectionRefusedError(), False),
        (Truncated("short"), True),
        (Unanswerable("wrong"), False),
        (Changed(), False),
        (ValueError("a bug"), False),
    ],
)
def test_what_is_worth_another_try(error: Exception, temporary: bool) -> None:
    assert is_temporary(error) is temporary
    assert is_temporary(wrapped(error)) is temporary


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            ClientError(403, "AccessDenied"),
            "refuses access (ClientError: An error occurred (AccessDenied));",
        ),
        (ResponseError(401), "AWS_ACCESS_KEY_ID"),
        (ResponseError(418), "the store refused a request with status 418"),
        (ConnectionRefusedError(), "its server cannot be reached"),
        (ReadTimeoutError(), "its server did not answer in time"),
        (Changed(), "changed while it was being read"),
        (Unanswerable("its server is odd"), "its server is odd"),
        (OSError(errno.ENOSPC, "full"), "No space left on device"),
    ],
)
def test_errors_are_one_line(error: Exception, words: str) -> None:
    told = explained(error, "s3://zoo/m.keras")
    assert words in told.message
    assert "secret" not in told.message
    assert str(told).startswith("s3://zoo/m.keras: ")
    assert len(str(told).splitlines()) == 1


@pytest.mark.parametrize("address", ["s3://", "hf://u"])
def test_an_address_without_a_path_is_told(address: str) -> None:
    told = explained(ValueError("cannot list all"), address)
    assert str(told) == f"{address}: names no file and no folder of a store (cannot list all)"
    assert "ValueError" in str(explained(ValueError("a bug"), "s3://zoo/m.keras"))
