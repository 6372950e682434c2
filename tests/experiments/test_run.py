"""All experiments in one command."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.experiments.run import run
from tests.experiments.scripts import FOLDER, SCRIPTS

SPINS = """import sys, pathlib, time
while time.process_time() < 0.6:
    pass
print(sys.argv[2:])
pathlib.Path(sys.argv[1]).mkdir()
"""


def test_all_run_and_each_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also behind one that fails."""
    scripts = [tmp_path / name for name in ("bad.py", "good.py")]
    scripts[0].write_text("raise SystemExit('no data\\nthere is no such file')")
    scripts[1].write_text(SPINS)
    folder = tmp_path / "made" / "all"
    assert not run(scripts, folder, ["--quick", "--latex"])
    first, second, last = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"bad +0 s of processor time, +\d+ s in all; failed: there is no such file", first)
    assert re.fullmatch(r"good +1 s of processor time, +\d+ s in all", second)
    assert last.startswith("together ")
    assert (folder / "good.tex").read_text() == "['--quick', '--latex']\n"
    assert (folder / "good").is_dir()
    assert run(scripts[1:], tmp_path / "again", [])
    assert (tmp_path / "again" / "good.md").exists()


def test_make_experiments_leaves_none_out() -> None:
    """Each module beside the experiments is one, or shared by several, and the Makefile runs all."""
    imported = set()
    for path in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom):
                imported.add(node.module)
            elif isinstance(node, ast.Import):
                imported |= {each.name for each in node.names}
    shared = {path.stem for path in FOLDER.glob("*.py")} - {path.stem for path in SCRIPTS}
    assert shared <= imported
    assert {"averaging", "overfitting", "lottery_curves"} <= {path.stem for path in SCRIPTS}
    makefile = (FOLDER.parents[1] / "Makefile").read_text()
    assert re.search(
        r"^experiments: \$\(VENV\)/\.experiments  ## .*\n\t\$\(PY\) -m tests\.experiments\.run \S+$", makefile, re.M
    )


def test_each_experiment_tells_its_command() -> None:
    for script in SCRIPTS:
        documented = ast.get_docstring(ast.parse(script.read_text("utf-8"))) or ""
        assert f"python docs/experiments/{script.name} FOLDER [--quick] [--latex]" in documented
