"""Merges take the same memory, however large the tensors are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

STATUS = Path("/proc/self/status")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not STATUS.exists(), reason="the peak is read from /proc")]

PEAK = """
import sys
from wtool.cli import cli
cli.main(sys.argv[1:], standalone_mode=False)
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM:")))
"""
"""Runs a command and prints its peak memory in KiB; what `wait4` tells begins with the size of the parent."""

SHAPE = (2000, 3500)
"""28 MB in float32: all four files, or one of them in float64 with its parts, would be above the limit."""

LIMIT = 150_000
"""KiB, of which Python, NumPy and the buffers take about 110,000."""


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("large")
    rng = np.random.default_rng(0)
    base = rng.normal(size=SHAPE).astype(np.float32)
    for number in range(4):
        with h5py.File(folder / f"m{number}.weights.h5", "w") as file:
            group = file.create_group("layers/dense/vars")
            noise = rng.normal(scale=0.1, size=SHAPE).astype(np.float32)
            group.create_dataset("0", data=base + noise if number else base)
    return sorted(folder.iterdir())


@pytest.mark.parametrize(
    "words",
    [
        "ties --density .3",
        "ties --density .3 --scope global",
        "dare-ties --density .3 --rescale l1",
        "breadcrumbs --density .5",
        "model-stock",
        "sce --select-topk .5",
        "multislerp",
    ],
)
def test_peak_memory(words: str, large: list[Path], tmp_path: Path) -> None:
    base, *models = map(str, large)
    out = tmp_path / "out.weights.h5"
    argv = [*models, "--base", base, "--method", *words.split(), "-q", "-o", str(out)]
    done = subprocess.run([sys.executable, "-c", PEAK, "merge", *argv], capture_output=True, text=True, check=True)
    assert int(done.stdout) < LIMIT
    out.unlink()
