"""The protocols of stores whose ways are known: their packages, where credentials come from, how files get there."""

from __future__ import annotations

from collections.abc import Mapping

from wtool.io.addresses import WEB
from wtool.values import dataclass


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a protocol.

    Attributes:
        package: with which fsspec speaks it; name on PyPI.
        login: where that package looks for credentials; empty where nothing is known.
        keeps_listings: whether the package remembers listings unless it is told otherwise.
        is_whole_at_once: whether a file appears when all of its upload has come.
        unwritable: why nothing is written there; empty where files can be.
    """

    package: str
    login: str = ""
    keeps_listings: bool = False
    is_whole_at_once: bool = False
    unwritable: str = ""


S3 = ("s3", "s3a")

_S3 = Known("s3fs", "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE or ~/.aws/credentials", True, True)
_GOOGLE = Known(
    "gcsfs",
    "GOOGLE_APPLICATION_CREDENTIALS, or what `gcloud auth application-default login` keeps",
    keeps_listings=True,
    is_whole_at_once=True,
)
_AZURE = Known(
    "adlfs",
    "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY, or AZURE_STORAGE_CONNECTION_STRING",
    keeps_listings=True,
    is_whole_at_once=True,
)
_HUB = Known(
    "huggingface_hub",
    "HF_TOKEN, or what `hf auth login` keeps; a gated model must be asked for on its page first",
    unwritable="a repository of Hugging Face takes commits of many files: write a folder, and send it with `hf upload`",
)


def _web(protocol: str) -> Known:
    return Known(
        "aiohttp",
        "the address (a signed one), or client_kwargs of fsspec in ~/.config/fsspec",
        unwritable=f"{protocol} takes no files; name a file or another store",
    )


PROTOCOLS: Mapping[str, Known] = {
    **dict.fromkeys(S3, _S3),
    **dict.fromkeys(("gs", "gcs"), _GOOGLE),
    **dict.fromkeys(("az", "abfs", "abfss"), _AZURE),
    "hf": _HUB,
    **{name: _web(name) for name in WEB},
    **dict.fromkeys(("sftp", "ssh"), Known("paramiko")),
}
"""Name of a protocol, in small letters -> what is known of it."""
