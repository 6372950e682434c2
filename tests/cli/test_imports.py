"""What small work imports: modules are counted, since each costs a start of wtool a fraction of a millisecond."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.models import BLOBS

SLOW = {"concurrent.futures", "h5py", "logging", "multiprocessing", "rich", "shutil", "tempfile", "tensorflow"}
"""Modules that take long to import, and that no small work needs."""

LAYOUTS = {"hdf5_file", "legacy", "safetensors", "tensorflow"}
"""Modules of layouts that `.keras` files do not have."""

BUDGETS = {
    ("inspect", "MODEL"): 124,
    ("check", "MODEL"): 130,
    ("history", "MODEL"): 147,
    ("prune", "MODEL", "--sparsity", ".5", "-o", "OUT"): 157,
    ("stroke", "MODEL", "-o", "OUT"): 156,
    ("average", "MODEL", "OTHER", "-o", "OUT"): 187,
    ("diff", "MODEL", "OTHER"): 147,
}
"""Command -> most modules of wtool that it may import."""


@pytest.mark.parametrize("words", BUDGETS, ids=lambda words: words[0])
def test_small_work_imports_what_it_uses(words: tuple[str, ...], tmp_path: Path) -> None:
    named = {"MODEL": str(BLOBS[0]), "OTHER": str(BLOBS[1]), "OUT": str(tmp_path / "out.keras")}
    argv = [sys.executable, "-X", "importtime", "-m", "wtool", *(named.get(word, word) for word in words)]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.returncode == (words[0] == "diff"), done.stderr  # which finds differences
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    modules = {line.rpartition("|")[2].strip() for line in lines}
    own = {name for name in modules if name.startswith("wtool")}
    assert not SLOW & modules
    if words[0] not in ("check", "diff"):  # which ask each format for what it says of training
        assert not LAYOUTS & {name.removeprefix("wtool.checkpoint.layouts.") for name in own}
    assert len(own) <= BUDGETS[words], sorted(own)


def test_importing_wtool_imports_nothing_of_it_that_is_not_used() -> None:
    code = "import sys; import wtool; print(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "numpy" not in out.split()
    assert len([name for name in out.split() if name.startswith("wtool")]) <= 8
