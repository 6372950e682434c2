"""What is replaced, and what is not: links, files that change meanwhile, owners, kills, and systems that lack much."""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import wtool
from tests.models import BLOBS, ZOO
from wtool.checkpoint.layouts import shards
from wtool.io import publish
from wtool.io.claims import lock_if_alone
from wtool.io.places import Target
from wtool.io.publish import LocalDraft

WTOOL = [sys.executable, "-m", "wtool"]
MODEL = BLOBS[0]
SHARDED = ZOO / "k3.12.4" / "sharded.weights.json"


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir() or path.is_symlink()}


def operations(path: Path) -> list[str]:
    return [record["operation"] for record in wtool.inspect(path)["lineage"]]


# Links


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    (tmp_path / "outside").mkdir()
    shutil.copy(MODEL, tmp_path / "outside" / "secret.keras")
    return tmp_path / "outside"


@pytest.mark.parametrize("workers", [1, 2])
def test_in_place_stays_in_the_folder_that_was_named(workers: int, outside: Path, tmp_path: Path) -> None:
    zoo = tmp_path / "zoo"
    (zoo / "sub").mkdir(parents=True)
    for name in ("a.keras", "sub/b.keras"):
        shutil.copy(MODEL, zoo / name)
    (zoo / "out.keras").symlink_to(outside / "secret.keras")
    (zoo / "dangling.keras").symlink_to(outside / "nothing.keras")
    (zoo / "0-inside.keras").symlink_to("a.keras")
    (zoo / "linked").symlink_to(outside)
    with pytest.raises(wtool.SomeFailed) as caught:
        wtool.prune(zoo, sparsity=0.5, in_place=True, jobs=workers)
    results = [each for each in caught.value.results if isinstance(each, wtool.Failed)]
    failed = {os.path.basename(each.model): each.error.message for each in results}
    assert set(failed) == {"out.keras", "dangling.keras"}
    assert "is a symbolic link, and none is followed below" in failed["out.keras"]
    assert (outside / "secret.keras").read_bytes() == MODEL.read_bytes()
    assert names(outside) == {"secret.keras"}
    assert operations(zoo / "a.keras") == operations(zoo / "sub" / "b.keras") == ["prune"]
    assert (zoo / "0-inside.keras").is_symlink()
    wtool.prune(zoo / "out.keras", sparsity=0.5, in_place=True)  # named itself, it is followed
    assert operations(outside / "secret.keras") == ["prune"]


@pytest.mark.parametrize("kind", ["linked folder", "linked file", "dangling file", "dangling folder"])
def test_outputs_stay_in_the_folder_that_was_named(kind: str, outside: Path, tmp_path: Path) -> None:
    zoo, out = tmp_path / "zoo", tmp_path / "out"
    (zoo / "sub").mkdir(parents=True)
    for name in ("a.keras", "sub/b.keras"):
        shutil.copy(MODEL, zoo / name)
    (out / "sub").mkdir(parents=True)
    place = out / "sub" / "b.keras"
    if kind.endswith("folder"):
        (out / "sub").rmdir()
        place = out / "sub"
    place.symlink_to({"linked folder": outside, "linked file": outside / "secret.keras"}.get(kind, outside / "new"))
    before = {name: (outside / name).read_bytes() for name in names(outside)}
    with pytest.raises(wtool.SomeFailed, match=r"1 of 2 models failed; .*b\.keras: .*symbolic link"):
        wtool.prune(zoo, sparsity=0.5, output=out, force=True)
    assert {name: (outside / name).read_bytes() for name in names(outside)} == before
    assert operations(out / "a.keras") == ["prune"]
    link = tmp_path / "link"
    link.symlink_to(out)
    with pytest.raises(wtool.SomeFailed):
        wtool.prune(zoo, sparsity=0.5, output=link, force=True)  # the folder that was named may be a link itself


def test_a_link_that_appears_meanwhile_is_not_followed(outside: Path, tmp_path: Path) -> None:
    """The folder of a draft is open: exchanging its path leads nowhere else."""
    out = tmp_path / "out"
    (out / "sub").mkdir(parents=True)
    for force in (False, True):
        with LocalDraft(Target.at(str(out / "sub" / "secret.keras"), force, below=str(out))) as draft:
            (out / "sub").rename(out / "moved")
            (out / "sub").symlink_to(outside)
            draft.file.write(b"new")
            draft.publish()
        (out / "sub").unlink()
        (out / "moved").rename(out / "sub")
        assert (out / "sub" / "secret.keras").read_bytes() == b"new"
        assert {name: (outside / name).read_bytes() for name in names(outside)} == {"secret.keras": MODEL.read_bytes()}
    with LocalDraft(Target.at(str(out / "sub" / "other.keras"), True, below=str(out))) as draft:
        (out / "sub" / "other.keras").symlink_to(outside / "secret.keras")
        with pytest.raises(wtool.WtoolError, match="changed by somebody else"):
            draft.publish()
    assert (outside / "secret.keras").read_bytes() == MODEL.read_bytes()


def test_a_link_that_is_named_is_followed_as_cp_does(outside: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.keras"
    link.symlink_to(outside / "secret.keras")
    with pytest.raises(wtool.WtoolError, match="exists already"):
        wtool.prune(MODEL, sparsity=0.5, output=link)
    wtool.prune(MODEL, sparsity=0.5, output=link, force=True)
    assert link.is_symlink()
    assert operations(outside / "secret.keras") == ["prune"]


def test_a_default_output_is_no_link(outside: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(MODEL, tmp_path / "a.keras")
    for name in ("a-prune.keras", "average.keras"):
        (tmp_path / name).symlink_to(outside / "secret.keras")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(wtool.WtoolError, match="symbolic link"):
        wtool.prune("a.keras", sparsity=0.5, force=True)
    with pytest.raises(wtool.WtoolError, match="symbolic link"):
        wtool.average(["a.keras"], force=True)
    assert (outside / "secret.keras").read_bytes() == MODEL.read_bytes()


# What changes meanwhile


@pytest.mark.parametrize("how", ["in place", "force", "average", "swap", "sharded"])
def test_an_update_is_not_lost(how: str, tmp_path: Path) -> None:
    model = tmp_path / ("m.weights.json" if how == "sharded" else "m.keras")
    if how == "sharded":
        wtool.average([SHARDED], output=model)
    else:
        shutil.copy(MODEL, model)
    inner: list[int] = []

    def meddle(done: int, total: int) -> None:
        if not inner:
            inner.append(done)
            wtool.stroke(model, seed=1, in_place=True)

    work: dict[str, Callable[[], object]] = {
        "average": lambda: wtool.average([model], output=model, force=True, progress=meddle),
        "swap": lambda: wtool.swap(model, to="linked", in_place=True, progress=meddle),
        "force": lambda: wtool.prune(MODEL, sparsity=0.5, output=model, force=True, progress=meddle),
    }
    with pytest.raises(wtool.WtoolError, match="changed by somebody else since this command began; nothing was writt"):
        work.get(how, lambda: wtool.prune(model, sparsity=0.5, in_place=True, progress=meddle))()
    assert inner
    assert operations(model)[-1] == "stroke"
    assert not [name for name in names(tmp_path) if name.startswith(".")]
    if how == "sharded":
        assert len(names(tmp_path)) == 3


@pytest.mark.slow
@pytest.mark.parametrize("name", ["m.keras", "m.weights.json"])
def test_many_processes_change_one_model(name: str, tmp_path: Path) -> None:
    """Whoever ends with 0 is in the lineage; whoever is not has failed and said so."""
    if name == "m.keras":
        shutil.copy(MODEL, tmp_path / name)
    else:
        wtool.average([SHARDED], output=tmp_path / name)
    argv = [*WTOOL, "stroke", name, "--in-place", "-q", "--seed"]
    for turn in range(3):
        seeds = range(4 * turn, 4 * turn + 4)
        running = [subprocess.Popen([*argv, str(seed)], cwd=tmp_path, stderr=subprocess.PIPE) for seed in seeds]
        words = [process.communicate()[1] for process in running]
        done = {seed for seed, process in zip(seeds, running, strict=True) if process.returncode == 0}
        assert done
        assert all(b"run the command again" in told for told in words if told), words
        recorded = {record.get("seed") for record in wtool.inspect(tmp_path / name)["lineage"]}
        assert recorded & set(seeds) == done
    assert len(names(tmp_path)) == (1 if name == "m.keras" else 3)


@pytest.mark.parametrize(("replaced", "reason"), [(True, "changed by somebody else"), (False, "cannot be opened")])
def test_shards_that_go_while_they_are_opened(
    replaced: bool, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process that replaces the checkpoint removes the old shards; who has read the old map is told so."""
    model = tmp_path / "m.weights.json"
    wtool.average([SHARDED], output=model)
    real = shards.open_shard

    def gone(manifest: str, name: str) -> int:
        if replaced:
            (tmp_path / "new").write_bytes(model.read_bytes())
            os.replace(tmp_path / "new", model)
        (tmp_path / name).unlink()
        return real(manifest, name)

    monkeypatch.setattr(shards, "open_shard", gone)
    with pytest.raises(wtool.WtoolError, match=reason):
        wtool.inspect(model)


# Owners and permissions


@pytest.mark.parametrize("mode", [0o640, 0o600, 0o444, 0o4755, 0o2775, 0o666])
def test_a_replaced_file_is_as_cp_leaves_it(mode: int, tmp_path: Path) -> None:
    theirs, mine = tmp_path / "cp.keras", tmp_path / "wtool.keras"
    for path in (theirs, mine):
        shutil.copy(BLOBS[1], path)
        if os.geteuid() == 0:
            os.chown(path, 1234, 4321)
        os.chmod(path, mode)
        os.utime(path, (1, 1))
    subprocess.run(["cp", MODEL, theirs], check=os.geteuid() == 0)
    wtool.prune(MODEL, sparsity=0.5, output=mine, force=True)
    expected, found = theirs.stat(), mine.stat()
    assert (found.st_uid, found.st_gid) == (expected.st_uid, expected.st_gid)
    assert stat.S_IMODE(found.st_mode) == stat.S_IMODE(expected.st_mode) & 0o777
    assert found.st_mtime > 1e9


def test_a_group_that_cannot_be_kept_lends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs files of another owner")
    target = tmp_path / "m.keras"
    for mode, left in ((0o660, 0o600), (0o664, 0o644), (0o640, 0o600), (0o604, 0o604)):
        shutil.copy(MODEL, target)
        os.chown(target, 1234, 4321)
        os.chmod(target, mode)
        with monkeypatch.context() as patched:
            patched.setattr(os, "fchown", refused)
            wtool.prune(MODEL, sparsity=0.5, output=target, force=True)
        assert stat.S_IMODE(target.stat().st_mode) == left


def refused(*_: object, **__: object) -> None:
    raise PermissionError(1, "Operation not permitted")


# Systems that lack something


def without_proc(patched: pytest.MonkeyPatch) -> None:
    patched.setattr(publish, "_by_number", lambda file: f"/nonexistent/{file}")


def without_linking_of_open_files(patched: pytest.MonkeyPatch) -> None:
    link = os.link

    def limited(source: Any, *others: Any, **more: Any) -> None:
        if str(source).startswith("/proc/"):
            raise OSError(18, "Invalid cross-device link")
        link(source, *others, **more)

    patched.setattr(os, "link", limited)


def without_hard_links(patched: pytest.MonkeyPatch) -> None:
    patched.setattr(os, "link", refused)


def without_locks(patched: pytest.MonkeyPatch) -> None:
    import fcntl

    def unsupported(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    patched.setattr(fcntl, "flock", unsupported)


def without_unnamed_files(patched: pytest.MonkeyPatch) -> None:
    patched.setattr(publish, "NAMELESS", 0)


def without_lists_of_folders(patched: pytest.MonkeyPatch) -> None:
    """A folder in which one may write, and which one may not list."""

    def listdir(folder: str | int = ".", real: Callable[..., list[str]] = os.listdir) -> list[str]:
        if isinstance(folder, int):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return real(folder)

    patched.setattr(os, "listdir", listdir)


LACKING = [
    without_proc,
    without_linking_of_open_files,
    without_hard_links,
    without_locks,
    without_unnamed_files,
    without_lists_of_folders,
]


@pytest.mark.parametrize("lacking", LACKING, ids=lambda each: each.__name__)
def test_systems_that_lack_something(
    lacking: Callable[[pytest.MonkeyPatch], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "usual").mkdir()
    wtool.prune(MODEL, sparsity=0.5, output=tmp_path / "usual" / "m.keras")
    wtool.average([SHARDED], output=tmp_path / "usual" / "m.weights.json")
    expected = {path.name: path.read_bytes() for path in (tmp_path / "usual").iterdir()}
    lacking(monkeypatch)
    here = tmp_path / "here"
    here.mkdir()
    for force in (False, True):
        wtool.prune(MODEL, sparsity=0.5, output=here / "m.keras", force=force)
        assert (here / "m.keras").read_bytes() == expected["m.keras"]
        with pytest.raises(wtool.WtoolError, match="exists already"):
            wtool.prune(MODEL, sparsity=0.25, output=here / "m.keras")
    (here / "m.keras").unlink()
    wtool.prune(MODEL, sparsity=0.5, output=here / "m.keras", force=True)
    wtool.average([SHARDED], output=here / "m.weights.json")
    assert {path.name: path.read_bytes() for path in here.iterdir()} == expected
    wtool.average([SHARDED], output=here / "m.weights.json", force=True)
    assert len(names(here)) == len(expected)
    assert wtool.inspect(here / "m.weights.json")["parameters"] == wtool.inspect(SHARDED)["parameters"]


def test_a_hidden_draft_of_a_killed_process_is_swept_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And one of a living process is not."""
    without_unnamed_files(monkeypatch)
    target = str(tmp_path / "m.keras")
    child = os.fork()
    if not child:
        draft = LocalDraft(Target(target))
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert len(names(tmp_path)) == 1
    with LocalDraft(Target(target)) as draft:
        assert len(names(tmp_path)) == 1
        with LocalDraft(Target(str(tmp_path / "n.keras"))) as other:
            assert len(names(tmp_path)) == 2
            for each, content in ((draft, b"m"), (other, b"n")):
                each.file.write(content)
                each.publish()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"m.keras": b"m", "n.keras": b"n"}


# Kills of what makes shards


STEPS = ("link", "replace", "unlink", "fsync", "pwrite", "open", "ftruncate")


def killed_at(step: int, work: Callable[[], object]) -> bool:
    """Do the work in a child that is killed before its n-th step of those that change or open files; whether it was."""
    child = os.fork()
    if not child:
        count = 0

        def counting(function: Callable[..., Any]) -> Callable[..., Any]:
            def counted(*arguments: Any, **more: Any) -> Any:
                nonlocal count
                count += 1
                if count == step:
                    os.kill(os.getpid(), signal.SIGKILL)
                return function(*arguments, **more)

            return counted

        for name in STEPS:
            setattr(os, name, counting(getattr(os, name)))
        try:
            work()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


@pytest.mark.slow
@pytest.mark.parametrize("how", ["new", "force", "in place"])
@pytest.mark.parametrize("named", [False, True], ids=["unnamed", "hidden"])
@pytest.mark.parametrize("first", [1, 2, 3])
def test_shards_of_a_killed_run(
    how: str, named: bool, first: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before any of its steps: the checkpoint is whole, old or new, and the same command leaves no orphan.

    Each test takes every third step.
    """
    if named:
        without_unnamed_files(monkeypatch)
    for step in itertools.count(first, 3):
        here = tmp_path / str(step)
        here.mkdir()
        (here / "m_00005.weights.h5").write_bytes(b"somebody else's")
        model = here / "m.weights.json"
        if how != "new":
            wtool.average([SHARDED], output=model)
        words: dict[str, Any] = {"sparsity": 0.5, "force": how == "force"}
        words |= {"in_place": True} if how == "in place" else {"output": model}

        def work(words: dict[str, Any] = words, model: Path = model) -> None:
            wtool.prune(model if how == "in place" else SHARDED, **words)

        was_killed = killed_at(step, work)
        if model.exists():
            assert operations(model) in (["average"], ["prune"], ["average", "prune"])
        work()
        assert operations(model)[-1] == "prune"
        assert len(names(here)) == 4, (step, names(here))
        assert (here / "m_00005.weights.h5").read_bytes() == b"somebody else's"
        shutil.rmtree(here)
        if not was_killed:
            break
    assert step > 8


def test_shards_of_somebody_else_are_not_removed(tmp_path: Path) -> None:
    """After a kill between shard and map, a file that took a stray shard's name is no stray."""
    model = tmp_path / "m.weights.json"
    publishing, count = LocalDraft.publish, 0
    child = os.fork()
    if not child:

        def killed_at_the_map(self: LocalDraft) -> None:
            nonlocal count
            count += 1
            if count == 3:
                os.kill(os.getpid(), signal.SIGKILL)
            publishing(self)

        LocalDraft.publish = killed_at_the_map  # type: ignore[method-assign]
        wtool.average([SHARDED], output=model)
    os.waitpid(child, 0)
    stray = tmp_path / "m_00000.weights.h5"
    assert stray.exists()
    stray.unlink()
    stray.write_bytes(b"mine")
    with pytest.raises(wtool.WtoolError, match="is in the way as a shard of the output"):
        wtool.average([SHARDED], output=model)
    assert names(tmp_path) == {"m_00000.weights.h5"}
    assert stray.read_bytes() == b"mine"
    wtool.average([SHARDED], output=model, force=True)
    assert stray.read_bytes() == b"mine"


@pytest.mark.parametrize("how", ["new", "force"])
def test_a_file_is_on_the_disk_before_it_has_its_name(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a power cut there is the old file or the whole new one: the bytes, then the name, then its folder."""
    target = tmp_path / "m.keras"
    if how == "force":
        shutil.copy(MODEL, target)
    events: list[tuple[str, int]] = []
    fsync, link, replace = os.fsync, os.link, os.replace

    def synced(file: int) -> None:
        found = os.fstat(file)
        events.append(("folder", 0) if stat.S_ISDIR(found.st_mode) else ("bytes", found.st_size))
        fsync(file)

    def named(call: Any) -> Any:
        def recorded(*arguments: Any, **options: Any) -> None:
            call(*arguments, **options)
            events.append(("name", 0))

        return recorded

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "link", named(link))
    monkeypatch.setattr(os, "replace", named(replace))
    wtool.prune(MODEL, sparsity=0.5, output=target, force=how == "force")
    names = ["name"] if how == "new" else ["name", "name"]  # a hidden one first, which then replaces the old file
    assert [event for event, _ in events] == ["bytes", *names, "folder"]
    assert events[0][1] == target.stat().st_size


def test_a_draft_that_another_process_swept_away_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep may see the hidden file in the moment before it is locked. Its descriptor does not stay open."""
    without_unnamed_files(monkeypatch)
    files, swept = open_files(), []

    def late(file: int) -> bool:
        if not swept:
            swept.extend(tmp_path.iterdir())
            swept[0].unlink()
        return lock_if_alone(file)

    monkeypatch.setattr(publish, "lock_if_alone", late)
    with LocalDraft(Target(str(tmp_path / "m.keras"))) as draft:
        draft.file.write(b"m")
        assert open_files() == files + 2  # the draft and its folder
        draft.publish()
    assert len(swept) == 1
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"m.keras": b"m"}
    assert open_files() == files


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_standard_output_has_to_be_open_and_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(wtool.WtoolError, match="standard output is closed"):
        LocalDraft(Target("-"))
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(isatty=lambda: True))
    with pytest.raises(wtool.WtoolError, match="a model is not for a terminal"):
        LocalDraft(Target("-"))
