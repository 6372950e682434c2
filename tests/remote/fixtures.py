"""Stores on this machine as fixtures; all tests have them.

`s3`, `web`, `hub` and `memory` are empty stores. A command in a child process finds them by the environment, which the
fixtures set for the test; fsspec in the process of the tests forgets what it kept of stores before.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.remote.hub import Hub
from tests.remote.s3 import S3
from tests.remote.web import Web

ELSEWHERE = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9")
HERE = {"NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"}
"""A client that wants to leave this machine finds a port where nobody answers."""


@pytest.fixture(scope="session")
def _s3() -> Iterator[S3]:
    pytest.importorskip("moto.server", reason="the tests of S3 need moto: pip install 'moto[server]'")
    pytest.importorskip("s3fs", reason="the tests of S3 need s3fs: pip install s3fs")
    store = S3()
    yield store
    store.close()


@pytest.fixture(scope="session")
def _web() -> Iterator[Web]:
    pytest.importorskip("aiohttp", reason="the tests of web addresses need aiohttp: pip install aiohttp")
    store = Web()
    yield store
    store.close()


@pytest.fixture(scope="session")
def _hub() -> Iterator[Hub]:
    pytest.importorskip(
        "huggingface_hub", reason="the tests of hf:// need huggingface_hub: pip install huggingface_hub"
    )
    store = Hub()
    yield store
    store.close()


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing leaves this machine, and fsspec knows no store from before."""
    pytest.importorskip("fsspec", reason="the tests of stores need fsspec: pip install 'wtool[remote]'")
    for name, value in {**ELSEWHERE, **HERE}.items():
        monkeypatch.setenv(name, value)
    _forget_stores()
    yield
    _forget_stores()


@pytest.fixture
def s3(_s3: S3, alone: None, monkeypatch: pytest.MonkeyPatch) -> S3:
    """An S3 with an empty bucket `zoo`, which commands find by their environment."""
    _s3.clear()
    for name, value in _s3.environment.items():
        monkeypatch.setenv(name, value)
    return _s3


@pytest.fixture
def web(_web: Web, alone: None) -> Web:
    """A web server without files."""
    _web.clear()
    return _web


@pytest.fixture
def hub(_hub: Hub, alone: None, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Hub:
    """A model hub without repositories, which commands find by their environment."""
    from huggingface_hub import constants

    _hub.clear()
    home = tmp_path_factory.mktemp("hf")
    for name, value in {**_hub.environment, "HF_HOME": str(home)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(constants, "ENDPOINT", _hub.server.address)
    template = f"{_hub.server.address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    return _hub


@pytest.fixture
def memory(alone: None) -> Any:
    """fsspec's store in memory, empty: `memory.store` has the files."""
    import fsspec

    system = fsspec.filesystem("memory")
    system.store.clear()
    system.pseudo_dirs[:] = [""]
    return system


def _forget_stores() -> None:
    """Has fsspec make its file systems anew, without their listings and connections."""
    from fsspec.registry import _registry

    for system in set(_registry.values()):
        system.clear_instance_cache()
