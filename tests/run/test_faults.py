"""Whatever happens, a target is whole or as it was, and nothing is left beside it."""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

import wtool
from tests.models import BLOBS
from wtool.io import publish
from wtool.io.claims import hidden_name
from wtool.io.places import Target, open_place
from wtool.io.publish import LocalDraft

WTOOL = [sys.executable, "-m", "wtool"]


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two checkpoints of 24 MB, so that a run takes long enough to be hit in its middle."""
    folder = tmp_path_factory.mktemp("large")
    for number in (1, 2):
        with h5py.File(folder / f"ckpt{number}.weights.h5", "w") as file:
            for layer in ("dense", "dense_1", "dense_2"):
                group = file.create_group(f"layers/{layer}/vars")
                values = np.random.default_rng(number).normal(size=(1000, 2000))
                group.create_dataset("0", data=values.astype(np.float32))
                group.create_dataset("1", data=np.zeros(2000, np.float32))
    return sorted(folder.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("operation", ["average", "merge", "prune"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_killed_at_random_moments(number: signal.Signals, operation: str, large: list[Path], tmp_path: Path) -> None:
    target = tmp_path / "average.weights.h5"
    words = {
        "average": map(str, large),
        "merge": [*map(str, large[1:]), "--base", str(large[0]), "--method", "ties", "--density", ".5"],
        "prune": [str(large[0]), "--sparsity", ".5", "--scope", "global"],
    }[operation]
    command = [*WTOOL, operation, *words, "-q", "--force", "-o", str(target)]
    start = time.monotonic()
    subprocess.run(command, check=True)
    usual = time.monotonic() - start
    whole = target.read_bytes()
    target.write_bytes(b"what was there before")
    rng = random.Random(int(number))
    before = 0
    for _ in range(12):
        process = subprocess.Popen(command, stderr=subprocess.PIPE)
        time.sleep(rng.uniform(0, usual))
        process.send_signal(number)
        words, status = process.communicate()[1], process.returncode
        usual *= 0.8 if status == 0 else 1  # the machine is less busy than it was
        content = target.read_bytes()
        assert content in (whole, b"what was there before")
        beside = {path.suffix for path in tmp_path.iterdir() if path != target}
        assert beside <= ({".claim", ".tmp"} if number == signal.SIGKILL else set())
        if content != whole:
            before += 1
            in_pythons_own_start = b"KeyboardInterrupt" in words and b"/wtool/" not in words
            assert status in (-number, 128 + number) or in_pythons_own_start, words
        target.write_bytes(b"what was there before")
    assert before > 0
    # Nothing can tidy up in a process that ends by SIGKILL between two steps of publishing: the next run does.
    place = open_place(Target(os.fspath(target)))
    place.folder.close()
    for ending in ("claim", "tmp"):
        (tmp_path / hidden_name(place, ending)).touch()
    subprocess.run(command, check=True)
    assert target.read_bytes() == whole
    assert [path.name for path in tmp_path.iterdir()] == [target.name]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_signals_have_their_exit_status(number: signal.Signals) -> None:
    process = subprocess.Popen([*WTOOL, "inspect", "-"], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(bytes(1 << 20))  # more than a pipe holds: all of it is written only once the command reads
    process.stdin.flush()
    process.send_signal(number)
    assert process.stderr is not None
    assert b"Traceback" not in process.stderr.read()
    assert process.wait() == 128 + number


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_that_a_library_reports_as_its_own_error_has_its_exit_status(number: signal.Signals) -> None:
    """Python before 3.12 makes a RuntimeError of what comes while a class names its fields; so do other libraries."""
    program = f"""
import os
from wtool import cli

class Field:
    def __set_name__(self, owner, name):
        os.kill(os.getpid(), {int(number)})

def command(*_, **__):
    try:
        type("Layer", (), {{"field": Field()}})
    except BaseException as error:
        raise ImportError("the library cannot be imported") from error

cli.cli.main = command
cli.main([])
"""
    ended = subprocess.run([sys.executable, "-c", program], stderr=subprocess.PIPE)
    assert ended.returncode == 128 + number
    assert ended.stderr == {signal.SIGTERM: b"", signal.SIGINT: b"wtool: interrupted\n"}[number]


def test_a_command_in_the_background_keeps_sigint_ignored() -> None:
    """A shell ignores SIGINT for `wtool ... &`, so that Ctrl-C ends only what is in the foreground."""
    process = subprocess.Popen(
        [*WTOOL, "inspect", "-"],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    assert process.stdin is not None
    process.stdin.write(bytes(1 << 20))
    process.stdin.flush()
    process.send_signal(signal.SIGINT)
    words = process.communicate()[1]
    assert process.returncode == 1
    assert b"interrupted" not in words


@pytest.mark.slow
def test_a_full_disk_is_a_clear_error(large: list[Path], tmp_path: Path) -> None:
    """A limit on the size of files fails the same call in the same way, where a test cannot fill a disk."""
    target = tmp_path / "average.weights.h5"
    target.write_bytes(b"what was there before")

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (5_000_000, 5_000_000))

    command = [*WTOOL, "average", *map(str, large), "-q", "--force", "-o", str(target)]
    done = subprocess.run(command, preexec_fn=limit, capture_output=True, check=False)
    assert done.returncode == 1
    assert done.stderr.count(b"\n") == 1
    assert b"File too large" in done.stderr
    assert target.read_bytes() == b"what was there before"
    assert [path.name for path in tmp_path.iterdir()] == [target.name]


def test_no_space_left(large: list[Path]) -> None:
    done = subprocess.run(
        [*WTOOL, "average", *map(str, large), "-q", "-o", "/dev/full"], capture_output=True, check=False
    )
    assert done.returncode == 1
    assert b"No space left on device; make room" in done.stderr


@pytest.mark.slow
def test_a_small_disk_is_really_full(large: list[Path], tmp_path: Path) -> None:
    if (
        os.geteuid() != 0
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(tmp_path)], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("needs the right to mount a small file system")
    try:
        command = [*WTOOL, "average", *map(str, large), "-q", "-o", str(tmp_path / "average.weights.h5")]
        done = subprocess.run(command, capture_output=True, check=False)
        assert done.returncode == 1
        assert b"No space left on device" in done.stderr
        assert not any(tmp_path.iterdir())
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_an_input_that_changes_meanwhile_is_noticed(large: list[Path], tmp_path: Path) -> None:
    copies = [tmp_path / path.name for path in large]
    for copy, path in zip(copies, large, strict=True):
        copy.write_bytes(path.read_bytes())

    def meddle(done: int, total: int) -> None:
        os.utime(copies[0], (1, 1))

    with pytest.raises(wtool.Refused, match=r"ckpt1\.weights\.h5: changed while it was being read"):
        wtool.average(copies, output=tmp_path / "x.weights.h5", progress=meddle)
    copies[0].write_bytes(large[0].read_bytes())

    def shorten(done: int, total: int) -> None:
        os.truncate(copies[0], 10_000_000)

    with pytest.raises(wtool.Refused, match=r"ckpt1\.weights\.h5: (became shorter|changed)"):
        wtool.average(copies, output=tmp_path / "x.weights.h5", progress=shorten)
    assert sorted(path.name for path in tmp_path.iterdir()) == [path.name for path in copies]


def test_an_input_may_vanish_once_it_is_open(large: list[Path], tmp_path: Path) -> None:
    copies = [tmp_path / path.name for path in large]
    for copy, path in zip(copies, large, strict=True):
        copy.write_bytes(path.read_bytes())

    def remove(done: int, total: int) -> None:
        copies[0].unlink(missing_ok=True)

    wtool.average(copies, output=tmp_path / "x.weights.h5", progress=remove)
    wtool.average(large, output=tmp_path / "y.weights.h5")
    assert (tmp_path / "x.weights.h5").read_bytes() == (tmp_path / "y.weights.h5").read_bytes()


def test_the_output_may_be_an_input_by_another_name(tmp_path: Path) -> None:
    first, second = tmp_path / "ckpt1.keras", tmp_path / "ckpt2.keras"
    first.write_bytes(BLOBS[0].read_bytes())
    second.write_bytes(BLOBS[1].read_bytes())
    expected = tmp_path / "expected.keras"
    wtool.average([first, second], output=expected)
    link = tmp_path / "link.keras"
    link.symlink_to(second)
    with pytest.raises(wtool.WtoolError, match="exists already"):
        wtool.average([first, second], output=link)
    wtool.average([first, second], output=link, force=True)
    assert link.is_symlink()
    assert second.read_bytes() == expected.read_bytes()


def test_a_draft_replaces_nothing_that_appeared_meanwhile(tmp_path: Path) -> None:
    with LocalDraft(Target(str(tmp_path / "x"))) as draft:
        draft.file.write(b"new")
        (tmp_path / "x").write_bytes(b"somebody else's")
        with pytest.raises(wtool.WtoolError, match="exists already"):
            draft.publish()
    assert (tmp_path / "x").read_bytes() == b"somebody else's"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("unnamed", [True, False])
def test_drafts_work_where_files_need_names(unnamed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not unnamed:
        monkeypatch.setattr(publish, "NAMELESS", 0)
    target = tmp_path / "x"
    with LocalDraft(Target(str(target))) as draft:
        draft.file.write(b"1")
    assert not any(tmp_path.iterdir())
    for content, force in ((b"1", False), (b"2", True)):
        with LocalDraft(Target.at(str(target), force)) as draft:
            draft.file.write(content)
            draft.publish()
        assert target.read_bytes() == content
    target.chmod(0o640)
    with LocalDraft(Target.at(str(target), force=True)) as draft:
        draft.publish()
    assert target.stat().st_mode & 0o777 == 0o640
    assert len(list(tmp_path.iterdir())) == 1


def test_a_read_only_folder_says_so(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        folder = Path("/proc/self")  # nobody may write there, not even root
    else:
        folder = tmp_path / "locked"
        folder.mkdir(mode=0o500)
    with pytest.raises(wtool.WtoolError, match="cannot write in"):
        wtool.average([BLOBS[0]], output=folder / "x.keras")


def test_shards_are_never_mixed_with_old_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.models import ZOO

    source = ZOO / "k3.12.4" / "sharded.weights.json"
    wtool.average([source], output=tmp_path / "mean.weights.json")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(wtool.WtoolError, match="exists already"):
        wtool.average([source, source], output=tmp_path / "mean.weights.json")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    wtool.average([source, source], output=tmp_path / "mean.weights.json", force=True)
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert len(after) == len(before)
    assert {name for name in after if name in before} == {"mean.weights.json"}
    assert wtool.inspect(tmp_path / "mean.weights.json")["notes"] == wtool.inspect(source)["notes"]

    publish, calls = LocalDraft.publish, []

    def fails_late(self: LocalDraft) -> None:
        calls.append(self)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        publish(self)

    monkeypatch.setattr(LocalDraft, "publish", fails_late)
    with pytest.raises(OSError, match="No space"):
        wtool.average([source], output=tmp_path / "other.weights.json")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == after
