"""Whatever ends a command in the midst of an upload, nothing of the upload is to be seen."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from tests import forkserver
from tests.remote.faults import Fault, of
from tests.remote.large import dense_model
from tests.remote.s3 import S3


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """39 MB, more than one part of an upload."""
    return dense_model(tmp_path_factory.mktemp("model") / "m.keras", 6)


def begun(s3: S3, *words: str, cwd: Path) -> subprocess.Popen[str]:
    """Starts a command, and waits until a part of its result has been sent."""
    argv = forkserver.wtool(*words, remote=True)
    process = subprocess.Popen(argv, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    s3.server.wait_for(lambda each: each.method == "PUT" and each.received > 1_000_000)
    return process


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["INT", "TERM"])
def test_signals(number: int, status: int, model: Path, s3: S3, tmp_path: Path) -> None:
    s3.server.plan(Fault(of("PUT"), rate=4e6, times=1000))
    process = begun(s3, "stroke", str(model), "--seed", "1", "-o", "s3://zoo/new.keras", cwd=tmp_path)
    assert s3.keys() == []
    process.send_signal(number)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode in (status, -number)
    assert "Traceback" not in stderr
    assert s3.keys() == []
    assert s3.uploads() == []
    assert list(tmp_path.iterdir()) == []


def test_a_kill_in_the_middle(model: Path, s3: S3, tmp_path: Path) -> None:
    """What was sent stays in the store, where nobody sees it (a lifecycle rule removes it), and the command goes on."""
    s3.server.plan(Fault(of("PUT"), rate=4e6, times=2))
    words = ("stroke", str(model), "--seed", "1", "-o", "s3://zoo/new.keras")
    process = begun(s3, *words, cwd=tmp_path)
    process.kill()
    process.communicate(timeout=30)
    assert s3.keys() == []
    assert list(tmp_path.iterdir()) == []
    s3.server.forget()
    subprocess.run(forkserver.wtool(*words, "-q", remote=True), cwd=tmp_path, check=True)
    assert s3.keys() == ["new.keras"]
    subprocess.run(forkserver.wtool("stroke", model, "--seed", "1", "-o", "here.keras", "-q"), cwd=tmp_path, check=True)
    assert s3.get("new.keras") == (tmp_path / "here.keras").read_bytes()


def test_an_interrupt_keeps_what_is_to_be_replaced(model: Path, s3: S3, tmp_path: Path) -> None:
    s3.put("new.keras", b"old")
    s3.server.plan(Fault(of("PUT"), rate=4e6, times=1000))
    process = begun(s3, "stroke", str(model), "--seed", "1", "-o", "s3://zoo/new.keras", "--force", cwd=tmp_path)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert s3.get("new.keras") == b"old"
    assert s3.uploads() == []
