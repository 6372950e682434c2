"""Builds the distributions of wtool, and tries the wheel in a bare environment of each Python on the machine.

python -m tests.distribution build/distribution
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
BLOBS = ROOT / "fixtures" / "blobs"
OLDEST = 10
"""The smallest minor version of Python 3 that wtool admits."""


def build(folder: Path, repository: str = "") -> tuple[Path, Path]:
    """Builds the source distribution and the wheel into a folder.

    Args:
        folder: where the files are written.
        repository: the address of the repository, for the links in the metadata; none if empty.

    Returns:
        The paths of the source distribution and of the wheel.
    """
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(folder)]
    environment = {**os.environ, "WTOOL_REPOSITORY": repository}
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
    (source,) = folder.glob("*.tar.gz")
    (wheel,) = folder.glob("*.whl")
    return source, wheel


def pythons() -> list[Path]:
    """Returns the program of each Python on this machine that wtool admits, one for each version.

    Those that pyenv keeps are found as well; its programs of the same name on the PATH only run where it is told to.
    """
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    folders = [*sorted(pyenv.glob("versions/*/bin")), *map(Path, os.environ.get("PATH", "").split(os.pathsep))]
    found: dict[int, Path] = {sys.version_info.minor: Path(sys.executable)}
    for path in [path for folder in folders for path in sorted(folder.glob("python3.*"))]:
        minor = re.fullmatch(r"python3\.(\d+)", path.name)
        if minor and int(minor[1]) >= OLDEST and int(minor[1]) not in found and _makes_environments(path):
            found[int(minor[1])] = path
    return [found[minor] for minor in sorted(found)]


def _makes_environments(python: Path) -> bool:
    done = subprocess.run([python, "-c", "import ensurepip, venv"], capture_output=True, check=False)
    return done.returncode == 0


def bare_environment(python: Path, wheel: Path, folder: Path) -> Path:
    """Makes a virtual environment with a wheel and what it needs. Returns the folder of the environment's programs."""
    subprocess.run([python, "-m", "venv", folder], check=True)
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    command = [programs / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel]
    subprocess.run(command, check=True)
    return programs


def try_installed(programs: Path, folder: Path, environment: dict[str, str] | None = None) -> str:
    """Runs an installed wtool outside the repository: some commands, and the functions from Python.

    Args:
        programs: the folder of the programs `python` and `wtool`.
        folder: where wtool runs and writes its results.
        environment: the environment variables; those of this process without PYTHONPATH if None.

    Returns:
        What wtool wrote.

    Raises:
        AssertionError: a command failed.
    """
    if environment is None:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    wtool = programs / "wtool"
    models = sorted(BLOBS.glob("*.keras"))
    functions = "import wtool; wtool.inspect('pruned.keras'); print(wtool.__file__, wtool.__version__)"
    commands = (
        (wtool, "--version"),
        (wtool, "--help"),
        (wtool, "inspect", models[0]),
        (wtool, "check", models[0]),
        (wtool, "average", *models, "--exp", ".9", "-o", "average.keras"),
        (wtool, "prune", "average.keras", "--sparsity", ".8", "-o", "pruned.keras"),
        (wtool, "report", "pruned.keras", "-o", "report.html"),
        (programs / "python", "-c", functions),
    )
    told = []
    for command in commands:
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(map(str, command))}: {done.stderr}"
        told.append(done.stdout)
    return "".join(told)


def main(folder: Path) -> None:
    """Builds the wheel, and tries it with each Python. Prints a line for each."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    folder = folder.resolve()
    _, wheel = build(folder)
    for python in pythons():
        print(python, flush=True)
        told = try_installed(bare_environment(python, wheel, folder / python.name), folder)
        print(told.splitlines()[-1])
        for result in ("average.keras", "pruned.keras", "report.html"):
            (folder / result).unlink()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
