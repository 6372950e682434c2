"""Private folders and copies: nobody else's, whole, and gone afterwards, also after a kill."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests import forkserver
from tests.models import BLOBS, HOSTILE
from wtool.errors import WtoolError
from wtool.io import private, system
from wtool.io.source import Source

CONTENT = np.random.default_rng(1).bytes(3 * (1 << 20) + 5)

HOLD = """
import sys, time
from wtool.io.private import private_folder
with private_folder(sys.argv[1]) as folder:
    open(folder + "/model.keras", "w").write("half")
    print(folder, flush=True)
    time.sleep(600)
"""

RACE = """
import os, sys
from wtool.io.private import private_folder
for each in range(300):
    with private_folder(sys.argv[1]) as folder:
        with open(folder + "/own", "x") as file:
            file.write(str(os.getpid()))
        assert os.listdir(folder) and open(folder + "/own").read() == str(os.getpid())
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for temporary files, which is empty afterwards."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert not os.listdir(folder)


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Source]:
    path = tmp_path / "original"
    path.write_bytes(CONTENT)
    opened = Source(os.open(path, os.O_RDONLY), str(path))
    yield opened
    opened.close()


def started(program: str, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", program, str(folder)], stdout=subprocess.PIPE, text=True)


def test_what_a_killed_process_left_goes_and_what_is_in_use_stays(tmp_path: Path) -> None:
    (tmp_path / ".wtool-private-file").write_text("no folder")
    processes = [started(HOLD, tmp_path) for _ in range(3)]
    folders = [Path(process.stdout.readline().strip()) for process in processes if process.stdout]
    try:
        assert all(folder.stat().st_mode & 0o777 == 0o700 for folder in folders)
        private.remove_abandoned_folders(str(tmp_path))
        assert all((folder / "model.keras").exists() for folder in folders)
        processes[0].kill()
        processes[0].wait()
        assert folders[0].exists()
        with private.private_folder(str(tmp_path)) as own:
            assert [each.exists() for each in (*folders, Path(own))] == [False, True, True, True]
        assert not os.path.exists(own)
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    private.remove_abandoned_folders(str(tmp_path))
    assert os.listdir(tmp_path) == [".wtool-private-file"]


@pytest.mark.slow
def test_many_processes_make_folders_and_sweep_at_a_time(tmp_path: Path) -> None:
    """Also in the moment between making a folder and locking it."""
    processes = [started(RACE, tmp_path) for _ in range(4)]
    assert [process.wait() for process in processes] == [0, 0, 0, 0]
    for process in processes:
        process.communicate()
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("number", private.NO_LOCKS)
def test_without_locks_nothing_is_taken_for_abandoned(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*words: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(system.fcntl, "flock", refuse)
    with private.private_folder(str(tmp_path)) as first, private.private_folder(str(tmp_path)) as second:
        assert os.path.isdir(first)
        assert os.path.isdir(second)
    assert not os.listdir(tmp_path)


def no_copying_in_the_kernel(patch: pytest.MonkeyPatch) -> None:
    def refuse(*words: Any) -> int:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    patch.setattr(os, "copy_file_range", refuse, raising=False)


def a_small_temporary_folder(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=len(CONTENT)))


def a_temporary_folder_that_is_full(patch: pytest.MonkeyPatch) -> None:
    real = private.copy_whole

    def full(source: int, target: int) -> None:
        patch.setattr(private, "copy_whole", real)
        raise OSError(errno.ENOSPC, "No space left on device")

    patch.setattr(private, "copy_whole", full)


BESIDE = (a_small_temporary_folder, a_temporary_folder_that_is_full)


@pytest.mark.parametrize("lack", [None, no_copying_in_the_kernel, *BESIDE])
def test_copies_are_equal_and_nobody_elses(
    lack: Callable[[pytest.MonkeyPatch], None] | None, source: Source, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Path(source.name).parent
    before = set(os.listdir(own))
    with monkeypatch.context() as patch:
        if lack is not None:
            lack(patch)
        with private.private_copy(source, "model.keras") as path:
            assert os.path.basename(path) == "model.keras"
            assert Path(path).parent.parent == (own if lack in BESIDE else temporary)
            assert Path(path).parent.stat().st_mode & 0o777 == 0o700
            assert Path(path).read_bytes() == CONTENT
            Path(source.name).write_bytes(b"exchanged")
            assert Path(path).read_bytes() == CONTENT
    assert set(os.listdir(own)) == before


def test_errors_of_those_who_read_a_copy_are_theirs(source: Source, temporary: Path) -> None:
    with pytest.raises(FileNotFoundError), private.private_copy(source, "x"):
        raise FileNotFoundError


def test_no_room_for_a_copy_is_told(source: Source, temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*words: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(private, "copy_whole", full)
    told = r"no private copy .*\(No space left on device\); TMPDIR names another folder"
    with pytest.raises(WtoolError, match=told), private.private_copy(source, "x"):
        pass
    assert not list(Path(source.name).parent.glob(".wtool-*"))


# What was checked is what Keras gets.


def exchange(path: Path, content: bytes, how: str) -> None:
    """Put other bytes under a name, as a new file or into the old one, and give it the old times."""
    before = path.stat()
    if how == "renamed":
        other = path.with_name("other")
        other.write_bytes(content)
        os.replace(other, path)
    else:
        path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.tensorflow
@pytest.mark.parametrize("how", ["renamed", "rewritten"])
@pytest.mark.parametrize("ending", ["keras", "h5"])
@pytest.mark.parametrize("moment", ["refuse_unsafe", "load_model", "restored"])
def test_a_file_that_is_exchanged_after_it_was_checked_is_not_loaded(
    moment: str, ending: str, how: str, tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keras = pytest.importorskip("keras")
    loading = pytest.importorskip("wtool.training.loading.load")
    path, evil = tmp_path / f"model.{ending}", tmp_path / f"evil.{ending}"
    values = {}
    for target, value in ((path, 1.0), (evil, 666.0)):
        dense = keras.layers.Dense(1, kernel_initializer=keras.initializers.Constant(value))
        model = keras.Sequential([keras.Input((2,)), dense, *([keras.layers.Dense(1)] if value != 1 else [])])
        model.compile("adam", "mean_squared_error")
        model.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0)
        model.save(target)
        values[target] = [variable.numpy() for variable in (*model.weights, *model.optimizer.variables)]
    place = keras.models if moment == "load_model" else loading
    real = getattr(place, moment)
    called = []

    def exchanging(*words: Any, **options: Any) -> Any:
        called.append(moment)
        done = real(*words, **options) if moment == "refuse_unsafe" else None
        exchange(path, evil.read_bytes(), how)
        return done if moment == "refuse_unsafe" else real(*words, **options)

    monkeypatch.setattr(place, moment, exchanging)
    loaded = loading.load(str(path))
    assert called
    assert loaded.lost == ""
    found = [variable.numpy() for variable in (*loaded.model.weights, *loaded.model.optimizer.variables)]
    assert all(np.array_equal(left, right) for left, right in zip(found, values[path], strict=True))
    if called:
        monkeypatch.undo()
        assert len(loading.load(str(path)).model.layers) == 2


@pytest.mark.tensorflow
def test_an_unzipped_model_is_loaded_as_it_was_checked(
    tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gives what its archive gives, also if its files are exchanged after they were checked."""
    keras = pytest.importorskip("keras")
    loading = pytest.importorskip("wtool.training.loading.load")
    from wtool.checkpoint.opener import open_checkpoint

    with zipfile.ZipFile(BLOBS[0]) as archive:
        archive.extractall(tmp_path / "model")
    expected = loading.load(str(BLOBS[0]))
    real = keras.models.load_model

    def exchanging(path: str, *words: Any, **options: Any) -> Any:
        for name in ("config.json", "model.weights.h5"):
            (tmp_path / "model" / name).write_bytes(b"exchanged")
        return real(path, *words, **options)

    with open_checkpoint(str(tmp_path / "model")) as opened:
        hashes = opened.finish()
    monkeypatch.setattr(keras.models, "load_model", exchanging)
    loaded = loading.load(str(tmp_path / "model"))
    assert loaded.name == str(tmp_path / "model")
    assert loaded.hashes == hashes
    assert loaded.lost == ""
    pairs = zip(loaded.model.get_weights(), expected.model.get_weights(), strict=True)
    assert all(np.array_equal(left, right) for left, right in pairs)
    with pytest.raises(WtoolError):
        loading.load(str(tmp_path / "model"))


@pytest.mark.tensorflow
@pytest.mark.parametrize("how", ["renamed", "rewritten"])
def test_models_that_are_compared_are_those_that_were_opened(how: str, tmp_path: Path) -> None:
    pytest.importorskip("keras")
    comparing = pytest.importorskip("wtool.training.compare")
    from wtool.checkpoint.opener import open_checkpoint

    one, other = tmp_path / "one.keras", tmp_path / "other.keras"
    for path in (one, other):
        path.write_bytes(BLOBS[0].read_bytes())
    with open_checkpoint(str(one)) as first, open_checkpoint(str(other)) as second:
        if how == "renamed":
            exchange(other, BLOBS[-1].read_bytes(), how)
        assert comparing.largest_difference(first, second)[0] == 0


@pytest.mark.tensorflow
@pytest.mark.parametrize("path", sorted([*HOSTILE.glob("exec_*"), *HOSTILE.glob("path_*")]), ids=lambda path: path.name)
def test_keras_never_sees_what_would_run_or_reach_out(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keras = pytest.importorskip("keras")
    loading = pytest.importorskip("wtool.training.loading.load")
    monkeypatch.setattr(keras.models, "load_model", pytest.fail)
    with pytest.raises(WtoolError):
        loading.load(str(path))


# A real run of `resume`, killed while it saves.

KILLED = """
import os, signal, sys
import keras
from wtool.cli import main
save = keras.Model.save
def half(model, path, *words, **options):
    save(model, path, *words, **options)
    os.truncate(path, os.path.getsize(path) // 2)
    os.kill(os.getpid(), signal.SIGKILL)
keras.Model.save = half
main(sys.argv[1:])
"""


@pytest.mark.tensorflow
@pytest.mark.slow
def test_a_killed_resume_leaves_no_folder_after_its_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wtool = pytest.importorskip("wtool")
    pytest.importorskip("keras")
    monkeypatch.chdir(tmp_path)
    Path("model.keras").write_bytes(BLOBS[0].read_bytes())
    with wtool.open_checkpoint("model.keras") as opened:
        width = opened.weights[0].shape[0]
    np.savez("data.npz", x=np.ones((8, width), np.float32), y=np.eye(3, dtype=np.float32)[np.zeros(8, int)])
    words = ["resume", "model.keras", "--data", "data.npz", "--epochs", "1", "--seed", "1"]
    words += ["--checkpoints", "run", "-o", "results/out.keras"]
    os.mkdir("results")
    for more, folder in (([], "run"), (["--save-every", "9"], "results")):  # in the checkpoint, then in the result
        killed = subprocess.run(forkserver.python("-c", KILLED, *words, *more, training=True), capture_output=True)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        assert [str(path.parent) for path in Path().rglob(".wtool-*")] == [folder]  # and none of the run before
    options = {"data": "data.npz", "epochs": 1, "seed": 1, "checkpoints": "run", "output": "results/out.keras"}
    wtool.resume("model.keras", **options)
    assert not list(Path().rglob(".wtool-*"))
    assert sorted(os.listdir("results") + os.listdir("run")) == ["ckpt-0001.keras", "out.keras"]


def test_what_is_abandoned_is_removed_and_its_lock_closed(tmp_path: Path) -> None:
    (tmp_path / f"{private.PREFIX}left").mkdir()
    (tmp_path / f"{private.PREFIX}left" / "model.keras").write_bytes(b"half")
    (tmp_path / "other").mkdir()
    before = len(os.listdir("/proc/self/fd"))
    private.remove_abandoned_folders(str(tmp_path))
    assert os.listdir(tmp_path) == ["other"]
    assert len(os.listdir("/proc/self/fd")) == before
    with private.private_folder(str(tmp_path)) as folder:
        private.remove_abandoned_folders(str(tmp_path))
        assert os.path.isdir(folder), "it is in use"
    assert len(os.listdir("/proc/self/fd")) == before
