"""Links, pipes, devices, holes and odd names: whatever a path leads to, something is done on purpose."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import wtool
from tests import forkserver
from tests.models import BLOBS, cpu_seconds, hdf5_bytes

pytestmark = pytest.mark.slow  # a few seconds together: left out of the quick part

WTOOL = [sys.executable, "-m", "wtool"]
MODEL = BLOBS[0]


def run(*words: object, cwd: Path, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(forkserver.wtool(*words), capture_output=True, cwd=cwd, input=stdin)


@pytest.fixture
def pruned(tmp_path: Path) -> bytes:
    """What pruning the model by half gives."""
    folder = tmp_path / "expected"
    folder.mkdir()
    wtool.prune(MODEL, sparsity=0.5, output=folder / "out.keras")
    return hdf5_bytes(folder / "out.keras")


def test_a_symbolic_link_is_read_through_and_stays_one(tmp_path: Path, pruned: bytes) -> None:
    shutil.copy(MODEL, tmp_path / "model.keras")
    link = tmp_path / "link.keras"
    link.symlink_to("model.keras")
    assert wtool.prune(link, sparsity=0.5)[0].output == str(tmp_path / "link-prune.keras")
    assert hdf5_bytes(tmp_path / "link-prune.keras") == pruned
    assert not (tmp_path / "link-prune.keras").is_symlink()
    wtool.prune(link, sparsity=0.5, in_place=True)
    assert link.is_symlink()
    assert hdf5_bytes(tmp_path / "model.keras") == pruned


def test_links_that_lead_nowhere_or_round(tmp_path: Path) -> None:
    (tmp_path / "nowhere.keras").symlink_to("missing.keras")
    (tmp_path / "round.keras").symlink_to("round.keras")
    (tmp_path / "folder").symlink_to(tmp_path)
    shutil.copy(MODEL, tmp_path / "model.keras")
    for name in ("nowhere.keras", "round.keras"):
        with pytest.raises(wtool.WtoolError, match=name):
            wtool.inspect(tmp_path / name)
    with pytest.raises(wtool.SomeFailed, match="2 of 3 models failed"):
        wtool.prune(tmp_path, sparsity=0.5, output=tmp_path / "out/")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["model.keras"]


def test_a_hard_link_is_a_file_of_its_own(tmp_path: Path, pruned: bytes) -> None:
    """Changing a model in place replaces its name: the other name keeps the old model."""
    shutil.copy(MODEL, tmp_path / "model.keras")
    os.link(tmp_path / "model.keras", tmp_path / "other.keras")
    wtool.prune(tmp_path / "model.keras", sparsity=0.5, in_place=True)
    assert hdf5_bytes(tmp_path / "model.keras") == pruned
    assert (tmp_path / "other.keras").read_bytes() == MODEL.read_bytes()


@pytest.mark.parametrize("kind", ["same name", "symbolic link", "hard link"])
def test_an_output_that_is_the_input_by_another_name(kind: str, tmp_path: Path, pruned: bytes) -> None:
    model, other = tmp_path / "model.keras", tmp_path / "other.keras"
    shutil.copy(MODEL, model)
    if kind == "symbolic link":
        other.symlink_to(model)
    elif kind == "hard link":
        os.link(model, other)
    else:
        other = tmp_path / "expected" / ".." / "model.keras"
    with pytest.raises(wtool.WtoolError, match="exists already"):
        wtool.prune(model, sparsity=0.5, output=other)
    assert model.read_bytes() == MODEL.read_bytes()
    wtool.prune(model, sparsity=0.5, output=other, force=True)
    assert hdf5_bytes(other) == pruned
    assert hdf5_bytes(model) == (hdf5_bytes(MODEL) if kind == "hard link" else pruned)


def test_a_pipe_with_a_name_is_refused_at_once_and_written_to(tmp_path: Path, pruned: bytes) -> None:
    fifo = tmp_path / "fifo.keras"
    os.mkfifo(fifo)
    begin = cpu_seconds()
    with pytest.raises(wtool.Refused, match="what comes through a pipe goes in as -"):
        wtool.inspect(fifo)
    with pytest.raises(wtool.Refused, match="pipe"):
        wtool.prune(fifo, sparsity=0.5)
    assert cpu_seconds() - begin < 1
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(fifo.read_bytes()))
    reader.start()
    wtool.prune(MODEL, sparsity=0.5, output=fifo)
    reader.join(10)
    (tmp_path / "copy.keras").write_bytes(read[0])
    assert hdf5_bytes(tmp_path / "copy.keras") == pruned
    assert fifo.is_fifo()


def test_devices(tmp_path: Path) -> None:
    for device in ("/dev/null", "/dev/zero", "/dev/tty"):
        done = run("inspect", device, cwd=tmp_path)
        assert done.returncode == 1
        assert done.stderr.count(b"\n") == 1
    done = run("prune", MODEL, "--sparsity", ".5", "-o", "/dev/null", cwd=tmp_path)
    assert done.returncode == 0
    assert Path("/dev/null").is_char_device()


def test_holes(tmp_path: Path, pruned: bytes) -> None:
    """A sparse copy is the same model; a file of holes only, however large, is none."""
    subprocess.run(["cp", "--sparse=always", MODEL, tmp_path / "sparse.keras"], check=True)
    wtool.prune(tmp_path / "sparse.keras", sparsity=0.5)
    assert hdf5_bytes(tmp_path / "sparse-prune.keras") == pruned
    for name in ("holes.keras", "holes.h5", "holes.weights.json"):
        with open(tmp_path / name, "wb") as file:
            file.truncate(1 << 40)
        begin = cpu_seconds()
        with pytest.raises(wtool.Refused):
            wtool.inspect(tmp_path / name)
        assert cpu_seconds() - begin < 1


@pytest.mark.parametrize(
    "name",
    [
        "with blanks  .keras",
        "line\nbreak.keras",
        "umläut-日本.keras",
        "-dash.keras",
        "[star*].keras",
        "a'b\"c$d;.keras",
        "x\x1b[31m.keras",
    ],
)
def test_names(name: str, tmp_path: Path, pruned: bytes) -> None:
    shutil.copy(MODEL, tmp_path / name)
    done = run("prune", "--sparsity", ".5", "--", name, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(b"\n") == 1
    assert b"\x1b" not in done.stderr
    assert hdf5_bytes(tmp_path / f"{name.removesuffix('.keras')}-prune.keras") == pruned
    assert run("inspect", "--", name, cwd=tmp_path).returncode == 0
    found = wtool.prune(tmp_path, sparsity=0.5, include=["hidden/*"], output=tmp_path / "out/", dry_run=True)
    assert name in {os.path.basename(each.model) for each in found}


def test_names_that_are_no_text(tmp_path: Path) -> None:
    path = os.path.join(os.fsencode(tmp_path), b"caf\xe9.keras")
    shutil.copy(MODEL, path)
    done = run("prune", "--sparsity", ".5", os.fsdecode(path), cwd=tmp_path)
    assert done.returncode == 0
    assert os.path.exists(os.path.join(os.fsencode(tmp_path), b"caf\xe9-prune.keras"))
    assert run("inspect", "--json", os.fsdecode(path), cwd=tmp_path).returncode == 0


def test_long_names(tmp_path: Path) -> None:
    shutil.copy(MODEL, tmp_path / ("x" * 249 + ".keras"))
    with pytest.raises(wtool.WtoolError, match=r"File name too long|cannot write"):
        wtool.prune(tmp_path / ("x" * 249 + ".keras"), sparsity=0.5)
    assert len(list(tmp_path.iterdir())) == 1


# Faults of the transforms of single models; test_faults.py has those of averages


def test_two_at_once_write_one_target(tmp_path: Path) -> None:
    """One of them succeeds, the other says that the file is there; nobody's bytes are mixed."""
    argv = [*WTOOL, "stroke", str(MODEL), "-o", "out.keras", "-q", "--seed"]
    for _ in range(3):
        both = [subprocess.Popen([*argv, seed], cwd=tmp_path, stderr=subprocess.PIPE) for seed in ("1", "2")]
        words = [process.communicate()[1] for process in both]
        assert sorted(process.returncode for process in both) == [0, 1]
        loser = words[0] or words[1]
        assert b"out.keras: exists already" in loser
        winner = 1 if both[0].returncode == 0 else 2
        wtool.stroke(MODEL, seed=winner, output=tmp_path / "expected.keras")
        assert (tmp_path / "out.keras").read_bytes() == (tmp_path / "expected.keras").read_bytes()
        for name in ("out.keras", "expected.keras"):
            (tmp_path / name).unlink()
        assert not any(tmp_path.iterdir())


def test_two_at_once_may_replace_one_target(tmp_path: Path) -> None:
    argv = [*WTOOL, "stroke", str(MODEL), "-o", "out.keras", "-q", "--force", "--seed"]
    both = [subprocess.Popen([*argv, seed], cwd=tmp_path, stderr=subprocess.PIPE) for seed in ("1", "2")]
    words = [process.communicate()[1] for process in both]
    assert 0 in [process.returncode for process in both]
    assert all(b"changed by somebody else" in each for each in words if each)  # never silently
    content = (tmp_path / "out.keras").read_bytes()
    for seed in (1, 2):
        wtool.stroke(MODEL, seed=seed, output=tmp_path / f"{seed}.keras")
    assert content in {(tmp_path / f"{seed}.keras").read_bytes() for seed in (1, 2)}
    assert len(list(tmp_path.iterdir())) == 3


def test_a_model_that_changes_between_two_passes_is_noticed(tmp_path: Path) -> None:
    for name in ("ckpt-9.keras", "ckpt-9.h5", "ckpt-9.weights.h5"):
        model = tmp_path / name
        shutil.copy(BLOBS[0].parent.parent / "bn" / name, model)
        changes = []

        def meddle(done: int, total: int, model: Path = model, changes: list[int] = changes) -> None:
            changes.append(done)
            os.utime(model, (len(changes), 1))

        with pytest.raises(wtool.Refused, match="changed while it was being read"):
            wtool.prune(model, sparsity=0.5, output=tmp_path / f"out-{name}", progress=meddle)
        assert changes
        assert not (tmp_path / f"out-{name}").exists()


def test_a_slow_pipe(tmp_path: Path, pruned: bytes) -> None:
    """What comes slowly is waited for; what ends too early is no model, and nothing is written."""
    content = MODEL.read_bytes()
    for end, status in ((len(content), 0), (len(content) // 2, 1), (0, 1)):
        target = tmp_path / f"{end}.keras"
        argv = [*WTOOL, "prune", "-", "--sparsity", ".5", "-q", "-o", str(target)]
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stdin is not None
        for start in range(0, end, 8192):
            process.stdin.write(content[start : min(start + 8192, end)])
            process.stdin.flush()
            time.sleep(0.02)
        _, words = process.communicate()
        assert process.returncode == status, words
        assert target.exists() == (status == 0)
        assert words.count(b"\n") == (0 if status == 0 else 1)
    assert hdf5_bytes(tmp_path / f"{len(content)}.keras") == pruned


def test_a_reader_that_leaves_early(tmp_path: Path) -> None:
    script = (
        f"{sys.executable} -m wtool prune {MODEL} --sparsity .5 -q -o - | head -c 100 > part; echo ${{PIPESTATUS[0]}}"
    )
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    assert done.stdout.strip() in ("0", "141")  # a small model may be in the pipe before the reader leaves
    assert not done.stderr
    assert (tmp_path / "part").stat().st_size == 100
