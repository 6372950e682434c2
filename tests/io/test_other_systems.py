"""Systems that have less than Linux: wtool asks for what Windows does not have only where it knows a way around."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests import other_systems

ROOT = Path(__file__).parents[2]
HOMES = ("wtool/io/system.py", "wtool/io/folders.py", "wtool/hdf5/sandbox.py")
"""The modules that know of other systems; the tests below run them without what Windows lacks."""

NAMES = {("os", name) for name in (*other_systems.CALLS, *other_systems.FLAGS)}
NAMES |= {("signal", name) for name in (*other_systems.SIGNALS, "SIGKILL")}

KEYWORDS = ("pass_fds", "preexec_fn", "start_new_session")
"""Arguments of `subprocess`."""


def asked_for(path: Path) -> list[str]:
    """Returns what a module takes from the system that not all systems have."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Attribute(value=ast.Name(id=module), attr=name) if (module, name) in NAMES:
                found.append(f"{module}.{name}")
            case ast.Import(names=names):
                found += [each.name for each in names if each.name in other_systems.MODULES]
            case ast.ImportFrom(module=name) if name in other_systems.MODULES:
                found.append(str(name))
            case ast.keyword(arg=str(name)) if name.endswith("dir_fd") or name in KEYWORDS:
                found.append(name)
    return found


def test_what_not_all_systems_have_is_asked_for_in_its_home() -> None:
    modules = sorted((ROOT / "wtool").rglob("*.py"))
    asked = {path.relative_to(ROOT).as_posix(): asked_for(path) for path in modules}
    assert {name: found for name, found in asked.items() if found and name not in HOMES} == {}
    assert all(asked[name] for name in HOMES[1:]), "a home without such knowledge is none"


RUNS = {
    # The package of the hub takes the locks of Linux for granted where it runs on Linux.
    "io": ["tests/io", "--ignore", "tests/io/test_other_systems.py", "-k", "not hub"],
    "models": ["tests/checkpoint/test_unzipped.py", "tests/ops/test_average.py"],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_without_what_windows_lacks(name: str, tmp_path: Path) -> None:
    words = ["-p", "tests.other_systems", "--timeout-method=thread", "-q", "-m", "not tensorflow and not slow"]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *words, f"--basetemp={tmp_path / 'run'}", *RUNS[name]],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-1000:]
