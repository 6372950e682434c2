"""Each experiment runs with `--quick`, and fills its tables."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("tensorflow")
pytest.importorskip("sklearn")

from tests import forkserver
from tests.experiments.scripts import SCRIPTS

pytestmark = [pytest.mark.slow, pytest.mark.tensorflow]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_quick(script: Path, tmp_path: Path) -> None:
    words = forkserver.python(script, tmp_path / "made", "--quick", training=True)
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, timeout=1200)
    assert done.returncode == 0, done.stderr
    *tables, last = done.stdout.strip().splitlines()
    assert re.match(r"Measured with Python 3\S+, Keras 3\.", last)
    widths = {line.count("|") for line in tables if line.startswith("|")}
    rules = [line for line in tables if line.startswith("| ---")]
    assert rules
    assert widths == {line.count("|") for line in rules}
    assert sum(line.startswith("|") for line in tables) > 2 * len(rules)
