"""The rules of the house: which room may know what, and what is imported late."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "wtool"
MODULES = sorted(ROOT.rglob("*.py"))
TRAINING_ROOMS = ("wtool/layers/", "wtool/callbacks.py", "wtool/training/")
PLOTTING_ROOM = "wtool/plotting/"


def imported(path: Path, late: bool) -> set[str]:
    """Modules that a file imports: at its top, or anywhere if `late`."""
    tree = ast.parse(path.read_text())
    nodes = ast.walk(tree) if late else iter(tree.body)
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{name.name}" for name in node.names}
    return found


def within(path: Path, room: str) -> bool:
    return str(path.relative_to(ROOT.parent)).startswith(room)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_rooms(path: Path) -> None:
    everywhere, top = imported(path, late=True), imported(path, late=False)
    if not any(within(path, room) for room in TRAINING_ROOMS):
        assert not {name.split(".")[0] for name in everywhere} & {"keras", "tensorflow"}
    assert "matplotlib" not in {name.split(".")[0] for name in top}
    if not within(path, PLOTTING_ROOM):
        assert "matplotlib" not in {name.split(".")[0] for name in everywhere}
    if within(path, "wtool/files/"):
        assert not {name for name in everywhere if name.startswith(("wtool.transforms", "wtool.pipeline", "wtool.cli"))}
    if within(path, "wtool/transforms/"):
        assert not {
            name for name in everywhere if name.startswith(("wtool.files", "wtool.pipeline", "wtool.cli", "os"))
        }
    if within(path, "wtool/cli/"):
        assert "numpy" not in everywhere
        assert not {name.split(".")[0] for name in top} & {"numpy", "h5py", "rich"}
    elif not within(path, "wtool/__main__.py"):
        assert not {name for name in everywhere if name.startswith("wtool.cli")}
    if path.name not in ("hdf5_copy.py", "hdf5_skeleton.py"):
        assert "h5py" not in everywhere  # the HDF5 library reads in the child process only, and writes new files
    if within(path, "wtool/swapping/"):
        assert not {name for name in everywhere if name.startswith(("wtool.pipeline", "wtool.cli", "os"))}


def test_plotting_needs_no_keras(tmp_path: Path) -> None:
    """It reads models as files, and of the training room only what knows the metrics' file."""
    pytest.importorskip("matplotlib")
    code = (
        "import sys, wtool\nwtool.plot(sys.argv[1], output=sys.argv[2])\n"
        "print(sorted(set(sys.modules) & {'h5py', 'tensorflow', 'keras', 'matplotlib.pyplot'}))"
    )
    from tests.models import BLOBS

    words = [sys.executable, "-c", code, str(BLOBS[0]), str(tmp_path / "plot.svg")]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_nothing_from_files_is_run() -> None:
    words = {"eval", "exec", "compile", "__import__", "pickle", "marshal", "yaml"}
    for path in MODULES:
        names = {node.id for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name)}
        assert not (names | {name.split(".")[0] for name in imported(path, late=True)}) & words, path


def test_reading_and_averaging_need_no_hdf5_library() -> None:
    code = (
        "import sys, wtool\nwtool.inspect(sys.argv[1])\nwtool.average(sys.argv[1:3], dry_run=True)\n"
        "print(sorted(set(sys.modules) & {'h5py', 'tensorflow', 'keras', 'rich', 'click', 'ml_dtypes'}))"
    )
    from tests.models import BLOBS

    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, BLOBS[:2])], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
