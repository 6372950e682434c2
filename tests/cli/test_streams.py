"""Closed streams, full disks and readers that leave: the right status, and never a traceback."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests import forkserver
from tests.models import BLOBS, hdf5_bytes
from wtool.cli import COMMANDS

TALKING = {
    "--help": "--help",
    "--version": "--version",
    **{f"{name} --help": f"{name} --help" for name in sorted(COMMANDS)},
    "inspect": "inspect a.keras",
    "inspect --json": "inspect a.keras b.keras --json",
    "inspect folder": "inspect .",
    "check --json": "check a.keras b.keras --json",
    "check findings": "check broken.keras --json",
    "prune --json": "prune a.keras b.keras --sparsity .5 -o out/ --json",
    "prune --dry-run": "prune a.keras b.keras --sparsity .5 -o out/ --dry-run",
    "prune -j": "prune a.keras b.keras --sparsity .5 -o out/ --json -j 2",
    "swap --json": "swap a.keras --to linked -o out/ --json",
    "average --json": "average a.keras b.keras --json",
    "average -n": "average a.keras b.keras -n",
    "prune -o -": "prune a.keras --sparsity .5 -o -",
    "average -o -": "average a.keras b.keras -o -",
}
"""What writes to standard output."""

SILENT = {
    "prune": "prune a.keras --sparsity .5 -o out.keras",
    "prune folder": "prune zoo --sparsity .5 -o out/",
    "average": "average a.keras b.keras",
    "misuse": "prune a.keras --sparsity 7",
    "no such option": "prune a.keras --nonsense",
    "no such command": "nonsense",
    "no such file": "inspect missing.keras",
}
"""What writes to standard error alone, if at all."""


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "zoo").mkdir()
    for name in ("a.keras", "zoo/a.keras"):
        shutil.copy(BLOBS[0], tmp_path / name)
    shutil.copy(BLOBS[1], tmp_path / "b.keras")
    (tmp_path / "broken.keras").write_bytes(BLOBS[0].read_bytes()[:5000])
    return tmp_path


def shell(script: str, here: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": f"{forkserver.folder()}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(["bash", "-c", script], cwd=here, capture_output=True, text=True, env=environment)


def quick(names: dict[str, str], kept: tuple[str, ...]) -> list[object]:
    """All names as parameters; all but a few are left to the slow part."""
    return [pytest.param(each, id=each, marks=() if each in kept else pytest.mark.slow) for each in names]


@pytest.mark.parametrize("name", quick(TALKING, ("--help", "inspect", "check --json", "prune -o -")))
@pytest.mark.parametrize("out", [">&-", ">/dev/full"])
def test_output_that_cannot_be_written(out: str, name: str, here: Path) -> None:
    done = shell(f"wtool {TALKING[name]} {out}", here)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    told = [line for line in done.stderr.splitlines() if "standard output" in line]
    assert len(told) == 1, done.stderr


@pytest.mark.parametrize("name", quick(SILENT, ("prune", "misuse")))
@pytest.mark.parametrize("out", [">&-", ">/dev/full"])
def test_output_that_nobody_wants_to_write(out: str, name: str, here: Path) -> None:
    usual = shell(f"wtool {SILENT[name]} --force 2>/dev/null", here) if "-o" in SILENT[name] else None
    done = shell(f"wtool {SILENT[name]} {'--force' if usual else ''} {out}", here)
    assert done.returncode == {"misuse": 2, "no such option": 2, "no such command": 2, "no such file": 1}.get(name, 0)
    assert "Traceback" not in done.stderr
    assert "standard output" not in done.stderr


@pytest.mark.parametrize("name", quick({**TALKING, **SILENT}, ("--help", "prune", "no such file")))
@pytest.mark.parametrize("error", ["2>&-", "2>/dev/full"])
def test_words_that_cannot_be_written(error: str, name: str, here: Path) -> None:
    """The status and the output are as they are with words."""
    words = {**TALKING, **SILENT}[name]
    with_words = shell(f"wtool {words} | md5sum; echo ${{PIPESTATUS[0]}}; rm -rf out out.keras average.keras", here)
    without = shell(f"wtool {words} {error} | md5sum; echo ${{PIPESTATUS[0]}}", here)
    assert without.stdout == with_words.stdout
    assert without.stderr == ""


def test_closed_streams_are_not_taken_for_files(here: Path) -> None:
    """The first file that a process opens has the number of a closed stream: words must not end up in a model."""
    assert shell("wtool prune a.keras --sparsity .5 -o usual.keras", here).returncode == 0
    for closed in ("<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"):
        done = shell(f"wtool prune a.keras --sparsity .5 -o out.keras --force {closed}", here)
        assert done.returncode == 0, (closed, done.stderr)
        assert hdf5_bytes(here / "out.keras") == hdf5_bytes(here / "usual.keras")
        assert shell("wtool check out.keras", here).returncode == 0
    assert shell("wtool inspect - <&-", here).returncode == 1


@pytest.mark.parametrize("name", quick(TALKING, ("inspect folder", "prune -o -")))
def test_a_reader_that_leaves_ends_it_quietly(name: str, here: Path) -> None:
    """As the signal would: status 141, and not a word of it. `false` has left before the first write."""
    script = f"(sleep 1; exec wtool {TALKING[name]}) | false; echo ${{PIPESTATUS[0]}}"
    done = shell(script, here)
    assert done.stdout.strip() == "141", done.stderr
    for word in ("Traceback", "Exception ignored", "roken pipe", "standard output"):
        assert word not in done.stderr


def test_head_gets_its_lines(here: Path) -> None:
    for number in range(200):
        shutil.copy(BLOBS[0], here / "zoo" / f"{number}.keras")
    done = shell("wtool inspect zoo | head -3; echo ${PIPESTATUS[0]}", here)
    lines = done.stdout.splitlines()
    assert lines[0].startswith("zoo/0.keras: keras")
    assert lines[-1] == "141"
    assert done.stderr == ""
