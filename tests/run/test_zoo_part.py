"""`--shard I/N`: the parts of a zoo are all of it, each model once, and stay where they are when models come."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import wtool
from tests.models import BLOBS
from wtool.checkpoint.zoo_part import ZooPart
from wtool.cli import main

NAMES = [f"{folder}m{number}.keras" for folder in ("", "a/", "b/c/") for number in range(7)]


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    for number, name in enumerate(NAMES):
        path = tmp_path / "zoo" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(BLOBS[number % len(BLOBS)], path)
    return tmp_path / "zoo"


def part_of(name: str, count: int) -> int:
    """The definition, once more: a hash of the path below the folder."""
    return int(hashlib.blake2b(name.encode(), digest_size=8).hexdigest(), 16) % count + 1


@pytest.mark.parametrize("count", [1, 2, 3, 8, 50])
def test_the_parts_are_the_whole(count: int, zoo: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for number in range(1, count + 1):
        done = wtool.prune(zoo, sparsity=0.5, output=f"{out}/", shard=f"{number}/{count}")
        found = sorted(Path(each.model).relative_to(zoo).as_posix() for each in done)
        assert found == sorted(name for name in NAMES if part_of(name, count) == number)
    whole = wtool.prune(zoo, sparsity=0.5, output=f"{out}/")
    assert [each.skipped for each in whole] == [True] * len(NAMES)


def test_a_model_stays_in_its_part(zoo: Path, tmp_path: Path) -> None:
    before = {each.model for each in wtool.prune(zoo, sparsity=0.5, output=f"{tmp_path}/o/", shard="1/3", dry_run=True)}
    shutil.copy(BLOBS[0], zoo / "a" / "a-new-one.keras")
    after = {each.model for each in wtool.prune(zoo, sparsity=0.5, output=f"{tmp_path}/o/", shard="1/3", dry_run=True)}
    assert after - {str(zoo / "a" / "a-new-one.keras")} == before
    shutil.move(zoo, tmp_path / "elsewhere")
    moved = wtool.prune(tmp_path / "elsewhere", sparsity=0.5, output=f"{tmp_path}/o/", shard="1/3", dry_run=True)
    assert {Path(each.model).relative_to(tmp_path / "elsewhere") for each in moved} == {
        Path(each).relative_to(zoo) for each in after
    }


COMMANDS = {
    "inspect": (["inspect", "--json"], "path"),
    "check": (["check", "--json"], "model"),
    "convert": (["convert", "--to", "h5", "-n", "--json", "-o", "out/"], "model"),
    "in place": (["stroke", "--in-place", "--json", "-n"], "model"),
    "pack": (["pack", "--json", "-n", "-o", "out/"], "model"),
    "shrink": (["shrink", "--json", "-n", "-o", "out/"], "model"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_takes_the_same_part(
    name: str, zoo: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(zoo.parent)
    (first, *options), key = COMMANDS[name]
    with pytest.raises(SystemExit) as end:
        main([first, "zoo/", *options, "--shard", "2/3"])
    assert end.value.code == 0
    found = [json.loads(line)[key] for line in capfd.readouterr().out.splitlines()]
    assert sorted(Path(each).relative_to("zoo").as_posix() for each in found) == sorted(
        each for each in NAMES if part_of(each, 3) == 2
    )


@pytest.mark.parametrize("word", ["", "0/3", "4/3", "1/0", "1", "a/b", "-1/3", "1/3/", "1/99999999999"])
def test_what_is_no_part_is_misuse(word: str, zoo: Path) -> None:
    with pytest.raises(wtool.Usage, match="is no part"):
        ZooPart.of(word)
    words = [sys.executable, "-m", "wtool", "check", str(zoo), "--shard", word]
    run = subprocess.run(words, capture_output=True, text=True)
    assert (run.returncode, run.stderr.count("\n")) == (2, 1)


def test_an_ensemble_takes_all(zoo: Path) -> None:
    from wtool.training.checks import check_evaluate
    from wtool.training.evaluate_options import Evaluate

    data = ([[0.0, 0.0]], [0])
    with pytest.raises(wtool.Usage, match="takes all of its members"):
        check_evaluate([str(zoo)], Evaluate(data=data, ensemble=True, shard="1/2"))
    chosen = check_evaluate([str(zoo)], Evaluate(data=data, loss="mse", shard="1/2"))
    assert sorted(Path(each).relative_to(zoo).as_posix() for each in chosen) == sorted(
        each for each in NAMES if part_of(each, 2) == 1
    )
