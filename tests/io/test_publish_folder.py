"""New folders: whole or not at all, whoever is in the way, and wherever a process is killed."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wtool.errors import WtoolError
from wtool.io import publish_folder
from wtool.io.places import Target
from wtool.io.publish_folder import FolderDraft

FILES = {
    "config.json": b"{}",
    "assets/a/words.txt": b"one\ntwo\n",
    "assets/b.txt": b"",
    "model.weights.h5": b"w" * 9000,
}


def write(path: Path, files: dict[str, bytes], force: bool = False, below: Path | None = None) -> None:
    """Write a folder of files."""
    target = Target.at(str(path), force, None if below is None else str(below), is_folder=True)
    with FolderDraft(target) as draft:
        for name, content in files.items():
            draft.file(name).write(content)
        draft.publish()


def content(folder: Path) -> dict[str, bytes]:
    """The files below a folder."""
    return {each.relative_to(folder).as_posix(): each.read_bytes() for each in folder.rglob("*") if each.is_file()}


def test_a_folder_has_the_files_that_were_written(tmp_path: Path) -> None:
    write(tmp_path / "m", FILES)
    assert content(tmp_path / "m") == FILES
    assert os.listdir(tmp_path) == ["m"]
    assert (tmp_path / "m").stat().st_mode & 0o777 == 0o777 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_what_was_not_published_vanishes(tmp_path: Path) -> None:
    with FolderDraft(Target.at(str(tmp_path / "m"), is_folder=True)) as draft:
        draft.file("a/b").write(b"x")
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("swaps", [True, False])
def test_a_folder_is_replaced_with_force_alone(tmp_path: Path, swaps: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "m", {"old": b"old"})
    (tmp_path / "m").chmod(0o750)
    with pytest.raises(WtoolError, match="exists already; --force replaces it"):
        write(tmp_path / "m", FILES)
    if not swaps:
        monkeypatch.setattr(publish_folder, "RENAMES", {})
        with pytest.raises(WtoolError, match="cannot be replaced at once on this system"):
            write(tmp_path / "m", FILES, force=True)
        assert content(tmp_path / "m") == {"old": b"old"}
        write(tmp_path / "n", FILES, force=True)
        assert content(tmp_path / "n") == FILES
        return
    write(tmp_path / "m", FILES, force=True)
    assert content(tmp_path / "m") == FILES
    assert (tmp_path / "m").stat().st_mode & 0o777 == 0o750
    assert os.listdir(tmp_path) == ["m"]


def test_a_file_is_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(b"x")
    with pytest.raises(WtoolError, match="is a file, which no folder replaces"):
        write(tmp_path / "m", FILES, force=True)
    with pytest.raises(WtoolError, match="does not exist"):
        write(tmp_path / "none" / "m", FILES)


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("swaps", [True, False])
def test_what_appears_meanwhile_stays(
    tmp_path: Path, force: bool, swaps: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not swaps:
        monkeypatch.setattr(publish_folder, "RENAMES", {})
    with FolderDraft(Target.at(str(tmp_path / "m"), force, is_folder=True)) as draft:
        draft.file("new").write(b"new")
        write(tmp_path / "m", {"other": b"other"})
        with pytest.raises(WtoolError, match="changed by somebody else" if force else "exists already"):
            draft.publish()
    assert content(tmp_path / "m") == {"other": b"other"}
    assert os.listdir(tmp_path) == ["m"]


def test_what_takes_the_name_in_the_last_moment_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replaced = FolderDraft._replaced

    def last_moment(self: FolderDraft) -> Any:
        found = replaced(self)
        (tmp_path / "m").mkdir()
        return found

    monkeypatch.setattr(FolderDraft, "_replaced", last_moment)
    with pytest.raises(WtoolError, match="exists already"):
        write(tmp_path / "m", FILES)
    assert not content(tmp_path / "m")


@pytest.mark.parametrize("name", ["../a", "a/../b", "/a", "a//b", "", ".", "a/", "a\0b"])
def test_no_file_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(WtoolError, match="cannot be the name of a file"):
        write(tmp_path / "m", {name: b"x"})
    with pytest.raises(WtoolError, match="cannot write its file"):
        write(tmp_path / "m", {"a": b"x", "a/b": b"x"})
    assert not os.listdir(tmp_path)


def test_no_link_is_followed_below_a_folder(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "link").symlink_to(tmp_path / "elsewhere")
    for path in (tmp_path / "models" / "link" / "m", tmp_path / "models" / "link"):
        with pytest.raises(WtoolError, match="symbolic link"):
            write(path, FILES, force=True, below=tmp_path / "models")
    assert not content(tmp_path / "elsewhere")


STEPS = ("mkdir", "open", "fsync", "rename", "fchmod", "unlink", "rmdir", "close")


def killed_at(step: int, work: Callable[[], object]) -> bool:
    """Do the work in a child that is killed before its n-th step; returns whether it was."""
    child = os.fork()
    if not child:
        count = itertools.count(1)

        def counting(function: Callable[..., Any]) -> Callable[..., Any]:
            def counted(*arguments: Any, **more: Any) -> Any:
                if next(count) == step:
                    os.kill(os.getpid(), signal.SIGKILL)
                return function(*arguments, **more)

            return counted

        for name in STEPS:
            setattr(os, name, counting(getattr(os, name)))
        FolderDraft._renamed = counting(FolderDraft._renamed)  # type: ignore[method-assign]
        try:
            work()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("there", [False, True])
def test_a_killed_process_leaves_the_old_folder_or_the_new_one(tmp_path: Path, there: bool) -> None:
    seen = set()
    for step in itertools.count(1):
        here = tmp_path / str(step)
        here.mkdir()
        old = {"old": b"old", "assets/old": b"old"}
        if there:
            write(here / "m", old)
        was_killed = killed_at(step, lambda here=here: write(here / "m", FILES, force=there))  # type: ignore[misc]
        found = content(here / "m") if (here / "m").exists() else None
        assert found in (old if there else None, FILES)
        seen.add(found == FILES)
        if found != FILES or there:
            write(here / "m", FILES, force=there)
        write(here / "n", {})  # takes away what is left of any killed process
        assert content(here / "m") == FILES
        assert sorted(each for each in os.listdir(here) if not each.endswith(".claim")) == ["m", "n"]
        shutil.rmtree(here)
        if not was_killed:
            break
    assert step > 20
    assert seen == {False, True}
