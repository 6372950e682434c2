"""What messages suggest for words and patterns that match nothing."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

import wtool
from tests import forkserver
from tests.models import BLOBS
from wtool.suggestions import meant, meant_paths

PATHS = ["dense/kernel", "dense/bias", "conv2d/kernel", "block/Deep/kernel", "block/conv2d/kernel"]


@pytest.mark.parametrize(
    ("pattern", "suggested"),
    [
        ("dense", "dense/*"),
        ("Dense", "dense/*"),
        ("Conv*/kernel", "conv*/kernel"),
        ("kernel", "*/kernel"),
        ("deep", "block/Deep/kernel"),
        ("Deep", "*/Deep/*"),
        ("Deep/kernel", "*/Deep/kernel"),
        ("dens/kernel", "dense/kernel"),
        ("DENSE/BIAS", "dense/bias"),
        ("zzz", None),
        ("x" * 10_000, None),
    ],
)
def test_patterns(pattern: str, suggested: str | None) -> None:
    told = "" if suggested is None else f"; did you mean '{suggested}'?"
    assert meant_paths(pattern, PATHS, "wtool inspect") == f"{told or ';'} see `wtool inspect`"


def test_words() -> None:
    assert meant("avrage", ["average", "merge"]) == "; did you mean average?"
    assert meant("xyzzy", ["average", "merge"]) == ""


def test_many_long_names_take_no_time() -> None:
    paths = [f"{'layer' * 50}{number}/kernel" for number in range(50_000)]
    start = time.process_time()
    assert meant_paths("dense", paths, "wtool inspect") == "; see `wtool inspect`"
    assert time.process_time() - start < 3


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("prune a.keras --sparsity .5 --include hidden", "did you mean 'hidden/*'? see `wtool inspect --tensors`"),
        ("prune a.keras --sparsity .5 --exclude 'Hidden/*'", "did you mean 'hidden/*'? see"),
        ("swap a.keras --to linked --layers Hiden", "did you mean 'hidden'? see `wtool inspect`"),
        ("shrink a.keras --sparsity .5 --include HIDDEN", "did you mean 'hidden'? see `wtool inspect`"),
        ("align a.keras --to b.keras --lock 'Hid*'", "did you mean 'hid*'? see `wtool inspect`"),
        ("patch a.keras --set hidden=1", "did you mean 'hidden/*'? see"),
        ("merge a.keras b.keras --method linear --weight 'Hidden/*=1'", "did you mean 'hidden/*'? see"),
        ("average a.keras b.keras --include hidden", "did you mean 'hidden/*'? see"),
    ],
)
def test_commands_suggest(words: str, told: str, tmp_path: Path) -> None:
    for name, path in zip(("a", "b"), BLOBS, strict=False):
        (tmp_path / f"{name}.keras").symlink_to(path)
    argv = forkserver.wtool(*words.replace("'", "").split())
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert told in done.stderr
    assert done.stderr.count("\n") == 1


def test_nothing_selected_is_misuse_too(tmp_path: Path) -> None:
    with pytest.raises(wtool.Usage, match="nothing is selected"):
        wtool.prune(BLOBS[0], sparsity=0.5, weights=False, output=tmp_path / "a.keras")
